//! What has been uploaded for a training, in a file beside its output: how a run that was ended goes on.

use crate::files::Destination;
use crate::usage::bail_usage;
use anyhow::{Context, Result, bail};
use cipherfn_client_http::{Readers, RowsName, UploadedRows, unfinished_file};
use cipherfn_protocol::api::ModelName;
use cipherfn_protocol::hash::Hash;
use cipherfn_protocol::message::KeyId;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The file, whether or not it is there.
pub(super) struct Unfinished(PathBuf);

/// What must be the same for a run to go on.
pub(super) struct Same<'a> {
    pub(super) service: &'a str,
    pub(super) program: &'a ModelName,
    pub(super) version: Hash,
    pub(super) key: KeyId,
    /// The table's rows, and what weights the training starts from.
    pub(super) rows: RowsName,
}

impl Unfinished {
    pub(super) fn beside(output: &Destination) -> Result<Self> {
        let Destination::File(path) = output else {
            bail_usage!(
                "--service remembers beside its output what has been uploaded: give a file, -o model.onnx"
            );
        };
        let mut name = path.clone().into_os_string();
        name.push(".training");
        Ok(Self(name.into()))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// What an earlier run has uploaded.
    pub(super) fn read(&self) -> Result<Option<UploadedRows>> {
        let bytes = match fs::read(&self.0) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| self.name()),
        };
        let read = UploadedRows::from_json(&bytes);
        let read = read.with_context(|| format!("{}; delete the file to start anew", self.name()));
        read.map(Some)
    }

    /// The same of the same training, or none.
    pub(super) fn read_same(&self, same: &Same<'_>) -> Result<Option<UploadedRows>> {
        let Some(uploaded) = self.read()? else {
            return Ok(None);
        };
        let declared = &uploaded.declaration;
        for (what, is_same) in [
            ("service", uploaded.service == same.service),
            ("program", declared.model == *same.program),
            ("version of the program", declared.specs == same.version),
            ("key", declared.key == same.key),
            ("table", uploaded.table == same.rows.table),
            ("start", uploaded.start == same.rows.start),
        ] {
            if !is_same {
                bail!(
                    "{} is that of another run (the {what} is another one); end that one with --cancel, or give another output",
                    self.name()
                );
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
        written().with_context(|| format!("cannot write {}", self.name()))
    }

    pub(super) fn remove(&self) -> Result<()> {
        fs::remove_file(&self.0).with_context(|| format!("cannot remove {}", self.name()))
    }

    fn name(&self) -> String {
        self.0.display().to_string()
    }
}
