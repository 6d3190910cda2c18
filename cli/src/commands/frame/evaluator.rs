//! Whoever evaluates queries: this process, with frames from files, or a service that keeps them.

use anyhow::{Context, Result, bail};
use cipherfn_client_http::Service;
use cipherfn_frame::file::FrameReader;
use cipherfn_frame::pieces::Pieces;
use cipherfn_frame::reply::Reply;
use cipherfn_protocol::api::frames::{FrameId, FrameQuery, PublishedVersion};
use cipherfn_protocol::api::{Problem, ProblemType};
use cipherfn_scheme::ExpandedEvaluationKey;
use cipherfn_serving::frames::{self, Demand, PreparedQuery, StoredFrame};

/// Whoever evaluates queries. Frames come before tables, in the order in which a plan was given them.
pub(super) enum Evaluator<'s> {
    /// This process.
    Here {
        key: Box<ExpandedEvaluationKey>,
        frames: Vec<StoredFrame>,
        tables: Vec<StoredFrame>,
    },
    /// A service.
    Service {
        service: &'s Service,
        frames: Vec<FrameId>,
        tables: Vec<PublishedVersion>,
        /// Rows of a part, where the query is a job whatever it takes.
        rows_a_part: Option<u64>,
        /// Frames that were added.
        added: Vec<FrameId>,
    },
}

/// A frame that was added to a service and stays there.
pub(super) struct Leftover {
    pub(super) frame: FrameId,
    /// Why it was not deleted.
    pub(super) why: String,
}

impl Evaluator<'_> {
    /// The answer of a query. That it is this query's is checked.
    pub(super) async fn answer(&self, prepared: &PreparedQuery, demand: Demand) -> Result<Reply> {
        let (service, kept, versions, rows_a_part) = match self {
            Self::Here {
                key,
                frames,
                tables,
            } => {
                let all: Vec<&StoredFrame> = frames.iter().chain(tables).collect();
                let places = prepared.places.iter();
                let stored: Vec<&StoredFrame> = places.map(|place| all[*place]).collect();
                let passes = prepared.passes_of(&stored, &[])?;
                let results = frames::evaluate(key, &passes, &stored)?;
                let last = results.last().context("the plan has no pass")?;
                return Ok(prepared.reply(last)?);
            }
            Self::Service {
                service,
                frames,
                tables,
                rows_a_part,
                ..
            } => (service, frames, tables, rows_a_part),
        };
        let (mut frames, mut tables) = (Vec::new(), Vec::new());
        for place in &prepared.places {
            match place.checked_sub(kept.len()) {
                Some(table) => tables.push(versions[table].clone()),
                None => frames.push(kept[*place]),
            }
        }
        let models = prepared.models.iter();
        let models = models.map(|model| {
            Ok::<_, anyhow::Error>(PublishedVersion {
                name: model.name().parse()?,
                specs: model.specs(),
            })
        });
        let query = FrameQuery {
            frames,
            tables,
            models: models.collect::<Result<_>>()?,
            plan: serde_json::from_slice(&prepared.sent.to_json()?)?,
            rows_per_sum: prepared.rows_per_sum,
            min_bits: demand.bits(),
        };
        let is_too_large = |problem: &Problem| problem.kind == ProblemType::QueryTooLarge;
        let bytes = match rows_a_part {
            Some(rows) => service.query_frames_as_job(&query, *rows).await?,
            None => match service.query_frames(&query).await {
                Err(error) if error.problem().is_some_and(is_too_large) => {
                    let rows = prepared.rows_a_part();
                    service.query_frames_as_job(&query, rows).await?
                }
                answer => answer?,
            },
        };
        let reply = Reply::from_bytes(&bytes).context("what the service answered")?;
        if !prepared.is_answered_by(&reply) {
            bail!("the service answered another query than was asked; ask again");
        }
        Ok(reply)
    }

    /// Adds a frame behind those that there are.
    pub(super) async fn add(&mut self, file: &[u8]) -> Result<()> {
        let mut reader = FrameReader::open(file)?;
        match self {
            Self::Here { frames, .. } => frames.push(StoredFrame::read(&mut reader)?),
            Self::Service {
                service,
                frames,
                added,
                ..
            } => {
                let mut pieces = Pieces::new(reader, file.len() as u64);
                let mut all = Vec::new();
                while let Some(piece) = pieces.next_piece()? {
                    all.push(piece);
                }
                let status = service.upload_frame(all.into_iter(), |_| ()).await?;
                frames.push(status.frame);
                added.push(status.frame);
            }
        }
        Ok(())
    }

    /// Deletes the frames that were added to a service, all that can be; those that stay, and why.
    pub(super) async fn clear(&mut self) -> Vec<Leftover> {
        let mut left = Vec::new();
        if let Self::Service { service, added, .. } = self {
            for frame in added.drain(..) {
                match service.delete_frame(frame).await {
                    Err(error) if !error.problem().is_some_and(is_unknown) => {
                        let why = error.to_string();
                        left.push(Leftover { frame, why });
                    }
                    // One that ran out, or was deleted elsewhere, is gone.
                    _ => {}
                }
            }
        }
        left
    }
}

fn is_unknown(problem: &Problem) -> bool {
    problem.kind == ProblemType::UnknownFrame
}
