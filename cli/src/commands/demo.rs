//! `cipherfn demo`: the whole protocol on a real model, client and server in separate processes.

mod model;
mod outcome;

use crate::terminal::{self, Terminal};
use anyhow::{Context, Result, bail};
use cipherfn_client::{Client, Existing, KeyRing};
use outcome::Outcome;
use std::fs::{self, File};
use std::io::BufWriter;
use std::path::Path;
use std::process::{Command, Stdio};
use std::str::FromStr;
use std::time::{Duration, Instant};

/// Show the whole protocol on a real model: XGBoost, breast cancer, 30 features
///
/// Compiles the model, makes keys, encrypts test rows as the client, evaluates them in another process that gets nothing but bundle,
/// evaluation key and query, decrypts the answers and sets them beside the library's own. Exits with 1 if they disagree by more than the
/// stated precision.
#[allow(clippy::doc_markdown, reason = "the text is for the terminal")]
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  cipherfn demo --rows all")]
pub(crate) struct Demo {
    /// Test rows to run: a number or all
    #[arg(long, value_name = "N", default_value = "20")]
    rows: RowCount,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RowCount {
    First(u64),
    All,
}

impl FromStr for RowCount {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            _ if text == "all" => Ok(Self::All),
            Ok(count) if count > 0 => Ok(Self::First(count)),
            _ => Err("a number above 0, or all".to_owned()),
        }
    }
}

/// One step of the protocol.
struct Step {
    who: &'static str,
    what: &'static str,
    time: Duration,
    bytes: u64,
    of_what: &'static str,
}

impl Demo {
    pub(crate) fn run(self, terminal: Terminal) -> Result<()> {
        let directory = tempfile::Builder::new()
            .prefix("cipherfn-demo-")
            .tempdir()
            .context("cannot make a temporary directory")?;
        let client_side = directory.path().join("client");
        let server_side = directory.path().join("server");
        fs::create_dir(&client_side)?;
        fs::create_dir(&server_side)?;
        let progress = terminal.progress(Some(5), terminal::Unit::Rows, "demo");
        let mut steps = Vec::new();
        let mut step = |who, what, start: Instant, bytes, of_what| {
            steps.push(Step {
                who,
                what,
                time: start.elapsed(),
                bytes,
                of_what,
            });
            progress.inc(1);
        };

        let start = Instant::now();
        let bundle = model::compile()?;
        let bytes = bundle.to_bytes()?;
        fs::write(server_side.join("bundle.cfn"), &bytes)?;
        step("owner", "compile the model", start, bytes.len() as u64, "bundle");

        let start = Instant::now();
        let client = Client::from_specs(&bundle.specs)?;
        let ring = KeyRing::at(client_side.join("keys"));
        ring.fill(&client, Existing::Keep)?;
        let secret = ring.secret_key(client.parameter_set())?;
        let key = server_side.join("evaluation.cfk");
        fs::copy(client_side.join("keys/evaluation.cfk"), &key)?;
        step("client", "make keys", start, size(&key)?, "evaluation key");

        let start = Instant::now();
        let rows = client.rows(model::test_rows()?)?.limit(match self.rows {
            RowCount::First(count) => count,
            RowCount::All => u64::MAX,
        });
        let query = server_side.join("query.cfq");
        let encrypted = client.encrypt(&secret, rows, BufWriter::new(File::create(&query)?), |_| ())?;
        step("client", "encrypt rows", start, client.query_row_bytes() as u64, "a row");

        let seen = files(&server_side)?;
        let start = Instant::now();
        let engine = evaluate_elsewhere(&server_side)?;
        step(
            "server",
            "evaluate rows (process start, key and model loading included)",
            start,
            client.reply_row_bytes() as u64,
            "a row",
        );

        let start = Instant::now();
        let mut predictions = Vec::new();
        let reply = File::open(server_side.join("reply.cfr"))?;
        let decrypted = client.decrypt(&secret, reply, &mut predictions, |_| ())?;
        step("client", "decrypt answers", start, predictions.len() as u64, "predictions");
        progress.finish_and_clear();
        if decrypted.failed > 0 || decrypted.rows != encrypted.rows {
            bail!(
                "the server answered {} of {} rows",
                decrypted.rows - decrypted.failed,
                encrypted.rows
            );
        }

        let outcome = Outcome::new(&client, &predictions, steps, &engine, seen)?;
        terminal.report(&outcome.json(), || outcome.to_string())?;
        outcome.verdict()
    }
}

/// Runs `cipherfn evaluate` in the server's directory: another process, with an empty environment.
fn evaluate_elsewhere(directory: &Path) -> Result<serde_json::Value> {
    let program = std::env::current_exe().context("cannot find the cipherfn command")?;
    let arguments = [
        "--json",
        "evaluate",
        "bundle.cfn",
        "--evaluation-key",
        "evaluation.cfk",
        "--input",
        "query.cfq",
        "-o",
        "reply.cfr",
    ];
    let output = Command::new(program)
        .args(arguments)
        .current_dir(directory)
        .env_clear()
        .stdin(Stdio::null())
        .output()?;
    if !output.status.success() {
        bail!("the server process failed: {}", String::from_utf8_lossy(&output.stderr).trim_end());
    }
    serde_json::from_slice(&output.stdout).context("the server process printed no JSON")
}

fn size(path: &Path) -> Result<u64> {
    Ok(fs::metadata(path)?.len())
}

/// Names and sizes of the files in a directory.
fn files(directory: &Path) -> Result<Vec<(String, u64)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        files.push((entry.file_name().to_string_lossy().into_owned(), entry.metadata()?.len()));
    }
    files.sort();
    Ok(files)
}
