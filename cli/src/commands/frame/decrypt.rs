//! `cipherfn frame decrypt`.

use super::columns::{TableOutput, decrypted};
use super::models::LinearModels;
use super::plan::{PlanOptions, precision, prepare, read};
use super::stored::Place;
use crate::files::{Destination, InputSource};
use crate::shared::Force;
use crate::terminal::{self, Terminal};
use anyhow::{Context, Result, bail};
use cipherfn_client::frames::decrypt_total;
use cipherfn_client_http::KeyRing;
use cipherfn_frame::file::FrameReader;
use cipherfn_frame::reply::{MAX_BYTES, Reply};
use cipherfn_scheme::parameters::ParameterSet;
use cipherfn_serving::frames::ColumnPrecision;
use std::io::BufReader;
use std::path::PathBuf;

/// Decrypt the answer of a plan, or a total of owners' sums, to CSV, Parquet or Arrow
///
/// A total (frame total) is decrypted as it is, without --plan and frames: a row a key that has rows, with
/// their number and the sum of each column, all exact. For answers:
///
/// Takes the plan and the frames, of which only the schemas are read: what the answer's columns are
/// follows from them and from the options that frame query was given, and not from what came back. The plan's last steps are taken here where they are
/// the key holder's. Numbers end with the digit in which their guaranteed
/// error begins; how exact each column is, is said beside.
#[derive(Debug, clap::Args)]
#[command(
    mut_arg("rows_a_request", |argument| argument.hide(true)),
    after_help = "Example:\n  cipherfn frame decrypt --plan plan.json sales.cff prices.cff --keys keys/ --input answer.cfa -o answer.csv"
)]
pub(super) struct DecryptFrame {
    /// The frames that the plan names, and tables in the clear or what is public of them
    #[arg(requires = "plan", value_name = "FRAME")]
    frames: Vec<InputSource>,
    /// The plan, JSON or SQL; a total of owners' sums has none
    #[arg(long, value_name = "FILE", requires = "frames")]
    plan: Option<InputSource>,
    #[command(flatten)]
    models: LinearModels,
    #[command(flatten)]
    options: PlanOptions,
    /// The key ring
    #[arg(long, value_name = "DIRECTORY")]
    keys: PathBuf,
    /// The answer, or the total
    #[arg(long, value_name = "FILE")]
    input: InputSource,
    /// Where to write the columns: a name that ends in .parquet or .arrow asks for typed columns, any other
    /// for CSV, - for CSV on standard output
    #[arg(short, long, value_name = "FILE")]
    output: Destination,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    force: Force,
}

impl DecryptFrame {
    pub(super) fn run(self, terminal: Terminal) -> Result<()> {
        match &self.plan {
            Some(plan) => self.answer(plan, terminal),
            None => self.total(terminal),
        }
    }

    /// Decrypts a total of owners' sums.
    fn total(&self, terminal: Terminal) -> Result<()> {
        let (input, _) = self.input.open()?;
        let read = || -> Result<_> {
            let mut file = FrameReader::open(BufReader::new(input))?;
            if file.head().schema.owners().is_none() {
                bail!(
                    "this is a frame with rows, which are not decrypted but by a plan: --plan and the frames say which, and of what --input is the answer"
                );
            }
            file.next_rows()?;
            let set = ParameterSet::by_tag(file.head().parameter_set, "data frame")?;
            let secret = KeyRing::at(&self.keys).secret_key(set)?;
            let table = decrypt_total(&secret, file.head(), file.tables())?;
            Ok((file.head().clone(), table))
        };
        let (head, table) = read().with_context(|| self.input.name())?;
        self.output.outside(&self.keys)?;
        let output = TableOutput::create(&self.output, self.force.force, &[&self.input])?;
        output.write(&table)?;
        let (owners, keys) = (head.schema.owners().unwrap_or_default(), table.rows.len());
        let value = serde_json::json!({ "owners": owners, "rows": keys });
        terminal
            .beside_data(self.output.is_stdout())
            .summary(&value, || {
                terminal::facts([("owners", owners.to_string()), ("rows", keys.to_string())])
            })
    }

    /// Decrypts the answer of a plan.
    fn answer(&self, plan: &InputSource, terminal: Terminal) -> Result<()> {
        let reply = Reply::from_bytes(&self.input.read_all(MAX_BYTES)?)
            .with_context(|| self.input.name())?;
        let given = self
            .place
            .given(&self.frames, &self.models, Some(&self.keys))?;
        // How many rows a sum has, and so how exact it is, follows from what is asked, and not from what the
        // reply says of itself.
        let named = plan.name();
        let inputs = [&self.input, plan];
        let plan = read(plan, &given, &self.models)?;
        let asked = (self.options.sums()?, self.options.demand()?);
        let stage = prepare(&plan, &given, asked).with_context(|| named)?;
        let prepared = &stage.query;
        if reply.rows_per_sum != prepared.rows_per_sum {
            bail!(
                "{} says that it sums {} rows in a ciphertext, and asked like this the plan sums {}; give the --min-bits, --exact or --rows-per-sum that the query was given, if it is the answer of this plan",
                self.input.name(),
                reply.rows_per_sum,
                prepared.rows_per_sum
            );
        }
        if reply.query != prepared.hash {
            bail!(
                "{} is the answer of another plan, or of frames with other schemas or rows, or of another version of a table or model (--specs HASH); give those that it was made of",
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
        let files = match self.place.service {
            Some(_) => &[][..],
            None => self.frames.as_slice(),
        };
        let inputs: Vec<&InputSource> = inputs.into_iter().chain(files).collect();
        let output = TableOutput::create(&self.output, self.force.force, &inputs)?;
        let mut table = decrypted(prepared, &secret, &reply).with_context(|| self.input.name())?;
        if !stage.stage.take(&mut table) {
            bail!(
                "{} holds numbers that the plan cannot make; have the query answered again",
                self.input.name()
            );
        }
        output.write(&table)?;
        let rows = table.rows;
        let value = serde_json::json!({
            "rows": rows.len(),
            "bits": precision(&prepared.columns),
        });
        let fact = |column: &ColumnPrecision| (column.name.clone(), column.worth());
        let columns: Vec<_> = prepared.columns.iter().map(fact).collect();
        terminal
            .beside_data(self.output.is_stdout())
            .summary(&value, || {
                let columns = columns
                    .iter()
                    .map(|(name, worth)| (name.as_str(), worth.clone()));
                let rows = ("rows", rows.len().to_string());
                terminal::facts(std::iter::once(rows).chain(columns))
            })
    }
}
