//! Tables that the server has in the clear: `cipherfn frame table` and `publish-table`.

use super::MAX_TABLE;
use super::rows::{each_of_schema, read_schema};
use crate::bucket::BucketArguments;
use crate::commands::publish::check_developer;
use crate::emulation::{self, KEEP};
use crate::files::{Content, Destination, InputSource};
use crate::shared::{Force, block_on};
use crate::signing::SigningArguments;
use crate::table::TableOptions;
use crate::terminal::{self, Terminal};
use anyhow::{Context, Result, anyhow, bail};
use cipherfn_client::frames::Tables;
use cipherfn_frame::plain::{PlainTable, SALT_LEN};
use cipherfn_protocol::api::{ModelName, PublishedKind};
use cipherfn_protocol::hash::Hash;
use cipherfn_service::registry::Published;
use std::io::Write;
use std::num::NonZeroUsize;

/// Make a table in the clear, with which encrypted rows merge: price lists, feature stores
///
/// The schema says by which keys it is looked up (its lookup, as of frames), and all columns are of
/// look-ups. Keys are unique. The file has the cells and stays with whoever evaluates; the document has
/// names, types, ranges and the number of rows, and is for those who ask.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  cipherfn frame table --schema prices.toml --input prices.csv -o prices.cfp --document prices.json"
)]
pub(super) struct MakeTable {
    /// The schema, TOML
    #[arg(long, value_name = "FILE")]
    schema: InputSource,
    /// The rows: CSV whose first line names the columns, Parquet or Arrow; - for standard input
    #[arg(long, alias = "rows", value_name = "FILE")]
    input: InputSource,
    /// The table to write, - for standard output
    #[arg(short, long, value_name = "FILE")]
    output: Destination,
    /// Where to write what is public of it, JSON
    #[arg(long, value_name = "FILE")]
    document: Option<Destination>,
    #[command(flatten)]
    format: TableOptions,
    #[command(flatten)]
    force: Force,
}

/// Publish a table in the clear: from then on queries over frames may merge with it
///
/// It is published under its schema's name, as models are: versions before it stay live up to --keep,
/// what is public of it is signed with the developer's signing key, `cipherfn models` lists, rolls back and
/// removes. Its cells stay in the bucket.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  cipherfn frame publish-table prices.cfp --bucket my-bucket")]
pub(super) struct PublishTable {
    /// The table, as `cipherfn frame table` writes it
    table: InputSource,
    /// Versions of the table that stay live, this one included
    #[arg(long, value_name = "N", default_value_t = KEEP)]
    keep: NonZeroUsize,
    /// Publish with a key other than the table's before: those who ask refuse it until they trust the
    /// new one
    #[arg(long)]
    new_developer: bool,
    #[command(flatten)]
    signing: SigningArguments,
    #[command(flatten)]
    bucket: BucketArguments,
}

impl MakeTable {
    pub(super) fn run(self, terminal: Terminal) -> Result<()> {
        let schema = read_schema(&self.schema)?;
        // What is wrong with the schema is told before anything is read.
        drop(
            schema
                .clone()
                .in_the_clear(0, Hash::of(&[]))
                .with_context(|| self.schema.name())?,
        );
        let mut tables: Vec<Tables<'_>> = schema
            .lookups()
            .iter()
            .map(|lookup| Tables::new(&schema, lookup))
            .collect();
        let beside = terminal.beside_data(self.output.is_stdout());
        let source = (&self.input, &self.input, &self.format);
        let rows = each_of_schema(source, &schema, (beside, "reading"), |row| {
            tables.iter_mut().try_for_each(|table| Ok(table.add(&row)?))
        })?;
        if let Some(said) = schema.rows().count.filter(|said| *said != rows) {
            bail!(
                "{} has {rows} rows where the schema says rows = {said}; take that out of {}, or give the table that it is of",
                self.input.name(),
                self.schema.name()
            );
        }
        let entries = tables.into_iter().map(Tables::into_entries).collect();
        let mut salt = [0; SALT_LEN];
        getrandom::fill(&mut salt)
            .map_err(|error| anyhow!("the operating system gives no randomness: {error}"))?;
        let table = PlainTable::new(schema.clone(), rows, salt, entries)?;
        let inputs = [&self.schema, &self.input];
        let mut output = self
            .output
            .create(Content::Binary, self.force.force, &inputs)?;
        let document = self.document.as_ref();
        let document =
            document.map(|document| document.create(Content::Text, self.force.force, &inputs));
        let document = document.transpose()?;
        let bytes = table.to_bytes()?;
        output.write_all(&bytes)?;
        output.finish()?;
        if let Some(mut document) = document {
            document.write_all(&table.document()?)?;
            document.finish()?;
        }
        let version = Hash::of(&table.document()?);
        let value = serde_json::json!({ "table": schema.name(), "rows": rows, "version": version });
        beside.summary(&value, || {
            terminal::facts([
                ("table", schema.name().to_owned()),
                (
                    "file",
                    format!(
                        "{}, {}",
                        self.output.name(),
                        terminal::bytes(bytes.len() as u64)
                    ),
                ),
                ("rows", rows.to_string()),
                ("version", version.short()),
            ])
        })
    }
}

impl PublishTable {
    pub(super) fn run(self, terminal: Terminal) -> Result<()> {
        let bytes = self.table.read_all(MAX_TABLE)?;
        let table = PlainTable::from_bytes(&bytes).with_context(|| self.table.name())?;
        let name: ModelName = table.schema().name().parse().with_context(|| {
            format!(
                "{}: the schema's name, {:?}, under which the table would be published; name it otherwise",
                self.table.name(),
                table.schema().name()
            )
        })?;
        let document = table.document()?;
        let version = Published {
            hash: Hash::of(&document),
            bundle: Some(bytes.into()),
            specs: document.into(),
            specs_v1: None,
            report: None,
            kind: PublishedKind::Table,
        };
        let hash = version.hash;
        let file = self.signing.file(self.bucket.local())?;
        let (developer, published) = block_on(async {
            let registry = self.bucket.open().await?;
            let named = (&name, version.kind);
            check_developer(&registry, named, &file, self.new_developer).await?;
            let developer = file.developer()?;
            developer.introduce();
            let published =
                emulation::publish(&registry, &name, &version, &developer, self.keep).await?;
            Ok((developer, published))
        })?;
        let mut value = serde_json::to_value(&published)?;
        value["developer"] = serde_json::to_value(developer.public())?;
        terminal.summary(&value, || {
            terminal::facts([
                ("table", name.to_string()),
                ("version", hash.short()),
                (
                    "rows",
                    table.schema().rows().count.unwrap_or_default().to_string(),
                ),
                ("live versions", published.versions.len().to_string()),
                ("signed by", developer.public().to_string()),
            ])
        })
    }
}
