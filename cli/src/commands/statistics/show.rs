//! `cipherfn statistics show`.

use crate::files::{Content, Destination, InputSource};
use crate::shared::Force;
use crate::terminal::Terminal;
use anyhow::Result;
use std::io::Write;
use std::path::PathBuf;

/// Decrypt a total and write means, standard deviations and correlations as CSV
///
/// A line a numeric column. Standard deviations are by the number of rows; correlations with a constant
/// column are empty.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  cipherfn statistics show --spec spec.toml --keys keys/ --input total.cft"
)]
pub(super) struct ShowStatistics {
    /// The spec, TOML, the same for all owners
    #[arg(long, value_name = "FILE")]
    spec: InputSource,
    /// The key ring
    #[arg(long, value_name = "DIRECTORY")]
    keys: PathBuf,
    /// The total, or one contribution
    #[arg(long, value_name = "FILE")]
    input: InputSource,
    /// Where to write the table, - for standard output
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    output: Destination,
    #[command(flatten)]
    force: Force,
}

impl ShowStatistics {
    pub(super) fn run(self, _: Terminal) -> Result<()> {
        let spec = super::read_spec(&self.spec)?;
        let moments = super::open(&self.keys, &spec, &self.input)?;
        let correlations = moments.correlations(&spec);
        self.output.outside(&self.keys)?;
        let inputs = [&self.spec, &self.input];
        let mut output = self
            .output
            .create(Content::Text, self.force.force, &inputs)?;
        let names: Vec<&str> = spec.summed().map(|column| column.name.as_str()).collect();
        let mut csv = csv::Writer::from_writer(Vec::new());
        let header = ["column", "rows", "mean", "deviation"].into_iter();
        csv.write_record(header.chain(names.iter().copied()))?;
        let columns = moments.columns(&spec).into_iter().zip(&correlations);
        for (name, ((mean, deviation), row)) in names.iter().zip(columns) {
            let numbers = [moments.count(), mean, deviation];
            let numbers = numbers.iter().chain(row).map(|number| match number {
                number if number.is_nan() => String::new(),
                number => number.to_string(),
            });
            csv.write_record(std::iter::once((*name).to_owned()).chain(numbers))?;
        }
        output.write_all(&csv.into_inner()?)?;
        output.finish()
    }
}
