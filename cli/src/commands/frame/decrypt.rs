//! `cipherfn frame decrypt`.

use super::plan::Prepared;
use crate::files::{Content, Destination, InputSource};
use crate::shared::Force;
use crate::terminal::Terminal;
use anyhow::{Context, Result, bail};
use cipherfn_client::frames::decrypt_reply;
use cipherfn_client_http::KeyRing;
use cipherfn_frame::reply::{MAX_BYTES, Reply};
use std::path::PathBuf;

/// Decrypt the answer of a plan to CSV
///
/// Takes the plan and the frames, of which only the schemas are read: what the answer's columns are
/// follows from them, and not from what came back.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  cipherfn frame decrypt --plan plan.json sales.cff prices.cff --keys keys/ --input answer.cfa -o answer.csv"
)]
pub(super) struct DecryptFrame {
    /// The frames that the plan names
    #[arg(required = true, value_name = "FRAME")]
    frames: Vec<InputSource>,
    /// The plan, JSON or SQL
    #[arg(long, value_name = "FILE")]
    plan: InputSource,
    /// The key ring
    #[arg(long, value_name = "DIRECTORY")]
    keys: PathBuf,
    /// The answer
    #[arg(long, value_name = "FILE")]
    input: InputSource,
    /// The columns to write as CSV, - for standard output
    #[arg(short, long, value_name = "FILE")]
    output: Destination,
    #[command(flatten)]
    force: Force,
}

impl DecryptFrame {
    pub(super) fn run(self, _: Terminal) -> Result<()> {
        let reply = Reply::from_bytes(&self.input.read_all(MAX_BYTES)?)
            .with_context(|| self.input.name())?;
        let heads = self.frames.iter().map(|source| {
            let head = super::read_head(source)?;
            let rows = head.schema.rows().count.unwrap_or_default();
            Ok((head, rows as usize))
        });
        let heads = heads.collect::<Result<Vec<_>>>()?;
        if reply.rows_per_sum == 0 {
            bail!(
                "{} sums no rows; have the query answered again",
                self.input.name()
            );
        }
        let prepared = Prepared::new(&self.plan, &heads, reply.rows_per_sum)?;
        if reply.query != prepared.hash {
            bail!(
                "{} is the answer of another plan, or of frames with other schemas; give those that it was made of",
                self.input.name()
            );
        }
        let secret = KeyRing::at(&self.keys).secret_key(prepared.set)?;
        if reply.key != secret.id() {
            bail!(
                "{} is encrypted under key {}, the key ring has key {}",
                self.input.name(),
                reply.key,
                secret.id()
            );
        }
        self.output.outside(&self.keys)?;
        let inputs = [&self.input, &self.plan];
        let inputs: Vec<&InputSource> = inputs.into_iter().chain(&self.frames).collect();
        let mut output = self
            .output
            .create(Content::Text, self.force.force, &inputs)?;
        let last = prepared.last();
        let errors: Vec<f64> = prepared.errors.iter().map(|output| output.error).collect();
        let rows = prepared.rows[last.over];
        let words = decrypt_reply(&secret, last, rows, &errors, &reply.ciphertexts)
            .with_context(|| self.input.name())?;
        let answer = &prepared.passes.answer;
        let mut csv = csv::Writer::from_writer(&mut output);
        csv.write_record(answer.columns.iter().map(|column| &column.name))?;
        for row in answer.decode(&words) {
            csv.write_record(row.iter().map(ToString::to_string))?;
        }
        csv.flush()?;
        drop(csv);
        output.finish()
    }
}
