//! Queries on frames.

use super::answer::FrameAnswer;
use super::frame::Frame;
use super::kept::{KeptFrame, require_key};
use super::keys::FrameKeys;
use crate::error::{Failure, Result};
use crate::service::Service;
use crate::wait::{Stop, Waiting, Watch};
use cipherfn_frame::file::FileHead;
use cipherfn_frame::plan::Plan;
use cipherfn_frame::reply::Reply;
use cipherfn_protocol::api::ProblemType;
use cipherfn_protocol::api::frames::{FrameQuery as Asked, ROWS_TOGETHER};
use cipherfn_scheme::ExpandedEvaluationKey;
use cipherfn_serving::frames::{
    Demand, PassRun, PreparedQuery, PreparedStage, StoredFrame, SumRows, prepare_query,
};
use pyo3::prelude::*;
use std::sync::Arc;

/// A frame here, or one that a service keeps.
#[derive(FromPyObject)]
enum Either<'py> {
    Here(PyRef<'py, Frame>),
    Kept(PyRef<'py, KeptFrame>),
}

impl Either<'_> {
    fn head(&self) -> (FileHead, usize) {
        match self {
            Self::Here(frame) => (FileHead::clone(&frame.head), frame.rows),
            Self::Kept(frame) => (FileHead::clone(&frame.head), frame.rows),
        }
    }
}

/// A plan, and what it becomes for frames.
#[pyclass(frozen)]
pub(crate) struct FrameQuery {
    /// One query of whoever evaluates, and what is done with its decrypted answer.
    stage: Arc<PreparedStage>,
}

#[pymethods]
impl FrameQuery {
    /// A plan as JSON or SQL, for frames of whose answer every column has to have so many bits; `None`
    /// for all of them.
    #[new]
    fn new(plan: &str, frames: Vec<Either<'_>>, min_bits: Option<f64>) -> PyResult<Self> {
        let demand = match min_bits {
            None => Demand::Exact,
            Some(bits) if bits >= 0.0 && bits.is_finite() => Demand::Bits(bits),
            Some(bits) => {
                let text = format!("min_bits is {bits}; a number of bits is 0 or more");
                return Err(Failure::Argument(text).into());
            }
        };
        let heads: Vec<_> = frames.iter().map(Either::head).collect();
        let schemas: Vec<_> = heads.iter().map(|(head, _)| head.schema.clone()).collect();
        let plan = if plan.trim_start().starts_with('{') {
            Plan::from_json(plan.as_bytes())
        } else {
            Plan::from_sql(plan, &schemas)
        };
        let plan = plan.map_err(Failure::from)?;
        let sums = SumRows::Fitting(demand);
        let stage = prepare_query(&plan, &heads, &[], sums, demand);
        Ok(Self {
            stage: Arc::new(stage.map_err(Failure::from)?),
        })
    }

    /// What whoever evaluates is asked, as JSON.
    #[getter]
    fn plan(&self) -> PyResult<String> {
        let json = self.stage.query.plan.to_json().map_err(Failure::from)?;
        Ok(String::from_utf8_lossy(&json).into_owned())
    }

    /// Steps as a tree, the passes that they become, what each takes, and what the columns are worth.
    fn explain(&self) -> PyResult<String> {
        let prepared = &self.stage.query;
        let resolved = prepared.plan.resolve(&prepared.schemas);
        let tree = resolved
            .map_err(Failure::from)?
            .explain(&prepared.passes.passes);
        let mut lines = vec![tree.trim_end().to_owned()];
        lines.extend((1..).zip(&prepared.figures).map(|(number, figures)| {
            format!(
                "pass {number} takes {:.2} s of one core, its results {} bytes",
                figures.seconds, figures.bytes
            )
        }));
        let columns = prepared.columns.iter();
        lines.extend(columns.map(|column| format!("column {}: {}", column.name, column.worth())));
        let then = self.stage.stage.then.iter();
        lines.extend(then.map(|step| format!("then the key holder, {}: {step}", step.name())));
        Ok(lines.join("\n"))
    }

    /// Bits of its range that each column of the answer has; `None` where all of it is exact.
    fn bits(&self) -> Vec<(String, Option<f64>)> {
        let columns = self.stage.query.columns.iter();
        columns
            .map(|column| (column.name.clone(), column.bits))
            .collect()
    }

