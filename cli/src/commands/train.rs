//! `cipherfn train`.

mod counted;
mod elsewhere;
mod grown;
mod joint;
mod kept;
mod leaves;
mod rows;
mod unfinished;

use crate::connection::Connection;
use crate::files::{Content, Destination, InputSource, Output};
use crate::shared::{Force, Threads};
use crate::table::TableOptions;
use crate::terminal::{self, Terminal};
use crate::trust::TrustArguments;
use crate::usage::bail_usage;
use anyhow::{Context, Result};
use cipherfn_client::training::{DescentRow, RowsEncryption, decrypt_weights};
use cipherfn_client_http::{Existing, KeyRing};
use cipherfn_compiler::write::write_onnx;
use cipherfn_protocol::api::job::JobId;
use cipherfn_protocol::api::trainings::TrainingId;
use cipherfn_protocol::hash::Hash;
use cipherfn_scheme::parameters::{KeyPart, ParameterSet};
use cipherfn_scheme::{EvaluationKey, ExpandedEvaluationKey, SecretKey};
use cipherfn_serving::training::{self, Descent, SET, required_parts};
use cipherfn_training::descent::{
    DescentStart, Simulation, StepNoise, Training, TrainingRows, accuracy, mean_square,
    simulate_from,
};
use cipherfn_training::leaves::LeafTraining;
pub(super) use rows::{read_owner_rows, read_rows};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

/// Of descent kilobytes, of leaves up to some hundred bytes a node.
const MAX_PROGRAM: u64 = 1 << 26;

/// Train on encrypted rows, and write the model as an ONNX file
///
/// Encrypts the rows of a table, runs all steps of gradient descent on ciphertexts, decrypts the weights; or
/// counts rows in the leaves of a program's trees, and decrypts the counts; or counts them in the bins of each
/// column, level by level, and chooses the splits of a tree by the counts. Here, as a server would; with
/// --service a service runs the steps or counts, by a program that is published there. What was uploaded is
/// remembered beside the output, in OUTPUT.training, until there is a model: the same command goes on after
/// an interruption, and --cancel ends it. With --keep-encrypted the weights stay there under the key, for
/// predict --trained and --continue.
#[derive(Debug, clap::Args)]
#[command(
    group = clap::ArgGroup::new("of a service")
        .args(["auth", "token_file", "region", "trust", "specs", "accept_specs"])
        .multiple(true)
        .requires("service"),
    after_help = "Examples:\n  cipherfn train --program training.cfn --input train.csv -o model.onnx\n  \
                  cipherfn train --program training.cfn --start model.onnx --input later.csv -o newer.onnx\n  \
                  cipherfn train --service https://abc123.execute-api.eu-central-1.amazonaws.com --program risk --keys keys/ --input train.csv -o model.onnx\n  \
                  cipherfn train --service https://abc123.execute-api.eu-central-1.amazonaws.com --program risk --keys keys/ --input train.csv --keep-encrypted -o kept.json"
)]
pub(crate) struct Train {
    /// The program of compile-training; with --service, the name under which it is published
    #[arg(long, value_name = "FILE|NAME")]
    program: InputSource,
    /// The rows as CSV with a header, Parquet or Arrow, - for CSV on standard input
    #[arg(long, value_name = "FILE", required_unless_present_any = ["cancel", "joint"])]
    input: Option<InputSource>,
    /// Column of the classes or numbers, if its name is not the spec's
    #[arg(long, value_name = "COLUMN")]
    target: Option<String>,
    /// The linear classifier whose weights descent starts from, as an ONNX file: of the program's columns and
    /// classes, from an earlier training or from scikit-learn [default: weights of zero]
    #[arg(long, value_name = "MODEL")]
    start: Option<InputSource>,
    /// The key ring; without it keys are made and forgotten, which with --service cannot be
    #[arg(long, value_name = "DIRECTORY")]
    keys: Option<PathBuf>,
    /// The model to write, - for standard output; with --keep-encrypted what there is to know of the kept
    /// weights, as JSON
    #[arg(short, long, value_name = "FILE")]
    output: Destination,
    #[command(flatten)]
    threads: Threads,
    #[command(flatten)]
    force: Force,
    #[command(flatten)]
    format: TableOptions,
    /// Let the service at this address train
    #[arg(long, value_name = "URL", help_heading = "Service")]
    service: Option<String>,
    /// End the training that an earlier run has begun for this output
    #[arg(long, requires = "service", help_heading = "Service")]
    cancel: bool,
    /// Leave the weights encrypted at the service, for as long as the job lives
    #[arg(long, requires = "service", help_heading = "Service")]
    keep_encrypted: bool,
    /// Train on from the weights that an earlier training has left there, by its job: with further rows, at the
    /// rate that its steps have led to
    #[arg(
        long = "continue",
        value_name = "JOB",
        requires = "service",
        conflicts_with = "start",
        help_heading = "Service"
    )]
    go_on: Option<JobId>,
    /// Train on the rows that owners have added to this training (cipherfn joint), by its id, and on those of
    /// --input if it is given
    #[arg(
        long,
        value_name = "TRAINING",
        requires = "service",
        conflicts_with_all = ["start", "go_on"],
        help_heading = "Service"
    )]
    joint: Option<TrainingId>,
    /// Write weights of rows of owners although nobody can tell whether their steps have kept to the table
    #[arg(long, requires = "joint", help_heading = "Service")]
    unproven: bool,
    #[command(flatten, next_help_heading = "Service")]
    connection: Connection,
    #[command(flatten, next_help_heading = "Service")]
    trust: TrustArguments,
}

