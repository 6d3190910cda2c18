//! `cipherfn decrypt`.

use crate::files::{Content, Destination, InputSource};
use crate::query_id::QueryId;
use crate::shared::{Force, Threads};
use crate::table::{self, InputRows, OnError, Predictions, TableOptions};
use crate::terminal::{self, Terminal};
use anyhow::{Context, Result, bail};
use cipherfn_client::{Answer, Asked, Client, Mark, RowsDigest};
use cipherfn_client_http::{KeyRing, KnownQuery};
use cipherfn_protocol::hash::Hash;
use cipherfn_protocol::message::{Chunks, KeyId, Nonce, ReplyChunk};
use std::io::Read;
use std::mem::discriminant;
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
    specs: InputSource,
    /// The key ring that the query was made with
    #[arg(long, value_name = "DIRECTORY")]
    keys: PathBuf,
    /// The reply, - for standard input
    #[arg(long, value_name = "FILE")]
    input: InputSource,
    /// The predictions to write as CSV, - for standard output
    #[arg(short, long, value_name = "FILE")]
    output: Destination,
    /// The rows that the query was made from, for --keep, or where the key ring does not know which
    /// of them are bad (it forgets them once they are decrypted): those have no prediction
    #[arg(long, value_name = "FILE")]
    rows: Option<InputSource>,
    /// Columns of the rows to carry into the predictions, such as an id; may be repeated
    #[arg(long, value_name = "COLUMN", requires = "rows")]
    keep: Vec<String>,
    /// The id of the query, as `encrypt --public-key` showed it where the rows were encrypted: a reply to
    /// another one, or of another number of rows, is refused. A key ring knows its own queries
    #[arg(long, value_name = "ID")]
    query: Option<QueryId>,
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
        self.output.outside(&self.keys)?;
        let ring = KeyRing::at(&self.keys);
        let secret = ring.secret_key(client.parameter_set())?;
        let inputs = [Some(&self.specs), Some(&self.input), self.rows.as_ref()];
        let inputs: Vec<&InputSource> = inputs.into_iter().flatten().collect();
        let mut output = self
            .output
            .create(Content::Text, self.force.force, &inputs)?;
        let reply = self.input.repeatable()?;
        let named = self.recall(&ring, secret.id(), &reply)?;
        let nonce = named.as_ref().map(|(nonce, _)| *nonce);
        let query = named.and_then(|(_, query)| query);
        let asked = query.as_ref().map(|query| Asked {
            nonce,
            rows: query.rows,
        });
        let digest = query.as_ref().and_then(|query| query.digest);
        let known = query.and_then(|query| query.marks).map(Recalled);
        let (mut marks, mut predictions): (Box<dyn Marks>, _) = match &self.rows {
            Some(source) => {
                let (table, _) = self.table.open(source, terminal, "rows")?;
                let (input, predictions) = table::select(&client, table, &self.keep, u64::MAX)?;
                if digest.is_none() {
                    terminal::notice(&format!(
                        "{} knows nothing of the rows of this query: nothing but their number shows that those of --rows are the ones",
                        self.keys.display()
                    ));
                }
                let rows = RowsAgain {
                    client: &client,
                    rows: input,
                    known,
                    bound: digest.map(|digest| (RowsDigest::new(&secret, nonce), digest)),
                };
                (Box::new(rows), predictions)
            }
            None => (
                Box::new(known.unwrap_or_default()),
                Predictions::new(&client, &[])?,
            ),
        };
        let (input, len) = reply.open()?;
        let (input, progress) = terminal.watch(input, len, "decrypting");
        let take = |answers: Vec<Answer>| {
            let own = marks.next(predictions.rows(), answers.len())?;
            let marked = answers.into_iter().zip(own);
            predictions.take(marked.map(|(answer, mark)| answer.marked(mark)).collect())?;
            progress.set_message(format!("{} rows", predictions.rows()));
            Ok::<_, anyhow::Error>(())
        };
        client
            .decrypt(&secret, asked, input, take)
            .with_context(|| self.input.name())?;
        progress.finish_and_clear();
        marks.end()?;
        let (rows, failed) = predictions.finish(&mut output, self.on_error)?;
        output.finish()?;
        if let Some(nonce) = nonce {
            ring.forget(nonce)?;
        }
        let value = serde_json::json!({ "rows": rows, "failed": failed, "columns": client.prediction_columns() });
        terminal
            .beside_data(self.output.is_stdout())
            .summary(&value, || {
                terminal::facts([
                    ("predictions", self.output.name()),
                    ("rows", rows.to_string()),
                ])
            })
    }

    /// The query that the reply answers, and what the key ring knows of it. Replies of version 1
    /// name none, and their queries have no rows that mean nothing; nor does it matter for replies
    /// under another key, which decryption refuses by name.
    fn recall(
        &self,
        ring: &KeyRing,
        key: KeyId,
        reply: &InputSource,
    ) -> Result<Option<(Nonce, Option<KnownQuery>)>> {
        let first = Chunks::<_, ReplyChunk>::new(reply.open()?.0).next();
        let first = first.transpose().with_context(|| self.input.name())?;
        let head = first.map(|(_, chunk)| chunk.head);
        if let (Some(head), Some(asked)) = (head, self.query)
            && head.nonce != Some(asked.nonce)
        {
            bail!(
                "{} answers {}, not query {}; ask for the reply to that one",
                self.input.name(),
                head.nonce.map_or_else(
                    || "a query without id".to_owned(),
                    |nonce| format!("query {nonce}")
                ),
                asked.nonce
            );
        }
        let Some((nonce, public)) = head
            .filter(|head| head.key == key)
            .and_then(|head| Some((head.nonce?, head.public)))
        else {
            return Ok(None);
        };
        let query = ring.recall(nonce)?;
        if public && query.is_none() {
            // The reply alone says so, and whoever passes it on can make it say so: of a query that is not
            // known, which rows there are and whether all of them mean something is for its source to say.
            let Some(asked) = self.query else {
                bail!(
                    "{} says that it answers query {nonce}, of rows that were encrypted elsewhere, under your public key, and {} does not know it; give --query with the id that `encrypt --public-key` showed there, {nonce}- and the number of rows",
                    self.input.name(),
                    self.keys.display()
                );
            };
            let query = KnownQuery {
                rows: asked.rows,
                digest: None,
                marks: None,
            };
            return Ok(Some((nonce, Some(query))));
        }
        if self.rows.is_none() && query.as_ref().is_none_or(|query| query.marks.is_none()) {
            bail!(
                "{} does not know the query that {} answers, or has forgotten it since it was decrypted, and so not which of its rows could not be encoded; give the rows with --rows, or the key ring that encrypted them",
                self.keys.display(),
                self.input.name()
            );
        }
        Ok(Some((nonce, query)))
    }
}

