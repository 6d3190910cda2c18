//! Encrypted frames that a service keeps, and queries over them.

use super::bulk::{ADDRESSES, presigned, sha256};
use super::declare::new_name;
use super::error::ServiceError;
use super::register::{Registered, Uploaded};
use super::transfer::TransferFailure;
use super::transport::Call;
use super::{Service, blocking};
use crate::error::KeyRingError;
use crate::keyring::{Existing, KeyRing};
use bytes::Bytes;
use cipherfn_protocol::api::frames::{
    FrameDeclaration, FrameId, FrameList, FrameQuery, FrameStatus, QueryDeclaration, QueryFigures,
};
use cipherfn_protocol::api::grant::SignedGrant;
use cipherfn_protocol::api::grants::{GrantStatus, GrantedPieces, Revocation};
use cipherfn_protocol::api::job::{
    ChunkFile, ChunkState, JobId, JobStatus, MAX_CHUNK, Transfer, UploadDeclaration, UploadFolder,
    UploadPurpose, Uploads,
};
use cipherfn_protocol::api::{ApiVersion, Route};
use cipherfn_scheme::parameters::ParameterSet;
use http::Method;
use std::time::{Duration, Instant};

/// Waits between two looks at a job, the shortest and the longest.
const POLL: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// A job that nobody works on for so long is declared again, as its events may be lost.
const STALLED: Duration = Duration::from_mins(2);
/// Largest answer to an upload that is read, in bytes.
const MAX_ANSWER: usize = 64 << 10;

/// Whether waiting for a job goes on.
enum Waiting {
    Over(Transfer),
    Running,
    Idle,
}

