//! Registration of an evaluation key: the parts of it that a model needs and the service lacks.

use super::error::ServiceError;
use super::transport::Call;
use super::upload::PieceFailure;
use super::{Service, blocking};
use crate::error::KeyRingError;
use crate::keyring::{Existing, KeyPartFile, KeyRing};
use bytes::Bytes;
use cipherfn_client::Client;
use cipherfn_protocol::api::v2::{
    KeyDeclaration, KeyStatus, KeyUpload, PartDeclaration, PartStatus, PieceUpload, Pieces,
};
use cipherfn_protocol::api::{self, ApiVersion, KeyState, ProblemType, Route};
use cipherfn_protocol::hash::Sha256;
use cipherfn_protocol::specs::ParameterSetRef;
use cipherfn_scheme::parameters::{KeyPart, ParameterSet};
use futures_util::{StreamExt, stream};
use http::Method;
use sha2::Digest;
use std::collections::BTreeMap;
use std::num::NonZeroU64;
use time::OffsetDateTime;

/// Declarations in a row after which no piece arrives.
const MOST_STALLS: u32 = 2;

/// What registration did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Registered {
    /// Nothing: the model needs no evaluation key.
    NotNeeded,
    /// Nothing: the parts were active already.
    Active(KeyStatus),
    /// What was missing was uploaded, and is active now.
    Uploaded(KeyStatus),
}

/// How far an upload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uploaded {
    /// Bytes that arrived, those of earlier attempts included.
    pub bytes: u64,
    /// Bytes of the parts that were missing.
    pub of: u64,
}

/// Parts to register, and their files.
struct Registration {
    /// What the service speaks.
    version: ApiVersion,
    declaration: KeyDeclaration,
    files: BTreeMap<String, Bytes>,
}

impl Service {
    /// Registers those parts of the key ring's evaluation key that `client`'s model needs, and so
    /// for every model of its parameter set that needs the same ones. Doing it again is harmless:
    /// parts that are active stay as they are, and an interrupted upload goes on with what is
    /// missing.
    pub async fn register(
        &self,
        keys: &KeyRing,
        client: &Client,
        progress: impl FnMut(Uploaded),
    ) -> Result<Registered, ServiceError> {
        self.register_parts(keys, client.parameter_set(), client.key_parts(), progress)
            .await
    }

    /// Makes a part of a key that the service asks for by name, and registers it.
    pub(crate) async fn supply(
        &self,
        keys: &KeyRing,
        set: &'static ParameterSet,
        part: &str,
    ) -> Result<(), ServiceError> {
        let parts = [set.part(part).map_err(KeyRingError::from)?];
        self.supply_parts(keys, set, &parts, |_| ()).await?;
        Ok(())
    }

