//! Encrypted frames that a service keeps, and queries over them.

use super::Service;
use super::awaited::Awaited;
use super::bulk::sha256;
use super::declare::new_name;
use super::error::ServiceError;
use super::register::{Registered, Uploaded};
use super::transport::Call;
use crate::keyring::KeyRing;
use bytes::Bytes;
use cipherfn_protocol::api::frames::{
    FrameDeclaration, FrameId, FrameList, FrameQuery, FrameStatus, QueryDeclaration, QueryFigures,
};
use cipherfn_protocol::api::grant::SignedGrant;
use cipherfn_protocol::api::grants::{GrantStatus, GrantedPieces, Revocation};
use cipherfn_protocol::api::job::{ChunkFile, UploadFolder, UploadPurpose};
use cipherfn_protocol::api::{ApiVersion, Route};
use cipherfn_scheme::parameters::ParameterSet;
use http::Method;

/// What errors call what is uploaded.
const PIECE: &str = "a piece of the frame";

impl Service {
    /// Registers what frames of a parameter set need of the key ring's evaluation key.
    pub async fn register_for_frames(
        &self,
        keys: &KeyRing,
        set: &'static ParameterSet,
        progress: impl FnMut(Uploaded),
    ) -> Result<Registered, ServiceError> {
        let parts: Vec<_> = set.expansion().into_iter().collect();
        self.supply_parts(keys, set, &parts, progress).await
    }

    /// The caller's frames, without their schemas.
    pub async fn frames(&self) -> Result<FrameList, ServiceError> {
        let call = Call::new(Method::GET, Route::Frames.path(ApiVersion::V2, ""));
        self.document(call).await
    }

    /// What is public of a frame.
    pub async fn frame(&self, frame: FrameId) -> Result<FrameStatus, ServiceError> {
        let path = Route::FrameStatus.path(ApiVersion::V2, &frame.to_string());
        self.document(Call::new(Method::GET, path)).await
    }

    /// Deletes a frame with its pieces.
    pub async fn delete_frame(&self, frame: FrameId) -> Result<(), ServiceError> {
        let path = Route::DeleteFrame.path(ApiVersion::V2, &frame.to_string());
        self.call(&Call::new(Method::DELETE, path)).await.map(drop)
    }

    /// Uploads the pieces of a frame, one after the other, and declares it.
    pub async fn upload_frame(
        &self,
        pieces: impl Iterator<Item = Vec<u8>>,
        mut progress: impl FnMut(u64),
    ) -> Result<FrameStatus, ServiceError> {
        let (mut folder, mut files, mut bytes) = (None, Vec::new(), 0);
        for piece in pieces {
            let file = file_of(&piece);
            let place = (UploadPurpose::Frame, folder);
            let sent = self.upload_file(place, file, piece.into(), PIECE);
            folder = Some(sent.await.map_err(|error| self.keeps(error))?);
            files.push(file);
            bytes += file.bytes;
            progress(bytes);
        }
        let declaration = FrameDeclaration {
            frame: folder.unwrap_or(UploadFolder::from_bytes([0; 16])).into(),
            pieces: files,
        };
        let path = Route::DeclareFrame.path(ApiVersion::V2, "");
        self.ask(path, &declaration).await
    }

    /// Lets others add rows or columns to a frame of the caller's, by a grant that the caller has signed.
    pub async fn offer_grant(&self, grant: &SignedGrant) -> Result<FrameStatus, ServiceError> {
        let frame = frame_of(grant)?.to_string();
        self.ask(Route::OfferGrant.path(ApiVersion::V2, &frame), grant)
            .await
    }

    /// Ends a grant of a frame of the caller's, and removes what was added by it if asked.
    pub async fn revoke_grant(
        &self,
        frame: FrameId,
        revocation: &Revocation,
    ) -> Result<FrameStatus, ServiceError> {
        let path = Route::RevokeGrant.path(ApiVersion::V2, &frame.to_string());
        self.ask(path, revocation).await
    }

