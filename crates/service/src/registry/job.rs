//! Jobs and their chunks, and what may become of them.
//!
//! A job's record says what it is and does not change until it ends. What changes often is a small
//! document a chunk:
//!
//! ```text
//!                Claim              Finish
//!   (nothing) ---------> Held ----------------> Done
//!                       ^  |  `-- Fail -------> Failed
//!                       `--'   Claim, Release, a lease that ran out: the next attempt, or Failed
//!                              Save: a checkpoint, from which the next attempt goes on
//!   (nothing) -- Withdraw --> Failed      Held -- Expire: the last lease ran out --> Failed
//! ```
//! Where the model is evaluated in parts, each part of a chunk goes through the same states, and the
//! chunk itself once they are all done: whoever claims it then adds them.

mod parts;
mod versions;
mod work;

use super::UniqueId;
use crate::Tenant;
use cipherfn_protocol::api::job::{ChunkFile, IdempotencyKey, JobId};
use cipherfn_protocol::api::{Problem, ProblemType};
use cipherfn_protocol::message::KeyId;
use time::OffsetDateTime;
pub use work::{JobOrder, SharedQuery, UploadedWork, Work};

/// How often a chunk is tried from the same place on: as often as AWS Lambda tries an event.
pub const ATTEMPTS_A_CHUNK: u32 = 3;

/// A job.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// Names it.
    pub id: JobId,
    /// Whose it is.
    pub tenant: Tenant,
    /// The declaration's name.
    pub idempotency_key: IdempotencyKey,
    /// What it does.
    pub work: Work,
    /// The key that all is encrypted under.
    pub key: KeyId,
    /// In how many parts a chunk is worked on, at least 1.
    pub parts: u32,
    /// When it was declared.
    pub created: OffsetDateTime,
    /// When it runs out.
    pub until: OffsetDateTime,
    /// Whether its owner has ended it: what there is of it is being deleted.
    pub ended: bool,
}

impl Job {
    /// A job by its declaration.
    pub fn new(
        id: JobId,
        tenant: &Tenant,
        order: impl Into<JobOrder>,
        (created, until): (OffsetDateTime, OffsetDateTime),
    ) -> Self {
        let order = order.into();
        Self {
            id,
            tenant: tenant.clone(),
            idempotency_key: order.idempotency_key,
            work: order.work,
            key: order.key,
            parts: order.parts,
            created,
            until,
            ended: false,
        }
    }

    /// Whether this is what a declaration asks for.
    pub fn is(&self, order: impl Into<JobOrder>) -> bool {
        let times = (self.created, self.until);
        let ended = self.ended;
        *self
            == Self {
                ended,
                ..Self::new(self.id, &self.tenant, order, times)
            }
    }

    /// Whether its time is over.
    pub fn is_expired(&self, now: OffsetDateTime) -> bool {
        self.until <= now
    }
}

/// Where a chunk stands that somebody has worked on.
#[derive(Clone, Debug, PartialEq)]
pub enum Chunk {
    /// Somebody works on it, or did and has given up or ended.
    Held {
        /// Number of the attempt, from 1.
        attempt: u32,
        /// Names the invocation.
        owner: String,
        /// When it is over at the latest: nobody lives longer.
        until: OffsetDateTime,
        /// Names the claim, as long as nothing else was written: an event may be delivered twice, to two that
        /// live at the same time and have one name.
        claim: Option<UniqueId>,
        /// Where the next attempt goes on.
        checkpoint: Option<Checkpoint>,
    },
    /// It has a result.
    Done {
        /// The attempt whose result it is.
        attempt: u32,
        /// The result.
        result: ChunkFile,
        /// Time that the attempt took, with those that it went on from.
        milliseconds: u64,
    },
    /// It will have none.
    Failed {
        /// Attempts that were made.
        attempts: u32,
        /// Why.
        problem: Problem,
    },
}

/// What an attempt has kept of its work, so that the next one need not do it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The attempt that wrote it.
    pub attempt: u32,
    /// How far it had come, in steps of the work: rows of a prediction, steps of a training.
    pub steps: u64,
    /// Time that went into them.
    pub milliseconds: u64,
    /// The object.
    pub file: ChunkFile,
}

/// What happens to a chunk.
#[derive(Clone, Debug, PartialEq)]
pub enum ChunkEvent {
    /// An invocation begins to work on it.
    Claim {
        /// The invocation. AWS Lambda's attempts at one event have one name.
        owner: String,
        /// When it is over at the latest.
        until: OffsetDateTime,
        /// Names this claim.
        claim: UniqueId,
    },
    /// An attempt has kept what there is so far.
    Save {
        /// Whose attempt it is.
        owner: String,
        /// What it has kept.
        checkpoint: Checkpoint,
    },
    /// An attempt has a result.
    Finish {
        /// Which attempt of whom.
        by: Attempt,
        /// The result.
        result: ChunkFile,
        /// Time that it took.
        milliseconds: u64,
    },
    /// An attempt gives up, and the next one may fare better.
    Release {
        /// Which attempt of whom.
        by: Attempt,
        /// Why.
        problem: Problem,
    },
    /// An attempt shows that there will be no result.
    Fail {
        /// Which attempt of whom.
        by: Attempt,
        /// Why.
        problem: Problem,
    },
    /// It is taken back before anybody has begun.
    Withdraw {
        /// Why.
        problem: Problem,
    },
    /// Whoever held it for the last time has let the lease run out. What [`Chunk::at`] says of it is written, so
    /// that it holds for a holder as well who lives on, by another clock.
    Expire,
}

/// One attempt at a chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// From 1.
    pub number: u32,
    /// The invocation.
    pub owner: String,
}

