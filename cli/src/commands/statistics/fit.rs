//! `cipherfn statistics fit`.

use crate::files::{Content, Destination, InputSource};
use crate::shared::Force;
use crate::terminal::{self, Terminal};
use crate::usage::bail_usage;
use anyhow::Result;
use cipherfn_compiler::write::write_onnx;
use cipherfn_training::fit::Fit;
use std::io::Write;
use std::path::PathBuf;

/// Decrypt a total and fit a model to it, as an ONNX file
///
/// The same total serves every model, and every penalty. ONNX Runtime takes the file, and `cipherfn compile`
/// does but for `standardise`, which is a preparation of rows and no model.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  cipherfn statistics fit ridge --penalty 10 --spec spec.toml --keys keys/ --input total.cft -o model.onnx"
)]
pub(super) struct FitModel {
    /// What to fit
    model: Model,
    /// The spec, TOML, the same for all owners
    #[arg(long, value_name = "FILE")]
    spec: InputSource,
    /// The key ring
    #[arg(long, value_name = "DIRECTORY")]
    keys: PathBuf,
    /// The total, or one contribution
    #[arg(long, value_name = "FILE")]
    input: InputSource,
    /// The model to write, - for standard output
    #[arg(short, long, value_name = "FILE")]
    output: Destination,
    /// Penalty of ridge on the square of the weights [default: 1]
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    penalty: Option<f64>,
    /// Number of principal components [default: one a column]
    #[arg(long, value_name = "COUNT")]
    components: Option<usize>,
    /// Part of the largest variance that naive Bayes adds to all of them [default: 1e-9]
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    smoothing: Option<f64>,
    /// What naive Bayes adds to the count of each category [default: 1]
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    alpha: Option<f64>,
    #[command(flatten)]
    force: Force,
}

/// Models that follow from statistics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Model {
    /// Linear regression
    Linear,
    /// Linear regression with a penalty on the weights
    Ridge,
    /// Linear discriminant analysis
    Discriminant,
    /// Naive Bayes: Gaussian for numbers, categorical for categories
    NaiveBayes,
    /// Principal component analysis
    Components,
    /// Columns less their mean, divided by their standard deviation
    Standardise,
}

impl FitModel {
    pub(super) fn run(self, terminal: Terminal) -> Result<()> {
        for (option, given, model) in [
            ("--penalty", self.penalty.is_some(), Model::Ridge),
            ("--components", self.components.is_some(), Model::Components),
            ("--smoothing", self.smoothing.is_some(), Model::NaiveBayes),
            ("--alpha", self.alpha.is_some(), Model::NaiveBayes),
        ] {
            if given && self.model != model {
                bail_usage!("{option} is not for this model; leave it out");
            }
        }
        let spec = super::read_spec(&self.spec)?;
        let moments = super::open(&self.keys, &spec, &self.input)?;
        let fit = match self.model {
            Model::Linear => Fit::Linear { penalty: 0.0 },
            Model::Ridge => Fit::Linear {
                penalty: self.penalty.unwrap_or(1.0),
            },
            Model::Discriminant => Fit::Discriminant,
            Model::NaiveBayes => Fit::NaiveBayes {
                smoothing: self.smoothing.unwrap_or(1e-9),
                alpha: self.alpha.unwrap_or(1.0),
            },
            Model::Components => Fit::Components {
                count: self.components.unwrap_or(spec.numbers().len()),
            },
            Model::Standardise => Fit::Standardise,
        };
        let model = fit.of(&spec, &moments)?;
        self.output.outside(&self.keys)?;
        let inputs = [&self.spec, &self.input];
        let mut output = self
            .output
            .create(Content::Binary, self.force.force, &inputs)?;
        output.write_all(&write_onnx(&model))?;
        output.finish()?;
        let value = serde_json::json!({ "rows": moments.count(), "error": moments.error() });
        terminal
            .beside_data(self.output.is_stdout())
            .summary(&value, || {
                terminal::facts([
                    ("rows", moments.count().to_string()),
                    (
                        "error",
                        format!("{:.1e} rows in each sum, at most", moments.error()),
                    ),
                    ("file", self.output.name()),
                ])
            })
    }
}
