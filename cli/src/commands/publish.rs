//! `cipherfn publish`.

use crate::bucket::BucketArguments;
use crate::emulation::{self, KEEP};
use crate::files::Source;
use crate::server;
use crate::shared::block_on;
use crate::terminal::{self, Terminal};
use anyhow::Result;
use cipherfn_protocol::api::ModelName;
use std::num::NonZeroUsize;

/// Publish a bundle: from then on the service answers its queries
///
/// The version becomes the current one. Versions before it stay live for clients that still have
/// their specs, the newest ones first, up to --keep.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  cipherfn publish fraud.cfn --name fraud --bucket my-bucket")]
pub(crate) struct Publish {
    /// The bundle
    bundle: Source,
    /// Name of the model at the service
    #[arg(long, value_name = "NAME")]
    name: ModelName,
    /// Versions of the model that stay live, this one included
    #[arg(long, value_name = "N", default_value_t = KEEP)]
    keep: NonZeroUsize,
    #[command(flatten)]
    bucket: BucketArguments,
}

impl Publish {
    pub(crate) fn run(self, terminal: Terminal) -> Result<()> {
        let bundle = server::read_bundle(&self.bundle)?;
        let model = block_on(async {
            let registry = self.bucket.open().await?;
            emulation::publish(&registry, &self.name, &bundle, self.keep).await
        })?;
        terminal.report(&model, || {
            terminal::facts([
                ("model", self.name.to_string()),
                ("version", bundle.specs_hash().short()),
                ("live versions", model.versions.len().to_string()),
            ])
        })
    }
}
