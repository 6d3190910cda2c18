//! What has been uploaded for a training, in a file beside its output: how a run that was ended goes on.

use crate::files::Destination;
use crate::terminal;
use crate::usage::bail_usage;
use anyhow::{Context, Result, bail};
use cipherfn_client_http::{SameTraining, UploadedRows};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The file, whether or not it is there.
pub(super) struct Unfinished(PathBuf);

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

    /// What an error says of a training that another run goes on with.
    pub(super) fn not_over(&self) -> String {
        format!(
            "the training is not over; what was uploaded is remembered in {}: run it again, it goes on",
            self.name()
        )
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

    /// The same of the same training, with which the run goes on, as it says; or none.
    pub(super) fn read_same(&self, same: &SameTraining<'_>) -> Result<Option<UploadedRows>> {
        let Some(uploaded) = self.read()? else {
            return Ok(None);
        };
        if let Some(what) = uploaded.unlike(same) {
            bail!(
                "{} is that of another run (the {what} is another one); end that one with --cancel, or give another output",
                self.name()
            );
        }
        terminal::notice(&format!("goes on with what {} remembers", self.name()));
        Ok(Some(uploaded))
    }

    pub(super) fn write(&self, uploaded: &UploadedRows) -> Result<()> {
        let written = uploaded.write(&self.0);
        written.with_context(|| format!("cannot write {}", self.name()))
    }

    /// Takes the result of a job, by its level from 0, and remembers it before anything is decrypted.
    pub(super) fn take(
        &self,
        uploaded: &mut UploadedRows,
        (level, result): (usize, &[u8]),
    ) -> Result<()> {
        if uploaded.take_result(level, result)? {
            self.write(uploaded)?;
        }
        Ok(())
    }

    pub(super) fn remove(&self) -> Result<()> {
        fs::remove_file(&self.0).with_context(|| format!("cannot remove {}", self.name()))
    }

    fn name(&self) -> String {
        self.0.display().to_string()
    }
}
