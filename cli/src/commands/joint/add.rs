//! `cipherfn joint add`.

use super::read_public_key;
use super::sums::require_first;
use crate::commands::train::{clipped, read_owner_rows};
use crate::connection::Connection;
use crate::files::InputSource;
use crate::grants::{GrantTrust, fingerprint};
use crate::shared::{Threads, block_on};
use crate::table::TableOptions;
use crate::terminal::{self, Terminal, Unit};
use anyhow::{Context, Result, bail};
use cipherfn_client::Accept;
use cipherfn_client::training::RowsEncryption;
use cipherfn_client_http::{KeyRing, public_key_hash};
use cipherfn_training::TrainingProgram;
use cipherfn_training::descent::OwnerShares;
use std::sync::Arc;

/// Encrypt an owner's rows and add them to somebody else's training, or their sums to a total, by a grant of its
/// key holder
///
/// The rows do not leave this machine but encrypted under the key holder's public key. Values outside of a
/// column's range count as its ends, and how many did is reported. All rows are added, or none.
#[derive(Debug, clap::Args)]
#[command(
    mut_arg("rows_a_request", |argument| argument.hide(true)),
    after_help = "Example:\n  cipherfn joint add --grant north.grant --key public.cfu --input rows.csv --service https://abc123.execute-api.eu-central-1.amazonaws.com"
)]
pub(super) struct AddOwnRows {
    /// The grant
    #[arg(long, value_name = "FILE")]
    grant: InputSource,
    #[command(flatten)]
    trust: GrantTrust,
    /// The key holder's public key, which came with it
    #[arg(long, value_name = "FILE")]
    key: InputSource,
    /// The rows as CSV with a header, Parquet or Arrow, - for CSV on standard input
    #[arg(long, value_name = "FILE")]
    pub(super) input: InputSource,
    /// Column of the classes, if its name is not the program's
    #[arg(long, value_name = "COLUMN")]
    pub(super) target: Option<String>,
    /// Add the rows beside others that were added by the grant before: the same table again counts twice; not for
    /// totals, to which each tenant contributes once
    #[arg(long)]
    pub(super) more: bool,
    /// Add the rows even if a few of them decide the weights, by the program's decay or penalty
    #[arg(long)]
    pub(super) uneven: bool,
    /// Contribute to no total of fewer owners, by what its grant says
    #[arg(long, value_name = "N")]
    pub(super) least_owners: Option<u32>,
    /// Address of the service
    #[arg(long, value_name = "URL")]
    service: String,
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    threads: Threads,
    #[command(flatten)]
    pub(super) format: TableOptions,
}

impl AddOwnRows {
    pub(super) fn run(self, terminal: Terminal) -> Result<()> {
        self.threads.apply()?;
        let grant = self.trust.read(&self.grant)?;
        let Some(terms) = grant.grant.target.training() else {
            bail!(
                "{} is for a frame: cipherfn frame add adds rows by it",
                self.grant.name()
            );
        };
        self.require_terms(terms)?;
        let (public, file) = read_public_key(&self.key)?;
        if public_key_hash(&file) != terms.public_key || public.id() != terms.key {
            bail!(
                "{} is not the public key that {} names; ask the key holder for the file that came with the grant",
                self.key.name(),
                self.grant.name()
            );
        }
        let added = block_on(async {
            let service = self.connection.open(&self.service).await?;
            // A table that is encrypted anew is other rows to the service, which would add them.
            let stand = service.training_grant(&grant).await?;
            require_first(&stand)?;
            if stand.rows > 0 && !self.more {
                bail!(
                    "{} rows were added by this grant before, and nothing was sent now: the same table again would count twice; give --more if these are other rows",
                    stand.rows
                );
            }
            // The grant says which version: nothing has to be remembered.
            let pins = tempfile::tempdir()?;
            let pins = KeyRing::at(pins.path().join("pins"));
            let accept = Accept::Specs(terms.specs);
            let program = service.any_program(&terms.program, &pins, &accept).await?;
            let training = match program.training {
                TrainingProgram::Statistics(spec) => {
                    let by = (&grant, terms, &public);
                    self.add_sums(&service, by, &spec, terminal).await?;
                    return Ok(None);
                }
                TrainingProgram::Frame(schema) => {
                    let by = (&grant, terms, &public);
                    self.add_tables(&service, by, &schema, terminal).await?;
                    return Ok(None);
                }
                other => other.descent()?,
            };
            let target = self.target.as_deref();
            let rows = read_owner_rows(&training, target, &self.format, &self.input, terminal)?;
            let shares = training.shares(rows.rows.len())?;
            if !self.uneven {
                shares.require_even().context(
                    "nothing was sent; ask the key holder for another program, or give --uneven if the weights may tell of these rows",
                )?;
            }
            let plain = rows.rows.as_slice().into();
            let encryption = RowsEncryption::new(Arc::new(public), &training, plain, None)
                .with_context(|| self.input.name())?;
            let progress = terminal.progress(Some(encryption.bytes()), Unit::Bytes, "uploading");
            let added = service.add_training_rows(&grant, encryption, |bytes| {
                progress.set_position(bytes);
            });
            let added = added.await;
            progress.finish_and_clear();
            Ok::<_, anyhow::Error>(Some((added?, rows, shares)))
        })?;
        let Some((status, rows, shares)) = added else {
            return Ok(());
        };
        let mut value = serde_json::to_value(&status)?;
        value["clipped"] = serde_json::to_value(&rows.clipped)?;
        let OwnerShares { alone, worst } = shares;
        value["rows_that_count"] = alone.counting.into();
        value["largest_share"] = alone.largest.into();
        value["rows_that_count_at_worst"] = worst.counting.into();
        value["largest_share_at_worst"] = worst.largest.into();
        value["signed_by"] = serde_json::to_value(grant.key)?;
        value["public_key"] = serde_json::to_value(terms.public_key)?;
        terminal.report(&value, || {
            let most = status.most_rows.unwrap_or_default();
            let left = format!(
                "{} rows, {}",
                most.saturating_sub(status.rows),
                terminal::bytes(status.bytes.saturating_sub(status.bytes_used))
            );
            let mut facts = vec![
                ("training", terms.training.to_string()),
                ("rows", rows.rows.len().to_string()),
                // Of few, the weights tell of single rows.
                (
                    "rows that count",
                    format!(
                        "{:.0}, at worst {:.0} beside rows of others",
                        alone.counting, worst.counting
                    ),
                ),
                (
                    "largest share",
                    format!(
                        "{:.2} % for one row, at worst {:.2} %",
                        100.0 * alone.largest,
                        100.0 * worst.largest
                    ),
                ),
                ("added by the grant", status.rows.to_string()),
                ("left of it", left),
                ("expires", terminal::date(status.expires)),
                ("signed by", grant.key.to_string()),
                ("public key", fingerprint(terms.public_key)),
            ];
            facts.extend(clipped(&rows));
            terminal::facts(facts)
        })
    }
}
