//! What was uploaded for a training, in a file: how a call goes on that another process has begun.

use super::descent::Given;
use crate::error::{Failure, Result};
use crate::service::Service;
use crate::wait::{Stop, Waiting};
use cipherfn_client_http::{Readers, RowsName, ServiceError, UploadedRows, unfinished_file};
use cipherfn_protocol::api::{ModelName, ProblemType};
use cipherfn_protocol::hash::Hash;
use cipherfn_protocol::message::KeyId;
use pyo3::prelude::*;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The file, whether or not it is there.
pub(super) struct Resumed(pub(super) PathBuf);

impl Resumed {
    /// What an earlier call has uploaded.
    fn read(&self) -> Result<Option<UploadedRows>> {
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

    /// The same of the same training: by this program and key, on these rows, from this start.
    pub(super) fn read_same(
        &self,
        service: &str,
        (program, key): (&ModelName, KeyId),
        given: &Given,
    ) -> Result<Option<UploadedRows>> {
        let Some(uploaded) = self.read()? else {
            return Ok(None);
        };
        let (declared, rows) = (&uploaded.declaration, given.name());
        for (what, is_same) in [
            ("service", uploaded.service == service),
            ("program", declared.model == *program),
            (
                "version of the program",
                declared.specs == given.training.hash(),
            ),
            ("key", declared.key == key),
            ("table", uploaded.table == rows.table),
            ("start", uploaded.start == rows.start),
        ] {
            if !is_same {
                let path = self.0.display();
                return Err(Failure::Argument(format!(
                    "{path} is that of another training (the {what} is another one); end that one with cipherfn.train.cancel(client, {path:?}), or give another file"
                )));
            }
        }
        Ok(Some(uploaded))
    }

    pub(super) fn write(&self, uploaded: &UploadedRows) -> Result<()> {
        let written = || {
            let parent = self.0.parent().filter(|path| !path.as_os_str().is_empty());
            let mut file = unfinished_file(parent.unwrap_or(Path::new(".")), Readers::Owner)?;
            file.write_all(&serde_json::to_vec_pretty(uploaded)?)?;
            file.persist(&self.0).map_err(|error| error.error)?;
            Ok::<_, io::Error>(())
        };
        written().map_err(|error| self.failed("cannot write", &error))
    }

    pub(super) fn remove(&self) -> Result<()> {
        fs::remove_file(&self.0).map_err(|error| self.failed("cannot remove", &error))
    }

    fn failed(&self, what: &str, error: &io::Error) -> Failure {
        Failure::Argument(format!("{what} {}: {error}", self.0.display()))
    }
}

impl Given {
    /// Names rows and start, in the clear: for files that do not leave this machine.
    pub(super) fn name(&self) -> RowsName {
        let rows = self.rows.rows.iter().flat_map(|(features, class)| {
            let features = features.iter().flat_map(|value| value.to_le_bytes());
            features.chain((*class as u64).to_le_bytes())
        });
        let fractions = self.start.fractions.iter().flatten();
        let start = fractions
            .flat_map(|fraction| fraction.to_le_bytes())
            .chain(self.start.before.to_le_bytes());
        RowsName {
            table: Hash::of(&rows.collect::<Vec<u8>>()),
            start: self
                .is_started
                .then(|| Hash::of(&start.collect::<Vec<u8>>())),
        }
    }
}

/// Whether the service has nothing left of a training, or will do nothing with it.
pub(super) fn is_over(error: &ServiceError) -> bool {
    matches!(error, ServiceError::TrainingFailed { .. }) || is_gone(error)
}

/// Whether the service has nothing left of it.
pub(super) fn is_gone(error: &ServiceError) -> bool {
    error.problem().is_some_and(|problem| {
        matches!(
            problem.kind,
            ProblemType::UploadMissing
                | ProblemType::UnknownJob
                | ProblemType::JobExpired
                | ProblemType::UnknownProgram
                | ProblemType::StaleProgram
        )
    })
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
            Err(error) if !is_gone(&error) => return Err(error.into()),
            _ => resumed.remove()?,
        }
        Ok(true)
    })
}
