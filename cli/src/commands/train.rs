//! `cipherfn train`.

use crate::files::{Content, Destination, InputSource};
use crate::shared::{Force, Threads};
use crate::table::TableOptions;
use crate::terminal::{self, Terminal};
use crate::training::Columns;
use anyhow::{Context, Result, bail};
use cipherfn_client::training::{DescentRow, decrypt_weights, encrypt_rows};
use cipherfn_client_http::{Existing, KeyRing};
use cipherfn_compiler::write::write_onnx;
use cipherfn_scheme::parameters::ParameterSet;
use cipherfn_scheme::{EvaluationKey, ExpandedEvaluationKey, SecretKey};
use cipherfn_serving::training::{self, Descent, SET, required_parts};
use cipherfn_training::descent::{StepNoise, Training, accuracy, simulate};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

const MAX_PROGRAM: u64 = 1 << 20;

/// Train on encrypted rows by gradient descent, here, and write the model as an ONNX file
///
/// Encrypts the rows of a table, runs all steps on ciphertexts as a server would, decrypts the weights.
/// Who holds all rows and trusts this machine trains faster without.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  cipherfn train --program training.cfn --input train.csv -o model.onnx"
)]
pub(crate) struct Train {
    /// The program of compile-training
    #[arg(long, value_name = "FILE")]
    program: InputSource,
    /// The rows as CSV with a header, Parquet or Arrow, - for CSV on standard input
    #[arg(long, value_name = "FILE")]
    input: InputSource,
    /// Column of the classes, if its name is not the spec's
    #[arg(long, value_name = "COLUMN")]
    target: Option<String>,
    /// The key ring; without it keys are made and forgotten
    #[arg(long, value_name = "DIRECTORY")]
    keys: Option<PathBuf>,
    /// The model to write, - for standard output
    #[arg(short, long, value_name = "FILE")]
    output: Destination,
    #[command(flatten)]
    threads: Threads,
    #[command(flatten)]
    force: Force,
    #[command(flatten)]
    format: TableOptions,
}

/// Rows in the order of descent.
pub(super) struct TrainingRows {
    pub(super) rows: Vec<DescentRow>,
    /// How many values of a column lie outside of its range.
    clipped: BTreeMap<String, u64>,
}

impl TrainingRows {
    pub(super) fn read(
        training: &Training,
        target: Option<&str>,
        format: &TableOptions,
        source: &InputSource,
        terminal: Terminal,
    ) -> Result<Self> {
        let columns = Columns {
            numbers: training
                .numbers()
                .iter()
                .map(|own| own.name.as_str())
                .collect(),
            texts: vec![target.unwrap_or(&training.target().name)],
        };
        let (mut rows, mut clipped) = (Vec::new(), BTreeMap::new());
        columns.each_row(format, source, terminal, |numbers, texts| {
            let row = rows.len() as u64 + 1;
            let (features, beyond) = training.encode(row, numbers)?;
            for index in beyond {
                *clipped
                    .entry(training.numbers()[index].name.clone())
                    .or_default() += 1;
            }
            let class = training.class(row, texts.first().copied().unwrap_or_default())?;
            rows.push((features, class));
            Ok(())
        })?;
        for (index, column) in training.numbers().iter().enumerate() {
            let mut values = rows.iter().map(|(features, _)| features[index]);
            let first = values.next();
            if values.all(|value| Some(value) == first) {
                bail!(
                    "{}: column {:?} is constant in steps of its range; leave it out of the spec, or narrow the range",
                    source.name(),
                    column.name
                );
            }
        }
        let order = Training::order(rows.len()).into_iter();
        Ok(Self {
            rows: order.map(|place| rows[place].clone()).collect(),
            clipped,
        })
    }
}

/// What steps on these rows add.
pub(super) fn noise(training: &Training, rows: &[DescentRow]) -> Result<StepNoise> {
    let squares = rows.iter().flat_map(|(features, _)| features);
    let squares: f64 = squares.map(|x| f64::from(x * x)).sum();
    let mean = squares / (rows.len() * training.features()).max(1) as f64;
    Ok(training::noise(
        training,
        ParameterSet::by_name(SET)?,
        mean,
    )?)
}

