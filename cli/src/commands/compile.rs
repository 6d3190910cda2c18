//! `cipherfn compile`.

use super::Force;
use crate::files::{Content, Destination, Source};
use crate::terminal::Terminal;
use anyhow::{Context, Result, bail};
use cipherfn_compiler::{Calibration, FeatureMode, Options, Profile};
use std::io::Write;

/// Largest model that is read, in bytes.
const MAX_MODEL: u64 = 1 << 30;

/// Compile a model to a bundle
///
/// Reads ONNX models, and what XGBoost (.json, .ubj), LightGBM (.txt) and CatBoost (.json) save.
/// Prints a report: precision guaranteed, predicted time, sizes, and what the client specs reveal
/// of the model.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cipherfn compile model.onnx --calibration train.csv --target target -o fraud.cfn
  cipherfn compile model.json --calibration train.csv --target target --classes no,yes -o m.cfn
  cipherfn compile model.onnx --calibration train.csv --features grid:6 --precision 9 -o m.cfn")]
pub(crate) struct Compile {
    /// The model, - for standard input
    model: Source,
    /// Rows as CSV: the header names the model's columns, the rows calibrate ranges and check the
    /// compiled model
    #[arg(long, value_name = "FILE")]
    calibration: Source,
    /// Column of the calibration rows that is not an input of the model
    #[arg(long, value_name = "COLUMN")]
    target: Option<String>,
    /// The bundle to write, - for standard output
    #[arg(short, long, value_name = "FILE")]
    output: Destination,
    /// Name of the model in specs and report [default: the model's file name]
    #[arg(long)]
    name: Option<String>,
    /// Feature quantisation: exact (the model's own split points, shown in the specs) or grid:BITS
    /// (quantiles of the calibration rows)
    #[arg(long, value_name = "exact | grid:BITS", default_value = "exact")]
    features: FeatureMode,
    /// Split points a feature that no tree uses, mixed into the exact ones
    #[arg(long, value_name = "N", default_value_t = 0)]
    decoys: u32,
    /// Bits of the score range to guarantee [default: 10, or as many as can be reached]
    #[arg(long, value_name = "BITS")]
    precision: Option<f64>,
    /// What is scarce: balanced (server time), compact (bytes of key and query) or keyless (no
    /// evaluation key)
    #[arg(
        long,
        value_name = "balanced | compact | keyless",
        default_value = "balanced"
    )]
    profile: Profile,
    /// Names of the classes, in order, for a file of XGBoost or LightGBM, which holds none
    /// [default: 0, 1, ...]
    #[arg(long, value_name = "NAME,NAME...", value_delimiter = ',')]
    classes: Option<Vec<String>>,
    /// Write the report as JSON to this file too
    #[arg(long, value_name = "FILE")]
    report: Option<Destination>,
    #[command(flatten)]
    force: Force,
}

impl Compile {
    pub(crate) fn run(self, terminal: Terminal) -> Result<()> {
        let force = self.force.force;
        let mut output = self.output.create(Content::Binary, force)?;
        let report = self
            .report
            .as_ref()
            .map(|report| report.create(Content::Text, force))
            .transpose()?;
        let model = self.model.read_all(MAX_MODEL)?;
        let (input, _) = self.calibration.open()?;
        let calibration = Calibration {
            source_name: self.calibration.name(),
            input,
            target: self.target.clone(),
        };
        let options = self.options()?;
        let progress = terminal.progress(None, crate::terminal::Unit::Rows, "compiling");
        let compiled = cipherfn_compiler::compile(&model, calibration, &options)
            .with_context(|| self.model.name())?;
        progress.finish_and_clear();
        output.write_all(&cipherfn_engine::bundle::write(&compiled.bundle)?)?;
        output.finish()?;
        if let Some(mut report) = report {
            serde_json::to_writer_pretty(&mut report, &compiled.report)?;
            report.write_all(b"\n")?;
            report.finish()?;
        }
        terminal
            .beside_data(self.output.is_stdout())
            .report(&compiled.report, || compiled.report.to_string())
    }

    fn options(&self) -> Result<Options> {
        let features = match self.features {
            FeatureMode::Exact { .. } => FeatureMode::Exact {
                decoys: self.decoys,
            },
            FeatureMode::Grid { .. } if self.decoys > 0 => {
                bail!(
                    "--decoys hides exact split points among others; a grid has none to hide: leave one out"
                )
            }
            grid @ FeatureMode::Grid { .. } => grid,
        };
        let name = self.name.clone().unwrap_or_else(|| match &self.model {
            Source::File(path) => path.file_stem().map_or_else(
                || "model".to_owned(),
                |stem| stem.to_string_lossy().into_owned(),
            ),
            Source::Stdin => "model".to_owned(),
        });
        Ok(Options {
            name,
            features,
            precision: self.precision,
            profile: self.profile,
            classes: self.classes.clone(),
        })
    }
}
