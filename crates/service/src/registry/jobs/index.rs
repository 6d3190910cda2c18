//! A tenant's jobs: what its quota counts, and what makes a repeated declaration the same job.

use crate::registry::document::Document;
use cipherfn_protocol::api::job::{IdempotencyKey, JobId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use time::OffsetDateTime;

/// A tenant's jobs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct JobIndex(BTreeMap<IdempotencyKey, JobEntry>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct JobEntry {
    job: JobId,
    #[serde(with = "time::serde::rfc3339")]
    until: OffsetDateTime,
}

cipherfn_protocol::versions! {
    /// A stored index.
    pub(in crate::registry) enum JobIndexVersions,
    read by serde_json::from_slice, error serde_json::Error {
        /// Jobs by the names of their declarations.
        V1(JobIndexV1) = 1,
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::registry) struct JobIndexV1 {
    format: u64,
    jobs: BTreeMap<IdempotencyKey, JobEntry>,
}

impl Document for JobIndex {
    type Versions = JobIndexVersions;

    fn migrate(document: JobIndexVersions) -> Result<Self, String> {
        let JobIndexVersions::V1(index) = document;
        Ok(Self(index.jobs))
    }

    fn belongs_to(&self, _: &str) -> bool {
        true
    }

    fn to_json(&self) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(&JobIndexV1 {
            format: 1,
            jobs: self.0.clone(),
        })
    }
}

/// Why an index does not take a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotTaken {
    /// The name is that of another one, which has not run out.
    Name,
    /// There are as many as there may be.
    Quota,
}

impl JobIndex {
    /// The job of a declaration.
    pub(super) fn job(&self, declaration: IdempotencyKey) -> Option<JobId> {
        self.0.get(&declaration).map(|entry| entry.job)
    }

    /// Takes a job in, in place of all that have run out. One that is in it already stays as it is: a name
    /// never stands for another job than before, which would be there and count no longer.
    pub(super) fn insert(
        &mut self,
        declaration: IdempotencyKey,
        (job, until): (JobId, OffsetDateTime),
        quota: u64,
        now: OffsetDateTime,
    ) -> Result<(), NotTaken> {
        self.0.retain(|_, entry| entry.until > now);
        match self.job(declaration) {
            Some(known) if known == job => return Ok(()),
            Some(_) => return Err(NotTaken::Name),
            None => {}
        }
        if self.0.len() as u64 >= quota {
            return Err(NotTaken::Quota);
        }
        self.0.insert(declaration, JobEntry { job, until });
        Ok(())
    }

    /// Takes a job out; `false` where it is not in it.
    pub(super) fn remove(&mut self, job: JobId) -> bool {
        let before = self.0.len();
        self.0.retain(|_, entry| entry.job != job);
        self.0.len() < before
    }
}