impl Service {
    /// Registers what frames of a parameter set need of the key ring's evaluation key.
    pub async fn register_for_frames(
        &self,
        keys: &KeyRing,
        set: &'static ParameterSet,
        progress: impl FnMut(Uploaded),
    ) -> Result<Registered, ServiceError> {
        let parts: Vec<_> = set.expansion().into_iter().collect();
        let (ring, missing) = (keys.clone(), parts.clone());
        let fill = move || ring.fill_parts(set, &missing, Existing::Keep);
        blocking(fill)
            .await?
            .map_err(|error: KeyRingError| ServiceError::from(error))?;
        self.register_parts(keys, set, &parts, progress).await
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
            let path = Route::DeclareUploads.path(ApiVersion::V2, "");
            let declaration = UploadDeclaration {
                upload: folder,
                chunks: vec![file],
                purpose: UploadPurpose::Frame,
            };
            let uploads = (path, &declaration, folder);
            folder = Some(self.upload_piece(uploads, file, piece.into()).await?);
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

    /// Lets others add rows to a frame of the caller's, by a grant that the caller has signed.
    pub async fn offer_grant(&self, grant: &SignedGrant) -> Result<FrameStatus, ServiceError> {
        let frame = grant.grant.frame.to_string();
        self.ask(Route::OfferGrant.path(ApiVersion::V2, &frame), grant)
            .await
    }

    /// Ends a grant of a frame of the caller's, and removes the rows that were added by it if asked.
    pub async fn revoke_grant(
        &self,
        frame: FrameId,
        revocation: &Revocation,
    ) -> Result<FrameStatus, ServiceError> {
        let path = Route::RevokeGrant.path(ApiVersion::V2, &frame.to_string());
        self.ask(path, revocation).await
    }

    /// Uploads pieces by a grant of somebody else, one after the other, and adds them to the frame that it
    /// is for. Pieces that were added before are not added again; where the pieces break off with `None`,
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
        let (folder, mut bytes) = (UploadFolder::from(grant.grant.frame), 0);
        for piece in pieces {
            let Some(piece) = piece else {
                return Ok(None);
            };
            let file = file_of(&piece);
            let declaration = GrantedPieces {
                grant: grant.clone(),
                pieces: vec![file],
            };
            let path = Route::GrantUploads.path(ApiVersion::V2, "");
            let uploads = (path, &declaration, Some(folder));
            self.upload_piece(uploads, file, piece.into()).await?;
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
        let job = self.declare_query(&declaration).await?.job;
        let start = Instant::now();
        let (mut idle, mut addresses) = (Instant::now(), 1);
        loop {
            match self.query_state(job).await? {
                Waiting::Over(transfer) => {
                    let most = usize::try_from(transfer.file.bytes.min(MAX_CHUNK));
                    let most = most.unwrap_or(usize::MAX);
                    let request = presigned(&transfer);
                    let fetched = self.transfer(Method::GET, request, Bytes::new(), most);
                    match fetched.await {
                        Ok(bytes) if sha256(&bytes) == transfer.file.sha256 => {
                            let path = Route::DeleteJob.path(ApiVersion::V2, &job.to_string());
                            self.call(&Call::new(Method::DELETE, path)).await?;
                            return Ok(bytes);
                        }
                        Ok(_) => {
                            return Err(ServiceError::Answer {
                                route: self.url().to_owned(),
                                reason: "an answer with another checksum than was said".to_owned(),
                            });
                        }
                        Err(TransferFailure::Failed { renew: true, .. })
                            if addresses < ADDRESSES =>
                        {
                            addresses += 1;
                        }
                        Err(failure) => return Err(self.transfer_error(failure, "the answer")),
                    }
                }
                Waiting::Running => idle = Instant::now(),
                Waiting::Idle if idle.elapsed() > STALLED => {
                    self.declare_query(&declaration).await?;
                    idle = Instant::now();
                }
                Waiting::Idle => {}
            }
            let (shortest, longest) = POLL;
            let wait = (start.elapsed() / 12).clamp(shortest, longest);
            tokio::time::sleep(wait).await;
        }
    }

    async fn declare_query(&self, query: &QueryDeclaration) -> Result<JobStatus, ServiceError> {
        let path = Route::DeclareQuery.path(ApiVersion::V2, "");
        self.ask(path, query).await
    }

    async fn query_state(&self, job: JobId) -> Result<Waiting, ServiceError> {
        let path = Route::JobStatus.path(ApiVersion::V2, &job.to_string());
        let status: JobStatus = self.document(Call::new(Method::GET, path)).await?;
        match status.states.into_iter().next() {
            Some(ChunkState::Done { result, .. }) => Ok(Waiting::Over(result)),
            Some(ChunkState::Failed { attempts, problem }) => Err(ServiceError::QueryFailed {
                attempts,
                problem: Box::new(problem),
            }),
            Some(ChunkState::Running { .. }) => Ok(Waiting::Running),
            Some(ChunkState::Waiting { .. }) | None => Ok(Waiting::Idle),
        }
    }

    /// Uploads a piece to where the service says that it belongs, when it is told of it in a document; to
    /// no other folder than is known.
    async fn upload_piece(
        &self,
        (path, declaration, folder): (String, &impl serde::Serialize, Option<UploadFolder>),
        file: ChunkFile,
        piece: Bytes,
    ) -> Result<UploadFolder, ServiceError> {
        let mut addresses = 1;
        loop {
            let sent = self.send_document(path.clone(), declaration).await;
            let (call, answer) = sent.map_err(|error| self.keeps(error))?;
            let Uploads { upload, chunks } = self.json(&call, &answer)?;
            let is_ours = |transfer: &&Transfer| {
                transfer.file == file && folder.is_none_or(|folder| folder == upload)
            };
            let Some(transfer) = chunks.first().filter(is_ours) else {
                let reason = "addresses for other pieces than were declared";
                return Err(self.answer_error(&call, reason));
            };
            let put = self.transfer(Method::PUT, presigned(transfer), piece.clone(), MAX_ANSWER);
            match put.await {
                Ok(_) => return Ok(upload),
                Err(TransferFailure::Failed { renew: true, .. }) if addresses < ADDRESSES => {
                    addresses += 1;
                }
                Err(failure) => return Err(self.transfer_error(failure, "a piece of the frame")),
            }
        }
    }

    /// Sends a document and reads the one that comes back.
    async fn ask<T: serde::de::DeserializeOwned>(
        &self,
        path: String,
        document: &impl serde::Serialize,
    ) -> Result<T, ServiceError> {
        let sent = self.send_document(path, document).await;
        let (call, answer) = sent.map_err(|error| self.keeps(error))?;
        self.json(&call, &answer)
    }

    async fn document<T: serde::de::DeserializeOwned>(
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

fn file_of(piece: &[u8]) -> ChunkFile {
    ChunkFile {
        bytes: piece.len() as u64,
        sha256: sha256(piece),
    }
}
