//! `cipherfn statistics`: sums over the rows of several owners, and models that follow from them.

mod add;
mod contribute;
mod fit;
mod key;
mod show;

use crate::files::InputSource;
use crate::terminal::Terminal;
use anyhow::{Context, Result, anyhow};
use cipherfn_client::training;
use cipherfn_client_http::KeyRing;
use cipherfn_scheme::parameters::ParameterSet;
use cipherfn_training::{Contribution, Moments, StatisticsSpec};
use std::path::Path;

/// Parameter set of the public keys that are made here.
const SET: &str = "cipherfn-128-n2048-m11-v1";
const MAX_SPEC: u64 = 1 << 20;
/// Largest contribution, and largest public key.
const MAX_FILE: u64 = 16 << 20;

/// Train on rows of several owners: each encrypts sums, the key holder sees their total alone
///
/// All have one spec. Owners encrypt under the key holder's public key, without talking to each other;
/// anybody adds; the key holder decrypts the total and fits a model. An owner who holds all rows
/// needs none of this, and should train at home.
#[derive(Debug, clap::Args)]
pub(crate) struct Statistics {
    #[command(subcommand)]
    command: StatisticsCommand,
}

/// What to do with statistics.
#[derive(Debug, clap::Subcommand)]
enum StatisticsCommand {
    Key(key::PublicKeyOf),
    Contribute(contribute::Contribute),
    Add(add::Add),
    Fit(fit::FitModel),
    Show(show::ShowStatistics),
}

impl Statistics {
    pub(crate) fn run(self, terminal: Terminal) -> Result<()> {
        match self.command {
            StatisticsCommand::Key(command) => command.run(terminal),
            StatisticsCommand::Contribute(command) => command.run(terminal),
            StatisticsCommand::Add(command) => command.run(terminal),
            StatisticsCommand::Fit(command) => command.run(terminal),
            StatisticsCommand::Show(command) => command.run(terminal),
        }
    }
}

fn read_spec(source: &InputSource) -> Result<StatisticsSpec> {
    let text = String::from_utf8(source.read_all(MAX_SPEC)?)
        .map_err(|_| anyhow!("{} is not UTF-8", source.name()))?;
    StatisticsSpec::from_toml(&text).with_context(|| source.name())
}

fn read_contribution(source: &InputSource) -> Result<Contribution> {
    Contribution::from_file_bytes(&source.read_all(MAX_FILE)?).with_context(|| source.name())
}

/// The total, decrypted with the key ring's secret key.
fn open(keys: &Path, spec: &StatisticsSpec, source: &InputSource) -> Result<Moments> {
    let total = read_contribution(source)?;
    let set =
        ParameterSet::by_tag(total.parameter_set, "contribution").with_context(|| source.name())?;
    let secret = KeyRing::at(keys).secret_key(set)?;
    training::open(&secret, spec, &total).with_context(|| source.name())
}
