//! `cipherfn frame encrypt`.

use super::names;
use super::rows::{each_of_schema, read_schema};
use crate::files::{Content, Destination, InputSource};
use crate::grants::read_grant;
use crate::shared::{Force, Threads};
use crate::table::TableOptions;
use crate::terminal::{self, Terminal};
use anyhow::{Context, Result, bail};
use cipherfn_client::frames::{EncryptedFile, SET, Tables};
use cipherfn_client_http::{Existing, KeyRing};
use cipherfn_frame::cells::Units;
use cipherfn_frame::schema::{NameForm, Rows, Schema};
use cipherfn_protocol::api::grant::GrantTarget;
use cipherfn_protocol::specs::{BaseLog, Gadget, Levels};
use cipherfn_scheme::parameters::ParameterSet;
use std::path::PathBuf;

/// Encrypt a table by a schema
///
/// CSV, Parquet or Arrow. Columns are matched by name. Keys that the key ring lacks are made. The table
/// is read twice, some thousand rows in memory.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  cipherfn frame encrypt --schema sales.toml --keys keys/ --input sales.csv -o sales.cff"
)]
pub(super) struct EncryptFrame {
    /// The schema, TOML
    #[arg(long, value_name = "FILE", required_unless_present = "grant")]
    schema: Option<InputSource>,
    /// In place of a schema, a grant of columns of somebody else's frame: the rows are those of the frame,
    /// all of them, in its order
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = ["schema", "with_key", "pad_to", "hash_names"]
    )]
    grant: Option<InputSource>,
    /// The key ring
    #[arg(long, value_name = "DIRECTORY")]
    keys: PathBuf,
    /// The rows: CSV whose first line names the columns, Parquet or Arrow; - for standard input
    #[arg(long, alias = "rows", value_name = "FILE")]
    input: InputSource,
    /// The frame to write, - for standard output
    #[arg(short, long, value_name = "FILE")]
    output: Destination,
    /// Let the file carry the evaluation key, so that it alone suffices for a server
    #[arg(long)]
    with_key: bool,
    /// Rows to pad to, which hides how many there are
    #[arg(long, value_name = "ROWS")]
    pad_to: Option<u64>,
    /// Send keyed hashes in place of the frame's name, names of columns and texts of dictionaries, as
    /// hash-names = true in the schema asks for too. The secret is made in the key ring (names.key)
    #[arg(long)]
    hash_names: bool,
    /// Digits of selectors: more levels make results more exact and slower. All frames of a query
    /// have the same
    #[arg(long, value_name = "BASExLEVELS", default_value = "6x4", value_parser = gadget)]
    gadget: Gadget,
    #[command(flatten)]
    format: TableOptions,
    #[command(flatten)]
    threads: Threads,
    #[command(flatten)]
    force: Force,
}

