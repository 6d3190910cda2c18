//! Queries that are not levelled: stages, with the key holder between them.

use super::answer::{FrameAnswer, decrypted};
use super::frame::Frame;
use super::kept::{KeptFrame, require_key};
use super::keys::FrameKeys;
use super::query::{Either, answer, demand, evaluate, explained, read};
use crate::error::{Failure, Result};
use crate::service::Service;
use crate::wait::{Stop, Waiting, Watch};
use cipherfn_client::frames::{Behind, behind};
use cipherfn_frame::file::FrameReader;
use cipherfn_frame::pieces::Pieces;
use cipherfn_protocol::api::frames::FrameId;
use cipherfn_protocol::specs::Gadget;
use cipherfn_scheme::SecretKey;
use cipherfn_serving::frames::{PreparedStage, StoredFrame, SumRows, prepare_stages};
use pyo3::prelude::*;
use std::io::Cursor;
use std::sync::{Arc, Mutex, PoisonError};

/// A plan in stages, and what each becomes for frames.
#[pyclass(frozen)]
pub(crate) struct FrameStages {
    stages: Arc<Vec<PreparedStage>>,
    /// Of all frames, those between stages too.
    gadget: Gadget,
}

#[pymethods]
impl FrameStages {
    /// As `FrameQuery`; what the last stage answers has to have so many bits.
    #[new]
    fn new(plan: &str, frames: Vec<Either<'_>>, min_bits: Option<f64>) -> PyResult<Self> {
        let demand = demand(min_bits)?;
        let (plan, heads) = read(plan, &frames)?;
        let sums = SumRows::Fitting(demand);
        let stages = prepare_stages(&plan, &heads, &[], sums, demand);
        let stages = stages.map_err(Failure::from)?;
        let (first, _) = heads.first().ok_or_else(none)?;
        Ok(Self {
            stages: Arc::new(stages),
            gadget: first.gadget,
        })
    }

    /// Each stage as a query is explained, and why the server cannot go on behind it.
    fn explain(&self) -> PyResult<String> {
        let mut lines = Vec::new();
        for (number, PreparedStage { query, stage, .. }) in (1..).zip(self.stages.iter()) {
            lines.push(format!("stage {number} of {}", self.stages.len()));
            lines.extend(explained(query)?);
            let because = stage.because.iter();
            lines.extend(because.map(|because| format!("then the key holder: {because}")));
        }
        Ok(lines.join("\n"))
    }

    /// Carries them out here. The frames are those that they were made for, in their order.
    #[pyo3(signature = (frames, keys, tell=None, stop=None))]
    fn collect(
        &self,
        py: Python<'_>,
        frames: Vec<PyRef<'_, Frame>>,
        keys: &FrameKeys,
        tell: Option<Bound<'_, PyAny>>,
        stop: Option<Bound<'_, Stop>>,
    ) -> PyResult<FrameAnswer> {
        let (stages, gadget) = (Arc::clone(&self.stages), self.gadget);
        let frames: Vec<Frame> = frames.iter().map(|frame| Frame::clone(frame)).collect();
        let keys = keys.clone();
        let waiting = Waiting { py, tell, stop };
        waiting.compute(move |watch| {
            let given = frames.iter().map(|frame| {
                require_key(&keys.secret, &frame.head)?;
                frame.stored()
            });
            let mut stored = given.collect::<Result<Vec<_>>>()?;
            for PreparedStage { query, stage, .. } in stages.iter() {
                let places = query.places.iter();
                let scanned: Vec<&StoredFrame> = places.map(|place| &stored[*place]).collect();
                let reply = evaluate(query, keys.expanded()?, &scanned, watch)?;
                let table = decrypted(query, &keys.secret, &reply)?;
                match behind(&keys.secret, stage, gadget, table)? {
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

    /// Lets a service evaluate them that keeps the frames. Those between stages are deleted there,
    /// whatever happens.
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
        let (connection, watch) = service.open();
        let added = Arc::new(Mutex::new(Vec::new()));
        let run = Run {
            connection: connection.clone(),
            stages: Arc::clone(&self.stages),
            gadget: self.gadget,
            kept: frames.iter().map(|frame| frame.id).collect(),
            rows_a_part,
            added: Arc::clone(&added),
        };
        let heads: Vec<_> = frames.iter().map(|frame| Arc::clone(&frame.head)).collect();
        let ring = service.ring.clone();
        let waiting = Waiting { py, tell, stop };
        let outcome = waiting.request(&watch, move || async move {
            let first = run.stages.first().ok_or_else(none)?;
            let secret = ring.secret_key(first.query.set)?;
            for head in &heads {
                require_key(&secret, head)?;
            }
            let set = first.query.set;
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
            for frame in added {
                connection.delete_frame(frame).await?;
            }
            Ok(())
        });
        let answer = outcome?;
        cleared?;
        Ok(answer)
    }
}

/// The requests of stages.
struct Run {
    connection: cipherfn_client_http::Service,
    stages: Arc<Vec<PreparedStage>>,
    gadget: Gadget,
    /// The frames so far.
    kept: Vec<FrameId>,
    rows_a_part: Option<u64>,
    /// Those of them that have to go.
    added: Arc<Mutex<Vec<FrameId>>>,
}

impl Run {
    async fn carry_out(mut self, secret: &SecretKey) -> Result<cipherfn_frame::answer::Table> {
        let stages = Arc::clone(&self.stages);
        for PreparedStage {
            query,
            stage,
            demand,
        } in stages.iter()
        {
            let reply = answer(
                &self.connection,
                query,
                *demand,
                &self.kept,
                self.rows_a_part,
            );
            let table = decrypted(query, secret, &reply.await?)?;
            match behind(secret, stage, self.gadget, table)? {
                Behind::Answer(table) => return Ok(table),
                Behind::Frame(file) => self.add(&file).await?,
            }
        }
        Err(none())
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

fn none() -> Failure {
    Failure::Other("the plan has no stage".into())
}