/// What steps on these rows add.
pub(super) fn noise(training: &Training, rows: &[DescentRow]) -> Result<StepNoise> {
    let mean = mean_square(training, rows);
    Ok(training::noise(
        training,
        ParameterSet::by_name(SET)?,
        mean,
    )?)
}

/// The simulation of a training on these rows.
fn simulated(
    (training, start): (&Training, &DescentStart),
    rows: &TrainingRows,
    input: &InputSource,
) -> Result<Simulation> {
    let noise = noise(training, &rows.rows)?;
    simulate_from(training, &rows.rows, &noise, start).with_context(|| input.name())
}

/// What a training is made of.
struct Given<'a> {
    training: &'a Training,
    start: &'a DescentStart,
    rows: &'a TrainingRows,
    simulated: &'a Simulation,
    secret: &'a SecretKey,
}

impl Given<'_> {
    /// The weights of a result, fractions of the torus: those of these rows, or none.
    fn weights(&self, trained: &Trained<'_>) -> Result<Vec<Vec<f64>>> {
        let Self {
            training,
            start,
            rows: TrainingRows { rows, .. },
            secret,
            ..
        } = self;
        let named = (rows.len(), trained.rows_hash);
        let weights = decrypt_weights(secret, training, named, trained.result)?;
        training.require_weights_of(rows, &noise(training, rows)?, start, &weights)?;
        Ok(weights)
    }
}

/// What came of it.
struct Trained<'a> {
    /// What names the encrypted rows.
    rows_hash: Hash,
    /// The state after the last step.
    result: &'a [u8],
    upload_bytes: u64,
    seconds: f64,
}

impl Train {
    pub(crate) fn run(self, terminal: Terminal) -> Result<()> {
        self.threads.apply()?;
        let terminal = terminal.beside_data(self.output.is_stdout());
        match (&self.service, self.joint) {
            (Some(url), Some(id)) if !self.cancel => self.jointly(url, id, terminal),
            (Some(url), _) => self.elsewhere(url, terminal),
            (None, _) => self.here(terminal),
        }
    }

    fn here(&self, terminal: Terminal) -> Result<()> {
        let Some(input) = &self.input else {
            bail_usage!("give --input FILE");
        };
        if let Some(keys) = &self.keys {
            self.output.outside(keys)?;
        }
        let program = self.program.read_all(MAX_PROGRAM)?;
        if LeafTraining::is_program(&program) {
            if self.start.is_some() {
                bail_usage!(
                    "--start is for descent, and {} refits leaves",
                    self.program.name()
                );
            }
            return self.leaves(&program, input, terminal);
        }
        let training = Training::from_json(&program).with_context(|| self.program.name())?;
        let inputs: Vec<_> = [&self.program, input]
            .into_iter()
            .chain(&self.start)
            .collect();
        let output = self
            .output
            .create(Content::Binary, self.force.force, &inputs)?;
        let target = self.target.as_deref();
        let rows = read_rows(&training, target, &self.format, input, terminal)?;
        let start = self.start_of(&training)?;
        let simulated = simulated((&training, &start), &rows, input)?;
        let parts = required_parts(ParameterSet::by_name(SET)?)?;
        let (secret, key) = keys(self.keys.as_deref(), &parts)?;
        let secret = Arc::new(secret);
        let encryption = self.encryption(&secret, (&training, &start), &rows)?;
        let upload_bytes = encryption.bytes();
        let (upload, rows_hash) = encryption.upload()?;
        let began = Instant::now();
        let mut descent = Descent::new(&training, &key, upload)?;
        while descent.step(&key)? {}
        let given = Given {
            training: &training,
            start: &start,
            rows: &rows,
            simulated: &simulated,
            secret: &secret,
        };
        let trained = Trained {
            rows_hash,
            result: &descent.finish()?,
            upload_bytes,
            seconds: began.elapsed().as_secs_f64(),
        };
        self.write(&given, &trained, (output, None), terminal)
    }

