//! One attempt at a piece of work that is held.

use crate::Worker;
use cipherfn_answering::{Asked, Part};
use cipherfn_protocol::api::job::{ChunkFile, JobKind, MAX_CHUNK};
use cipherfn_protocol::api::{ApiVersion, Problem, ProblemType};
use cipherfn_protocol::hash::Sha256;
use cipherfn_service::registry::{Attempt, Chunk, ChunkEvent, Input, Job, Share};
use cipherfn_service::{Call, Failure};
use sha2::Digest;
use std::time::Instant;

/// What is to be made.
pub(crate) enum Task {
    /// The reply to a chunk.
    Answer {
        /// Its number.
        chunk: usize,
    },
    /// What a part of the model makes of a chunk.
    Sums {
        /// Its number.
        chunk: usize,
        /// Number of the part.
        part: u32,
    },
    /// The reply to a chunk of which all parts are done.
    Add {
        /// Its number.
        chunk: usize,
        /// One of the parts, which is ready here.
        part: u32,
        /// All of them, done.
        parts: Vec<Option<Chunk>>,
    },
}

impl Task {
    pub(crate) fn share(&self) -> Share {
        match self {
            Self::Answer { chunk } | Self::Add { chunk, .. } => Share::from(*chunk),
            Self::Sums { chunk, part } => Share {
                chunk: *chunk,
                part: Some(*part),
            },
        }
    }
}

impl Worker {
    pub(crate) async fn attempt(
        &self,
        job: &Job,
        task: Task,
        by: &Attempt,
        call: &Call,
    ) -> Result<(), Failure> {
        let start = Instant::now();
        let registry = self.answering.registry();
        let share = task.share();
        let Share { chunk, .. } = share;
        let input = sound(registry.input(job, chunk).await?, || {
            format!("chunk {chunk}")
        })?;
        let JobKind::Predict = job.kind;
        let query = cipherfn_answering::parse(&input)?;
        let head = query.head();
        if (head.specs, head.key) != (job.specs, job.key) {
            let detail = format!(
                "chunk {chunk} is for specs {} and key {}, the job is for specs {} and key {}; declare a job of its own for it",
                head.specs.short(),
                head.key,
                job.specs.short(),
                job.key
            );
            return Err(Problem::new(ProblemType::MalformedQuery, detail).into());
        }
        let asked = Asked {
            api: ApiVersion::V2,
            model: &job.model,
            tenant: &job.tenant,
            reply_limit: MAX_CHUNK as usize,
        };
        let of = |number| Part {
            number,
            of: job.parts,
        };
        let query = (&query, job.chunks[chunk].sha256);
        // What the parts made is of no use once they are added. What they took counts.
        let (mut spent, mut before) = (Vec::new(), 0);
        let made = match &task {
            Task::Answer { .. } => {
                let answer = Box::pin(self.answering.answer(asked, query.0, call));
                answer.await?.bytes
            }
            Task::Sums { part, .. } => {
                Box::pin(self.answering.sums(asked, of(*part), query, call)).await?
            }
            Task::Add { part, parts, .. } => {
                let mut sums = Vec::with_capacity(parts.len());
                for (number, done) in (0..).zip(parts.iter().flatten()) {
                    let what = || format!("what part {number} made of chunk {chunk}");
                    sums.push(sound(
                        registry.sums(job, (chunk, number), done).await?,
                        what,
                    )?);
                    if let Chunk::Done {
                        attempt,
                        milliseconds,
                        ..
                    } = done
                    {
                        spent.push((chunk, number, *attempt));
                        before += milliseconds;
                    }
                }
                let add = self.answering.add(asked, of(*part), query, sums, call);
                Box::pin(add).await?.bytes
            }
        };
        let result = ChunkFile {
            bytes: made.len() as u64,
            sha256: Sha256::from_bytes(sha2::Sha256::digest(&made).into()),
        };
        match share.part {
            None => {
                let place = (chunk, by.number);
                registry.put_result(job, place, made.into()).await?;
            }
            Some(part) => {
                let place = (chunk, part, by.number);
                registry.put_sums(job, place, made.into()).await?;
            }
        }
        let finish = ChunkEvent::Finish {
            by: by.clone(),
            result,
            milliseconds: before
                .saturating_add(u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX)),
        };
        let finished = registry.change_chunk(job.id, share, &finish, call.now);
        if finished.await?.is_ok() {
            // Left behind, they go with the job.
            let removed = registry.remove_sums(job, &spent).await;
            removed.unwrap_or_else(|error| tracing::warn!(job = %job.id, %error, "sums stay"));
            return Ok(());
        }
        // The job was deleted, or somebody else has the work: this is nobody's.
        match share.part {
            None => registry.remove_result(job, (chunk, by.number)).await?,
            Some(part) => {
                let place = (chunk, part, by.number);
                registry.remove_sums(job, &[place]).await?;
            }
        }
        Ok(())
    }
}

fn sound(input: Input, what: impl Fn() -> String) -> Result<bytes::Bytes, Failure> {
    let again = "upload it again, for a new job";
    match input {
        Input::Sound(bytes) => Ok(bytes),
        Input::Missing => {
            let detail = format!("{} is gone; {again}", what());
            Err(Problem::new(ProblemType::UploadMissing, detail).into())
        }
        Input::Altered(how) => {
            let detail = format!("{} was altered: {how}; {again}", what());
            Err(Problem::new(ProblemType::ChunkAltered, detail).into())
        }
    }
}
