//! Queries over a tenant's stored frames: what they take, their answers, and what a share of their rows
//! makes.
//!
//! Schemas, rows and key come from the frames' records, pieces are read as far as rows are needed. A
//! piece that is not what its record says is named, and nothing is made of it.

use crate::scores::PublishedModel;
use crate::stored_frames::{Needed, head};
use crate::tables::PublishedTable;
use crate::{Answering, blocking};
use bytes::Bytes;
use cipherfn_frame::pass::TableSource;
use cipherfn_frame::plan::{ModelScore, Plan, PublishedScore};
use cipherfn_frame::schema::Schema;
use cipherfn_protocol::api::frames::{
    ColumnFigures, FrameQuery, PassFigures, QueryFigures, ROWS_TOGETHER,
};
use cipherfn_protocol::api::job::MAX_SUMS;
use cipherfn_protocol::api::{MAX_REPLY, Problem, ProblemType};
use cipherfn_service::registry::{SharedQuery, StoredFrame};
use cipherfn_service::{Call, Failure, Tenant};
use cipherfn_serving::WarmKey;
use cipherfn_serving::frames::{
    self, Demand, FrameError, FrameQueryError, PartialError, PassResults, PassRun, PreparedQuery,
    SumRows,
};
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Fewest and most rows between two looks at the clock, and the seconds that they should take.
const STRETCH: (usize, usize) = (ROWS_TOGETHER as usize, 8 * ROWS_TOGETHER as usize);
const LOOK_SECONDS: f64 = 1.0;
/// Part of the time left that a request is taken for: predictions are about right, and pieces and key
/// are yet to be read.
const PREDICTED_PART: f64 = 0.5;
/// Part of the function's memory that the pieces of a request's frames may have.
const MEMORY_PART: u64 = 6;
/// Part of a worker's memory that the pieces of a part's rows may have: they are in it twice, beside key
/// and earlier results.
const WORKER_MEMORY_PART: u64 = 4;
/// Bytes of a result's ciphertext while it is added.
const RESULT_BYTES: usize = 4 * 8 * 1024;

/// A query and the frames that it is over.
pub struct Asking {
    /// As it is evaluated.
    pub prepared: PreparedQuery,
    /// What passes go over and read tables of, in the order of the plan.
    pub(crate) sources: Vec<QuerySource>,
    /// Published models whose scores it takes.
    models: Vec<PublishedModel>,
}

/// What a query reads.
#[derive(Clone)]
pub(crate) enum QuerySource {
    /// A frame of the tenant's.
    Frame(Box<StoredFrame>),
    /// A published table in the clear.
    Table(Box<PublishedTable>),
}

impl QuerySource {
    /// Bytes of what is read for some of its rows and for its look-ups.
    fn bytes(&self, needed: &Needed) -> u64 {
        match self {
            Self::Frame(frame) => {
                let added = frame.columns.iter();
                let rows = Needed {
                    tables: false,
                    ..needed.clone()
                };
                let added = added.map(|columns| rows.bytes(&columns.pieces));
                needed.bytes(&frame.pieces) + added.sum::<u64>()
            }
            Self::Table(table) if needed.tables => table.bytes(),
            Self::Table(_) => 0,
        }
    }

    /// All of it.
    const fn whole(rows: usize) -> Needed {
        Needed {
            rows: 0..rows as u64,
            tables: true,
        }
    }
}

