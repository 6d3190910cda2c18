//! `cipherfn decrypt`.

use crate::files::{Content, Destination, Source};
use crate::shared::{Force, Threads};
use crate::table::{self, OnError, Predictions, TableOptions};
use crate::terminal::{self, Terminal};
use anyhow::{Context, Result, bail};
use cipherfn_client::{Answer, Client, InputRow};
use cipherfn_client_http::KeyRing;
use std::path::PathBuf;

/// Decrypt a reply to predictions
///
/// Writes label,probability_<class>... or label,score_<class>... for classifiers, prediction or
/// prediction_<i> for regressors: what the model itself gives, to the precision that the specs
/// state.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  cipherfn decrypt fraud.specs.json --keys keys/ --input reply.cfr -o predictions.csv"
)]
pub(crate) struct Decrypt {
    /// The client specs that the query was made with
    specs: Source,
    /// The key ring that the query was made with
    #[arg(long, value_name = "DIRECTORY")]
    keys: PathBuf,
    /// The reply, - for standard input
    #[arg(long, value_name = "FILE")]
    input: Source,
    /// The predictions to write as CSV, - for standard output
    #[arg(short, long, value_name = "FILE")]
    output: Destination,
    /// The rows that the query was made from: their bad ones are marked as such
    #[arg(long, value_name = "FILE")]
    rows: Option<Source>,
    /// Columns of the rows to carry into the predictions, such as an id; may be repeated
    #[arg(long, value_name = "COLUMN", requires = "rows")]
    keep: Vec<String>,
    /// What becomes of a row that has no prediction
    #[arg(long, value_name = "WHAT", value_enum, default_value_t = OnError::Mark)]
    on_error: OnError,
    #[command(flatten)]
    threads: Threads,
    #[command(flatten)]
    force: Force,
    #[command(flatten, next_help_heading = "Table")]
    table: TableOptions,
}

impl Decrypt {
    pub(crate) fn run(self, terminal: Terminal) -> Result<()> {
        self.threads.apply()?;
        let client = super::encrypt::read_client(&self.specs)?;
        let secret = KeyRing::at(&self.keys).secret_key(client.parameter_set())?;
        let mut output = self.output.create(Content::Text, self.force.force)?;
        let mut rows: Option<Box<dyn Iterator<Item = Result<InputRow>>>> = None;
        let mut predictions = match &self.rows {
            Some(source) => {
                let (table, _) = self.table.open(source, terminal, "rows")?;
                let (input, predictions) = table::select(&client, table, &self.keep, u64::MAX)?;
                rows = Some(Box::new(input));
                predictions
            }
            None => Predictions::new(&client, &[])?,
        };
        let (input, len) = self.input.open()?;
        let (input, progress) = terminal.watch(input, len, "decrypting");
        let take = |answers: Vec<Answer>| {
            let answers = match &mut rows {
                Some(rows) => marked(&client, answers, rows)?,
                None => answers,
            };
            predictions.take(answers)?;
            progress.set_message(format!("{} rows", predictions.rows()));
            Ok::<_, anyhow::Error>(())
        };
        client
            .decrypt(&secret, input, take)
            .with_context(|| self.input.name())?;
        progress.finish_and_clear();
        if rows.is_some_and(|mut rows| rows.next().is_some()) {
            bail!(UNEQUAL);
        }
        let (rows, failed) = predictions.finish(&mut output, self.on_error)?;
        output.finish()?;
        let value = serde_json::json!({ "rows": rows, "failed": failed, "columns": client.prediction_columns() });
        terminal
            .beside_data(self.output.is_stdout())
            .report(&value, || {
                terminal::facts([
                    ("predictions", self.output.name()),
                    ("rows", rows.to_string()),
                ])
            })
    }
}

const UNEQUAL: &str =
    "the reply has another number of rows than --rows; give the rows that its query was made from";

/// Answers with what the client itself knows of their rows.
fn marked(
    client: &Client,
    answers: Vec<Answer>,
    rows: &mut dyn Iterator<Item = Result<InputRow>>,
) -> Result<Vec<Answer>> {
    let rows = rows.take(answers.len()).collect::<Result<Vec<_>>>()?;
    if rows.len() < answers.len() {
        bail!(UNEQUAL);
    }
    let marked = answers.into_iter().zip(client.marks(&rows));
    Ok(marked.map(|(answer, mark)| answer.marked(mark)).collect())
}
