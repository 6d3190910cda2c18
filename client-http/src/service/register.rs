//! Registration of an evaluation key.

use super::error::ServiceError;
use super::transport::Call;
use super::{Service, blocking};
use crate::error::KeyRingError;
use crate::keyring::{EvaluationKeyFile, KeyRing};
use bytes::Bytes;
use cipherfn_client::Client;
use cipherfn_protocol::api::{
    self, KeyDeclaration, KeyState, KeyStatus, KeyUpload, Parts, ProblemType,
};
use cipherfn_protocol::hash::Sha256;
use cipherfn_protocol::specs::ParameterSetRef;
use cipherfn_scheme::parameters::ParameterSet;
use futures_util::{StreamExt, stream};
use http::Method;
use sha2::Digest;
use std::num::NonZeroU64;
use time::OffsetDateTime;

/// Declarations in a row after which no part arrives.
const MOST_STALLS: u32 = 2;

/// What registration did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Registered {
    /// Nothing: the model needs no evaluation key.
    NotNeeded,
    /// Nothing: the key was active already.
    Active(KeyStatus),
    /// The key was uploaded and is active now.
    Uploaded(KeyStatus),
}

/// How far an upload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uploaded {
    /// Bytes that arrived, those of earlier attempts included.
    pub bytes: u64,
    /// Bytes of the key.
    pub of: u64,
}

impl Service {
    /// Registers the key ring's evaluation key for `client`'s parameter set, and so for every model
    /// of that set. Doing it again is harmless: a key that is active stays as it is, and an
    /// interrupted upload goes on with the parts that are missing.
    pub async fn register(
        &self,
        keys: &KeyRing,
        client: &Client,
        mut progress: impl FnMut(Uploaded),
    ) -> Result<Registered, ServiceError> {
        if !client.needs_evaluation_key() {
            return Ok(Registered::NotNeeded);
        }
        let (file, declaration) = self.declaration(keys, client.parameter_set()).await?;
        if let Some(status) = self.active(&declaration).await? {
            return Ok(Registered::Active(status));
        }
        let (mut first, mut stalls) = (true, 0);
        loop {
            let upload = self.declare(&declaration).await?;
            if upload.status.state == KeyState::Active {
                let registered = if first {
                    Registered::Active
                } else {
                    Registered::Uploaded
                };
                return Ok(registered(upload.status));
            }
            first = false;
            stalls += 1;
            let stored = self.upload(&declaration, &upload, &file, |done| {
                stalls = if done.stored { 0 } else { stalls };
                progress(done.progress);
            });
            match stored.await {
                // The addresses have expired, or a part arrived and its answer did not: the service
                // knows what is missing.
                Err(failure) if failure.renew && stalls < MOST_STALLS => continue,
                Err(failure) => return Err(failure.error),
                Ok(()) => {}
            }
            match self.complete(&declaration).await {
                Err(error) if stalls < MOST_STALLS && is_upload_missing(&error) => {}
                result => return result.map(Registered::Uploaded),
            }
        }
    }

    async fn declaration(
        &self,
        keys: &KeyRing,
        set: &'static ParameterSet,
    ) -> Result<(Bytes, KeyDeclaration), ServiceError> {
        let (keys, part_bytes) = (keys.clone(), self.0.options.part_bytes);
        let read = move || {
            let file = keys.evaluation_key_file(set)?;
            let declaration = declaration(&file, set, part_bytes);
            Ok::<_, KeyRingError>((Bytes::from(file.bytes), declaration))
        };
        let (file, declaration) = blocking(read).await??;
        if declaration.bytes > api::MAX_KEY {
            return Err(ServiceError::KeyTooLarge {
                key: declaration.key,
                bytes: declaration.bytes,
                limit: api::MAX_KEY,
            });
        }
        Ok((file, declaration))
    }

