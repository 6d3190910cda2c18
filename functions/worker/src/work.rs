//! One attempt at a chunk or a part of it, whatever is done with it: its input, what is kept of the work on the way, its
//! result.

use cipherfn_protocol::api::job::ChunkFile;
use cipherfn_protocol::api::{Problem, ProblemType};
use cipherfn_protocol::hash::Sha256;
use cipherfn_service::registry::{Attempt, Checkpoint, ChunkEvent, Input, Job, Kept, Share};
use cipherfn_service::{Call, Failure, Registry};
use sha2::Digest;
use std::time::{Duration, Instant};

/// Most time that is left for the last checkpoint.
const RESERVE: Duration = Duration::from_secs(20);

/// An attempt that holds its chunk.
pub(crate) struct Work<'a> {
    pub(crate) registry: &'a Registry,
    pub(crate) job: &'a Job,
    /// Number of the chunk.
    pub(crate) chunk: usize,
    /// Number of the part, where it is one that is worked on.
    part: Option<u32>,
    pub(crate) by: Attempt,
    pub(crate) call: &'a Call,
    /// Where it goes on.
    checkpoint: Option<Checkpoint>,
    /// Sums of parts that the result is made of.
    sums: Vec<(usize, u32, u32)>,
    /// Time that went into the checkpoint or the sums that it went on from.
    before: Duration,
    start: Instant,
    /// When it must have kept what there is.
    pub(crate) end: Instant,
}

/// How an attempt ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// There is nothing more to do.
    Over,
    /// A fresh invocation goes on from the checkpoint.
    GoOn,
}

impl<'a> Work<'a> {
    pub(crate) fn new(
        registry: &'a Registry,
        (job, share): (&'a Job, Share),
        (by, checkpoint): (Attempt, Option<Checkpoint>),
        call: &'a Call,
    ) -> Self {
        let start = Instant::now();
        let left = call.remaining();
        let before = checkpoint.map_or(0, |checkpoint| checkpoint.milliseconds);
        Self {
            registry,
            job,
            chunk: share.chunk,
            part: share.part,
            by,
            call,
            checkpoint,
            sums: Vec::new(),
            before: Duration::from_millis(before),
            start,
            end: start + left.saturating_sub(RESERVE.min(left / 10)),
        }
    }

    /// The chunk as it was uploaded.
    pub(crate) async fn input(&self) -> Result<bytes::Bytes, Failure> {
        self.uploaded(self.chunk).await
    }

    /// A chunk of the job as it was uploaded.
    pub(crate) async fn uploaded(&self, number: usize) -> Result<bytes::Bytes, Failure> {
        let input = self.registry.input(self.job, number).await?;
        sound(input, &format!("chunk {number}"))
    }

    /// What an earlier attempt has kept.
    pub(crate) async fn kept(&self) -> Result<Option<bytes::Bytes>, Failure> {
        let Some(checkpoint) = self.checkpoint else {
            return Ok(None);
        };
        let kept = self.registry.checkpoint(self.job, self.chunk, checkpoint);
        match kept.await? {
            Input::Sound(bytes) => Ok(Some(bytes)),
            Input::Missing => Err(self.altered("it is gone").into()),
            Input::Altered(how) => Err(self.altered(&how).into()),
        }
    }

    /// A checkpoint that is not what was written: nothing goes on from it.
    pub(crate) fn altered(&self, how: &str) -> Problem {
        let detail = format!(
            "the checkpoint of chunk {} was altered: {how}; send the chunk again, in a new job",
            self.chunk
        );
        Problem::new(ProblemType::CheckpointAltered, detail)
    }

    /// Keeps what there is after so many steps, if they are more than before; and says how the attempt
    /// ends where it does.
    pub(crate) async fn keep(
        &mut self,
        steps: u64,
        bytes: impl FnOnce() -> Vec<u8>,
    ) -> Result<Option<End>, Failure> {
        let before = self.checkpoint;
        if before.map_or(0, |before| before.steps) >= steps {
            // Nothing was done as no time is left: here, or for this work.
            return match before {
                Some(before) if before.attempt == self.by.number => Ok(Some(End::GoOn)),
                _ => {
                    let detail = "the time of a worker is too short for any of the work; try again, or raise the function's timeout";
                    Err(Problem::new(ProblemType::OutOfTime, detail).into())
                }
            };
        }
        let kept = Kept {
            steps,
            spent: self.spent(),
            bytes: bytes().into(),
        };
        let place = (self.job, self.chunk);
        let saved = self
            .registry
            .save(place, &self.by, (before, kept), self.call.time());
        let Ok(checkpoint) = saved.await? else {
            // The job was deleted, or somebody else has the chunk.
            return Ok(Some(End::Over));
        };
        tracing::info!(job = %self.job.id, chunk = self.chunk, steps, "kept");
        self.checkpoint = Some(checkpoint);
        Ok(None)
    }

    /// Stores the result.
    pub(crate) async fn finish(&self, result: Vec<u8>) -> Result<End, Failure> {
        let file = ChunkFile {
            bytes: result.len() as u64,
            sha256: Sha256::from_bytes(sha2::Sha256::digest(&result).into()),
        };
        let (job, chunk, attempt) = (self.job, self.chunk, self.by.number);
        let put = result.into();
        match self.part {
            None => self.registry.put_result(job, (chunk, attempt), put).await?,
            Some(part) => {
                let place = (chunk, part, attempt);
                self.registry.put_sums(job, place, put).await?;
            }
        }
        let finish = ChunkEvent::Finish {
            by: self.by.clone(),
            result: file,
            milliseconds: u64::try_from(self.spent().as_millis()).unwrap_or(u64::MAX),
        };
        let finished = self
            .registry
            .change_chunk(job.id, self.share(), &finish, self.call.time());
        if finished.await?.is_err() {
            // The job was deleted, or somebody else has the chunk: this is nobody's.
            match self.part {
                None => self.registry.remove_result(job, (chunk, attempt)).await?,
                Some(part) => {
                    let place = (chunk, part, attempt);
                    self.registry.remove_sums(job, &[place]).await?;
                }
            }
            return Ok(End::Over);
        }
        // Left behind, all of it goes with the job.
        if let Err(error) = self.registry.remove_sums(job, &self.sums).await {
            self.call.warn("sums of parts stay", &error);
        }
        if let Some(checkpoint) = self.checkpoint {
            let removed = self
                .registry
                .remove_checkpoint(self.job, self.chunk, checkpoint);
            if let Err(error) = removed.await {
                self.call
                    .warn("a checkpoint stays until its job goes", &error);
            }
        }
        Ok(End::Over)
    }

    /// What it works on.
    pub(crate) const fn share(&self) -> Share {
        Share {
            chunk: self.chunk,
            part: self.part,
        }
    }

    /// Takes sums in, which took so long: once there is a result, they are of no use.
    pub(crate) fn uses_up(&mut self, sums: (usize, u32, u32), time: Duration) {
        self.sums.push(sums);
        self.before += time;
    }

    fn spent(&self) -> Duration {
        self.before + self.start.elapsed()
    }
}

/// What is as it was when it was written.
pub(crate) fn sound(input: Input, what: &str) -> Result<bytes::Bytes, Failure> {
    let (kind, detail) = match input {
        Input::Sound(bytes) => return Ok(bytes),
        Input::Missing => (
            ProblemType::UploadMissing,
            format!("{what} is gone; upload it again, for a new job"),
        ),
        Input::Altered(how) => (
            ProblemType::ChunkAltered,
            format!("{what} was altered: {how}; upload it again, for a new job"),
        ),
    };
    Err(Problem::new(kind, detail).into())
}
