//! AWS credentials that a function of Python gives, when they are needed and again when they expire.

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::future::ProvideCredentials as Provided;
use aws_credential_types::provider::{self, ProvideCredentials};
use pyo3::prelude::*;
use std::fmt;
use std::sync::Arc;

/// Calls a function without arguments that gives access key, secret key and session token or `None`.
#[derive(Clone)]
pub(crate) struct FromPython(Arc<Py<PyAny>>);

impl FromPython {
    pub(crate) fn new(function: Py<PyAny>) -> Self {
        Self(Arc::new(function))
    }

    async fn ask(&self) -> provider::Result {
        let function = Arc::clone(&self.0);
        let asked = tokio::task::spawn_blocking(move || {
            Python::attach(|py| {
                let answer = function.call0(py)?;
                answer.extract::<(String, String, Option<String>)>(py)
            })
        });
        let (access, secret, token) = asked
            .await
            .map_err(CredentialsError::unhandled)?
            .map_err(CredentialsError::provider_error)?;
        Ok(Credentials::new(access, secret, token, None, "Python"))
    }
}

impl ProvideCredentials for FromPython {
    fn provide_credentials<'a>(&'a self) -> Provided<'a>
    where
        Self: 'a,
    {
        Provided::new(self.ask())
    }
}

impl fmt::Debug for FromPython {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FromPython")
    }
}
