//! Programs of sums: specs of statistics and schemas of frames, as they are published.

use super::CompileTraining;
use crate::commands::frame::read_summed;
use crate::files::Content;
use crate::terminal::{self, Terminal};
use anyhow::{Context, Result};
use cipherfn_protocol::hash::Hash;
use cipherfn_training::{Contribution, Moments, StatisticsSpec};
use std::io::Write;

impl CompileTraining {
    /// Checks a spec of statistics, and writes its program.
    pub(super) fn statistics(&self, text: &str, terminal: Terminal) -> Result<()> {
        let spec = StatisticsSpec::from_toml(text).with_context(|| self.spec.name())?;
        let mut output = self
            .output
            .create(Content::Text, self.force.force, &[&self.spec])?;
        output.write_all(spec.canonical())?;
        output.finish()?;
        let sums = Moments::words(&spec);
        let bytes = Contribution::file_bytes(sums);
        let value = serde_json::json!({
            "name": spec.name(),
            "version": spec.hash(),
            "rows": spec.rows(),
            "sums": sums,
            "bytes": bytes,
        });
        terminal.summary(&value, || {
            terminal::facts([
                ("program", spec.name().to_owned()),
                ("version", spec.hash().short()),
                ("room", format!("{} rows of all owners", spec.rows())),
                ("sums", sums.to_string()),
                ("an owner's upload", terminal::bytes(bytes)),
                ("file", self.output.name()),
            ])
        })
    }

    /// Checks the schema of owners' sums by the keys of a frame, and writes their program.
    pub(super) fn summed(&self, terminal: Terminal) -> Result<()> {
        let schema = read_summed(&self.spec)?;
        let json = schema.to_json()?;
        let mut output = self
            .output
            .create(Content::Text, self.force.force, &[&self.spec])?;
        output.write_all(&json)?;
        output.finish()?;
        let version = Hash::of(&json);
        let value = serde_json::json!({ "name": schema.name(), "version": version });
        terminal.summary(&value, || {
            terminal::facts([
                ("program", schema.name().to_owned()),
                ("version", version.short()),
                ("sums", "by the keys of a frame".to_owned()),
                ("file", self.output.name()),
            ])
        })
    }
}