impl EncryptFrame {
    pub(super) fn run(self, terminal: Terminal) -> Result<()> {
        self.threads.apply()?;
        let (mut schema, parts) = self.schema()?;
        if self.hash_names {
            schema = schema.to_be_hashed();
        }
        // Once to count and check the rows and to add them to tables, which come first in the file;
        // once more to encrypt them.
        let input = self.input.repeatable()?;
        let mut tables: Vec<Tables<'_>> = schema
            .lookups()
            .iter()
            .map(|lookup| Tables::new(&schema, lookup))
            .collect();
        let rows = self.each(&input, &schema, terminal, "checking", |row| {
            for table in &mut tables {
                table.add(&row)?;
            }
            Ok(())
        })?;
        let size = schema.rows().holding(rows, self.pad_to);
        let size = size.with_context(|| self.input.name())?;
        let mut whole = schema.clone().with_rows(size);
        let set = ParameterSet::by_name(SET)?;
        let ring = KeyRing::at(&self.keys);
        match whole.names() {
            NameForm::ToHash => whole = ring.hash_names(&whole)?,
            NameForm::Clear => ring.keep_clear(whole.name())?,
            NameForm::Hashed(_) | NameForm::Revealed(_) => {}
        }
        let expansion: Vec<_> = set.expansion().into_iter().collect();
        ring.fill_parts(set, &expansion, Existing::Keep)?;
        let secret = ring.secret_key(set)?;
        self.output.outside(&self.keys)?;
        let inputs = self.schema.iter().chain(&self.grant);
        let inputs: Vec<&InputSource> = inputs.chain([&self.input]).collect();
        let mut output = self
            .output
            .create(Content::Binary, self.force.force, &inputs)?;
        let keys = match (self.with_key, expansion.first()) {
            (true, Some(part)) => vec![ring.key_part(set, part)?.to_file_bytes()],
            _ => Vec::new(),
        };
        let mut file =
            EncryptedFile::new(&mut output, &secret, &whole, self.gadget, &keys, tables)?
                .in_parts(&parts);
        let again = self.each(&input, &schema, terminal, "encrypting", |row| {
            Ok(file.row(row)?)
        })?;
        if again != rows {
            bail!(
                "{} had {rows} rows and now has {again}; leave it alone while it is encrypted",
                self.input.name()
            );
        }
        file.finish().with_context(|| self.input.name())?;
        output.finish()?;
        let value = serde_json::json!({ "frame": schema.name(), "rows": size.count, "key": secret.id().to_string(), "sent_as": whole.as_sent().name() });
        terminal
            .beside_data(self.output.is_stdout())
            .summary(&value, || {
                let mut facts = vec![
                    ("frame", schema.name().to_owned()),
                    ("file", self.output.name()),
                    ("rows", size.count.unwrap_or_default().to_string()),
                ];
                facts.extend(names::fact(&whole));
                terminal::facts(facts)
            })
    }

    /// The schema, and rows of the parts of the frame that they go beside, if they go beside one.
    fn schema(&self) -> Result<(Schema, Vec<u64>)> {
        let Some(source) = &self.grant else {
            let source = self.schema.as_ref();
            let source =
                source.context("give a schema (--schema), or a grant of columns (--grant)")?;
            return Ok((read_schema(source)?, Vec::new()));
        };
        let columns = match read_grant(source)?.grant.target {
            GrantTarget::Columns(_, columns) => columns,
            GrantTarget::Frame(_) => bail!(
                "{} is a grant of rows, which are encrypted by the frame's schema (--schema)",
                source.name()
            ),
            GrantTarget::Training(_) => bail!(
                "{} is for a training: cipherfn joint add encrypts and adds rows by it",
                source.name()
            ),
        };
        let schema = Schema::from_json(columns.schema.as_bytes()).with_context(|| source.name())?;
        let schema = match names::hasher(Some(&self.keys))? {
            Some(hasher) => hasher.reveal(&schema),
            None => schema,
        };
        let rows = Rows {
            count: Some(columns.rows()),
            padded: false,
        };
        Ok((schema.with_rows(rows), columns.parts))
    }

    /// Gives each row of the table, of the schema's columns. Gives back how many there are.
    fn each(
        &self,
        input: &InputSource,
        schema: &Schema,
        terminal: Terminal,
        what: &'static str,
        take: impl FnMut(Units) -> Result<()>,
    ) -> Result<u64> {
        let terminal = terminal.beside_data(self.output.is_stdout());
        let table = (input, &self.input, &self.format);
        each_of_schema(table, schema, (terminal, what), take)
    }
}

fn gadget(text: &str) -> Result<Gadget, String> {
    let numbers = text
        .split_once('x')
        .and_then(|(base, levels)| Some((base.parse().ok()?, levels.parse().ok()?)));
    match numbers {
        Some((base @ 1..=24_u32, levels @ 1..=24_u32)) if base * levels <= 32 => {
            Ok(Gadget::new(BaseLog::new(base), Levels::new(levels)))
        }
        _ => Err(
            "write it as 6x4: bits of a digit, number of digits, at most 32 bits together".into(),
        ),
    }
}
