//! `cipherfn compile`.

use crate::files::{Content, Destination, InputSource};
use crate::shared::Force;
use crate::table::TableOptions;
use crate::terminal::{self, Terminal};
use crate::usage::bail_usage;
use anyhow::{Context, Result};
use cipherfn_compiler::fit::{FitOptions, Limits};
use cipherfn_compiler::{
    Calibration, ColumnSource, Combiner, CompileError, Decimals, Expected, FeatureMode, Options,
    Prefer, Profile, Report,
};
use cipherfn_report::{Demands, Verdict, page};
use std::io::{Read, Write};

/// Largest model that is read, in bytes.
const MAX_MODEL: u64 = 1 << 31;

/// Compile a model to a bundle
///
/// Reads ONNX models, and what XGBoost (.json, .ubj), LightGBM (.txt) and CatBoost (.json) save.
/// Prints a verdict: fidelity, predicted time, sizes, memory, cost, rows a request, each with a mark
/// (✓ good, ! worth a look, ✗ something has to change), and what would help. The whole report, with
/// what the client specs reveal of the model, is for --verbose, --report and `cipherfn inspect`.
#[derive(Debug, clap::Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an option of the command line"
)]
#[command(after_help = "Examples:
  cipherfn compile model.onnx --calibration train.csv --target target -o fraud.cfn
  cipherfn compile model.json --calibration train.csv --target target --classes no,yes -o m.cfn
  cipherfn compile model.onnx --calibration train.csv --features grid:6 --precision 9 -o m.cfn
  cipherfn compile model.onnx --calibration train.csv --target target --fit lambda -o m.cfn")]
pub(crate) struct Compile {
    /// The model, - for standard input
    model: InputSource,
    /// Rows as CSV: the header names the model's columns, the rows calibrate ranges and check the
    /// compiled model
    #[arg(long, value_name = "FILE")]
    calibration: InputSource,
    /// Column of the calibration rows that the model predicts, once for each prediction: it is no
    /// input, and the report says how well the model does
    #[arg(long, value_name = "COLUMN")]
    target: Vec<String>,
    /// Column of the calibration rows that is left out; may be repeated
    #[arg(long, value_name = "COLUMN")]
    drop: Vec<String>,
    /// The columns in the order of the training, for models that do not name their features; may
    /// be repeated [default: the file's order]
    #[arg(long, value_name = "COLUMN,COLUMN...", value_delimiter = ',')]
    columns: Vec<String>,
    /// The library's own predictions as CSV, one row a row (all columns that the model predicts, or
    /// the first alone): compiling fails if the model's differ
    #[arg(long, value_name = "FILE")]
    expected: Option<InputSource>,
    /// The rows of --expected [default: the calibration rows]
    #[arg(long, value_name = "FILE", requires = "expected")]
    rows: Option<InputSource>,
    /// Least percentage of the calibration rows whose label must stay the model's (without labels, of
    /// a network's classes, their largest score)
    #[arg(long, value_name = "PERCENT", default_value_t = 99.0)]
    min_agreement: f64,
    /// Most error of the scores of a network, kernel machine or the like (root mean square over
    /// the simulated calibration rows), in percent of their range: the cheapest circuit within it
    /// [default: less than 1 where that can be reached; above 1 regressors are refused, and
    /// classifiers that keep their labels compile with a warning]
    #[arg(long, value_name = "PERCENT")]
    max_error: Option<f64>,
    /// Leave out of the specs the relations between columns by which clients mark rows that are like no
    /// calibration row, though each cell is (of networks and kernel machines whose tables such rows
    /// leave)
    #[arg(long)]
    no_relations: bool,
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
    /// Decimals of a column's values, or auto for as many as the calibration rows have: split points
    /// that no such value separates are one, and rows with more decimals are refused; may be
    /// repeated
    #[arg(long, value_name = "COLUMN=N | auto")]
    decimals: Vec<ColumnDecimals>,
    /// Bits of the score range to guarantee [default: as many as keep the labels of all calibration
    /// rows, 7 to 10; 10 for scores without labels; or as many as can be reached]
    #[arg(long, value_name = "BITS")]
    precision: Option<f64>,
    /// What is scarce: balanced (server time), compact (bytes of key and query), keyless (no
    /// evaluation key) or wide (bytes a row in requests of many rows, which share ciphertexts)
    /// [default: balanced; with --fit wide, too, where queries are too large]
    #[arg(long, value_name = "balanced | compact | keyless | wide")]
    profile: Option<Profile>,
    /// Spare time or query bytes (and with them memory) more than the profile does: a byte counts
    /// as what 1 Gbit/s or 10 Mbit/s take for it [default: 100 Mbit/s]
    #[arg(long, value_name = "time | size")]
    prefer: Option<Prefer>,
    /// Compile what fits a function: lambda (1769 MB, 29 s, 4 MB) or memory of the function, time a
    /// row, size of a request, like 1769MB,5s,1MB. Where what is asked for does not fit, fewer bits
    /// and grids are tried, the most faithful first; the report has all tries
    #[arg(long, value_name = "lambda | MEMORY,TIME,SIZE")]
    fit: Option<Limits>,
    /// Names of the classes, in order, for a file of XGBoost or LightGBM, which holds none
    /// [default: 0, 1, ...]
    #[arg(long, value_name = "NAME,NAME...", value_delimiter = ',')]
    classes: Option<Vec<String>>,
    /// Compile one linear layer of a larger ONNX model, by its node's name (`MatMul`, `Gemm`, `Conv`): a
    /// row is what comes into the layer, a token, say
    #[arg(long, value_name = "NODE")]
    layer: Option<String>,
    /// Compile a linear layer's transpose, without its constants: from gradients of the layer's result
    /// to those of its argument
    #[arg(long)]
    transpose: bool,
    /// Predict the standard deviation of the trees' own predictions beside each value or probability
    /// of a forest
    #[arg(long)]
    uncertainty: bool,
    /// Who evaluates trees over other estimators' results (stacking): client (over decrypted results,
    /// with the trees in the specs; at most 1,024 nodes), server (by comparing encrypted results, which
    /// takes a larger key and longer) or auto (client where it can, else server)
    #[arg(long, value_name = "auto | client | server", default_value = "auto")]
    combiner: Combiner,
    /// Write the report to this file too: a page with pictures if it ends in .html, otherwise JSON
    #[arg(long, value_name = "FILE")]
    report: Option<Destination>,
    /// Print the whole report below the verdict
    #[arg(short, long)]
    verbose: bool,
    #[command(flatten)]
    force: Force,
    #[command(flatten, next_help_heading = "Tables")]
    table: TableOptions,
}

