//! Trainings that several owners add rows to: the key holder's side before the job, and an owner's.
//!
//! ```text
//!   key holder: declare ──► grants ──► ... ──► who added what ──► upload_rows (own ones, theirs) ──► train
//!   owner:      grant, public key ──► encrypt a chunk ──► PUT ──► ... ──► add all of them
//! ```

use super::bulk::sha256;
use super::error::ServiceError;
use super::sent::CHUNK;
use super::transport::Call;
use super::{Service, blocking};
use bytes::Bytes;
use cipherfn_client::ClientError;
use cipherfn_client::training::{DescentError, RowsEncryption};
use cipherfn_protocol::api::grant::{SignedGrant, TrainingTerms};
use cipherfn_protocol::api::grants::{GrantStatus, GrantedPieces, Revocation};
use cipherfn_protocol::api::job::ChunkFile;
use cipherfn_protocol::api::trainings::{
    TrainingDeclaration, TrainingId, TrainingList, TrainingStatus,
};
use cipherfn_protocol::api::{ApiVersion, ModelName, PublicKeyFile, Route};
use cipherfn_protocol::hash::{Sha256, SpecsHash};
use cipherfn_protocol::message::Nonce;
use cipherfn_scheme::public::PublicKey;
use http::Method;

/// What a grant names a public key by: of its file's bytes.
pub fn public_key_hash(file: &[u8]) -> Sha256 {
    sha256(file)
}

impl Service {
    /// Declares a training by a version of a program, which owners are to add rows to under the public key
    /// key, whose file the service gets.
    pub async fn declare_training(
        &self,
        program: (&ModelName, SpecsHash),
        public: &PublicKey,
    ) -> Result<TrainingStatus, ServiceError> {
        self.declare_joint(program, public, None).await
    }

    /// The same, or a total of sums of so many owners at least.
    pub(super) async fn declare_joint(
        &self,
        (program, specs): (&ModelName, SpecsHash),
        public: &PublicKey,
        least_owners: Option<u32>,
    ) -> Result<TrainingStatus, ServiceError> {
        let declaration = TrainingDeclaration {
            training: TrainingId::from_bytes(
                *Nonce::random().map_err(ClientError::from)?.as_bytes(),
            ),
            program: program.clone(),
            specs,
            key: public.id(),
            parameter_set: public.parameter_set().tag(),
            public_key: PublicKeyFile::new(public.to_file_bytes()),
            least_owners,
        };
        let path = Route::DeclareTraining.path(ApiVersion::V2, "");
        let sent = self.ask(path, &declaration).await;
        let status: TrainingStatus = sent.map_err(|error| self.joins(error))?;
        if status.training != declaration.training {
            return Err(ServiceError::Answer {
                route: self.url().to_owned(),
                reason: "another training than the one that was declared".to_owned(),
            });
        }
        Ok(status)
    }

    /// The caller's trainings that owners add rows to.
    pub async fn trainings(&self) -> Result<TrainingList, ServiceError> {
        let path = Route::Trainings.path(ApiVersion::V2, "");
        let read = self.document(Call::new(Method::GET, path)).await;
        read.map_err(|error| self.joins(error))
    }

    /// Who may add rows to a training of the caller's, and who did.
    pub async fn training(&self, id: TrainingId) -> Result<TrainingStatus, ServiceError> {
        let path = Route::TrainingStatus.path(ApiVersion::V2, &id.to_string());
        let read = self.document(Call::new(Method::GET, path)).await;
        read.map_err(|error| self.joins(error))
    }

    /// Ends a training of the caller's that has no job, and deletes all rows that were added.
    pub async fn delete_training(&self, id: TrainingId) -> Result<(), ServiceError> {
        let path = Route::DeleteTraining.path(ApiVersion::V2, &id.to_string());
        let deleted = self.call(&Call::new(Method::DELETE, path)).await;
        deleted.map(drop).map_err(|error| self.joins(error))
    }

    /// Lets an owner add rows to a training of the caller's, by a grant that the caller has signed.
    pub async fn offer_training_grant(
        &self,
        grant: &SignedGrant,
    ) -> Result<TrainingStatus, ServiceError> {
        let id = terms_of(grant)?.training.to_string();
        let path = Route::OfferTrainingGrant.path(ApiVersion::V2, &id);
        let offered = self.ask(path, grant).await;
        offered.map_err(|error| self.joins(error))
    }