    /// What the training starts from.
    fn start_of(&self, training: &Training) -> Result<DescentStart> {
        match &self.start {
            Some(model) => rows::read_start(training, model),
            None => Ok(DescentStart::zero(training)),
        }
    }

    /// The rows, and the start where one was given, on their way under a key.
    fn encryption(
        &self,
        secret: &Arc<SecretKey>,
        (training, start): (&Training, &DescentStart),
        rows: &TrainingRows,
    ) -> Result<RowsEncryption> {
        let plain = rows.rows.as_slice().into();
        let encryption = RowsEncryption::new(Arc::clone(secret), training, plain, None)?;
        Ok(if self.is_started() {
            encryption.starting_from(start)?
        } else {
            encryption
        })
    }

    /// Whether the training starts from given weights.
    const fn is_started(&self) -> bool {
        self.start.is_some() || self.go_on.is_some()
    }

    /// What the start says of the rows, where there is one.
    fn started(&self, given: &Given<'_>) -> Option<(String, f64)> {
        let name = match (&self.start, self.go_on) {
            (Some(model), _) => model.name(),
            (None, Some(job)) => format!("training {job}"),
            (None, None) => return None,
        };
        let sets = &given.start.fractions;
        Some((name, accuracy(given.training, sets, &given.rows.rows)))
    }

    /// Checks and decrypts a result, and writes the model.
    fn write(
        &self,
        given: &Given<'_>,
        trained: &Trained<'_>,
        (mut output, whose): (Output, Option<String>),
        terminal: Terminal,
    ) -> Result<()> {
        let Given {
            training,
            start,
            rows,
            simulated,
            ..
        } = given;
        let count = rows.rows.len();
        let schedule = training.schedule_after(start.before, count)?;
        let error = simulated.error / training.weight_deviation(&schedule, 1.0);
        let sets: Vec<Vec<f64>> = given
            .weights(trained)?
            .iter()
            .map(|fractions| training.weights(&schedule, fractions, error))
            .collect();
        output.write_all(&write_onnx(&training.fitted(&sets)))?;
        output.finish()?;
        let right = accuracy(training, &sets, &rows.rows);
        let (steps, seconds) = (schedule.len(), trained.seconds);
        let mut value = serde_json::json!({
            "rows": count,
            "steps": steps,
            "seconds": seconds,
            "upload_bytes": trained.upload_bytes,
            "accuracy": right,
            "simulated_accuracy": simulated.accuracy,
            "weight_deviation": simulated.deviation,
            "clipped": rows.clipped,
        });
        let before = self.start.as_ref().map(|model| {
            let right = accuracy(training, &start.fractions, &rows.rows);
            value["start_accuracy"] = right.into();
            let text = format!(
                "{}: {:.1} % of these rows right",
                model.name(),
                100.0 * right
            );
            ("start", text)
        });
        if whose.is_some() {
            value["version"] = serde_json::to_value(training.hash())?;
        }
        terminal.summary(&value, || {
            let mut facts = vec![
                ("rows", count.to_string()),
                ("upload", terminal::bytes(trained.upload_bytes)),
                ("steps", format!("{steps} in {seconds:.1} s")),
            ];
            facts.extend(before);
            facts.extend([
                (
                    "right",
                    format!(
                        "{:.1} % of these rows; simulated {:.1} %",
                        100.0 * right,
                        100.0 * simulated.accuracy
                    ),
                ),
                ("file", self.output.name()),
            ]);
            facts.extend(whose.map(|whose| ("program", whose)));
            facts.extend(clipped(rows));
            terminal::facts(facts)
        })
    }
}

/// Columns with values outside of their ranges.
pub(super) fn clipped(rows: &TrainingRows) -> impl Iterator<Item = (&'static str, String)> {
    rows.clipped.iter().map(|(column, count)| {
        let values = format!("{count} values of column {column:?} lie outside of its range");
        ("clipped", values)
    })
}

/// A secret key, and what the server has of it.
fn keys(
    ring: Option<&Path>,
    parts: &[&'static KeyPart],
) -> Result<(SecretKey, ExpandedEvaluationKey)> {
    let set = ParameterSet::by_name(SET)?;
    let (secret, made) = if let Some(path) = ring {
        let ring = KeyRing::at(path);
        ring.fill_parts(set, parts, Existing::Keep)?;
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
