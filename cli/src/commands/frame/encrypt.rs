//! `cipherfn frame encrypt`.

use crate::files::{Content, Destination, InputSource};
use crate::shared::{Force, Threads};
use crate::terminal::{self, Terminal};
use anyhow::{Context, Result, anyhow, bail};
use cipherfn_client::frames::{FrameEncryptor, Tables};
use cipherfn_client_http::{Existing, KeyRing};
use cipherfn_frame::cells::Units;
use cipherfn_frame::file::{FileHead, FrameWriter};
use cipherfn_frame::schema::{MAX_ROWS, Rows, Schema};
use cipherfn_protocol::specs::{BaseLog, Gadget, Levels};
use cipherfn_scheme::parameters::ParameterSet;
use std::path::PathBuf;

/// Largest schema.
const MAX_SCHEMA: u64 = 16 << 20;
/// Rows that share ciphertexts.
const CHUNK: usize = 4096;
const SET: &str = "cipherfn-128-n2048-m11-v1";

/// Encrypt a CSV table by a schema
///
/// Columns are matched by name. Keys that the key ring lacks are made. Rows are kept in memory: 8 bytes
/// a cell.
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
    /// The rows as CSV, its first line naming the columns, - for standard input
    #[arg(long, value_name = "FILE")]
    input: InputSource,
    /// The frame to write, - for standard output
    #[arg(short, long, value_name = "FILE")]
    output: Destination,
    /// Let the file carry the evaluation key, so that it alone suffices for a server
    #[arg(long)]
    with_key: bool,
    /// Rows to pad to, which hides how many there are
    #[arg(long, value_name = "ROWS")]
    pad_to: Option<usize>,
    /// Digits of selectors: more levels make results more exact and slower. All frames of a query
    /// have the same
    #[arg(long, value_name = "BASExLEVELS", default_value = "6x4", value_parser = gadget)]
    gadget: Gadget,
    #[command(flatten)]
    threads: Threads,
    #[command(flatten)]
    force: Force,
}

impl EncryptFrame {
    pub(super) fn run(self, terminal: Terminal) -> Result<()> {
        self.threads.apply()?;
        let text = String::from_utf8(self.schema.read_all(MAX_SCHEMA)?)
            .map_err(|_| anyhow!("{} is not UTF-8", self.schema.name()))?;
        let schema = Schema::from_toml(&text).with_context(|| self.schema.name())?;
        let rows = self.rows(&schema).with_context(|| self.input.name())?;
        let count = match self.pad_to {
            Some(most) if most < rows.len() => bail!(
                "{} has {} rows, more than --pad-to {most}; pad to more",
                self.input.name(),
                rows.len()
            ),
            Some(most) => most,
            None => rows.len(),
        };
        if count as u64 > MAX_ROWS {
            bail!(
                "a frame has at most {MAX_ROWS} rows, and {count} are asked for; encrypt parts of the table"
            );
        }
        let schema = schema.with_rows(Rows {
            count: Some(count as u64),
            padded: self.pad_to.is_some(),
        });
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
            schema: schema.clone(),
            key: secret.id(),
            parameter_set: set.tag(),
            gadget: self.gadget,
        };
        let keys = match (self.with_key, expansion.first()) {
            (true, Some(part)) => vec![ring.key_part(set, part)?.to_file_bytes()],
            _ => Vec::new(),
        };
        let encryptor = FrameEncryptor::new(&secret, &schema, self.gadget);
        let mut writer = FrameWriter::new(&mut output, &head, &keys)?;
        for lookup in schema.lookups() {
            let mut tables = Tables::new(&schema, lookup);
            for row in &rows {
                tables.add(row)?;
            }
            writer.tables(&encryptor.tables(lookup, tables)?)?;
        }
        let all = rows.len();
        let padded = rows.into_iter().map(Some);
        let padded: Vec<Option<Units>> = padded
            .chain(std::iter::repeat_n(None, count - all))
            .collect();
        for (number, chunk) in padded.chunks(CHUNK).enumerate() {
            let encrypted = encryptor.rows(chunk, number * CHUNK)?;
            writer.rows(encrypted.rows as u32, &encrypted.inputs)?;
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

    /// The rows of the file, of the schema's columns.
    fn rows(&self, schema: &Schema) -> Result<Vec<Units>> {
        let (input, _) = self.input.open()?;
        let mut csv = csv::ReaderBuilder::new().from_reader(input);
        let header = csv.headers()?.clone();
        let place = |name: &str| {
            let mut found = header.iter().enumerate().filter(|(_, own)| *own == name);
            match (found.next(), found.next()) {
                (Some((place, _)), None) => Ok(place),
                (None, _) => bail!(
                    "there is no column {name:?}; the columns are {}",
                    header.iter().collect::<Vec<_>>().join(", ")
                ),
                _ => bail!("two columns are named {name:?}; rename one"),
            }
        };
        let places = schema.columns().iter().map(|column| place(&column.name));
        let places = places.collect::<Result<Vec<_>>>()?;
        let mut rows = Vec::new();
        for (number, record) in (1..).zip(csv.records()) {
            let record = record?;
            let cells: Vec<&str> = places.iter().map(|place| &record[*place]).collect();
            rows.push(schema.row_of_texts(number, cells.into_iter())?);
        }
        Ok(rows)
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
