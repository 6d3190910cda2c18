//! Totals of owners' sums: declared by a key holder, contributed to by owners, fetched once. What owners contribute
//! by is a grant, as for trainings.
//!
//! ```text
//!   key holder: declare ──► grants ──► ... ──► a job that adds all of them ──► the total, as a file
//!   owner:      grant, public key ──► sums, encrypted ──► PUT ──► add
//! ```

use super::Service;
use super::declare::is_failed;
use super::error::ServiceError;
use super::joint::terms_of;
use super::train::{awaited, training_job};
use bytes::Bytes;
use cipherfn_protocol::api::grant::SignedGrant;
use cipherfn_protocol::api::grants::GrantStatus;
use cipherfn_protocol::api::job::{ChunkFile, IdempotencyKey, JobDeclaration, JobId, JobStatus};
use cipherfn_protocol::api::trainings::TrainingStatus;
use cipherfn_protocol::api::{ApiVersion, ModelName, Route};
use cipherfn_protocol::hash::{Hash, SpecsHash};
use cipherfn_protocol::message::KeyId;
use cipherfn_scheme::public::PublicKey;
use std::array;

/// What is hashed with a total's contributions to name its job.
const NAMED: &[u8] = b"cipherfn 2026 the job of a total, format 1";
/// How often a job that workers have given up is declared anew.
const JOBS: u8 = 8;

/// An owner's sums, encrypted.
#[derive(Clone, Debug)]
pub struct OwnSums {
    /// The program that they are by.
    pub program: SpecsHash,
    /// Who decrypts.
    pub key: KeyId,
    /// Rows that they are of, which nobody else can tell.
    pub rows: u64,
    /// The file.
    pub file: Bytes,
}

impl Service {
    /// Declares a total by a version of a program of sums, to which owners are to contribute under the public key,
    /// and which is made of so many of them at least, besides the caller.
    pub async fn declare_total(
        &self,
        program: (&ModelName, SpecsHash),
        public: &PublicKey,
        least_owners: u32,
    ) -> Result<TrainingStatus, ServiceError> {
        let least = Some(least_owners);
        self.declare_joint(program, public, least).await
    }

    /// Contributes an owner's sums by a grant: once, however often the same file is sent.
    pub async fn add_sums(
        &self,
        grant: &SignedGrant,
        sums: &OwnSums,
    ) -> Result<GrantStatus, ServiceError> {
        let terms = terms_of(grant)?;
        for (what, is_same) in [
            ("program", sums.program == terms.specs),
            ("key", sums.key == terms.key),
        ] {
            if !is_same {
                return Err(ServiceError::RowsForOther { what });
            }
        }
        for (what, found, most) in [
            ("rows", sums.rows, terms.rows),
            ("bytes", sums.file.len() as u64, grant.grant.bytes),
        ] {
            if found > most {
                return Err(ServiceError::BeyondGrant { what, found, most });
            }
        }
        let file = self.upload_granted(grant, sums.file.clone()).await?;
        self.add_granted(grant, vec![file]).await
    }

    /// Has the service add what owners have contributed, and waits for the total: a file under the key of
    /// `total`, of which the caller has still to find out what it is of. Nothing is contributed after that, and
    /// whoever asks again gets the same. The job stays until it is deleted or runs out.
    pub async fn total(&self, total: &TrainingStatus) -> Result<(JobId, Bytes), ServiceError> {
        let chunks = total.owners.iter().flat_map(|owner| &owner.chunks);
        let chunks: Vec<ChunkFile> = chunks.copied().collect();
        if chunks.is_empty() {
            let training = total.training;
            return Err(ServiceError::NoContributions { training });
        }
        let program = (&total.program, total.specs, total.key);
        let mut declaration = training_job(program, (total.training.into(), chunks))?;
        for number in 0..JOBS {
            // The same in every run, so that one that was interrupted waits for the same job.
            declaration.idempotency_key = named(&declaration, number);
            let path = Route::DeclareJob.path(ApiVersion::V2, "");
            let declared: Result<JobStatus, _> = self.ask(path, &declaration).await;
            let declared = declared.map_err(|error| self.joins(error))?;
            // It failed in an earlier run, under that name for good.
            if !declared.states.iter().any(is_failed) {
                break;
            }
        }
        let result = self.result_of_job(&awaited(&declaration), |_| ()).await;
        result.map_err(|error| self.joins(error))
    }
}

/// The name of a job over contributions, by how many before it have failed.
fn named(declaration: &JobDeclaration, number: u8) -> IdempotencyKey {
    let files = declaration.chunks.iter();
    let files = files.flat_map(|chunk| *chunk.sha256.as_bytes());
    let named = NAMED.iter().copied().chain([number]).chain(files);
    let hash = Hash::of(&named.collect::<Vec<u8>>());
    IdempotencyKey::from_bytes(array::from_fn(|place| hash.as_bytes()[place]))
}