impl Answering {
    /// Holds a query against the frames that it names: the plan to their schemas, what its answer is
    /// worth to what is asked for.
    pub async fn ask(
        &self,
        tenant: &Tenant,
        query: &FrameQuery,
        call: &Call,
    ) -> Result<Asking, Failure> {
        query.check()?;
        let mut stored = Vec::with_capacity(query.frames.len());
        let mut heads = Vec::with_capacity(query.frames.len());
        for id in &query.frames {
            let frame = self.stored_frame(tenant, *id, call).await?;
            heads.push((head(&frame)?, frame.rows() as usize));
            stored.push(frame);
        }
        let mut tables = Vec::with_capacity(query.tables.len());
        for table in &query.tables {
            tables.push(self.published_table(table).await?);
        }
        let schemas: Vec<Schema> = tables.iter().map(|table| table.schema.clone()).collect();
        let mut names = BTreeSet::new();
        let all = heads.iter().map(|(head, _)| &head.schema).chain(&schemas);
        if let Some(twice) = all.map(Schema::name).find(|name| !names.insert(*name)) {
            let detail = format!(
                "frames: two of them and of the tables are named {twice:?}; encrypt one under another name"
            );
            return Err(Problem::new(ProblemType::MalformedRequest, detail).into());
        }
        let mut models = Vec::with_capacity(query.models.len());
        for model in &query.models {
            models.push(self.published_model(model).await?);
        }
        let scores = models.iter().map(|model| {
            let score = Arc::new(model.score.clone());
            (score.name().to_owned(), ModelScore::Published(score))
        });
        let scores = scores.collect();
        let json = serde_json::to_vec(&query.plan);
        let json = json.map_err(|error| Failure::Internal(error.to_string()))?;
        let plan = Plan::from_json(&json).and_then(|plan| plan.with_scores(&scores));
        let plan = plan.map_err(FrameQueryError::from);
        let sums = SumRows::Given(query.rows_per_sum);
        let prepared = plan.and_then(|plan| PreparedQuery::new(plan, &heads, &schemas, sums));
        let prepared = prepared.map_err(|error| refused(&error))?;
        // Who asks for nothing gets what there is: what it is worth `explain` says, and clients decrypt
        // no column of which nothing is guaranteed.
        if query.min_bits > 0.0 {
            prepared
                .require(Demand::Bits(query.min_bits))
                .map_err(|error| refused(&error))?;
        }
        let frames = stored.into_iter().map(Box::new).map(QuerySource::Frame);
        let given: Vec<QuerySource> = frames
            .chain(
                tables
                    .into_iter()
                    .map(|table| QuerySource::Table(Box::new(table))),
            )
            .collect();
        let sources = prepared.places.iter().map(|place| given[*place].clone());
        Ok(Asking {
            sources: sources.collect(),
            models,
            prepared,
        })
    }

    /// Answers a query, in the time and room that a request has.
    pub async fn query(
        &self,
        tenant: &Tenant,
        query: &FrameQuery,
        call: &Call,
    ) -> Result<Vec<u8>, Failure> {
        let asking = self.ask(tenant, query, call).await?;
        let figures = asking.figures();
        let left = call.remaining();
        let cores = std::thread::available_parallelism().map_or(1, usize::from) as f64;
        let rows = asking.prepared.rows.iter();
        let needed: Vec<Needed> = rows.map(|rows| QuerySource::whole(*rows)).collect();
        let bytes = asking.bytes(&needed);
        let why = if figures.seconds / cores > left.as_secs_f64() * PREDICTED_PART {
            Some(format!(
                "it is predicted to take {:.1} s of a core",
                figures.seconds
            ))
        } else if figures.bytes > MAX_REPLY as u64 {
            Some(format!("its answer has {} bytes", figures.bytes))
        } else if bytes > self.memory / MEMORY_PART {
            Some(format!("its frames, tables and models have {bytes} bytes"))
        } else {
            None
        };
        if let Some(why) = why {
            return Err(too_large(&why).into());
        }
        let passes = asking.prepared.passes.passes.len();
        let key = self
            .frame_key(tenant, asking.prepared.key, &asking, call)
            .await?;
        let frames = self.load_frames(&asking, &needed, call).await?;
        let scores = self.load_scores(&asking, call).await?;
        let deadline = Instant::now() + call.remaining().saturating_sub(Duration::from_millis(500));
        let work = move || {
            let prepared = &asking.prepared;
            let frames: Vec<&frames::StoredFrame> = frames.iter().collect();
            let mut results = Vec::with_capacity(passes);
            for pass in &prepared.passes.passes {
                let rows = 0..prepared.rows_of(pass);
                let given = (frames.as_slice(), scores.as_slice(), results.as_slice());
                let run = evaluate(prepared, given, &key, rows, deadline)?;
                results.push(run.finish());
            }
            let last = results
                .last()
                .ok_or_else(|| refused(&FrameQueryError::NoPass))?;
            let reply = prepared.reply(last).map_err(|error| damaged(&error))?;
            Ok::<_, Problem>(reply.to_bytes())
        };
        let reply = blocking(work, call).await?;
        if reply.len() > MAX_REPLY {
            return Err(too_large(&format!("its answer has {} bytes", reply.len())).into());
        }
        Ok(reply)
    }