    /// The status of the declared file where it is active.
    async fn active(
        &self,
        declaration: &KeyDeclaration,
    ) -> Result<Option<KeyStatus>, ServiceError> {
        match self.key_status(declaration.key).await {
            Ok(status) => {
                let same = status.sha256 == declaration.sha256 && status.state == KeyState::Active;
                Ok((same && status.expires > OffsetDateTime::now_utc()).then_some(status))
            }
            Err(ServiceError::UnknownKey { .. } | ServiceError::KeyExpired { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn declare(&self, declaration: &KeyDeclaration) -> Result<KeyUpload, ServiceError> {
        let key = declaration.key;
        let call = Call::new(Method::POST, "/v1/keys".to_owned());
        let body = serde_json::to_vec(declaration)
            .map_err(|error| self.answer_error(&call, error.to_string()))?;
        let call = call.body(api::JSON, body);
        let (answer, _) = self
            .call(&call)
            .await
            .map_err(|error| error.about_key(key))?;
        let upload: KeyUpload = self.json(&call, &answer)?;
        if upload.status.key != key || upload.status.sha256 != declaration.sha256 {
            return Err(self.answer_error(&call, "the registration of another key"));
        }
        Ok(upload)
    }

    /// Uploads the missing parts, several at a time. One that fails does not stop the others; the
    /// first failure is returned.
    async fn upload(
        &self,
        declaration: &KeyDeclaration,
        upload: &KeyUpload,
        file: &Bytes,
        mut progress: impl FnMut(Step),
    ) -> Result<(), super::upload::PartFailure> {
        let of = declaration.bytes;
        let missing = upload
            .parts
            .iter()
            .fold(0_u64, |sum, part| sum.saturating_add(part.bytes));
        let mut bytes = of.saturating_sub(missing);
        let mut step = |bytes, stored| {
            let progress_now = Uploaded { bytes, of };
            progress(Step {
                progress: progress_now,
                stored,
            });
        };
        step(bytes, false);
        let puts = stream::iter(upload.parts.clone()).map(|part| {
            let (service, file, key) = (self.clone(), file.clone(), declaration.key);
            async move { (part.bytes, service.put(key, &part, &file).await) }
        });
        let mut puts = std::pin::pin!(puts.buffer_unordered(self.0.options.in_flight.get()));
        let mut failed = None;
        while let Some((part, result)) = puts.next().await {
            match result {
                Ok(()) => {
                    bytes += part;
                    step(bytes, true);
                }
                Err(failure) => failed = failed.or(Some(failure)),
            }
        }
        failed.map_or(Ok(()), Err)
    }

    async fn complete(&self, declaration: &KeyDeclaration) -> Result<KeyStatus, ServiceError> {
        let key = declaration.key;
        let call = Call::new(Method::POST, format!("/v1/keys/{key}/complete"));
        let (answer, _) = self
            .call(&call)
            .await
            .map_err(|error| error.about_key(key))?;
        let status = self.status(&call, &answer, key)?;
        match status.state {
            KeyState::Active => Ok(status),
            KeyState::Rejected => Err(ServiceError::KeyRejected {
                key,
                reason: status.reason.unwrap_or_default(),
            }),
            KeyState::Pending => Err(self.answer_error(&call, "a key that is still pending")),
        }
    }
}

/// One step of an upload.
struct Step {
    progress: Uploaded,
    /// Whether a part arrived.
    stored: bool,
}

fn is_upload_missing(error: &ServiceError) -> bool {
    error
        .problem()
        .is_some_and(|problem| problem.kind == ProblemType::UploadMissing)
}

fn declaration(
    file: &EvaluationKeyFile,
    set: &ParameterSet,
    part_bytes: NonZeroU64,
) -> KeyDeclaration {
    let bytes = file.bytes.len() as u64;
    KeyDeclaration {
        key: file.key,
        parameter_set: ParameterSetRef {
            name: set.name.to_owned(),
            hash: set.hash(),
        },
        bytes,
        sha256: sha256(&file.bytes),
        parts: (bytes > part_bytes.get()).then(|| Parts {
            bytes: part_bytes.get(),
            sha256: file
                .bytes
                .chunks(part_bytes.get() as usize)
                .map(sha256)
                .collect(),
        }),
    }
}

fn sha256(bytes: &[u8]) -> Sha256 {
    Sha256::from_bytes(sha2::Sha256::digest(bytes).into())
}
