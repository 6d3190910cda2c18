//! `cipherfn joint declare`.

use super::terms::DeclaredTerms;
use crate::connection::Connection;
use crate::files::{Content, Destination};
use crate::shared::{Force, block_on};
use crate::terminal::{self, Terminal};
use crate::trust::TrustArguments;
use crate::usage::bail_usage;
use anyhow::Result;
use cipherfn_client_http::{Existing, KeyRing};
use cipherfn_protocol::api::ModelName;
use cipherfn_scheme::parameters::ParameterSet;
use cipherfn_scheme::public::PublicKey;
use cipherfn_serving::training::SET;
use std::io::Write;
use std::path::PathBuf;

/// Declare a training that owners may add rows to, and make the public key for them
///
/// It counts as a job of yours and lives as long as one. A key ring without a secret key gets one.
#[derive(Debug, clap::Args)]
#[command(
    mut_arg("rows_a_request", |argument| argument.hide(true)),
    after_help = "Example:\n  cipherfn joint declare --service https://abc123.execute-api.eu-central-1.amazonaws.com --program risk --keys keys/ -o public.cfu"
)]
pub(super) struct DeclareTraining {
    /// The program of compile-training, by the name under which it is published
    #[arg(long, value_name = "NAME")]
    program: ModelName,
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
            let fetched = service.program(&self.program, &ring, &accept).await?;
            let version = fetched.training.hash();
            let status = service.declare_training((&self.program, version), &public);
            let status = status.await?;
            let named = (&self.program, version);
            let own = DeclaredTerms::new(status.training, named, (public.id(), &file));
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
            terminal::facts([
                ("training", status.training.to_string()),
                ("program", status.program.to_string()),
                ("version", status.specs.short()),
                ("public key", self.output.name()),
                ("expires", terminal::date(status.expires)),
            ])
        })
    }
}