    /// What one part of a shared query makes of its rows: a file that no client may see. `earlier` are
    /// those of the parts of each pass before.
    pub async fn query_part(
        &self,
        tenant: &Tenant,
        (shared, part): (&SharedQuery, u32),
        earlier: Vec<Vec<Bytes>>,
        call: &Call,
    ) -> Result<Vec<u8>, Failure> {
        let asking = self.ask_shared(tenant, shared, call).await?;
        let Some((pass, rows)) = shared.part(part) else {
            return Err(Failure::Internal(format!("a query without part {part}")));
        };
        let over = &asking.prepared.passes.passes[pass];
        let needed = (0..asking.sources.len()).map(|frame| Needed {
            rows: if frame == over.over {
                rows.clone()
            } else {
                0..0
            },
            tables: over.assumed.contains(&frame)
                || over.tables.iter().any(
                    |table| matches!(table, TableSource::Stored { frame: of, .. } if *of == frame),
                ),
        });
        let needed: Vec<Needed> = needed.collect();
        let bytes = asking.bytes(&needed);
        let most = self.memory / WORKER_MEMORY_PART;
        if bytes > most {
            let detail = format!(
                "rows {} to {} lie in pieces and tables of {bytes} bytes, a worker reads at most {most}; declare fewer rows a part (rows_a_part), or upload the frames in smaller pieces",
                rows.start + 1,
                rows.end
            );
            return Err(Problem::new(ProblemType::QueryTooLarge, detail).into());
        }
        let key = self
            .frame_key(tenant, asking.prepared.key, &asking, call)
            .await?;
        let frames = self.load_frames(&asking, &needed, call).await?;
        let scores = self.load_scores(&asking, call).await?;
        let deadline = Instant::now() + call.remaining().saturating_sub(Duration::from_secs(2));
        let work = move || {
            let prepared = &asking.prepared;
            let results = joined(prepared, &earlier)?;
            let frames: Vec<&frames::StoredFrame> = frames.iter().collect();
            let rows = rows.start as usize..rows.end as usize;
            let given = (frames.as_slice(), scores.as_slice(), results.as_slice());
            let run = evaluate(prepared, given, &key, rows.clone(), deadline)?;
            let partial = run.partial(rows);
            Ok::<_, Problem>(partial.to_file_bytes(prepared.set, (prepared.hash, pass)))
        };
        blocking(work, call).await
    }

    /// The answer, of what all parts of each pass made.
    pub async fn query_reply(
        &self,
        tenant: &Tenant,
        shared: &SharedQuery,
        last: Vec<Bytes>,
        call: &Call,
    ) -> Result<Vec<u8>, Failure> {
        let asking = self.ask_shared(tenant, shared, call).await?;
        let work = move || {
            let prepared = &asking.prepared;
            let number = prepared.passes.passes.len() - 1;
            let rows = prepared.rows_of(prepared.last());
            let name = (prepared.hash, number);
            let results = PassResults::of_files(prepared.set, name, rows, &last);
            let results = results.map_err(|error| altered(&error))?;
            let reply = prepared.reply(&results).map_err(|error| damaged(&error))?;
            Ok::<_, Problem>(reply.to_bytes())
        };
        blocking(work, call).await
    }

    /// The published models of a query, with their weights.
    async fn load_scores(
        &self,
        asking: &Asking,
        call: &Call,
    ) -> Result<Vec<Arc<PublishedScore>>, Failure> {
        let mut scores = Vec::with_capacity(asking.models.len());
        for model in &asking.models {
            scores.push(Arc::new(self.load_score(model, call).await?));
        }
        Ok(scores)
    }

    /// The query of a job, over frames as they were when it was declared.
    async fn ask_shared(
        &self,
        tenant: &Tenant,
        shared: &SharedQuery,
        call: &Call,
    ) -> Result<Asking, Failure> {
        let asking = self.ask(tenant, &shared.query, call).await?;
        let prepared = &asking.prepared;
        let passes = &prepared.passes.passes;
        let rows: Vec<u64> = passes
            .iter()
            .map(|pass| prepared.rows_of(pass) as u64)
            .collect();
        if rows != shared.passes {
            let detail = "frames have other rows than when the query was declared; declare it anew";
            return Err(Problem::new(ProblemType::MalformedFrame, detail).into());
        }
        let results = passes.iter().map(|pass| {
            let rows = prepared.rows_of(pass);
            frames::results(pass, rows).map_err(|error| damaged(&error))
        });
        let results = results.collect::<Result<Vec<_>, _>>()?;
        let most = results.into_iter().max().unwrap_or_default();
        if most > MAX_SUMS / RESULT_BYTES {
            let detail = format!(
                "a pass has {most} ciphertexts of results, whoever adds them has room for {}; sum more rows in one (rows_per_sum), or query fewer rows or columns",
                MAX_SUMS / RESULT_BYTES
            );
            return Err(Problem::new(ProblemType::PlanRefused, detail).into());
        }
        Ok(asking)
    }
}

