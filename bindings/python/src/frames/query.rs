//! Queries on frames.

use super::answer::{FrameAnswer, decrypted};
use super::frame::Frame;
use super::kept::{KeptFrame, require_key};
use super::keys::FrameKeys;
use super::models::{FrameModel, scores};
use super::run::{Run, none};
use super::tables::ClearTable;
use crate::error::{Failure, Result};
use crate::service::Service;
use crate::wait::{Stop, Waiting, Watch};
use cipherfn_client::frames::{Behind, KeyHolder};
use cipherfn_frame::file::{FileHead, FrameReader};
use cipherfn_frame::plan::Plan;
use cipherfn_frame::reply::Reply;
use cipherfn_frame::schema::{NameForm, Schema};
use cipherfn_protocol::api::frames::ROWS_TOGETHER;
use cipherfn_protocol::specs::Gadget;
use cipherfn_scheme::ExpandedEvaluationKey;
use cipherfn_serving::frames::{
    Demand, PassRun, PreparedQuery, PreparedStage, StoredFrame, SumRows, leading, prepare_query,
    prepare_stages,
};
use pyo3::prelude::*;
use std::io::Cursor;
use std::sync::{Arc, Mutex, PoisonError};

/// What a plan names: a frame here, one that a service keeps, or a table in the clear.
#[derive(FromPyObject)]
enum Given<'py> {
    Here(PyRef<'py, Frame>),
    Kept(PyRef<'py, KeptFrame>),
    Table(PyRef<'py, ClearTable>),
}

/// What is public of all that a plan names.
struct Public {
    heads: Vec<(FileHead, usize)>,
    tables: Vec<Schema>,
}

impl Public {
    fn of(given: &[Given<'_>]) -> Self {
        let (mut heads, mut tables) = (Vec::new(), Vec::new());
        for own in given {
            match own {
                Given::Here(frame) => heads.push((FileHead::clone(&frame.head), frame.rows)),
                Given::Kept(frame) => heads.push((FileHead::clone(&frame.head), frame.rows)),
                Given::Table(table) => tables.push(table.schema.clone()),
            }
        }
        Self { heads, tables }
    }

    /// Schemas of frames, then those of tables.
    fn schemas(&self) -> Vec<Schema> {
        let frames = self.heads.iter().map(|(head, _)| head.schema.clone());
        frames.chain(self.tables.iter().cloned()).collect()
    }
}

/// Tables in the clear, and by whom a query is evaluated: models of files become part of a plan that a
/// service evaluates.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct Asked<'py> {
    min_bits: Option<f64>,
    stages: bool,
    models: Vec<PyRef<'py, FrameModel>>,
    by_service: bool,
}

/// A plan, and what it becomes for frames: one stage if it is levelled.
#[pyclass(frozen)]
pub(crate) struct FrameQuery {
    stages: Arc<Vec<PreparedStage>>,
    /// Of all frames, those between stages too.
    gadget: Gadget,
}

#[pymethods]
impl FrameQuery {
    /// A plan as JSON or SQL, for frames and tables of whose answer every column has to have so many bits;
    /// `None` for all of them. With `stages` as many as it takes.
    #[new]
    fn new(plan: &str, given: Vec<Given<'_>>, asked: Asked<'_>) -> PyResult<Self> {
        let demand = demand(asked.min_bits)?;
        let public = Public::of(&given);
        let plan = read(plan, &public)?;
        let plan = plan.with_scores(&scores(&asked.models, asked.by_service)?);
        let plan = plan.map_err(Failure::from)?;
        let sums = SumRows::Fitting(demand);
        let Public { heads, tables } = &public;
        let stages = if asked.stages {
            prepare_stages(&plan, heads, tables, sums, demand)
        } else {
            prepare_query(&plan, heads, tables, sums, demand).map(|stage| vec![stage])
        };
        let gadget = leading(&heads).map_err(Failure::from)?.gadget;
        Ok(Self {
            stages: Arc::new(stages.map_err(Failure::from)?),
            gadget,
        })
    }

    /// A plan, JSON or SQL, as JSON.
    #[staticmethod]
    fn read(plan: &str, given: Vec<Given<'_>>) -> PyResult<String> {
        let plan = read(plan, &Public::of(&given))?;
        let json = plan.to_json().map_err(Failure::from)?;
        Ok(String::from_utf8_lossy(&json).into_owned())
    }

    /// Steps as a tree, the passes that they become, what each takes, what the columns are worth, and what
    /// the key holder does behind them; of several stages one after the other.
    fn explain(&self) -> PyResult<String> {
        let mut lines = Vec::new();
        for (number, stage) in (1..).zip(self.stages.iter()) {
            if self.stages.len() > 1 {
                lines.push(format!("stage {number} of {}", self.stages.len()));
            }
            lines.extend(explained(stage)?);
        }
        Ok(lines.join("\n"))
    }

    /// Bits of its range that each column of the answer has; `None` where all of it is exact.
    fn bits(&self) -> Vec<(String, Option<f64>)> {
        let last = self.stages.last().into_iter();
        last.flat_map(|stage| &stage.query.columns)
            .map(|column| (column.name.clone(), column.bits))
            .collect()
    }

    /// Evaluates it here, and decrypts. Frames and tables are those that it was made for, in their order.
    #[pyo3(signature = (frames, tables, keys, tell=None, stop=None))]
    fn collect(
        &self,
        py: Python<'_>,
        frames: Vec<PyRef<'_, Frame>>,
        tables: Vec<PyRef<'_, ClearTable>>,
        keys: &FrameKeys,
        tell: Option<Bound<'_, PyAny>>,
        stop: Option<Bound<'_, Stop>>,
    ) -> PyResult<FrameAnswer> {
        self.require()?;
        let (stages, gadget) = (Arc::clone(&self.stages), self.gadget);
        let frames: Vec<Frame> = frames.iter().map(|frame| Frame::clone(frame)).collect();
        let tables: Vec<ClearTable> = tables.iter().map(|own| ClearTable::clone(own)).collect();
        let keys = keys.clone();
        let waiting = Waiting { py, tell, stop };
        waiting.compute(move |watch| {
            let given = frames.iter().map(|frame| {
                require_key(&keys.secret, &frame.head)?;
                frame.stored()
            });
            let mut stored = given.collect::<Result<Vec<_>>>()?;
            let set = stages.first().ok_or_else(none)?.query.set;
            let tables = tables.iter();
            let tables = tables.map(|own| Ok(StoredFrame::plain(set, own.with_cells()?.clone())));
            let tables = tables.collect::<Result<Vec<_>>>()?;
            let mut holder = KeyHolder::new(&keys.secret, gadget);
            for PreparedStage { query, stage, .. } in stages.iter() {
                let all: Vec<&StoredFrame> = stored.iter().chain(&tables).collect();
                let places = query.places.iter();
                let scanned: Vec<&StoredFrame> = places.map(|place| all[*place]).collect();
                let reply = evaluate(query, keys.expanded()?, &scanned, watch)?;
                let table = decrypted(query, &keys.secret, &reply)?;
                match holder.behind(stage, table)? {
                    Behind::Answer(table) => return FrameAnswer::of(&table),
                    Behind::Frame(file) => {
                        let mut reader = FrameReader::open(Cursor::new(file))?;
                        stored.push(StoredFrame::read(&mut reader)?);
                    }
                }
            }
            Err(none())
        })
    }

    /// Lets a service evaluate it that keeps the frames, and decrypts. Frames between stages are deleted
    /// there, whatever happens.
    #[pyo3(signature = (service, frames, tables, rows_a_part=None, tell=None, stop=None))]
    fn ask(
        &self,
        py: Python<'_>,
        service: &Service,
        frames: Vec<PyRef<'_, KeptFrame>>,
        tables: Vec<PyRef<'_, ClearTable>>,
        rows_a_part: Option<u64>,
        tell: Option<Bound<'_, PyAny>>,
        stop: Option<Bound<'_, Stop>>,
    ) -> PyResult<FrameAnswer> {
        self.require()?;
        let (connection, watch) = service.open();
        let tables = tables.iter().map(|table| table.published());
        let added = Arc::new(Mutex::new(Vec::new()));
        let run = Run {
            connection: connection.clone(),
            stages: Arc::clone(&self.stages),
            gadget: self.gadget,
            kept: frames.iter().map(|frame| frame.id).collect(),
            tables: tables.collect::<Result<_>>()?,
            rows_a_part,
            added: Arc::clone(&added),
        };
        let heads: Vec<_> = frames.iter().map(|frame| Arc::clone(&frame.head)).collect();
        let ring = service.ring.clone();
        let waiting = Waiting { py, tell, stop };
        let outcome = waiting.request(&watch, move || async move {
            let set = run.stages.first().ok_or_else(none)?.query.set;
            let secret = ring.secret_key(set)?;
            for head in &heads {
                require_key(&secret, head)?;
            }
            // The key may have been deleted, or have expired, since the frames were uploaded.
            run.connection
                .register_for_frames(&ring, set, |_| ())
                .await?;
            FrameAnswer::of(&run.carry_out(&secret).await?)
        });
        let added = std::mem::take(&mut *added.lock().unwrap_or_else(PoisonError::into_inner));
        let again = Waiting {
            py,
            tell: None,
            stop: None,
        };
        let cleared = again.request(&Watch::default(), move || async move {
            let mut first = None;
            for frame in added {
                if let Err(error) = connection.delete_frame(frame).await {
                    first.get_or_insert(error);
                }
            }
            Ok(first.map_or(Ok(()), Err)?)
        });
        let answer = outcome?;
        cleared?;
        Ok(answer)
    }
}

impl FrameQuery {
    fn require(&self) -> Result<()> {
        for stage in self.stages.iter() {
            stage.require()?;
        }
        Ok(())
    }
}

/// What every column of an answer has to be worth; `None` for all of its bits.
fn demand(min_bits: Option<f64>) -> Result<Demand> {
    match min_bits {
        None => Ok(Demand::Exact),
        Some(bits) if bits >= 0.0 && bits.is_finite() => Ok(Demand::Bits(bits)),
        Some(bits) => {
            let text = format!("min_bits is {bits}; a number of bits is 0 or more");
            Err(Failure::Argument(text))
        }
    }
}

/// A plan, JSON or SQL.
fn read(plan: &str, public: &Public) -> Result<Plan> {
    let schemas = public.schemas();
    let plan = if plan.trim_start().starts_with('{') {
        Plan::from_json(plan.as_bytes())
    } else {
        Plan::from_sql(plan, &schemas)
    };
    plan.map_err(|error| {
        let hidden = schemas.iter().find_map(|schema| match schema.names() {
            NameForm::Hashed(id) => Some((schema.name(), id)),
            NameForm::Clear | NameForm::ToHash | NameForm::Revealed(_) => None,
        });
        let Some((frame, id)) = hidden else {
            return error.into();
        };
        Failure::Named {
            class: "PlanError",
            message: error.to_string(),
            remedy: Some(format!(
                "names of frame {frame} are hashed by secret {id}, which is in the names.key of another key ring; copy it into this one"
            )),
        }
    })
}

/// Steps as a tree, passes, columns, and the key holder's part, a line each.
fn explained(PreparedStage { query, stage, .. }: &PreparedStage) -> Result<Vec<String>> {
    let tree = query.explain(&query.steps())?;
    let mut lines = vec![tree.trim_end().to_owned()];
    lines.extend((1..).zip(&query.figures).map(|(number, figures)| {
        format!(
            "pass {number} takes {:.2} s of one core, its results {} bytes",
            figures.seconds, figures.bytes
        )
    }));
    let columns = query.columns.iter();
    lines.extend(columns.map(|column| format!("column {}: {}", column.name, column.worth())));
    let because = stage.because.iter();
    lines.extend(because.map(|because| format!("then the key holder: {because}")));
    let then = stage.then.iter();
    lines.extend(then.map(|step| format!("then the key holder, {}: {step}", step.name())));
    Ok(lines)
}

/// What whoever evaluates gives back. Rows go a run at a time, as they would all at once.
fn evaluate(
    prepared: &PreparedQuery,
    key: &ExpandedEvaluationKey,
    frames: &[&StoredFrame],
    watch: &Watch,
) -> Result<Reply> {
    let passes = prepared.passes_of(frames, &[])?;
    let of = passes
        .iter()
        .map(|pass| prepared.rows_of(pass) as u64)
        .sum();
    let mut results = Vec::with_capacity(passes.len());
    let mut done = 0;
    for _ in &passes {
        let mut run = PassRun::new(key, &passes, frames, &results)?;
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