    /// Ends a grant of a training of the caller's, and removes the rows that were added by it if asked.
    pub async fn revoke_training_grant(
        &self,
        id: TrainingId,
        revocation: &Revocation,
    ) -> Result<TrainingStatus, ServiceError> {
        let path = Route::RevokeTrainingGrant.path(ApiVersion::V2, &id.to_string());
        let revoked = self.ask(path, revocation).await;
        revoked.map_err(|error| self.joins(error))
    }

    /// Where a grant of a training stands: what was added by it so far.
    pub async fn training_grant(&self, grant: &SignedGrant) -> Result<GrantStatus, ServiceError> {
        terms_of(grant)?;
        self.add_granted(grant, Vec::new()).await
    }

    /// Uploads an owner's rows by a grant, and adds them to the training that it is for: all of them, or
    /// none. Number and size of what is sent depend on the program and on the number of rows alone.
    pub async fn add_training_rows(
        &self,
        grant: &SignedGrant,
        mut rows: RowsEncryption,
        mut progress: impl FnMut(u64),
    ) -> Result<GrantStatus, ServiceError> {
        let terms = terms_of(grant)?;
        for (what, is_same) in [
            ("program", rows.training().hash() == terms.specs),
            ("key", rows.key().id() == terms.key),
        ] {
            if !is_same {
                return Err(ServiceError::RowsForOther { what });
            }
        }
        // Told before hours of uploading, not after.
        for (what, found, most) in [
            ("rows", rows.rows() as u64, terms.rows),
            ("bytes", rows.file_bytes(), grant.grant.bytes),
            ("chunks", rows.chunks() as u64, grant.grant.objects.into()),
        ] {
            if found > most {
                return Err(ServiceError::BeyondGrant { what, found, most });
            }
        }
        let mut pieces = Vec::new();
        let mut sent = 0;
        loop {
            let (next, rest) = blocking(move || (rows.next(), rows)).await?;
            rows = rest;
            let Some(chunk) = next else {
                break;
            };
            let chunk = chunk.map_err(DescentError::from)?.to_file_bytes();
            let file = self.upload_granted(grant, chunk.into()).await?;
            pieces.push(file);
            sent += file.bytes;
            progress(sent);
        }
        self.add_granted(grant, pieces).await
    }

    /// Uploads a chunk by a grant.
    pub(super) async fn upload_granted(
        &self,
        grant: &SignedGrant,
        chunk: Bytes,
    ) -> Result<ChunkFile, ServiceError> {
        let file = ChunkFile {
            bytes: chunk.len() as u64,
            sha256: sha256(&chunk),
        };
        let declaration = GrantedPieces {
            grant: grant.clone(),
            pieces: vec![file],
        };
        let folder = Some(terms_of(grant)?.training.into());
        let place = (Route::GrantUploads, &declaration, folder);
        let uploaded = self.upload_declared(place, file, chunk, CHUNK).await;
        uploaded.map_err(|error| self.joins(error))?;
        Ok(file)
    }

    /// Adds chunks that were uploaded by a grant; none to learn where it stands.
    pub(super) async fn add_granted(
        &self,
        grant: &SignedGrant,
        pieces: Vec<ChunkFile>,
    ) -> Result<GrantStatus, ServiceError> {
        let all = GrantedPieces {
            grant: grant.clone(),
            pieces,
        };
        let added = self.ask(Route::AddRows.path(ApiVersion::V2, ""), &all);
        added.await.map_err(|error| self.joins(error))
    }

    /// What an older service says of these routes.
    pub(super) fn joins(&self, error: ServiceError) -> ServiceError {
        if matches!(error, ServiceError::NoFrames { .. }) || error.is_no_route() {
            return ServiceError::NoTrainings {
                url: self.url().to_owned(),
            };
        }
        error
    }
}

/// The training of a grant.
pub(super) fn terms_of(grant: &SignedGrant) -> Result<&TrainingTerms, ServiceError> {
    grant
        .grant
        .target
        .training()
        .ok_or(ServiceError::OtherGrant {
            found: "a frame",
            expected: "a training",
        })
}
