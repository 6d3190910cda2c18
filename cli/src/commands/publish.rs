//! `cipherfn publish`.

use crate::bucket::BucketArguments;
use crate::emulation::{self, KEEP};
use crate::files::InputSource;
use crate::shared::block_on;
use crate::signing::{KeyFile, SigningArguments};
use crate::terminal::{self, Terminal};
use anyhow::{Result, bail};
use cipherfn_protocol::api::{ModelName, PublishedKind};
use cipherfn_service::Registry;
use std::num::NonZeroUsize;

/// Publish a bundle, whose queries the service answers from then on, or a training program
///
/// The version becomes the current one. Versions before it stay live for clients that still have
/// their specs, the newest ones first, up to --keep. The specs are signed with the developer's
/// signing key: clients take newer specs of the model under the same key, and no others.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  cipherfn publish fraud.cfn --name fraud --bucket my-bucket")]
pub(crate) struct Publish {
    /// The bundle, or the program of compile-training
    bundle: InputSource,
    /// Name of the model or program at the service
    #[arg(long, value_name = "NAME")]
    name: ModelName,
    /// Versions of the model that stay live, this one included
    #[arg(long, value_name = "N", default_value_t = KEEP)]
    keep: NonZeroUsize,
    /// Publish with a key other than the model's before: its clients refuse the specs until they
    /// trust the new one
    #[arg(long)]
    new_developer: bool,
    #[command(flatten)]
    signing: SigningArguments,
    #[command(flatten)]
    bucket: BucketArguments,
}

impl Publish {
    pub(crate) fn run(self, terminal: Terminal) -> Result<()> {
        let version = emulation::read_published(&self.name, &self.bundle)?;
        let file = self.signing.file(self.bucket.local())?;
        let (developer, model) = block_on(async {
            let registry = self.bucket.open().await?;
            let named = (&self.name, version.kind);
            check_developer(&registry, named, &file, self.new_developer).await?;
            let developer = file.developer()?;
            developer.introduce();
            let name = &self.name;
            let model =
                emulation::publish(&registry, name, &version, &developer, self.keep).await?;
            Ok((developer, model))
        })?;
        let mut value = serde_json::to_value(&model)?;
        value["developer"] = serde_json::to_value(developer.public())?;
        let kind = version.kind.to_string();
        terminal.summary(&value, || {
            terminal::facts([
                (kind.as_str(), self.name.to_string()),
                ("version", version.hash.short()),
                ("live versions", model.versions.len().to_string()),
                ("signed by", developer.public().to_string()),
            ])
        })
    }
}

/// Refuses to publish what clients would refuse, and one kind under the name of another. What cannot be
/// read is written over.
pub(crate) async fn check_developer(
    registry: &Registry,
    (name, kind): (&ModelName, PublishedKind),
    file: &KeyFile,
    new_developer: bool,
) -> Result<()> {
    let Ok(Some(known)) = registry.model(name).await else {
        return Ok(());
    };
    known.takes(kind)?;
    if let Some(signed) = known.statement()
        && !new_developer
        && file.known()?.map(|own| own.public()) != Some(signed.key)
    {
        bail!(
            "{kind} {name} is signed by {}, which is not this signing key, so its clients would refuse these specs; give its developer's key with --signing-key FILE, or --new-developer and tell clients the new key",
            signed.key
        );
    }
    Ok(())
}
