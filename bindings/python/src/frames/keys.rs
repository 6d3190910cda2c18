//! Keys of frames.

use crate::error::{Failure, Result};
use crate::wait::{Stop, Waiting};
use cipherfn_client::frames::SET;
use cipherfn_client_http::{Existing, KeyRing};
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
            let (secret, part) = match folder {
                Some(folder) => {
                    let ring = KeyRing::at(folder);
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
