//! Queries on frames.

use super::answer::{FrameAnswer, decrypted};
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
use cipherfn_protocol::api::frames::{FrameId, FrameQuery as Asked, ROWS_TOGETHER};
use cipherfn_scheme::ExpandedEvaluationKey;
use cipherfn_serving::frames::{Demand, PassRun, PreparedQuery, StoredFrame, SumRows};
use pyo3::prelude::*;
use std::sync::Arc;

/// A frame here, or one that a service keeps.
#[derive(FromPyObject)]
pub(super) enum Either<'py> {
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
    prepared: Arc<PreparedQuery>,
    demand: Demand,
}

#[pymethods]
impl FrameQuery {
    /// A plan as JSON or SQL, for frames of whose answer every column has to have so many bits; `None`
    /// for all of them.
    #[new]
    fn new(plan: &str, frames: Vec<Either<'_>>, min_bits: Option<f64>) -> PyResult<Self> {
        let demand = demand(min_bits)?;
        let (plan, heads) = read(plan, &frames)?;
        let prepared = PreparedQuery::new(plan, &heads, &[], SumRows::Fitting(demand));
        Ok(Self {
            prepared: Arc::new(prepared.map_err(Failure::from)?),
            demand,
        })
    }

    /// A plan, JSON or SQL, as JSON.
    #[staticmethod]
    fn read(plan: &str, frames: Vec<Either<'_>>) -> PyResult<String> {
        let (plan, _) = read(plan, &frames)?;
        let json = plan.to_json().map_err(Failure::from)?;
        Ok(String::from_utf8_lossy(&json).into_owned())
    }

    /// Steps as a tree, the passes that they become, what each takes, and what the columns are worth.
    fn explain(&self) -> PyResult<String> {
        Ok(explained(&self.prepared)?.join("\n"))
    }

    /// Bits of its range that each column of the answer has; `None` where all of it is exact.
    fn bits(&self) -> Vec<(String, Option<f64>)> {
        let columns = self.prepared.columns.iter();
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
        let prepared = Arc::clone(&self.prepared);
        prepared.require(self.demand).map_err(Failure::from)?;
        let frames: Vec<Frame> = frames.iter().map(|frame| Frame::clone(frame)).collect();
        let keys = keys.clone();
        let waiting = Waiting { py, tell, stop };
        waiting.compute(move |watch| {
            let named = prepared.places.iter().map(|place| {
                require_key(&keys.secret, &frames[*place].head)?;
                frames[*place].stored()
            });
            let stored = named.collect::<Result<Vec<_>>>()?;
            let stored: Vec<&StoredFrame> = stored.iter().collect();
            let reply = evaluate(&prepared, keys.expanded()?, &stored, watch)?;
            FrameAnswer::of(&decrypted(&prepared, &keys.secret, &reply)?)
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
        let prepared = Arc::clone(&self.prepared);
        prepared.require(self.demand).map_err(Failure::from)?;
        let (connection, watch) = service.open();
        let ring = service.ring.clone();
        let demand = self.demand;
        let ids: Vec<FrameId> = frames.iter().map(|frame| frame.id).collect();
        let heads: Vec<_> = frames.iter().map(|frame| Arc::clone(&frame.head)).collect();
        let waiting = Waiting { py, tell, stop };
        waiting.request(&watch, move || async move {
            let secret = ring.secret_key(prepared.set)?;
            for head in &heads {
                require_key(&secret, head)?;
            }
            // The key may have been deleted, or have expired, since the frames were uploaded.
            connection
                .register_for_frames(&ring, prepared.set, |_| ())
                .await?;
            let reply = answer(&connection, &prepared, demand, &ids, rows_a_part).await?;
            FrameAnswer::of(&decrypted(&prepared, &secret, &reply)?)
        })
    }
}

/// What every column of an answer has to be worth; `None` for all of its bits.
pub(super) fn demand(min_bits: Option<f64>) -> Result<Demand> {
    match min_bits {
        None => Ok(Demand::Exact),
        Some(bits) if bits >= 0.0 && bits.is_finite() => Ok(Demand::Bits(bits)),
        Some(bits) => {
            let text = format!("min_bits is {bits}; a number of bits is 0 or more");
            Err(Failure::Argument(text))
        }
    }
}

/// A plan, JSON or SQL, and the heads of its frames.
pub(super) fn read(plan: &str, frames: &[Either<'_>]) -> Result<(Plan, Vec<(FileHead, usize)>)> {
    let heads: Vec<_> = frames.iter().map(Either::head).collect();
    let schemas: Vec<_> = heads.iter().map(|(head, _)| head.schema.clone()).collect();
    let plan = if plan.trim_start().starts_with('{') {
        Plan::from_json(plan.as_bytes())
    } else {
        Plan::from_sql(plan, &schemas)
    };
    Ok((plan?, heads))
}

/// Steps as a tree, passes and columns, a line each.
pub(super) fn explained(prepared: &PreparedQuery) -> Result<Vec<String>> {
    let resolved = prepared.plan.resolve(&prepared.schemas)?;
    let tree = resolved.explain(&prepared.passes.passes);
    let mut lines = vec![tree.trim_end().to_owned()];
    lines.extend((1..).zip(&prepared.figures).map(|(number, figures)| {
        format!(
            "pass {number} takes {:.2} s of one core, its results {} bytes",
            figures.seconds, figures.bytes
        )
    }));
    let columns = prepared.columns.iter();
    lines.extend(columns.map(|column| format!("column {}: {}", column.name, column.worth())));
    Ok(lines)
}

/// A service's answer to a query on frames that it keeps.
pub(super) async fn answer(
    connection: &cipherfn_client_http::Service,
    prepared: &PreparedQuery,
    demand: Demand,
    frames: &[FrameId],
    rows_a_part: Option<u64>,
) -> Result<Reply> {
    let places = prepared.places.iter();
    let plan = serde_json::from_slice(&prepared.plan.to_json()?);
    let query = Asked {
        frames: places.map(|place| frames[*place]).collect(),
        tables: Vec::new(),
        plan: plan.map_err(|error| Failure::Other(error.to_string()))?,
        rows_per_sum: prepared.rows_per_sum,
        min_bits: demand.bits(),
    };
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
    Ok(reply)
}

/// What whoever evaluates gives back. Rows go a run at a time, as they would all at once.
pub(super) fn evaluate(
    prepared: &PreparedQuery,
    key: &ExpandedEvaluationKey,
    frames: &[&StoredFrame],
    watch: &Watch,
) -> Result<Reply> {
    let passes = &prepared.passes.passes;
    let of = passes
        .iter()
        .map(|pass| prepared.rows_of(pass) as u64)
        .sum();
    let mut results = Vec::with_capacity(passes.len());
    let mut done = 0;
    for _ in passes {
        let mut run = PassRun::new(key, passes, frames, &results)?;
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