impl Compile {
    pub(crate) fn run(self, terminal: Terminal) -> Result<()> {
        let force = self.force.force;
        let inputs = [Some(&self.model), Some(&self.calibration)];
        let inputs = inputs
            .into_iter()
            .chain([self.expected.as_ref(), self.rows.as_ref()]);
        let inputs: Vec<&InputSource> = inputs.flatten().collect();
        let mut output = self.output.create(Content::Binary, force, &inputs)?;
        let report = self
            .report
            .as_ref()
            .map(|report| report.create(Content::Text, force, &inputs))
            .transpose()?;
        let model = self.model.read_all(MAX_MODEL)?;
        let calibration = self.calibration()?;
        let options = self.options()?;
        let progress = terminal.progress(None, terminal::Unit::Rows, "compiling");
        let compiled = match cipherfn_compiler::compile(&model, calibration, &options) {
            // Options have the names that the command line gives them.
            Err(CompileError::Option {
                option,
                found,
                expected,
            }) => bail_usage!("--{option} is {found}; give {expected}"),
            compiled => compiled.with_context(|| self.model.name())?,
        };
        progress.finish_and_clear();
        let demands = Demands::of(&compiled.bundle).with_context(|| self.model.name())?;
        for need in &demands.needs() {
            terminal::notice(need);
        }
        output.write_all(&cipherfn_engine::bundle::write(&compiled.bundle)?)?;
        output.finish()?;
        if let Some(mut report) = report {
            if self.report.as_ref().is_some_and(Destination::is_page) {
                report.write_all(page(&compiled.report, &demands, &compiled.scores).as_bytes())?;
            } else {
                serde_json::to_writer_pretty(&mut report, &compiled.report)?;
                report.write_all(b"\n")?;
            }
            report.finish()?;
        }
        if terminal.is_quiet() {
            for warning in &compiled.report.warnings {
                terminal::warning(warning);
            }
        }
        terminal
            .beside_data(self.output.is_stdout())
            .summary(&compiled.report, || self.text(&compiled.report, &demands))
    }

