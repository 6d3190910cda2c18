//! Keys for predictions on this machine.

use crate::client::ModelClient;
use crate::error::{Failure, Result};
use crate::wait::{Stop, Waiting};
use cipherfn_client::Client;
use cipherfn_client_http::{Existing, KeyRing};
use cipherfn_scheme::{EvaluationKey, SecretKey};
use cipherfn_serving::Key;
use pyo3::prelude::*;
use std::path::PathBuf;
use std::sync::Arc;

/// A secret key, and its evaluation key as a server has it.
#[pyclass(frozen)]
pub(crate) struct Keys {
    pub(crate) secret: Arc<SecretKey>,
    pub(crate) evaluation: Arc<Option<Key>>,
}

#[pymethods]
impl Keys {
    /// Fresh keys that are forgotten afterwards, or those of a key ring, which are made where they are missing.
    #[staticmethod]
    #[pyo3(signature = (model, folder=None, stop=None))]
    fn make(
        py: Python<'_>,
        model: &ModelClient,
        folder: Option<PathBuf>,
        stop: Option<Bound<'_, Stop>>,
    ) -> PyResult<Self> {
        let client = Arc::clone(&model.client);
        let waiting = Waiting {
            py,
            tell: None,
            stop,
        };
        waiting.compute(move |_| make(&client, folder))
    }
}

fn make(client: &Client, folder: Option<PathBuf>) -> Result<Keys> {
    let set = client.parameter_set();
    let needed = client.key_parts().iter();
    let (secret, parts): (_, std::result::Result<Vec<EvaluationKey>, Failure>) = match folder {
        Some(folder) => {
            let ring = KeyRing::at(folder);
            ring.fill(client, Existing::Keep)?;
            let parts = needed.map(|part| Ok(ring.key_part(set, part)?));
            (ring.secret_key(set)?, parts.collect())
        }
        None => {
            let secret = SecretKey::generate(set)?;
            let parts = needed.map(|part| Ok(EvaluationKey::generate_part(&secret, part.name)?));
            let parts = parts.collect();
            (secret, parts)
        }
    };
    Ok(Keys {
        secret: Arc::new(secret),
        evaluation: Arc::new(Key::of_parts(&parts?)?),
    })
}
