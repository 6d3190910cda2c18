//! One piece of a key, or one file, to a presigned address.

use super::Service;
use super::bulk::{ADDRESSES, presigned};
use super::error::ServiceError;
use super::transfer::{Presigned, TransferFailure};
use bytes::Bytes;
use cipherfn_protocol::api::job::{
    ChunkFile, Transfer, UploadDeclaration, UploadFolder, UploadPurpose, Uploads,
};
use cipherfn_protocol::api::v2::PieceUpload;
use cipherfn_protocol::api::{ApiVersion, Route};
use cipherfn_protocol::message::KeyId;
use http::Method;
use serde::Serialize;

/// Largest answer to an upload that is read, in bytes.
const MAX_ANSWER: usize = 64 << 10;

/// A piece that did not arrive.
#[derive(Debug)]
pub(crate) struct PieceFailure {
    pub(crate) error: ServiceError,
    /// Whether asking for what is missing again can help.
    pub(crate) renew: bool,
}

impl Service {
    /// Uploads a file, into a new folder where none is given. The folder that it is in.
    pub(super) async fn upload_file(
        &self,
        (purpose, folder): (UploadPurpose, Option<UploadFolder>),
        file: ChunkFile,
        bytes: Bytes,
        what: &str,
    ) -> Result<UploadFolder, ServiceError> {
        let declaration = UploadDeclaration {
            upload: folder,
            chunks: vec![file],
            purpose,
        };
        let place = (Route::DeclareUploads, &declaration, folder);
        self.upload_declared(place, file, bytes, what).await
    }

    /// Uploads a file that a document declares at a route, to no other folder than is known; under a new
    /// address where the last one has expired. The folder that it is in.
    pub(super) async fn upload_declared(
        &self,
        (route, declaration, folder): (Route, &(impl Serialize + Sync), Option<UploadFolder>),
        file: ChunkFile,
        bytes: Bytes,
        what: &str,
    ) -> Result<UploadFolder, ServiceError> {
        let mut addresses = 1;
        loop {
            let path = route.path(ApiVersion::V2, "");
            let (call, answer) = self.send_document(path, declaration).await?;
            let Uploads { upload, chunks } = self.json(&call, &answer)?;
            let is_ours = |transfer: &Transfer| {
                transfer.file == file && folder.is_none_or(|folder| folder == upload)
            };
            let transfer = match <[Transfer; 1]>::try_from(chunks) {
                Ok([transfer]) if is_ours(&transfer) => transfer,
                _ => {
                    let reason = "addresses for other files than were declared";
                    return Err(self.answer_error(&call, reason));
                }
            };
            let put = self.transfer(Method::PUT, presigned(&transfer), bytes.clone(), MAX_ANSWER);
            match put.await {
                Ok(_) => return Ok(upload),
                Err(TransferFailure::Failed { renew: true, .. }) if addresses < ADDRESSES => {
                    addresses += 1;
                }
                Err(failure) => return Err(self.transfer_error(failure, what)),
            }
        }
    }

    /// Uploads one piece of a part's file. A piece that is there already is as good as one that arrives.
    pub(crate) async fn put(
        &self,
        key: KeyId,
        piece: &PieceUpload,
        file: &Bytes,
    ) -> Result<(), PieceFailure> {
        let failed = |error, renew| Err(PieceFailure { error, renew });
        let address = || ServiceError::Answer {
            route: format!(
                "POST {}",
                self.0
                    .endpoint
                    .url(&Route::DeclareKey.path(ApiVersion::V2, ""))
            ),
            reason: format!(
                "piece {} of the part {:?} lies outside the file or cannot be sent there",
                piece.number, piece.part
            ),
        };
        let Some(body) = slice(piece, file) else {
            return failed(address(), false);
        };
        let presigned = Presigned {
            method: &piece.method,
            url: &piece.url,
            headers: &piece.headers,
        };
        let sent = self.transfer(Method::PUT, presigned, body, MAX_ANSWER);
        match sent.await {
            Ok(_) => Ok(()),
            Err(TransferFailure::Address) => failed(address(), false),
            Err(TransferFailure::Ours(error)) => failed(error, false),
            Err(TransferFailure::Failed {
                to,
                attempts,
                cause,
                renew,
            }) => {
                let error = ServiceError::Upload {
                    key,
                    part: piece.part.clone(),
                    piece: piece.number,
                    to,
                    attempts,
                    cause,
                };
                failed(error, renew)
            }
        }
    }
}

/// The piece's bytes, where the file has them.
fn slice(piece: &PieceUpload, file: &Bytes) -> Option<Bytes> {
    let range = usize::try_from(piece.offset).ok()?
        ..usize::try_from(piece.offset.checked_add(piece.bytes)?).ok()?;
    file.get(range.clone())?;
    Some(file.slice(range))
}
