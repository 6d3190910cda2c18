//! `cipherfn joint declare`.

use super::terms::DeclaredTerms;
use crate::connection::Connection;
use crate::files::{Content, Destination};
use crate::shared::{Force, block_on};
use crate::terminal::{self, Terminal};
use crate::trust::TrustArguments;
use crate::usage::bail_usage;
use anyhow::{Context, Result};
use cipherfn_client_http::{Existing, KeyRing};
use cipherfn_protocol::api::ModelName;
use cipherfn_scheme::parameters::ParameterSet;
use cipherfn_scheme::public::PublicKey;
use cipherfn_serving::training::SET;
use cipherfn_training::{TrainingError, TrainingProgram};
use std::io::Write;
use std::path::PathBuf;

/// Fewest owners of a total, unless it is told: of one it is that owner's sums.
const LEAST_OWNERS: u32 = 2;

/// Declare a training that owners may add rows to, or a total of their sums, and make the public key for them
///
/// It counts as a job of yours and lives as long as one. A key ring without a secret key gets one. By a program of
/// statistics it is a total: owners contribute sums, and joint total takes what they add up to.
#[derive(Debug, clap::Args)]
#[command(
    mut_arg("rows_a_request", |argument| argument.hide(true)),
    after_help = "Example:\n  cipherfn joint declare --service https://abc123.execute-api.eu-central-1.amazonaws.com --program risk --keys keys/ -o public.cfu"
)]
pub(super) struct DeclareTraining {
    /// The program of compile-training, by the name under which it is published
    #[arg(long, value_name = "NAME")]
    program: ModelName,
    /// Of a total, from how many owners it is made at least, you not among them: each grant says it, and the service
    /// gives no total of fewer [default: 2]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=1000))]
    least_owners: Option<u32>,
    /// Address of the service
    #[arg(long, value_name = "URL")]
    service: String,
    /// The key ring
    #[arg(long, value_name = "DIRECTORY")]
    keys: PathBuf,
    /// The public key to write, for all owners; - for standard output
    #[arg(short, long, value_name = "FILE")]
    output: Destination,
    /// What was declared, to write for `cipherfn joint grant` [default: OUTPUT.training]
    #[arg(long, value_name = "FILE")]
    terms: Option<Destination>,
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    trust: TrustArguments,
    #[command(flatten)]
    force: Force,
}

impl DeclareTraining {
    pub(super) fn run(self, terminal: Terminal) -> Result<()> {
        self.output.outside(&self.keys)?;
        let set = ParameterSet::by_name(SET)?;
        let ring = KeyRing::at(&self.keys);
        ring.fill_parts(set, &[], Existing::Keep)?;
        let public = PublicKey::generate(&ring.secret_key(set)?)?;
        let file = public.to_file_bytes();
        let place = self.terms.clone();
        let place = place.or_else(|| DeclaredTerms::beside(&self.output));
        if let Some(place) = &place {
            place.outside(&self.keys)?;
            if place.is_stdout() {
                bail_usage!(
                    "--terms names a file: standard output is for the public key and what was done"
                );
            }
        }
        let force = self.force.force;
        let mut output = self.output.create(Content::Binary, force, &[])?;
        let terms = place.map(|place| DeclaredTerms::create(&place, force));
        let terms = terms.transpose()?;
        let status = block_on(async {
            let service = self.connection.open(&self.service).await?;
            let accept = self.trust.accept();
            let fetched = service.any_program(&self.program, &ring, &accept).await?;
            let named = (&self.program, fetched.training.hash());
            let least = self.least_owners_of(&fetched.training)?;
            let status = match least {
                None => service.declare_training(named, &public).await?,
                Some(least) => service.declare_total(named, &public, least).await?,
            };
            let declared = (status.training, least);
            let own = DeclaredTerms::new(declared, named, (public.id(), &file));
            own.require(&status)?;
            if let Some(terms) = terms {
                own.write(terms)?;
            }
            Ok::<_, anyhow::Error>(status)
        })?;
        output.write_all(&file)?;
        output.finish()?;
        let beside = terminal.beside_data(self.output.is_stdout());
        beside.summary(&status, || {
            let least = status.least_owners;
            let facts = [
                ("training", status.training.to_string()),
                ("program", status.program.to_string()),
                ("version", status.specs.short()),
            ];
            let mut facts = facts.to_vec();
            facts.extend(least.map(|least| ("owners", format!("{least} at least, without you"))));
            facts.extend([
                ("public key", self.output.name()),
                ("expires", terminal::date(status.expires)),
            ]);
            terminal::facts(facts)
        })
    }

    /// Of how many owners a total is to be; nothing where rows are trained on.
    fn least_owners_of(&self, program: &TrainingProgram) -> Result<Option<u32>> {
        match (program, self.least_owners) {
            (TrainingProgram::Statistics(_) | TrainingProgram::Frame(_), least) => {
                Ok(Some(least.unwrap_or(LEAST_OWNERS)))
            }
            (TrainingProgram::Leaves(_), _) => Err(TrainingError::OfTrees.into()),
            (TrainingProgram::Descent(training), None) => {
                training.require_steady().context("nothing was declared")?;
                Ok(None)
            }
            (TrainingProgram::Descent(_), Some(_)) => bail_usage!(
                "--least-owners is for totals of sums, and {} trains on rows; leave it out",
                self.program
            ),
        }
    }
}
