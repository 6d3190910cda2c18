//! An owner's sums, contributed to a total.

use super::add::AddOwnRows;
use crate::commands::frame::{left_out, sum_rows};
use crate::commands::statistics::{clipped_json, clipped_of, read_sums};
use crate::grants::fingerprint;
use crate::terminal::{self, Terminal};
use crate::usage::bail_usage;
use anyhow::{Context, Result, bail};
use cipherfn_client::training::contribute;
use cipherfn_client_http::{OwnSums, Service};
use cipherfn_frame::schema::Schema;
use cipherfn_protocol::api::grant::{SignedGrant, TrainingTerms};
use cipherfn_protocol::api::grants::{Contributor, GrantStatus};
use cipherfn_scheme::public::PublicKey;
use cipherfn_training::{StatisticsSpec, SummedSchema};

/// What became of cells or rows that are not as the program has them: a field of the JSON, and facts.
type Told = (
    (&'static str, serde_json::Value),
    Vec<(&'static str, String)>,
);

impl AddOwnRows {
    /// Sums the table by the spec that the grant names, and contributes the encrypted sums.
    pub(super) async fn add_sums(
        &self,
        service: &Service,
        (grant, terms, public): (&SignedGrant, &TrainingTerms, &PublicKey),
        spec: &StatisticsSpec,
        terminal: Terminal,
    ) -> Result<()> {
        let sums = read_sums(spec, (&self.input, &self.format), terminal)?;
        let contribution = contribute(public, spec, &sums)?;
        let own = OwnSums {
            program: contribution.spec,
            key: contribution.key,
            rows: sums.rows(),
            file: contribution.to_file_bytes().into(),
        };
        let told = (("clipped", clipped_json(&sums)), clipped_of(&sums));
        contribute_to((service, grant, terms), (&own, told), terminal).await
    }

    /// The same of sums by the keys of a frame.
    pub(super) async fn add_tables(
        &self,
        service: &Service,
        (grant, terms, public): (&SignedGrant, &TrainingTerms, &PublicKey),
        schema: &SummedSchema,
        terminal: Terminal,
    ) -> Result<()> {
        let read = Schema::from_json(schema.json()).context("the schema of the total")?;
        let sums = sum_rows(&read, (&self.input, &self.format), terminal)?;
        let (rows, without_key) = (sums.rows(), sums.without_key());
        let own = OwnSums {
            program: schema.hash(),
            key: public.id(),
            rows,
            file: sums.encrypt(public)?.into(),
        };
        let facts = left_out(without_key).into_iter().collect();
        let told = (("without_key", without_key.into()), facts);
        contribute_to((service, grant, terms), (&own, told), terminal).await
    }

    /// That a grant is for what this owner asks for.
    pub(super) fn require_terms(&self, terms: &TrainingTerms) -> Result<()> {
        if terms.least_owners.is_some() {
            const OF_ROWS: &str = "is for rows of a training, and this is a total of sums";
            for (option, is_given, why) in [
                ("--target", self.target.is_some(), OF_ROWS),
                ("--uneven", self.uneven, OF_ROWS),
                (
                    "--more",
                    self.more,
                    "adds rows to others, and each tenant contributes to a total once",
                ),
            ] {
                if is_given {
                    bail_usage!("{option} {why}; leave it out");
                }
            }
        }
        self.require_owners(terms)
    }

    /// That what a grant promises is what this owner asks for.
    fn require_owners(&self, terms: &TrainingTerms) -> Result<()> {
        let Some(asked) = self.least_owners else {
            return Ok(());
        };
        match terms.least_owners {
            Some(least) if least >= asked => Ok(()),
            Some(least) => bail!(
                "the grant is for a total of {least} owners at least, and --least-owners asks for {asked}; nothing was sent"
            ),
            None => bail!(
                "--least-owners is for totals of sums, and the grant is for rows of a training; nothing was sent"
            ),
        }
    }
}

/// That nobody has contributed to a total so that this owner cannot by its grant: told before anything is summed or
/// sent: encrypted anew the same sums are another file.
pub(super) fn require_first(stand: &GrantStatus) -> Result<()> {
    match stand.contributed {
        None => Ok(()),
        Some(Contributor::Caller) => bail!(
            "you have contributed to this total before, and nothing was sent now: each tenant contributes once; if that was wrong, the key holder can remove it (cipherfn joint revoke --drop-rows) and sign another grant"
        ),
        Some(Contributor::Another) => bail!(
            "another tenant has contributed by this grant, and nothing was sent now: a grant of a total is for one contribution; ask the key holder for a grant of your own, and tell it if nobody else was to have this one"
        ),
    }
}

/// Uploads sums and says what was contributed.
async fn contribute_to(
    (service, grant, terms): (&Service, &SignedGrant, &TrainingTerms),
    (own, ((name, number), more)): (&OwnSums, Told),
    terminal: Terminal,
) -> Result<()> {
    let status = service.add_sums(grant, own).await?;
    let mut value = serde_json::to_value(&status)?;
    value["sums_of_rows"] = own.rows.into();
    value["least_owners"] = terms.least_owners.into();
    value[name] = number;
    value["signed_by"] = serde_json::to_value(grant.key)?;
    value["public_key"] = serde_json::to_value(terms.public_key)?;
    terminal.report(&value, || {
        let least = terms.least_owners.unwrap_or_default();
        let mut facts = vec![
            ("total", terms.training.to_string()),
            ("sums", format!("of {} rows", own.rows)),
            ("size", terminal::bytes(own.file.len() as u64)),
            (
                "owners",
                format!("{least} at least, the key holder not among them"),
            ),
            ("expires", terminal::date(status.expires)),
            ("signed by", grant.key.to_string()),
            ("public key", fingerprint(terms.public_key)),
        ];
        facts.extend(more);
        terminal::facts(facts)
    })
}
