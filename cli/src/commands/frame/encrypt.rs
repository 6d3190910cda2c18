//! `cipherfn frame encrypt`.

use super::rows::{each_of_schema, read_schema};
use crate::files::{Content, Destination, InputSource};
use crate::shared::{Force, Threads};
use crate::table::TableOptions;
use crate::terminal::{self, Terminal};
use anyhow::{Result, bail};
use cipherfn_client::frames::{FrameEncryptor, Tables};
use cipherfn_client_http::{Existing, KeyRing};
use cipherfn_frame::cells::Units;
use cipherfn_frame::file::{FileHead, FrameWriter};
use cipherfn_frame::schema::{MAX_ROWS, Rows, Schema};
use cipherfn_protocol::specs::{BaseLog, Gadget, Levels};
use cipherfn_scheme::parameters::ParameterSet;
use std::path::PathBuf;

/// Rows that share ciphertexts.
const CHUNK: usize = 4096;
const SET: &str = "cipherfn-128-n2048-m11-v1";

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
    #[arg(long, value_name = "FILE")]
    schema: InputSource,
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
        let schema = read_schema(&self.schema)?;
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
        let size = self.size(&schema, rows)?;
        let count = size.count.unwrap_or_default();
        let whole = schema.clone().with_rows(size);
        let set = ParameterSet::by_name(SET)?;
        let ring = KeyRing::at(&self.keys);
        let expansion: Vec<_> = set.expansion().into_iter().collect();
        ring.fill_parts(set, &expansion, Existing::Keep)?;
        let secret = ring.secret_key(set)?;
        self.output.outside(&self.keys)?;
        let inputs = [&self.schema, &self.input];
        let mut output = self
            .output
            .create(Content::Binary, self.force.force, &inputs)?;
        let head = FileHead {
            schema: whole.clone(),
            key: secret.id(),
            parameter_set: set.tag(),
            gadget: self.gadget,
        };
        let keys = match (self.with_key, expansion.first()) {
            (true, Some(part)) => vec![ring.key_part(set, part)?.to_file_bytes()],
            _ => Vec::new(),
        };
        let encryptor = FrameEncryptor::new(&secret, &whole, self.gadget);
        let mut writer = FrameWriter::new(&mut output, &head, &keys)?;
        for (lookup, tables) in schema.lookups().iter().zip(tables) {
            writer.tables(&encryptor.tables(lookup, tables)?)?;
        }
        let mut chunk: Vec<Option<Units>> = Vec::with_capacity(CHUNK);
        let mut first = 0;
        let mut put = |row: Option<Units>, is_last: bool| -> Result<()> {
            chunk.push(row);
            if chunk.len() == CHUNK || is_last {
                let encrypted = encryptor.rows(&chunk, first)?;
                writer.rows(encrypted.rows as u32, &encrypted.inputs)?;
                first += chunk.len();
                chunk.clear();
            }
            Ok(())
        };
        let mut written = 0;
        let again = self.each(&input, &schema, terminal, "encrypting", |row| {
            written += 1;
            put(Some(row), written == count)
        })?;
        if again != rows {
            bail!(
                "{} had {rows} rows and now has {again}; leave it alone while it is encrypted",
                self.input.name()
            );
        }
        for row in rows + 1..=count {
            put(None, row == count)?;
        }
        writer.finish()?;
        output.finish()?;
        let value = serde_json::json!({ "frame": schema.name(), "rows": count, "key": secret.id().to_string() });
        terminal
            .beside_data(self.output.is_stdout())
            .summary(&value, || {
                terminal::facts([
                    ("frame", schema.name().to_owned()),
                    ("file", self.output.name()),
                    ("rows", count.to_string()),
                ])
            })
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

    /// How many rows the frame has, of which `rows` do not pad.
    fn size(&self, schema: &Schema, rows: u64) -> Result<Rows> {
        let said = schema.rows();
        let count = match (self.pad_to, said.count) {
            (Some(most), _) if most < rows => bail!(
                "{} has {rows} rows, more than --pad-to {most}; pad to more",
                self.input.name()
            ),
            (Some(most), _) => most,
            (None, Some(most)) if said.padded && most >= rows => most,
            (None, Some(count)) if count != rows => bail!(
                "{} has {rows} rows where the schema says rows = {count}{}; take that out of {}, or give the table that it is of",
                self.input.name(),
                if said.padded {
                    " with padded = true"
                } else {
                    ""
                },
                self.schema.name()
            ),
            (None, None) if said.padded => bail!(
                "{} says padded = true, and not to how many rows; give rows beside it, or --pad-to",
                self.schema.name()
            ),
            (None, _) => rows,
        };
        if count > MAX_ROWS {
            bail!(
                "a frame has at most {MAX_ROWS} rows, and {count} are asked for; encrypt parts of the table"
            );
        }
        Ok(Rows {
            count: Some(count),
            padded: self.pad_to.is_some() || said.padded,
        })
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