    /// The verdict, then warnings, or everything.
    fn text(&self, report: &Report, demands: &Demands) -> String {
        let mut text = Verdict::of(report, demands).text(report);
        if self.verbose {
            text = format!("{text}\n\n{report}");
        } else {
            for warning in &report.warnings {
                text = format!("{text}\nwarning     {warning}");
            }
            let more = "\nnote        --verbose shows everything, --report FILE.html with pictures";
            text.push_str(more);
        }
        terminal::wrapped(&text)
    }

    fn calibration(&self) -> Result<Calibration<Box<dyn Read + Send>>> {
        let open = |source: &InputSource| -> Result<(String, Box<dyn Read + Send>)> {
            Ok((source.name(), source.open()?.0))
        };
        let expected = |source: &InputSource| -> Result<_> {
            let (source_name, predictions) = open(source)?;
            Ok(Expected {
                source_name,
                predictions,
                rows: self.rows.as_ref().map(open).transpose()?,
            })
        };
        let (source_name, input) = open(&self.calibration)?;
        Ok(Calibration {
            source_name,
            input,
            format: self.table.told(),
            columns: ColumnSource {
                targets: self.target.clone(),
                dropped: self.drop.clone(),
                order: self.columns.clone(),
            },
            expected: self.expected.as_ref().map(expected).transpose()?,
        })
    }

    fn decimals(&self) -> Result<Decimals> {
        let mut decimals = Decimals::default();
        for own in &self.decimals {
            match own {
                ColumnDecimals::Auto => decimals.auto = true,
                ColumnDecimals::Of(column, count) => {
                    if decimals.columns.insert(column.clone(), *count).is_some() {
                        bail_usage!("--decimals names column {column:?} twice");
                    }
                }
            }
        }
        Ok(decimals)
    }

    fn options(&self) -> Result<Options> {
        let features = match self.features {
            FeatureMode::Exact { .. } => FeatureMode::Exact {
                decoys: self.decoys,
            },
            FeatureMode::Grid { .. } if !self.decimals.is_empty() => {
                bail_usage!(
                    "--decimals makes one of exact split points; a grid has its own: leave one out"
                )
            }
            FeatureMode::Grid { .. } if self.decoys > 0 => {
                bail_usage!(
                    "--decoys hides exact split points among others; a grid has none to hide: leave one out"
                )
            }
            grid @ FeatureMode::Grid { .. } => grid,
        };
        let name = self.name.clone().unwrap_or_else(|| match &self.model {
            InputSource::File(path) => path.file_stem().map_or_else(
                || "model".to_owned(),
                |stem| stem.to_string_lossy().into_owned(),
            ),
            InputSource::Stdin | InputSource::Spooled(_) => "model".to_owned(),
        });
        Ok(Options {
            name,
            features,
            decimals: self.decimals()?,
            precision: self.precision,
            profile: self.profile.unwrap_or(Profile::Balanced),
            prefer: self.prefer,
            classes: self.classes.clone(),
            min_agreement: self.min_agreement / 100.0,
            max_error: self.max_error.map(|percent| percent / 100.0),
            relations: !self.no_relations,
            fit: self.fit.map(|limits| FitOptions {
                limits,
                keeps_profile: self.profile.is_some(),
            }),
            combiner: self.combiner,
            layer: self.layer.clone(),
            transpose: self.transpose,
            uncertainty: self.uncertainty,
        })
    }
}

/// Decimals of a column: `COLUMN=N`, or `auto` for all others.
#[derive(Clone, Debug)]
enum ColumnDecimals {
    Auto,
    Of(String, u32),
}

impl std::str::FromStr for ColumnDecimals {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "auto" {
            return Ok(Self::Auto);
        }
        let parse = |(column, count): (&str, &str)| Some((column.to_owned(), count.parse().ok()?));
        let (column, count) = text
            .rsplit_once('=')
            .and_then(parse)
            .ok_or("give COLUMN=N with N decimals, or auto")?;
        Ok(Self::Of(column, count))
    }
}