impl Asking {
    /// Bytes of what is read of all sources and models.
    fn bytes(&self, needed: &[Needed]) -> u64 {
        let read = self.sources.iter().zip(needed);
        let read = read.map(|(source, needed)| source.bytes(needed));
        let models = self.models.iter().map(PublishedModel::bytes);
        read.chain(models).sum()
    }

    /// What is known before anything is evaluated.
    pub fn figures(&self) -> QueryFigures {
        let prepared = &self.prepared;
        let passes = prepared.passes.passes.iter().zip(&prepared.figures);
        let passes = passes.map(|(pass, figures)| PassFigures {
            frame: prepared.passes.frames[pass.over].clone(),
            rows: prepared.rows_of(pass) as u64,
            choices: frames::choices(pass) as u64,
            seconds: figures.seconds,
            bytes: figures.bytes,
        });
        let columns = prepared.columns.iter().map(|column| ColumnFigures {
            name: column.name.clone(),
            bits: column.bits,
        });
        QueryFigures {
            columns: columns.collect(),
            passes: passes.collect(),
            bytes: prepared.figures.last().map_or(0, |last| last.bytes),
            seconds: prepared.figures.iter().map(|pass| pass.seconds).sum(),
        }
    }
}

/// Evaluates rows of the pass after those of which there are results, while there is time.
fn evaluate<'a>(
    prepared: &PreparedQuery,
    (frames, scores, earlier): (
        &[&'a frames::StoredFrame],
        &[Arc<PublishedScore>],
        &[PassResults],
    ),
    key: &'a WarmKey,
    rows: Range<usize>,
    deadline: Instant,
) -> Result<PassRun<'a>, Problem> {
    let passes = prepared
        .passes_of(frames, scores)
        .map_err(|error| refused(&error))?;
    let stretch = stretch(prepared, earlier.len());
    let run = PassRun::new(key.key.expanded(), &passes, frames, earlier);
    let mut run = run.map_err(|error| damaged(&error))?;
    for first in rows.clone().step_by(stretch) {
        if Instant::now() >= deadline {
            let detail = format!(
                "the time was over after {} of {} rows; declare a job (POST /v2/frames/jobs) of fewer rows a part",
                first - rows.start,
                rows.len()
            );
            return Err(Problem::new(ProblemType::QueryTooLarge, detail));
        }
        let together = first..(first + stretch).min(rows.end);
        run.evaluate(together).map_err(|error| damaged(&error))?;
    }
    Ok(run)
}

/// Rows of a pass between two looks at the clock: a multiple of those that are evaluated together.
fn stretch(prepared: &PreparedQuery, pass: usize) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let rows = prepared.rows_of(&prepared.passes.passes[pass]);
    rows_in_time(prepared.figures[pass].seconds / cores as f64, rows)
}

/// Of so many rows that take so many seconds together, those that take [`LOOK_SECONDS`].
fn rows_in_time(seconds: f64, rows: usize) -> usize {
    let (fewest, most) = STRETCH;
    let fitting = (LOOK_SECONDS * rows as f64 / seconds) as usize;
    (fitting / fewest * fewest).clamp(fewest, most)
}

/// The results of passes of which all parts are there.
fn joined(prepared: &PreparedQuery, parts: &[Vec<Bytes>]) -> Result<Vec<PassResults>, Problem> {
    let passes = prepared.passes.passes.iter().zip(parts).enumerate();
    let results = passes.map(|(number, (pass, files))| {
        let rows = prepared.rows_of(pass);
        let name = (prepared.hash, number);
        PassResults::of_files(prepared.set, name, rows, files).map_err(|error| altered(&error))
    });
    results.collect()
}

fn refused(error: &FrameQueryError) -> Problem {
    Problem::new(ProblemType::PlanRefused, error.to_string())
}

pub(crate) fn damaged(error: &FrameError) -> Problem {
    Problem::new(ProblemType::MalformedFrame, error.to_string())
}

fn altered(error: &PartialError) -> Problem {
    Problem::new(ProblemType::ChunkAltered, error.to_string())
}

fn too_large(why: &str) -> Problem {
    let detail =
        format!("{why}, which is more than a request has; declare a job: POST /v2/frames/jobs");
    Problem::new(ProblemType::QueryTooLarge, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_is_looked_at_about_once_a_second() {
        assert_eq!(rows_in_time(1.0, 10_000), 512, "fast rows");
        assert_eq!(rows_in_time(100.0, 20_000), 192, "200 rows a second");
        assert_eq!(rows_in_time(1000.0, 1000), 64, "slow rows");
        assert_eq!(rows_in_time(0.0, 0), 64, "no rows");
    }
}
