//! Keys of frames.

use crate::error::{Failure, Result};
use crate::wait::{Stop, Waiting};
use cipherfn_client::frames::SET;
use cipherfn_client_http::{Existing, KeyRing};
use cipherfn_frame::file::FileHead;
use cipherfn_frame::schema::Schema;
use cipherfn_scheme::parameters::ParameterSet;
use cipherfn_scheme::{EvaluationKey, ExpandedEvaluationKey, SecretKey};
use pyo3::prelude::*;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

/// A secret key, and the part of its evaluation key that frames need.
#[pyclass(frozen)]
#[derive(Clone)]
pub(crate) struct FrameKeys {
    pub(super) secret: Arc<SecretKey>,
    part: Arc<EvaluationKey>,
    /// Where they lie, with the secret that hashes names.
    ring: Option<KeyRing>,
    /// As a server has it, from the first query on.
    expanded: Arc<OnceLock<ExpandedEvaluationKey>>,
}

#[pymethods]
impl FrameKeys {
    /// Fresh keys that are forgotten afterwards, or those of a key ring, which are made where they are missing.
    #[staticmethod]
    #[pyo3(signature = (folder=None, stop=None))]
    fn make(
        py: Python<'_>,
        folder: Option<PathBuf>,
        stop: Option<Bound<'_, Stop>>,
    ) -> PyResult<Self> {
        let waiting = Waiting {
            py,
            tell: None,
            stop,
        };
        waiting.compute(move |_| {
            let set = ParameterSet::by_name(SET)?;
            let expansion = set.expansion().ok_or_else(no_expansion)?;
            let ring = folder.map(KeyRing::at);
            let (secret, part) = match &ring {
                Some(ring) => {
                    ring.fill_parts(set, &[expansion], Existing::Keep)?;
                    (ring.secret_key(set)?, ring.key_part(set, expansion)?)
                }
                None => {
                    let secret = SecretKey::generate(set)?;
                    let part = EvaluationKey::generate_part(&secret, expansion.name)?;
                    (secret, part)
                }
            };
            Ok(Self {
                secret: Arc::new(secret),
                part: Arc::new(part),
                ring,
                expanded: Arc::default(),
            })
        })
    }

    /// Names the secret key.
    #[getter]
    fn id(&self) -> String {
        self.secret.id().to_string()
    }
}

impl FrameKeys {
    /// The schema with hashes in place of its names.
    pub(super) fn hash_names(&self, schema: &Schema) -> Result<Schema> {
        let Some(ring) = &self.ring else {
            return Err(Failure::Named {
                class: "KeysError",
                message: "names are hashed by a secret of a key ring, and these keys are forgotten with the process".into(),
                remedy: Some("keys=FOLDER, or Keys(FOLDER)".into()),
            });
        };
        Ok(ring.hash_names(schema)?)
    }

    /// Remembers that a frame's names may be seen, beside others whose names are hashed.
    pub(super) fn keep_clear(&self, frame: &str) -> Result<()> {
        if let Some(ring) = &self.ring {
            ring.keep_clear(frame)?;
        }
        Ok(())
    }

    /// A head with its names, as far as they are known.
    pub(super) fn revealed(&self, head: FileHead) -> Result<FileHead> {
        match &self.ring {
            Some(ring) => Ok(head.revealed(ring.name_hasher()?.as_ref())),
            None => Ok(head),
        }
    }

    /// What a server has.
    pub(super) fn expanded(&self) -> Result<&ExpandedEvaluationKey> {
        if self.expanded.get().is_none() {
            // Another thread may have been faster, which is as good.
            let _ = self.expanded.set(self.part.expand()?);
        }
        self.expanded.get().ok_or_else(no_expansion)
    }
}

fn no_expansion() -> Failure {
    Failure::Other(format!("the parameter set {SET} has no key for frames"))
}