impl Train {
    pub(crate) fn run(self, terminal: Terminal) -> Result<()> {
        self.threads.apply()?;
        let terminal = terminal.beside_data(self.output.is_stdout());
        let training = Training::from_json(&self.program.read_all(MAX_PROGRAM)?)
            .with_context(|| self.program.name())?;
        if let Some(keys) = &self.keys {
            self.output.outside(keys)?;
        }
        let mut output = self.output.create(
            Content::Binary,
            self.force.force,
            &[&self.program, &self.input],
        )?;
        let target = self.target.as_deref();
        let TrainingRows { rows, clipped } =
            TrainingRows::read(&training, target, &self.format, &self.input, terminal)?;
        let simulated = simulate(&training, &rows, &noise(&training, &rows)?)
            .with_context(|| self.input.name())?;
        let (secret, key) = keys(self.keys.as_deref())?;
        let uploads = encrypt_rows(&secret, &training, &rows)?;
        let bytes: usize = uploads.iter().flatten().map(Vec::len).sum();
        let start = Instant::now();
        let mut descent = Descent::new(&training, &key, rows.len(), &uploads)?;
        while descent.step()? {}
        let (steps, _) = descent.progress();
        let weights = descent.finish()?;
        let seconds = start.elapsed().as_secs_f64();
        let schedule = training.schedule(rows.len())?;
        let deviation = simulated.deviation / training.weight_deviation(&schedule, 1.0);
        let sets: Vec<Vec<f64>> = decrypt_weights(&secret, &training, &weights)?
            .iter()
            .map(|fractions| training.weights(&schedule, fractions, deviation))
            .collect();
        output.write_all(&write_onnx(&training.fitted(&sets)))?;
        output.finish()?;
        let right = accuracy(&training, &sets, &rows);
        let value = serde_json::json!({
            "rows": rows.len(),
            "steps": steps,
            "seconds": seconds,
            "upload_bytes": bytes,
            "accuracy": right,
            "simulated_accuracy": simulated.accuracy,
            "weight_deviation": simulated.deviation,
            "clipped": clipped,
        });
        terminal.summary(&value, || {
            let mut facts = vec![
                ("rows", rows.len().to_string()),
                ("upload", terminal::bytes(bytes as u64)),
                ("steps", format!("{steps} in {seconds:.1} s")),
                (
                    "right",
                    format!(
                        "{:.1} % of these rows; simulated {:.1} %",
                        100.0 * right,
                        100.0 * simulated.accuracy
                    ),
                ),
                ("file", self.output.name()),
            ];
            facts.extend(clipped.iter().map(|(column, count)| {
                let values =
                    format!("{count} values of column {column:?} lie outside of its range");
                ("clipped", values)
            }));
            terminal::facts(facts)
        })
    }
}

/// A secret key, and what the server has of it.
fn keys(ring: Option<&Path>) -> Result<(SecretKey, ExpandedEvaluationKey)> {
    let set = ParameterSet::by_name(SET)?;
    let parts = required_parts(set)?;
    let (secret, made) = if let Some(path) = ring {
        let ring = KeyRing::at(path);
        ring.fill_parts(set, &parts, Existing::Keep)?;
        let made = parts.iter().map(|part| ring.key_part(set, part));
        (ring.secret_key(set)?, made.collect::<Result<Vec<_>, _>>()?)
    } else {
        let secret = SecretKey::generate(set)?;
        let made = parts
            .iter()
            .map(|part| EvaluationKey::generate_part(&secret, part.name));
        let made = made.collect::<Result<Vec<_>, _>>()?;
        (secret, made)
    };
    let (expansion, others) = made.split_first().context("no parts of a key")?;
    let mut key = expansion.expand()?;
    for part in others {
        key.add(part)?;
    }
    Ok((secret, key))
}
