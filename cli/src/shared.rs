//! What several commands have in common.

use anyhow::{Context, Result};
use clap::Args;
use std::num::NonZeroUsize;

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
    pub(crate) fn apply(self) -> Result<()> {
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
    pub(crate) force: bool,
}