    /// Uploads pieces by a grant of somebody else, one after the other, and adds them to the frame that it
    /// is for: as its last rows, or of a grant of columns as columns beside all. Pieces that were added before are not added again; where the pieces break off with `None`,
    /// nothing is added, and there is no status.
    pub async fn add_rows(
        &self,
        grant: &SignedGrant,
        pieces: impl Iterator<Item = Option<Vec<u8>>>,
        mut progress: impl FnMut(u64),
    ) -> Result<Option<GrantStatus>, ServiceError> {
        let mut all = GrantedPieces {
            grant: grant.clone(),
            pieces: Vec::new(),
        };
        let (folder, mut bytes) = (UploadFolder::from(frame_of(grant)?), 0);
        for piece in pieces {
            let Some(piece) = piece else {
                return Ok(None);
            };
            let file = file_of(&piece);
            let declaration = GrantedPieces {
                grant: grant.clone(),
                pieces: vec![file],
            };
            let place = (Route::GrantUploads, &declaration, Some(folder));
            let sent = self.upload_declared(place, file, piece.into(), PIECE);
            sent.await.map_err(|error| self.keeps(error))?;
            all.pieces.push(file);
            bytes += file.bytes;
            progress(bytes);
        }
        let added = self.ask(Route::AddRows.path(ApiVersion::V2, ""), &all);
        added.await.map(Some)
    }

    /// What a query takes and how exact its answer is.
    pub async fn explain_query(&self, query: &FrameQuery) -> Result<QueryFigures, ServiceError> {
        let path = Route::ExplainQuery.path(ApiVersion::V2, "");
        self.ask(path, query).await
    }

    /// The answer to a query, in one request.
    pub async fn query_frames(&self, query: &FrameQuery) -> Result<Bytes, ServiceError> {
        let path = Route::QueryFrames.path(ApiVersion::V2, "");
        let sent = self.send_document(path, query).await;
        let (_, answer) = sent.map_err(|error| self.keeps(error))?;
        Ok(answer.body)
    }

    /// The answer to a query that invocations share, each of which evaluates so many rows. The job is
    /// deleted once there is an answer.
    pub async fn query_frames_as_job(
        &self,
        query: &FrameQuery,
        rows_a_part: u64,
    ) -> Result<Bytes, ServiceError> {
        let declaration = QueryDeclaration {
            idempotency_key: new_name()?,
            query: query.clone(),
            rows_a_part,
        };
        let awaited = Awaited {
            route: Route::DeclareQuery,
            declaration: &declaration,
            what: "the answer",
            failed: |attempts, problem| ServiceError::QueryFailed { attempts, problem },
        };
        let result = self.result_of_job(&awaited, |_| ()).await;
        let (job, bytes) = result.map_err(|error| self.keeps(error))?;
        self.delete_job(job).await?;
        Ok(bytes)
    }

    /// Sends a document and reads the one that comes back.
    pub(super) async fn ask<T: serde::de::DeserializeOwned>(
        &self,
        path: String,
        document: &impl serde::Serialize,
    ) -> Result<T, ServiceError> {
        let sent = self.send_document(path, document).await;
        let (call, answer) = sent.map_err(|error| self.keeps(error))?;
        self.json(&call, &answer)
    }

    pub(super) async fn document<T: serde::de::DeserializeOwned>(
        &self,
        call: Call,
    ) -> Result<T, ServiceError> {
        let (answer, _) = self.call(&call).await.map_err(|error| self.keeps(error))?;
        self.json(&call, &answer)
    }

    /// What an older service says of routes for frames.
    fn keeps(&self, error: ServiceError) -> ServiceError {
        if error.is_no_route() {
            return ServiceError::NoFrames {
                url: self.url().to_owned(),
            };
        }
        error
    }
}

/// The frame of a grant.
fn frame_of(grant: &SignedGrant) -> Result<FrameId, ServiceError> {
    grant.grant.target.frame().ok_or(ServiceError::OtherGrant {
        found: "a training",
        expected: "a frame",
    })
}

fn file_of(piece: &[u8]) -> ChunkFile {
    ChunkFile {
        bytes: piece.len() as u64,
        sha256: sha256(piece),
    }
}
