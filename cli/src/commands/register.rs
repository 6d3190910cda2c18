//! `cipherfn register`.

use super::keys;
use crate::connection::Connection;
use crate::shared::block_on;
use crate::terminal::{self, Terminal, Unit};
use crate::trust::TrustArguments;
use anyhow::{Result, bail};
use cipherfn_client::Client;
use cipherfn_client_http::{Existing, Filled, KeyRing, Made};
use cipherfn_client_http::{Registered, Service, Uploaded};
use cipherfn_protocol::api::ModelName;
use cipherfn_protocol::api::v2::KeyStatus;
use cipherfn_protocol::message::KeyId;
use std::path::PathBuf;

/// Register the key ring's evaluation key with a service, look at its registration, or delete it
///
/// An evaluation key has parts. Makes those that the model needs and that are not in the key ring
/// yet, and uploads those that the service does not have. One registration serves every model of
/// the same parameter set that needs the same parts; registering again does no harm, and an
/// interrupted upload goes on where it stopped. The secret key stays in the key ring.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  cipherfn register --service https://abc123.execute-api.eu-central-1.amazonaws.com --model fraud --keys keys/"
)]
pub(crate) struct Register {
    /// Address of the service
    #[arg(long, value_name = "URL")]
    service: String,
    /// A model of the parameter set
    #[arg(long, value_name = "NAME")]
    model: ModelName,
    /// The key ring
    #[arg(long, value_name = "DIRECTORY")]
    keys: PathBuf,
    /// Only say where the registration stands
    #[arg(long, conflicts_with = "delete")]
    status: bool,
    /// Delete the key from the service
    #[arg(long)]
    delete: bool,
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    trust: TrustArguments,
}

impl Register {
    pub(crate) fn run(self, terminal: Terminal) -> Result<()> {
        block_on(self.work(terminal))
    }

    async fn work(&self, terminal: Terminal) -> Result<()> {
        let service = self.connection.open(&self.service).await?;
        let ring = KeyRing::at(&self.keys);
        let accept = self.trust.accept();
        // Only asked about, a key ring that is not there is not made: its name may be mistyped.
        if (self.delete || self.status) && !self.keys.is_dir() {
            bail!(
                "{} is no key ring: there is no such directory; `cipherfn keys --service {}` lists the keys that you have registered",
                self.keys.display(),
                self.service
            );
        }
        let client = service.client(&self.model, &ring, &accept).await?.client;
        if self.delete || self.status {
            let key = ring.secret_key(client.parameter_set())?.id();
            if client.key_parts().is_empty() {
                return not_needed(terminal, key);
            }
            if self.delete {
                service.delete_key(key).await?;
                return keys::deleted(terminal, key);
            }
            return report(terminal, &service.key_status(key).await?);
        }
        fill(&ring, &client, Existing::Keep, terminal)?;
        match register(&service, &ring, &client, terminal).await? {
            Registered::NotNeeded => {
                not_needed(terminal, ring.secret_key(client.parameter_set())?.id())
            }
            Registered::Active(status) | Registered::Uploaded(status) => report(terminal, &status),
        }
    }
}

fn not_needed(terminal: Terminal, key: KeyId) -> Result<()> {
    terminal.report(
        &serde_json::json!({ "key": key, "state": "not-needed" }),
        || "this model needs no evaluation key; nothing is registered".to_owned(),
    )
}

/// Makes the keys that are missing under a progress bar.
pub(crate) fn fill(
    ring: &KeyRing,
    client: &Client,
    existing: Existing,
    terminal: Terminal,
) -> Result<Filled> {
    let progress = terminal.progress(Some(1), Unit::Bytes, "making keys");
    let filled = ring.fill_telling(client, existing, |made: Made| {
        progress.set_length(made.of);
        progress.set_position(made.bytes);
    });
    progress.finish_and_clear();
    Ok(filled?)
}

/// Registers under a progress bar.
pub(crate) async fn register(
    service: &Service,
    ring: &KeyRing,
    client: &Client,
    terminal: Terminal,
) -> Result<Registered> {
    let progress = terminal.progress(Some(1), Unit::Bytes, "registering");
    let registered = service.register(ring, client, |uploaded: Uploaded| {
        progress.set_length(uploaded.of);
        progress.set_position(uploaded.bytes);
    });
    let registered = registered.await;
    progress.finish_and_clear();
    Ok(registered?)
}

fn report(terminal: Terminal, status: &KeyStatus) -> Result<()> {
    terminal.report(status, || {
        let mut facts = vec![
            ("key", status.key.to_string()),
            ("parameters", status.parameter_set.clone()),
        ];
        facts.extend(status.parts.iter().map(|(name, part)| {
            let state = format!("{:?}", part.state).to_lowercase();
            let (size, expires) = (terminal::bytes(part.bytes), terminal::date(part.expires));
            (name.as_str(), format!("{state}, {size}, expires {expires}"))
        }));
        terminal::facts(facts)
    })
}
