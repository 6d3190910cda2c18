//! `cipherfn joint grant` and `revoke`.

use super::read_public_key;
use super::terms::DeclaredTerms;
use crate::connection::Connection;
use crate::files::{Content, Destination, InputSource};
use crate::grants::{expires_in, grant_id, tell};
use crate::shared::{Force, block_on};
use crate::signing::SigningArguments;
use crate::terminal::{self, Terminal};
use anyhow::{Result, bail};
use cipherfn_client_http::public_key_hash;
use cipherfn_protocol::api::frames::MAX_PIECES;
use cipherfn_protocol::api::grant::{Grant, GrantId, GrantTarget, TenantId, TrainingTerms};
use cipherfn_protocol::api::grants::Revocation;
use cipherfn_protocol::api::trainings::{MAX_TRIES, TrainingId};
use std::io::Write;

/// Let an owner add rows to a training, or its sums to a total, and nothing else
///
/// Writes a grant that this signing key signs: whoever has it, and the public key that it names, may add so
/// many rows of so many bytes until it runs out (cipherfn joint add). It shows nothing of other owners. Give it
/// away as you would a password, or name the tenant who may use it.
#[derive(Debug, clap::Args)]
#[command(
    mut_arg("rows_a_request", |argument| argument.hide(true)),
    after_help = "Example:\n  cipherfn joint grant 0f1e2d3c4b5a69788796a5b4c3d2e1f0 --service https://abc123.execute-api.eu-central-1.amazonaws.com --key public.cfu --rows 1000 -o north.grant"
)]
pub(super) struct GrantRows {
    /// The training, as `cipherfn joint declare` told it
    training: TrainingId,
    /// Address of the service
    #[arg(long, value_name = "URL")]
    service: String,
    /// The public key that the owner encrypts under
    #[arg(long, value_name = "FILE")]
    key: InputSource,
    /// What the training was declared as, which `cipherfn joint declare` has written [default: KEY.training]
    #[arg(long, value_name = "FILE")]
    terms: Option<InputSource>,
    /// Rows that may be added, or that the sums may be of
    #[arg(long, value_name = "N", default_value = "1000", value_parser = clap::value_parser!(u64).range(1..))]
    rows: u64,
    /// Megabytes that these may have together
    #[arg(long, value_name = "MB", default_value = "100", value_parser = clap::value_parser!(u32).range(1..=1074))]
    megabytes: u32,
    /// Days after which it can no longer be used
    #[arg(long, value_name = "DAYS", default_value = "7", value_parser = clap::value_parser!(u16).range(1..=7))]
    days: u16,
    /// The tenant who may use it, as `cipherfn frame list` tells that tenant [default: anybody who has
    /// the grant]
    #[arg(long, value_name = "TENANT")]
    to: Option<TenantId>,
    /// The grant to write, - for standard output
    #[arg(short, long, value_name = "FILE")]
    output: Destination,
    #[command(flatten)]
    signing: SigningArguments,
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    force: Force,
}

/// End a grant of a training: nobody adds anything by it any more
#[derive(Debug, clap::Args)]
#[command(
    mut_arg("rows_a_request", |argument| argument.hide(true)),
    after_help = "Example:\n  cipherfn joint revoke 0f1e2d3c4b5a69788796a5b4c3d2e1f0 --grant 0f3c5a... --service https://abc123.execute-api.eu-central-1.amazonaws.com"
)]
pub(super) struct RevokeRows {
    /// The training
    training: TrainingId,
    /// The grant, as `cipherfn joint show` shows it
    #[arg(long, value_name = "ID")]
    grant: GrantId,
    /// Remove the rows or sums that were added by it, too
    #[arg(long)]
    drop_rows: bool,
    /// Address of the service
    #[arg(long, value_name = "URL")]
    service: String,
    #[command(flatten)]
    connection: Connection,
}

impl GrantRows {
    pub(super) fn run(self, terminal: Terminal) -> Result<()> {
        let (public, file) = read_public_key(&self.key)?;
        let terms = DeclaredTerms::read(self.terms.as_ref(), &self.key)?;
        for (what, found, expected) in [
            (
                "training",
                terms.training.to_string(),
                self.training.to_string(),
            ),
            ("key", terms.key.to_string(), public.id().to_string()),
        ] {
            if found != expected {
                bail!(
                    "{} goes with {what} {found}, and this is {what} {expected}; give the files of one joint declare",
                    self.key.name()
                );
            }
        }
        terms.require_key(&file)?;
        let id = grant_id()?;
        let developer = self.signing.file(None)?.developer()?;
        developer.introduce();
        let grant = block_on(async {
            let service = self.connection.open(&self.service).await?;
            let training = service.training(self.training).await?;
            terms.require(&training)?;
            let grant = developer.sign_grant(Grant {
                id,
                owner: training.tenant,
                target: GrantTarget::Training(TrainingTerms {
                    training: terms.training,
                    program: terms.program,
                    specs: terms.specs,
                    key: terms.key,
                    public_key: public_key_hash(&file),
                    rows: self.rows,
                    least_owners: terms.least_owners,
                }),
                to: self.to,
                objects: terms.least_owners.map_or(MAX_PIECES as u32, |_| MAX_TRIES),
                bytes: u64::from(self.megabytes) * 1_000_000,
                expires: expires_in(self.days)?,
            });
            let inputs = [&self.key];
            let mut output = self
                .output
                .create(Content::Text, self.force.force, &inputs)?;
            service.offer_training_grant(&grant).await?;
            writeln!(output, "{}", grant.to_json()?)?;
            output.finish()?;
            Ok(grant)
        })?;
        let terms = &grant.grant;
        let value = serde_json::json!({
            "grant": terms.id,
            "training": self.training,
            "rows": self.rows,
            "bytes": terms.bytes,
        });
        let target = terms.target.training();
        let what = match target.and_then(|terms| terms.least_owners) {
            None => format!("{} rows", self.rows),
            Some(least) => format!(
                "sums of {} rows, to a total of {least} owners at least",
                self.rows
            ),
        };
        let allows = format!("{what}, {}", terminal::bytes(terms.bytes));
        tell((&grant, allows), &self.output, &value, terminal)
    }
}

impl RevokeRows {
    pub(super) fn run(self, terminal: Terminal) -> Result<()> {
        let revocation = Revocation {
            grant: self.grant,
            drop_rows: self.drop_rows,
        };
        let status = block_on(async {
            let service = self.connection.open(&self.service).await?;
            let revoked = service.revoke_training_grant(self.training, &revocation);
            Ok::<_, anyhow::Error>(revoked.await?)
        })?;
        terminal.report(&status, || {
            terminal::facts([
                ("grant", format!("{} is revoked", self.grant)),
                match status.least_owners {
                    None => ("rows of the training", status.rows.to_string()),
                    Some(_) => ("owners of the total", status.owners.len().to_string()),
                },
            ])
        })
    }
}
