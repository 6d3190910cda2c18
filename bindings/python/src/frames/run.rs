//! Queries that a service evaluates, stage by stage, with the key holder between them.

use super::answer::decrypted;
use crate::error::{Failure, Result};
use cipherfn_client::frames::{Behind, KeyHolder};
use cipherfn_frame::answer::Table;
use cipherfn_frame::file::FrameReader;
use cipherfn_frame::pieces::Pieces;
use cipherfn_frame::reply::Reply;
use cipherfn_protocol::api::frames::{FrameId, FrameQuery as Asked, PublishedVersion};
use cipherfn_protocol::api::{Problem, ProblemType};
use cipherfn_protocol::specs::Gadget;
use cipherfn_scheme::SecretKey;
use cipherfn_serving::frames::{Demand, PreparedQuery, PreparedStage};
use std::sync::{Arc, Mutex, PoisonError};

/// The requests of stages.
pub(super) struct Run {
    pub(super) connection: cipherfn_client_http::Service,
    pub(super) stages: Arc<Vec<PreparedStage>>,
    pub(super) gadget: Gadget,
    /// The frames so far.
    pub(super) kept: Vec<FrameId>,
    pub(super) tables: Vec<PublishedVersion>,
    pub(super) rows_a_part: Option<u64>,
    /// Those of them that have to go.
    pub(super) added: Arc<Mutex<Vec<FrameId>>>,
}

impl Run {
    pub(super) async fn carry_out(mut self, secret: &SecretKey) -> Result<Table> {
        let stages = Arc::clone(&self.stages);
        let mut holder = KeyHolder::new(secret, self.gadget);
        for PreparedStage {
            query,
            stage,
            demand,
        } in stages.iter()
        {
            let reply = self.answer(query, *demand).await?;
            let table = decrypted(query, secret, &reply)?;
            match holder.behind(stage, table)? {
                Behind::Answer(table) => return Ok(table),
                Behind::Frame(file) => self.add(&file).await?,
            }
        }
        Err(none())
    }

    /// The service's answer to a query on frames that it keeps, with what it has published.
    async fn answer(&self, prepared: &PreparedQuery, demand: Demand) -> Result<Reply> {
        let (mut frames, mut tables) = (Vec::new(), Vec::new());
        for place in &prepared.places {
            match place.checked_sub(self.kept.len()) {
                Some(table) => tables.push(self.tables[table].clone()),
                None => frames.push(self.kept[*place]),
            }
        }
        let models = prepared.models.iter().map(|model| {
            let name = model.name().parse();
            let name = name
                .map_err(|error| Failure::Argument(format!("model {:?}: {error}", model.name())))?;
            Ok(PublishedVersion {
                name,
                specs: model.specs(),
            })
        });
        let plan = serde_json::from_slice(&prepared.sent.to_json()?);
        let query = Asked {
            frames,
            tables,
            models: models.collect::<Result<_>>()?,
            plan: plan.map_err(|error| Failure::Other(error.to_string()))?,
            rows_per_sum: prepared.rows_per_sum,
            min_bits: demand.bits(),
        };
        let is_too_large = |problem: &Problem| problem.kind == ProblemType::QueryTooLarge;
        let bytes = match self.rows_a_part {
            Some(rows) => self.connection.query_frames_as_job(&query, rows).await?,
            None => match self.connection.query_frames(&query).await {
                Err(error) if error.problem().is_some_and(is_too_large) => {
                    let rows = prepared.rows_a_part();
                    self.connection.query_frames_as_job(&query, rows).await?
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

    async fn add(&mut self, file: &[u8]) -> Result<()> {
        let mut cutter = Pieces::new(FrameReader::open(file)?, file.len() as u64);
        let mut pieces = Vec::new();
        while let Some(piece) = cutter.next_piece()? {
            pieces.push(piece);
        }
        let uploaded = self.connection.upload_frame(pieces.into_iter(), |_| ());
        let frame = uploaded.await?.frame;
        self.kept.push(frame);
        let mut added = self.added.lock().unwrap_or_else(PoisonError::into_inner);
        added.push(frame);
        Ok(())
    }
}

pub(super) fn none() -> Failure {
    Failure::Other("the plan has no stage".into())
}
