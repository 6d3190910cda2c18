//! `cipherfn function`, hidden: the emulator starts the functions by executing this program again.

use anyhow::{Result, anyhow};
use clap::ValueEnum;

/// Run a function's loop, as its own binary does; for the emulator
#[derive(Debug, clap::Args)]
#[command(hide = true)]
pub(crate) struct Function {
    /// Which function
    name: Name,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Name {
    Specs,
    RegisterKey,
    Infer,
    Jobs,
    Worker,
}

impl Function {
    pub(crate) fn run(self) -> Result<()> {
        crate::shared::block_on(async {
            let done = match self.name {
                Name::Specs => cipherfn_function_specs::run().await,
                Name::RegisterKey => cipherfn_function_register_key::run().await,
                Name::Infer => cipherfn_function_infer::run().await,
                Name::Jobs => cipherfn_function_jobs::run().await,
                Name::Worker => cipherfn_function_worker::run().await,
            };
            done.map_err(|error| anyhow!("{error}"))
        })
    }
}