    /// Evaluates it here, and decrypts. The frames are those that it was made for, in their order.
    #[pyo3(signature = (frames, keys, tell=None, stop=None))]
    fn collect(
        &self,
        py: Python<'_>,
        frames: Vec<PyRef<'_, Frame>>,
        keys: &FrameKeys,
        tell: Option<Bound<'_, PyAny>>,
        stop: Option<Bound<'_, Stop>>,
    ) -> PyResult<FrameAnswer> {
        let stage = Arc::clone(&self.stage);
        stage.require().map_err(Failure::from)?;
        let frames: Vec<Frame> = frames.iter().map(|frame| Frame::clone(frame)).collect();
        let keys = keys.clone();
        let waiting = Waiting { py, tell, stop };
        waiting.compute(move |watch| {
            let prepared = &stage.query;
            let named = prepared.places.iter().map(|place| {
                require_key(&keys.secret, &frames[*place].head)?;
                frames[*place].stored()
            });
            let stored = named.collect::<Result<Vec<_>>>()?;
            let reply = evaluate(prepared, keys.expanded()?, &stored, watch)?;
            FrameAnswer::decrypt(&stage, &keys.secret, &reply)
        })
    }

    /// Lets a service evaluate it that keeps the frames, and decrypts.
    #[pyo3(signature = (service, frames, rows_a_part=None, tell=None, stop=None))]
    fn ask(
        &self,
        py: Python<'_>,
        service: &Service,
        frames: Vec<PyRef<'_, KeptFrame>>,
        rows_a_part: Option<u64>,
        tell: Option<Bound<'_, PyAny>>,
        stop: Option<Bound<'_, Stop>>,
    ) -> PyResult<FrameAnswer> {
        let stage = Arc::clone(&self.stage);
        stage.require().map_err(Failure::from)?;
        let prepared = &stage.query;
        let (connection, watch) = service.open();
        let ring = service.ring.clone();
        let places = prepared.places.iter();
        let json = prepared.plan.to_json().map_err(Failure::from)?;
        let plan = serde_json::from_slice(&json);
        let query = Asked {
            frames: places.map(|place| frames[*place].id).collect(),
            tables: Vec::new(),
            plan: plan.map_err(|error| Failure::Other(error.to_string()))?,
            rows_per_sum: prepared.rows_per_sum,
            min_bits: stage.demand.bits(),
        };
        let heads: Vec<_> = frames.iter().map(|frame| Arc::clone(&frame.head)).collect();
        let waiting = Waiting { py, tell, stop };
        let stage = Arc::clone(&stage);
        waiting.request(&watch, move || async move {
            let prepared = &stage.query;
            let secret = ring.secret_key(prepared.set)?;
            for head in &heads {
                require_key(&secret, head)?;
            }
            // The key may have been deleted, or have expired, since the frames were uploaded.
            connection
                .register_for_frames(&ring, prepared.set, |_| ())
                .await?;
            let bytes = match rows_a_part {
                Some(rows) => connection.query_frames_as_job(&query, rows).await?,
                None => match connection.query_frames(&query).await {
                    Err(error)
                        if error
                            .problem()
                            .is_some_and(|problem| problem.kind == ProblemType::QueryTooLarge) =>
                    {
                        let rows = prepared.rows_a_part();
                        connection.query_frames_as_job(&query, rows).await?
                    }
                    answer => answer?,
                },
            };
            let reply = Reply::from_bytes(&bytes)?;
            if !prepared.is_answered_by(&reply) {
                return Err(Failure::Named {
                    class: "ServiceError",
                    message: "the service answered another query than was asked".into(),
                    remedy: Some("the same call again".into()),
                });
            }
            FrameAnswer::decrypt(&stage, &secret, &reply)
        })
    }
}

/// What whoever evaluates gives back. Rows go a run at a time, as they would all at once.
fn evaluate(
    prepared: &PreparedQuery,
    key: &ExpandedEvaluationKey,
    frames: &[StoredFrame],
    watch: &Watch,
) -> Result<Reply> {
    let frames: Vec<&StoredFrame> = frames.iter().collect();
    let passes = &prepared.passes.passes;
    let of = passes
        .iter()
        .map(|pass| prepared.rows_of(pass) as u64)
        .sum();
    let mut results = Vec::with_capacity(passes.len());
    let mut done = 0;
    for _ in passes {
        let mut run = PassRun::new(key, passes, &frames, &results)?;
        for first in (0..run.rows()).step_by(ROWS_TOGETHER as usize) {
            watch.check()?;
            let end = run.rows().min(first + ROWS_TOGETHER as usize);
            run.evaluate(first..end)?;
            done += (end - first) as u64;
            watch.set(done, of);
        }
        results.push(run.finish());
    }
    let last = results.last();
    let last = last.ok_or_else(|| Failure::Other("the plan has no pass".into()))?;
    Ok(prepared.reply(last)?)
}
