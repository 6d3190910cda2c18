//! Jobs and chunks as they are stored: every format there ever was.

use super::{Checkpoint, Chunk, Job, SharedQuery, UploadedWork, Work};
use crate::Tenant;
use crate::registry::UniqueId;
use crate::registry::document::Document;
use cipherfn_protocol::api::frames::FrameQuery;
use cipherfn_protocol::api::job::{ChunkFile, IdempotencyKey, JobId, JobKind, UploadFolder};
use cipherfn_protocol::api::{ModelName, Problem};
use cipherfn_protocol::hash::SpecsHash;
use cipherfn_protocol::message::KeyId;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

cipherfn_protocol::versions! {
    /// A stored job.
    pub(in crate::registry) enum JobVersions,
    read by serde_json::from_slice, error serde_json::Error {
        /// All of it in one document.
        V1(JobV1) = 1,
        /// In several parts, which what knows format 1 alone would leave out.
        V2(JobV1) = 2,
        /// A query over frames.
        V3(JobV3) = 3,
        /// A training.
        V4(JobV1) = 4,
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::registry) struct JobV3 {
    format: u64,
    job: JobId,
    tenant: Tenant,
    idempotency_key: IdempotencyKey,
    key: KeyId,
    query: FrameQuery,
    passes: Vec<u64>,
    rows_a_part: u64,
    #[serde(with = "time::serde::rfc3339")]
    created: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    until: OffsetDateTime,
    ended: bool,
}

impl TryFrom<JobV3> for Job {
    type Error = String;

    fn try_from(job: JobV3) -> Result<Self, String> {
        let shared = SharedQuery {
            query: job.query,
            passes: job.passes,
            rows_a_part: job.rows_a_part,
        };
        let parts = u32::try_from(shared.parts());
        let parts = parts.map_err(|_| "a query of too many parts".to_owned())?;
        if shared.passes.is_empty() || shared.rows_a_part == 0 {
            return Err("a query without passes, or parts without rows".to_owned());
        }
        Ok(Self {
            id: job.job,
            tenant: job.tenant,
            idempotency_key: job.idempotency_key,
            work: Work::Query(shared),
            key: job.key,
            parts,
            created: job.created,
            until: job.until,
            ended: job.ended,
        })
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::registry) struct JobV1 {
    format: u64,
    job: JobId,
    tenant: Tenant,
    idempotency_key: IdempotencyKey,
    kind: JobKind,
    model: ModelName,
    specs: SpecsHash,
    key: KeyId,
    upload: UploadFolder,
    chunks: Vec<ChunkFile>,
    /// Since format 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    parts: Option<u32>,
    #[serde(with = "time::serde::rfc3339")]
    created: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    until: OffsetDateTime,
    ended: bool,
}

impl Document for Job {
    type Versions = JobVersions;

    fn migrate(document: JobVersions) -> Result<Self, String> {
        let (job, parts) = match document {
            JobVersions::V1(job @ JobV1 { parts: None, .. })
            | JobVersions::V4(
                job @ JobV1 {
                    kind: JobKind::Train,
                    parts: None,
                    ..
                },
            ) => (job, 1),
            JobVersions::V2(
                job @ JobV1 {
                    parts: Some(parts @ 2..),
                    ..
                },
            ) => (job, parts),
            JobVersions::V3(job) => return job.try_into(),
            _ => {
                let reason = "a job of format 2, and no other, has 2 or more parts, one of format 4 is a training";
                return Err(reason.to_owned());
            }
        };
        let uploaded = UploadedWork {
            model: job.model,
            specs: job.specs,
            upload: job.upload,
            chunks: job.chunks,
        };
        Ok(Self {
            id: job.job,
            tenant: job.tenant,
            idempotency_key: job.idempotency_key,
            work: match job.kind {
                JobKind::Predict => Work::Predict(uploaded),
                JobKind::Train if job.format == 4 => Work::Train(uploaded),
                JobKind::Train | JobKind::Query => {
                    return Err("a job of a kind that its format does not have".to_owned());
                }
            },
            key: job.key,
            parts,
            created: job.created,
            until: job.until,
            ended: job.ended,
        })
    }

    fn belongs_to(&self, key: &str) -> bool {
        key == format!("jobs/{}/record.json", self.id)
    }

    fn to_json(&self) -> serde_json::Result<Vec<u8>> {
        let uploaded = match &self.work {
            Work::Predict(uploaded) | Work::Train(uploaded) => uploaded,
            Work::Query(shared) => {
                return serde_json::to_vec(&JobV3 {
                    format: 3,
                    job: self.id,
                    tenant: self.tenant.clone(),
                    idempotency_key: self.idempotency_key,
                    key: self.key,
                    query: shared.query.clone(),
                    passes: shared.passes.clone(),
                    rows_a_part: shared.rows_a_part,
                    created: self.created,
                    until: self.until,
                    ended: self.ended,
                });
            }
        };
        let parts = (self.parts > 1).then_some(self.parts);
        serde_json::to_vec(&JobV1 {
            format: match (self.work.kind(), parts) {
                (JobKind::Train, _) => 4,
                (_, Some(_)) => 2,
                (_, None) => 1,
            },
            job: self.id,
            tenant: self.tenant.clone(),
            idempotency_key: self.idempotency_key,
            kind: self.work.kind(),
            model: uploaded.model.clone(),
            specs: uploaded.specs,
            key: self.key,
            upload: uploaded.upload,
            chunks: uploaded.chunks.clone(),
            parts,
            created: self.created,
            until: self.until,
            ended: self.ended,
        })
    }
}

cipherfn_protocol::versions! {
    /// A stored chunk.
    pub(in crate::registry) enum ChunkVersions,
    read by serde_json::from_slice, error serde_json::Error {
        /// Held, done or failed.
        V1(ChunkV1) = 1,
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::registry) struct ChunkV1 {
    format: u64,
    #[serde(flatten)]
    state: ChunkStateV1,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
enum ChunkStateV1 {
    Held {
        attempt: u32,
        owner: String,
        #[serde(with = "time::serde::rfc3339")]
        until: OffsetDateTime,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        claim: Option<UniqueId>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        checkpoint: Option<CheckpointV1>,
    },
    Done {
        attempt: u32,
        result: ChunkFile,
        milliseconds: u64,
    },
    Failed {
        attempts: u32,
        problem: Problem,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct CheckpointV1 {
    attempt: u32,
    steps: u64,
    milliseconds: u64,
    file: ChunkFile,
}

impl From<CheckpointV1> for Checkpoint {
    fn from(checkpoint: CheckpointV1) -> Self {
        Self {
            attempt: checkpoint.attempt,
            steps: checkpoint.steps,
            milliseconds: checkpoint.milliseconds,
            file: checkpoint.file,
        }
    }
}

impl From<Checkpoint> for CheckpointV1 {
    fn from(checkpoint: Checkpoint) -> Self {
        Self {
            attempt: checkpoint.attempt,
            steps: checkpoint.steps,
            milliseconds: checkpoint.milliseconds,
            file: checkpoint.file,
        }
    }
}

impl Document for Chunk {
    type Versions = ChunkVersions;

    fn migrate(document: ChunkVersions) -> Result<Self, String> {
        let ChunkVersions::V1(chunk) = document;
        Ok(match chunk.state {
            ChunkStateV1::Held {
                attempt,
                owner,
                until,
                claim,
                checkpoint,
            } => Self::Held {
                attempt,
                owner,
                until,
                claim,
                checkpoint: checkpoint.map(Into::into),
            },
            ChunkStateV1::Done {
                attempt,
                result,
                milliseconds,
            } => Self::Done {
                attempt,
                result,
                milliseconds,
            },
            ChunkStateV1::Failed { attempts, problem } => Self::Failed { attempts, problem },
        })
    }

    fn belongs_to(&self, _: &str) -> bool {
        true
    }

    fn to_json(&self) -> serde_json::Result<Vec<u8>> {
        let state = match self.clone() {
            Self::Held {
                attempt,
                owner,
                until,
                claim,
                checkpoint,
            } => ChunkStateV1::Held {
                attempt,
                owner,
                until,
                claim,
                checkpoint: checkpoint.map(Into::into),
            },
            Self::Done {
                attempt,
                result,
                milliseconds,
            } => ChunkStateV1::Done {
                attempt,
                result,
                milliseconds,
            },
            Self::Failed { attempts, problem } => ChunkStateV1::Failed { attempts, problem },
        };
        serde_json::to_vec(&ChunkV1 { format: 1, state })
    }
}
