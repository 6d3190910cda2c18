//! `cipherfn evaluate`.

use crate::files::{Content, Destination, InputSource};
use crate::server::{self, Server};
use crate::shared::{Force, Threads};
use crate::terminal::{self, Terminal};
use anyhow::{Context, Result, bail};

/// Answer a query without decrypting it: the server's part
///
/// Needs the bundle, the client's evaluation key and the query, and no secret. Rows stream, one
/// outcome a row.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  cipherfn evaluate fraud.cfn --evaluation-key keys/expansion.cfk --input query.cfq -o reply.cfr"
)]
pub(crate) struct Evaluate {
    /// The bundle
    bundle: InputSource,
    /// The client's evaluation key: a file a part that the model needs; linear models and the keyless
    /// profile need none
    #[arg(long, value_name = "FILE")]
    evaluation_key: Vec<InputSource>,
    /// The query, - for standard input
    #[arg(long, value_name = "FILE")]
    input: InputSource,
    /// The reply to write, - for standard output
    #[arg(short, long, value_name = "FILE")]
    output: Destination,
    #[command(flatten)]
    threads: Threads,
    #[command(flatten)]
    force: Force,
}

impl Evaluate {
    pub(crate) fn run(self, terminal: Terminal) -> Result<()> {
        self.threads.apply()?;
        let bundle = server::read_bundle(&self.bundle)?;
        let parts = self.evaluation_key.iter().map(server::read_key_part);
        let parts = parts.collect::<Result<Vec<_>>>()?;
        let inputs = [&self.bundle, &self.input];
        let inputs: Vec<&InputSource> = inputs.into_iter().chain(&self.evaluation_key).collect();
        let mut output = self
            .output
            .create(Content::Binary, self.force.force, &inputs)?;
        let server = Server::new(&bundle, &parts)?;
        let (input, len) = self.input.open()?;
        let (input, progress) = terminal.watch(input, len, "evaluating");
        let answered = server
            .answer(input, &mut output, |rows| {
                progress.set_message(format!("{rows} rows"));
            })
            .with_context(|| self.input.name())?;
        output.finish()?;
        progress.finish_and_clear();
        let seconds = answered.time.as_secs_f64();
        let value = serde_json::json!({
            "rows": answered.rows,
            "failed": answered.failed,
            "bytes_a_row": answered.reply_row,
            "seconds": seconds,
            "seconds_a_row": seconds / answered.rows as f64,
            "threads": rayon::current_num_threads(),
        });
        terminal
            .beside_data(self.output.is_stdout())
            .summary(&value, || {
                terminal::facts([
                    ("reply", self.output.name()),
                    (
                        "rows",
                        format!(
                            "{}, {} each",
                            answered.rows,
                            terminal::bytes(answered.reply_row)
                        ),
                    ),
                    (
                        "time",
                        format!(
                            "{}, {} a row",
                            terminal::seconds(seconds),
                            terminal::seconds(seconds / answered.rows as f64)
                        ),
                    ),
                ])
            })?;
        if answered.failed > 0 {
            bail!(
                "{} of {} rows failed; the reply says which and why, and answers the others",
                answered.failed,
                answered.rows
            );
        }
        Ok(())
    }
}
