//! `cipherfn statistics`: sums over the rows of several owners, and models that follow from them.

mod add;
mod contribute;
mod fit;
mod key;
mod show;

use crate::files::InputSource;
use crate::table::TableOptions;
use crate::terminal::Terminal;
use crate::training::Columns;
use anyhow::{Context, Result, anyhow};
use cipherfn_client::training;
use cipherfn_client_http::KeyRing;
use cipherfn_scheme::parameters::ParameterSet;
use cipherfn_training::{Contribution, Moments, StatisticsSpec, Sums, Target};
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

/// A spec as it is written, TOML, or as compile-training has made a program of it.
fn read_spec(source: &InputSource) -> Result<StatisticsSpec> {
    let bytes = source.read_all(MAX_SPEC)?;
    if StatisticsSpec::is_program(&bytes) {
        return StatisticsSpec::from_json(&bytes).with_context(|| source.name());
    }
    let text = String::from_utf8(bytes).map_err(|_| anyhow!("{} is not UTF-8", source.name()))?;
    StatisticsSpec::from_toml(&text).with_context(|| source.name())
}

/// An owner's sums over the rows of a table.
pub(super) fn read_sums<'a>(
    spec: &'a StatisticsSpec,
    (input, format): (&InputSource, &TableOptions),
    terminal: Terminal,
) -> Result<Sums<'a>> {
    let class = match spec.target() {
        Target::Class(class) => Some(class),
        Target::None | Target::Number(_) => None,
    };
    let texts = spec.categories().iter().chain(class);
    let columns = Columns {
        numbers: spec.summed().map(|own| own.name.as_str()).collect(),
        texts: texts.map(|own| own.name.as_str()).collect(),
    };
    let mut sums = Sums::new(spec);
    columns.each_row(format, input, terminal, |numbers, texts| {
        Ok(sums.add(numbers, texts)?)
    })?;
    Ok(sums)
}

/// Columns with values outside of their ranges.
pub(super) fn clipped_of(sums: &Sums<'_>) -> Vec<(&'static str, String)> {
    let clipped = sums.clipped().map(|(column, count)| {
        let values = format!("{count} values of column {column:?} lie outside of its range");
        ("clipped", values)
    });
    clipped.collect()
}

/// The same for programs.
pub(super) fn clipped_json(sums: &Sums<'_>) -> serde_json::Value {
    let clipped = sums.clipped();
    let clipped: serde_json::Map<_, _> = clipped
        .map(|(column, count)| (column.to_owned(), count.into()))
        .collect();
    clipped.into()
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