/// What the client knows of a reply's rows.
trait Marks {
    /// Of `count` rows from number `first` on, from 0.
    fn next(&mut self, first: u64, count: usize) -> Result<Vec<Mark>>;

    /// Refuses a reply of fewer rows.
    fn end(&mut self) -> Result<()> {
        Ok(())
    }
}

/// From the rows themselves.
struct RowsAgain<'a, R> {
    client: &'a Client,
    rows: InputRows<R>,
    /// What the key ring says, if it knows.
    known: Option<Recalled>,
    /// Of the rows so far, and of those that the query was made from.
    bound: Option<(RowsDigest, Hash)>,
}

/// From the key ring: marks of the rows that are not sound, by their numbers.
#[derive(Default)]
struct Recalled(Vec<(u64, Mark)>);

const UNEQUAL: &str =
    "the reply has another number of rows than --rows; give the rows that its query was made from";

impl<R: Read> Marks for RowsAgain<'_, R> {
    fn next(&mut self, first: u64, count: usize) -> Result<Vec<Mark>> {
        let rows = self.rows.by_ref().take(count).collect::<Result<Vec<_>>>()?;
        if rows.len() < count {
            bail!(UNEQUAL);
        }
        if let Some((digest, _)) = &mut self.bound {
            digest.take(&rows);
        }
        let marks: Vec<Mark> = self.client.marks(&rows).collect();
        if let Some(known) = &mut self.known {
            // Texts may name the file, which may have been moved.
            let known = known.next(first, count)?;
            let differs = |(one, other): (&Mark, &Mark)| discriminant(one) != discriminant(other);
            if let Some(row) = marks.iter().zip(&known).position(differs) {
                bail!(
                    "row {} of --rows is not the one that the query was made from; give the rows that its query was made from",
                    first + row as u64 + 1
                );
            }
        }
        Ok(marks)
    }

    fn end(&mut self) -> Result<()> {
        if self.rows.next().is_some() {
            bail!(UNEQUAL);
        }
        if let Some((digest, expected)) = self.bound.take()
            && digest.finish() != expected
        {
            bail!(
                "the rows of --rows are not those that the query was made from, in other values or another order; give the rows that its query was made from"
            );
        }
        Ok(())
    }
}

impl Marks for Recalled {
    fn next(&mut self, first: u64, count: usize) -> Result<Vec<Mark>> {
        let mut marks = vec![Mark::Sound; count];
        let known = &self.0[self.0.partition_point(|(row, _)| *row < first)..];
        for (row, mark) in known
            .iter()
            .take_while(|(row, _)| row - first < count as u64)
        {
            marks[(row - first) as usize] = mark.clone();
        }
        Ok(marks)
    }
}
