//! `cipherfn completions`.

use crate::terminal::Terminal;
use anyhow::Result;
use clap_complete::Shell;

/// Print a shell's completion script
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  cipherfn completions bash > ~/.local/share/bash-completion/completions/cipherfn"
)]
pub(crate) struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(self, mut program: clap::Command, terminal: Terminal) -> Result<()> {
        // Through a buffer: the generator panics when a pipe is closed.
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut program, "cipherfn", &mut script);
        let script = String::from_utf8(script)?;
        terminal.report(
            &serde_json::json!({ "shell": self.shell.to_string(), "script": script }),
            || script.clone(),
        )
    }
}
