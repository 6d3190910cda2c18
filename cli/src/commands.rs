//! One module a command.

mod bench;
mod compile;
mod completions;
mod decrypt;
mod demo;
mod dev;
mod encrypt;
mod evaluate;
mod function;
mod inspect;
mod keygen;
mod load;
mod models;
mod predict;
mod publish;
mod register;
mod specs;

use crate::terminal::Terminal;
use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use std::num::NonZeroUsize;

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Compile(compile::Compile),
    Inspect(inspect::Inspect),
    Specs(specs::Specs),
    Keygen(keygen::Keygen),
    Encrypt(encrypt::Encrypt),
    Evaluate(evaluate::Evaluate),
    Decrypt(decrypt::Decrypt),
    Predict(predict::Predict),
    Publish(publish::Publish),
    Models(models::Models),
    Register(register::Register),
    Dev(dev::Dev),
    Load(load::Load),
    Bench(bench::Bench),
    Demo(demo::Demo),
    Completions(completions::Completions),
    Function(function::Function),
}

impl Command {
    /// Runs it.
    pub(crate) fn run(self, terminal: Terminal) -> Result<()> {
        match self {
            Self::Compile(command) => command.run(terminal),
            Self::Inspect(command) => command.run(terminal),
            Self::Specs(command) => command.run(terminal),
            Self::Keygen(command) => command.run(terminal),
            Self::Encrypt(command) => command.run(terminal),
            Self::Evaluate(command) => command.run(terminal),
            Self::Decrypt(command) => command.run(terminal),
            Self::Predict(command) => command.run(terminal),
            Self::Publish(command) => command.run(terminal),
            Self::Models(command) => command.run(terminal),
            Self::Register(command) => command.run(terminal),
            Self::Dev(command) => command.run(terminal),
            Self::Load(command) => command.run(terminal),
            Self::Bench(command) => command.run(terminal),
            Self::Demo(command) => command.run(terminal),
            Self::Completions(command) => command.run(terminal),
            Self::Function(command) => command.run(),
        }
    }
}

/// Runs what waits for a network.
pub(crate) fn block_on<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    runtime.context("cannot start the runtime")?.block_on(work)
}

/// The number of threads of parallel work.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Threads {
    /// Threads to use [default: all cores]
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
}

impl Threads {
    /// Sets the number for the whole process; to be called once, before any parallel work.
    fn apply(self) -> Result<()> {
        let Some(threads) = self.threads else {
            return Ok(());
        };
        rayon::ThreadPoolBuilder::new()
            .num_threads(threads.get())
            .build_global()
            .context("cannot start threads")
    }
}

/// Overwriting.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Force {
    /// Overwrite the output if it exists
    #[arg(long)]
    force: bool,
}