/// Why an event does not apply to a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChunkRefusal {
    /// Another invocation works on it.
    Held,
    /// It is done, or has failed.
    Over,
    /// The attempt is no longer the chunk's: somebody else has it by now.
    Superseded,
    /// The checkpoint is no further than the one that there is.
    Behind,
}

impl Chunk {
    /// What becomes of `state` by `event` at the time `now`.
    pub fn next(
        state: Option<&Self>,
        event: ChunkEvent,
        now: OffsetDateTime,
    ) -> Result<Self, ChunkRefusal> {
        match event {
            ChunkEvent::Claim {
                owner,
                until,
                claim,
            } => match state {
                None => Ok(Self::Held {
                    attempt: 1,
                    owner,
                    until,
                    claim: Some(claim),
                    checkpoint: None,
                }),
                Some(Self::Held {
                    attempt,
                    owner: holder,
                    until: lease,
                    checkpoint,
                    ..
                }) => {
                    // The same invocation again: the attempt before has ended.
                    if *holder != owner && *lease > now {
                        return Err(ChunkRefusal::Held);
                    }
                    Ok(if *attempt < last_attempt(*checkpoint) {
                        Self::Held {
                            attempt: attempt + 1,
                            owner,
                            until,
                            claim: Some(claim),
                            checkpoint: *checkpoint,
                        }
                    } else {
                        Self::lost(*attempt)
                    })
                }
                Some(Self::Done { .. } | Self::Failed { .. }) => Err(ChunkRefusal::Over),
            },
            ChunkEvent::Save { owner, checkpoint } => {
                let number = checkpoint.attempt;
                let by = Attempt { number, owner };
                let (until, before) = Self::held_by(state, &by)?;
                if before.is_some_and(|before| before.steps >= checkpoint.steps) {
                    return Err(ChunkRefusal::Behind);
                }
                Ok(Self::Held {
                    attempt: by.number,
                    owner: by.owner,
                    until,
                    claim: None,
                    checkpoint: Some(checkpoint),
                })
            }
            ChunkEvent::Finish {
                by,
                result,
                milliseconds,
            } => {
                Self::held_by(state, &by)?;
                let attempt = by.number;
                Ok(Self::Done {
                    attempt,
                    result,
                    milliseconds,
                })
            }
            ChunkEvent::Release { by, problem } => {
                let (_, checkpoint) = Self::held_by(state, &by)?;
                let attempt = by.number;
                Ok(if attempt < last_attempt(checkpoint) {
                    Self::Held {
                        attempt,
                        owner: by.owner,
                        until: now,
                        claim: None,
                        checkpoint,
                    }
                } else {
                    Self::Failed {
                        attempts: attempt,
                        problem,
                    }
                })
            }
            ChunkEvent::Fail { by, problem } => {
                Self::held_by(state, &by)?;
                Ok(Self::Failed {
                    attempts: by.number,
                    problem,
                })
            }
            ChunkEvent::Withdraw { problem } => match state {
                None => Ok(Self::Failed {
                    attempts: 0,
                    problem,
                }),
                Some(Self::Held { .. }) => Err(ChunkRefusal::Held),
                Some(Self::Done { .. } | Self::Failed { .. }) => Err(ChunkRefusal::Over),
            },
            ChunkEvent::Expire => match state.cloned().map(|chunk| chunk.at(now)) {
                Some(failed @ Self::Failed { .. }) => Ok(failed),
                Some(Self::Done { .. }) => Err(ChunkRefusal::Over),
                Some(Self::Held { .. }) => Err(ChunkRefusal::Held),
                None => Err(ChunkRefusal::Superseded),
            },
        }
    }

    /// The chunk as it is at the time `now`: whoever held it for the last time and let the lease run
    /// out has ended without a word.
    #[must_use]
    pub fn at(self, now: OffsetDateTime) -> Self {
        match self {
            Self::Held {
                attempt,
                until,
                checkpoint,
                ..
            } if attempt >= last_attempt(checkpoint) && until <= now => Self::lost(attempt),
            chunk => chunk,
        }
    }

    /// Whether an invocation that begins now would get it.
    pub fn is_free(state: Option<&Self>, now: OffsetDateTime) -> bool {
        match state {
            None => true,
            Some(Self::Held {
                attempt,
                until,
                checkpoint,
                ..
            }) => *attempt < last_attempt(*checkpoint) && *until <= now,
            Some(Self::Done { .. } | Self::Failed { .. }) => false,
        }
    }

    /// Until when an attempt holds the chunk, and where it or the next one goes on.
    fn held_by(
        state: Option<&Self>,
        by: &Attempt,
    ) -> Result<(OffsetDateTime, Option<Checkpoint>), ChunkRefusal> {
        match state {
            Some(Self::Held {
                attempt,
                owner,
                until,
                checkpoint,
                ..
            }) if (*attempt, owner) == (by.number, &by.owner) => Ok((*until, *checkpoint)),
            _ => Err(ChunkRefusal::Superseded),
        }
    }

    fn lost(attempts: u32) -> Self {
        Self::Failed {
            attempts,
            problem: Problem::new(
                ProblemType::WorkerLost,
                format!(
                    "whoever worked on it ended without a result, {ATTEMPTS_A_CHUNK} times in a row; make smaller chunks, or have the operator look at the worker's log"
                ),
            ),
        }
    }
}

/// Number of the last attempt that is made if none of the next ones gets any further.
fn last_attempt(checkpoint: Option<Checkpoint>) -> u32 {
    let before = checkpoint.map_or(0, |checkpoint| checkpoint.attempt);
    before.saturating_add(ATTEMPTS_A_CHUNK)
}

#[cfg(test)]
mod tests;