    /// Makes those parts of the key ring's evaluation key that are not there yet, and registers those
    /// that the service lacks.
    pub async fn supply_parts(
        &self,
        keys: &KeyRing,
        set: &'static ParameterSet,
        parts: &[&'static KeyPart],
        progress: impl FnMut(Uploaded),
    ) -> Result<Registered, ServiceError> {
        let (ring, missing) = (keys.clone(), parts.to_vec());
        blocking(move || ring.fill_parts(set, &missing, Existing::Keep)).await??;
        self.register_parts(keys, set, parts, progress).await
    }

    pub(super) async fn register_parts(
        &self,
        keys: &KeyRing,
        set: &'static ParameterSet,
        parts: &[&'static KeyPart],
        mut progress: impl FnMut(Uploaded),
    ) -> Result<Registered, ServiceError> {
        if parts.is_empty() {
            return Ok(Registered::NotNeeded);
        }
        let mut registration = self.registration(keys, set, parts).await?;
        let key = registration.declaration.key;
        let (version, status) = self.registered(key).await?;
        registration.version = version;
        if let Some(status) = status {
            registration.leave_out(&status);
            if registration.declaration.parts.is_empty() {
                return Ok(Registered::Active(status));
            }
        }
        let (mut first, mut stalls) = (true, 0);
        loop {
            let upload = self.declare(&registration).await?;
            if registration.is_active(&upload.status) {
                let registered = if first {
                    Registered::Active
                } else {
                    Registered::Uploaded
                };
                return Ok(registered(upload.status));
            }
            first = false;
            stalls += 1;
            let stored = self.upload(&registration, &upload, |done| {
                stalls = if done.stored { 0 } else { stalls };
                progress(done.progress);
            });
            match stored.await {
                // The addresses have expired, or a piece arrived and its answer did not: the
                // service knows what is missing.
                Err(failure) if failure.renew && stalls < MOST_STALLS => continue,
                Err(failure) => return Err(failure.error),
                Ok(()) => {}
            }
            match self.complete(&registration).await {
                // Or of another part, that somebody else declared.
                Err(error) if stalls < MOST_STALLS && is_upload_missing(&error) => {}
                result => return result.map(Registered::Uploaded),
            }
        }
    }

    /// All that there is to register, before it is known what of it the service has.
    async fn registration(
        &self,
        keys: &KeyRing,
        set: &'static ParameterSet,
        parts: &[&'static KeyPart],
    ) -> Result<Registration, ServiceError> {
        let (keys, parts, piece) = (keys.clone(), parts.to_vec(), self.0.options.piece_bytes);
        let read = move || {
            let files = parts.iter().map(|part| keys.key_part_file(set, part));
            let files = files.collect::<Result<Vec<_>, _>>()?;
            Ok::<_, KeyRingError>(Registration::new(set, files, piece))
        };
        let registration = blocking(read).await??;
        let declaration = &registration.declaration;
        match declaration
            .parts
            .values()
            .find(|part| part.bytes > api::MAX_KEY)
        {
            Some(part) => Err(ServiceError::KeyTooLarge {
                key: declaration.key,
                bytes: part.bytes,
                limit: api::MAX_KEY,
            }),
            None => Ok(registration),
        }
    }

    async fn declare(&self, registration: &Registration) -> Result<KeyUpload, ServiceError> {
        let (version, declaration) = (registration.version, &registration.declaration);
        let call = Call::new(Method::POST, Route::DeclareKey.path(version, ""));
        let body = match version {
            ApiVersion::V1 => serde_json::to_vec(&registration.version_1()?),
            ApiVersion::V2 => serde_json::to_vec(declaration),
        };
        let body = body.map_err(|error| self.answer_error(&call, error.to_string()))?;
        let call = call.body(api::JSON, body);
        let key = declaration.key;
        let (answer, _) = self
            .call(&call)
            .await
            .map_err(|error| error.about_key(key))?;
        let upload: KeyUpload = match version {
            ApiVersion::V1 => self.json::<api::KeyUploadV1>(&call, &answer)?.into(),
            ApiVersion::V2 => self.json(&call, &answer)?,
        };
        if upload.status.key != key || !registration.is_declared(&upload.status) {
            return Err(self.answer_error(&call, "the registration of another key"));
        }
        Ok(upload)
    }

    /// Uploads the missing pieces, several at a time. One that fails does not stop the others; the
    /// first failure is returned.
    async fn upload(
        &self,
        registration: &Registration,
        upload: &KeyUpload,
        mut progress: impl FnMut(UploadStep),
    ) -> Result<(), PieceFailure> {
        let sum = |bytes: u64, more: u64| bytes.saturating_add(more);
        let parts = registration.declaration.parts.values();
        let of = parts.map(|part| part.bytes).fold(0, sum);
        let missing = upload.pieces.iter().map(|piece| piece.bytes).fold(0, sum);
        let mut bytes = of.saturating_sub(missing);
        let mut step = |bytes, stored| {
            let progress_now = Uploaded { bytes, of };
            progress(UploadStep {
                progress: progress_now,
                stored,
            });
        };
        step(bytes, false);
        let put = |piece: PieceUpload| {
            let (service, key) = (self.clone(), registration.declaration.key);
            let file = registration.files.get(&piece.part).cloned();
            async move {
                let stored = service.put(key, &piece, &file.unwrap_or_default()).await;
                (piece.bytes, stored)
            }
        };
        let puts = stream::iter(upload.pieces.clone()).map(put);
        let mut puts = std::pin::pin!(puts.buffer_unordered(self.0.options.in_flight.get()));
        let mut failed = None;
        while let Some((piece, result)) = puts.next().await {
            match result {
                Ok(()) => {
                    bytes += piece;
                    step(bytes, true);
                }
                Err(failure) => failed = failed.or(Some(failure)),
            }
        }
        failed.map_or(Ok(()), Err)
    }

    async fn complete(&self, registration: &Registration) -> Result<KeyStatus, ServiceError> {
        let (version, key) = (registration.version, registration.declaration.key);
        let path = Route::CompleteKey.path(version, &key.to_string());
        let call = Call::new(Method::POST, path);
        let (answer, _) = self
            .call(&call)
            .await
            .map_err(|error| error.about_key(key))?;
        let status = self.status((version, key), &call, &answer)?;
        if registration.is_active(&status) {
            return Ok(status);
        }
        let rejected = |part: &PartStatus| part.state == KeyState::Rejected;
        match status.parts.into_values().find(rejected) {
            Some(part) => Err(ServiceError::KeyRejected {
                key,
                reason: part.reason.unwrap_or_default(),
            }),
            None => Err(self.answer_error(&call, "a key that is still pending")),
        }
    }
}

impl Registration {
    fn new(set: &ParameterSet, files: Vec<KeyPartFile>, piece: NonZeroU64) -> Self {
        let part = |file: &KeyPartFile| {
            let declaration = PartDeclaration {
                bytes: file.bytes.len() as u64,
                sha256: sha256(&file.bytes),
                pieces: (file.bytes.len() as u64 > piece.get()).then(|| Pieces {
                    bytes: piece.get(),
                    sha256: file
                        .bytes
                        .chunks(piece.get() as usize)
                        .map(sha256)
                        .collect(),
                }),
            };
            (file.part.name.to_owned(), declaration)
        };
        Self {
            version: ApiVersion::V2,
            declaration: KeyDeclaration {
                key: files[0].key,
                parameter_set: ParameterSetRef {
                    name: set.name.to_owned(),
                    hash: set.hash(),
                },
                parts: files.iter().map(part).collect(),
            },
            files: files
                .into_iter()
                .map(|file| (file.part.name.to_owned(), file.bytes.into()))
                .collect(),
        }
    }

    /// Leaves out the parts that are active already.
    fn leave_out(&mut self, status: &KeyStatus) {
        let now = OffsetDateTime::now_utc();
        self.declaration.parts.retain(|name, part| {
            let there = status.parts.get(name);
            !there.is_some_and(|there| {
                there.state == KeyState::Active
                    && there.sha256 == part.sha256
                    && there.expires > now
            })
        });
    }

    /// Whether the service has registered these very files, active or not.
    fn is_declared(&self, status: &KeyStatus) -> bool {
        self.declaration.parts.iter().all(|(name, part)| {
            let there = status.parts.get(name);
            there.is_some_and(|there| there.sha256 == part.sha256)
        })
    }

    fn is_active(&self, status: &KeyStatus) -> bool {
        self.declaration.parts.keys().all(|name| {
            let there = status.parts.get(name);
            there.is_some_and(|there| there.state == KeyState::Active)
        })
    }

    /// The declaration for a service that knows of no parts.
    fn version_1(&self) -> Result<api::KeyDeclarationV1, ServiceError> {
        let parts = &self.declaration.parts;
        self.declaration
            .version_1()
            .ok_or_else(|| ServiceError::NoParts {
                key: self.declaration.key,
                parts: parts.keys().cloned().collect::<Vec<_>>().join(", "),
            })
    }
}

/// One step of an upload.
struct UploadStep {
    progress: Uploaded,
    /// Whether a piece arrived.
    stored: bool,
}

fn is_upload_missing(error: &ServiceError) -> bool {
    error
        .problem()
        .is_some_and(|problem| problem.kind == ProblemType::UploadMissing)
}

fn sha256(bytes: &[u8]) -> Sha256 {
    Sha256::from_bytes(sha2::Sha256::digest(bytes).into())
}
