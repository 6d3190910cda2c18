//! What was uploaded for a training, in a file: how a call goes on that another process has begun.

use crate::error::{Failure, Result};
use crate::service::Service;
use crate::wait::{Stop, Waiting};
use cipherfn_client_http::{SameTraining, UploadedRows};
use pyo3::prelude::*;
use std::fs;
use std::io;
use std::path::PathBuf;

/// The file, whether or not it is there.
pub(super) struct Resumed(pub(super) PathBuf);

impl Resumed {
    /// What an earlier call has uploaded.
    pub(super) fn read(&self) -> Result<Option<UploadedRows>> {
        let bytes = match fs::read(&self.0) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.failed("cannot read", &error)),
        };
        UploadedRows::from_json(&bytes).map(Some).map_err(|error| {
            let path = self.0.display();
            Failure::Argument(format!(
                "{path} remembers no training: {error}; delete the file to begin anew"
            ))
        })
    }

    /// The same of the same training.
    pub(super) fn read_same(&self, same: &SameTraining<'_>) -> Result<Option<UploadedRows>> {
        let Some(uploaded) = self.read()? else {
            return Ok(None);
        };
        if let Some(what) = uploaded.unlike(same) {
            let path = self.0.display();
            return Err(Failure::Argument(format!(
                "{path} is that of another training (the {what} is another one); end that one with cipherfn.train.cancel(client, {path:?}), or give another file"
            )));
        }
        Ok(Some(uploaded))
    }

    pub(super) fn write(&self, uploaded: &UploadedRows) -> Result<()> {
        let written = uploaded.write(&self.0);
        written.map_err(|error| self.failed("cannot write", &error))
    }

    pub(super) fn remove(&self) -> Result<()> {
        fs::remove_file(&self.0).map_err(|error| self.failed("cannot remove", &error))
    }

    fn failed(&self, what: &str, error: &io::Error) -> Failure {
        Failure::Argument(format!("{what} {}: {error}", self.0.display()))
    }
}

/// Ends the training that a file remembers, and deletes its rows at the service and the file. Whether there was
/// one.
#[pyfunction]
#[pyo3(signature = (service, path, tell=None, stop=None))]
pub(crate) fn cancel_training(
    py: Python<'_>,
    service: &Service,
    path: PathBuf,
    tell: Option<Bound<'_, PyAny>>,
    stop: Option<Bound<'_, Stop>>,
) -> PyResult<bool> {
    let (connection, watch) = service.open();
    let resumed = Resumed(path);
    let waiting = Waiting { py, tell, stop };
    waiting.request(&watch, move || async move {
        let Some(uploaded) = resumed.read()? else {
            return Ok(false);
        };
        if uploaded.service != connection.url() {
            return Err(Failure::Argument(format!(
                "{} is of the service at {}; give a client of that",
                resumed.0.display(),
                uploaded.service
            )));
        }
        match connection.cancel_training(&uploaded).await {
            Err(error) if !error.is_of_gone_training() => return Err(error.into()),
            _ => resumed.remove()?,
        }
        Ok(true)
    })
}
