//! The `cipherfn` command: compile a model, make keys, encrypt rows, evaluate them blindly, decrypt
//! the answers.
//!
//! Each command is a thin module of [`commands`] over the libraries; [`shared`], [`files`] and
//! [`terminal`] hold what they have in common. Exit codes: 0 done, 1 failed, 2 wrong usage.

#![allow(
    rustdoc::invalid_html_tags,
    reason = "doc comments of commands are their help text, where <class> is a placeholder"
)]

mod bucket;
mod columnar;
mod commands;
mod connection;
mod emulation;
mod files;
mod grants;
mod price;
mod public_keys;
mod query_id;
mod remedies;
mod server;
mod shared;
mod signing;
mod table;
mod terminal;
mod training;
mod trust;
mod usage;

use clap::{CommandFactory, Parser};
use commands::Command;
use std::io;
use std::process::ExitCode;
use terminal::{Form, Terminal};

/// Private inference: a server answers encrypted rows with a compiled model and never sees them.
#[derive(Debug, Parser)]
#[command(name = "cipherfn", version, max_term_width = 110, after_help = EXAMPLE)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Results as JSON; errors and remarks as JSON on standard error, one document a line
    #[arg(long, global = true)]
    json: bool,
    /// Only what was asked for, warnings and errors: no progress, no remarks, no summary of what
    /// was written
    #[arg(short, long, global = true)]
    quiet: bool,
}

const EXAMPLE: &str = "\
Example:
  the model's owner
    cipherfn compile model.onnx --calibration train.csv --target target -o fraud.cfn
    cipherfn specs fraud.cfn -o fraud.specs.json
  the client, who keeps keys/secret.cfk
    cipherfn keygen fraud.specs.json -o keys/
    cipherfn encrypt fraud.specs.json --keys keys/ --input rows.csv -o query.cfq
  the server
    cipherfn evaluate fraud.cfn --evaluation-key keys/expansion.cfk --input query.cfq \\
      -o reply.cfr
  the client
    cipherfn decrypt fraud.specs.json --keys keys/ --input reply.cfr -o predictions.csv

Exit codes: 0 done, 1 failed, 2 wrong usage.";

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage::refuse(&error),
    };
    no_core_dumps();
    let terminal = Terminal::new(if cli.json { Form::Json } else { Form::Text }, cli.quiet);
    match cli.command.run(Cli::command, terminal) {
        Ok(()) => ExitCode::SUCCESS,
        // The reader of a pipe has seen enough.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            terminal::error(terminal, &error);
            if usage::is_usage(&error) {
                usage::CODE.into()
            } else {
                ExitCode::FAILURE
            }
        }
    }
}

/// Keeps the memory of a process that may hold a secret key from being written to a file when it
/// crashes. Where the system has no such limit there is nothing to do.
fn no_core_dumps() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, setrlimit};
        let none = Rlimit {
            current: Some(0),
            maximum: Some(0),
        };
        let _ = setrlimit(Resource::Core, none);
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let is = |error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe;
    error
        .chain()
        .any(|cause| cause.downcast_ref::<io::Error>().is_some_and(is))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn arguments_are_consistent() {
        super::Cli::command().debug_assert();
    }
}
