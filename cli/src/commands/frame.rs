//! `cipherfn frame`: encrypted data frames.

mod columns;
mod concat;
mod contribute;
mod decrypt;
mod encrypt;
mod evaluator;
mod explain;
mod grants;
mod models;
mod names;
mod plan;
mod query;
mod rows;
mod schema;
mod show;
mod sql;
mod stages;
mod stored;
mod table;
mod total;

use crate::files::InputSource;
use crate::terminal::Terminal;
use anyhow::{Context, Result, bail};
use cipherfn_frame::file::{FileHead, FrameReader};
use cipherfn_frame::plain::{self, PlainTable};
use cipherfn_frame::plan::PublishedScore;
use cipherfn_frame::schema::{NameHasher, Schema};
use cipherfn_protocol::frame::{self, FrameKind, HEADER_LEN};
use cipherfn_serving::frames::StoredFrame;
pub(super) use contribute::{left_out, read_summed, sum_rows};
use std::io::{Cursor, Read};
use std::sync::Arc;

/// Bytes by which files are told apart.
const KIND_LEN: u64 = HEADER_LEN as u64;
/// Bytes of a table's file that are read: one that is longer is refused as what it is.
const MAX_TABLE: u64 = plain::MAX_BYTES + 2 * HEADER_LEN as u64;

/// Encrypt tables, have them joined, filtered and grouped, decrypt the answers
///
/// A frame is encrypted for what may be asked of its columns, by a schema. Whoever evaluates a plan
/// needs the encrypted frames and the evaluation key, and learns schemas, numbers of rows and the plan.
#[derive(Debug, clap::Args)]
pub(crate) struct Frame {
    #[command(subcommand)]
    command: FrameCommand,
}

/// What to do with frames.
#[derive(Debug, clap::Subcommand)]
enum FrameCommand {
    Schema(schema::SchemaOf),
    Plan(sql::PlanOf),
    Encrypt(encrypt::EncryptFrame),
    Concat(concat::Concat),
    Contribute(contribute::ContributeSums),
    Total(total::AddSums),
    Query(query::Query),
    Decrypt(decrypt::DecryptFrame),
    Explain(explain::Explain),
    Show(show::Show),
    Upload(stored::Upload),
    List(stored::List),
    Grant(grants::MakeGrant),
    Add(grants::AddRows),
    Revoke(grants::Revoke),
    Table(table::MakeTable),
    PublishTable(table::PublishTable),
}

impl Frame {
    pub(crate) fn run(self, terminal: Terminal) -> Result<()> {
        match self.command {
            FrameCommand::Plan(command) => command.run(terminal),
            FrameCommand::Schema(command) => command.run(terminal),
            FrameCommand::Concat(command) => command.run(terminal),
            FrameCommand::Contribute(command) => command.run(terminal),
            FrameCommand::Total(command) => command.run(terminal),
            FrameCommand::Encrypt(command) => command.run(terminal),
            FrameCommand::Query(command) => command.run(terminal),
            FrameCommand::Decrypt(command) => command.run(terminal),
            FrameCommand::Explain(command) => command.run(terminal),
            FrameCommand::Show(command) => command.run(terminal),
            FrameCommand::Upload(command) => command.run(terminal),
            FrameCommand::List(command) => command.run(terminal),
            FrameCommand::Grant(command) => command.run(terminal),
            FrameCommand::Add(command) => command.run(terminal),
            FrameCommand::Revoke(command) => command.run(terminal),
            FrameCommand::Table(command) => command.run(terminal),
            FrameCommand::PublishTable(command) => command.run(terminal),
        }
    }
}

/// What a plan is given: files of frames and of tables, or what a service says of those that it has.
#[derive(Default)]
struct PlanInputs {
    /// What is public of frames, and their numbers of rows.
    heads: Vec<(FileHead, usize)>,
    /// What is public of tables in the clear.
    tables: Vec<Schema>,
    /// Scores of models that a service has published.
    scores: Vec<Arc<PublishedScore>>,
    /// Whether a service has all of it.
    of_service: bool,
}

/// What a file is that a plan may name.
enum Opened {
    /// An encrypted frame, from its start on.
    Frame(Box<dyn Read>),
    /// A table in the clear, with its cells.
    Table(PlainTable),
    /// What is public of a table in the clear.
    Document(Schema),
}

/// A file that a plan names, and that is read with its ciphertexts or cells.
#[expect(clippy::large_enum_variant, reason = "a plan names a few")]
enum Loaded {
    /// An encrypted frame.
    Frame {
        head: FileHead,
        keys: Vec<Vec<u8>>,
        frame: StoredFrame,
    },
    /// A table in the clear.
    Table(PlainTable),
}

/// Tells by its first bytes what a file is.
fn open(source: &InputSource) -> Result<Opened> {
    let (input, _) = source.open()?;
    let mut start = Vec::new();
    let mut input = input;
    input.by_ref().take(KIND_LEN).read_to_end(&mut start)?;
    let is_table = frame::kind(&start) == Some(FrameKind::PlainTable);
    let is_document = start.first() == Some(&b'{');
    let mut whole: Box<dyn Read> = Box::new(Cursor::new(start).chain(input));
    if !is_table && !is_document {
        return Ok(Opened::Frame(whole));
    }
    let mut bytes = Vec::new();
    whole.by_ref().take(MAX_TABLE).read_to_end(&mut bytes)?;
    if is_table {
        return Ok(Opened::Table(PlainTable::from_bytes(&bytes)?));
    }
    let schema = Schema::from_json(&bytes)?;
    if schema.cells().is_none() {
        bail!("this is the schema of an encrypted frame; give the frame");
    }
    Ok(Opened::Document(schema))
}

/// Reads a whole frame or table.
fn read(source: &InputSource, hasher: Option<&NameHasher>) -> Result<Loaded> {
    let read = || {
        let input = match open(source)? {
            Opened::Frame(input) => input,
            Opened::Table(table) => return Ok(Loaded::Table(table)),
            Opened::Document(schema) => bail!(
                "this is what is public of table {:?}; whoever evaluates needs the table with its cells",
                schema.name()
            ),
        };
        let mut reader = FrameReader::open(input)?;
        let head = reader.head().clone().revealed(hasher);
        let frame = StoredFrame::read(&mut reader)?;
        let keys = reader.keys().to_vec();
        Ok::<_, anyhow::Error>(Loaded::Frame { head, keys, frame })
    };
    read().with_context(|| source.name())
}

/// Reads what is public of files of frames and tables.
fn given(sources: &[InputSource], hasher: Option<&NameHasher>) -> Result<PlanInputs> {
    let mut given = PlanInputs::default();
    for source in sources {
        match open(source).with_context(|| source.name())? {
            Opened::Frame(input) => {
                let reader = FrameReader::open(input).with_context(|| source.name())?;
                let head = reader.head().clone().revealed(hasher);
                let rows = head.schema.rows().count.unwrap_or_default();
                given.heads.push((head, rows as usize));
            }
            Opened::Table(table) => given.tables.push(table.schema().clone()),
            Opened::Document(schema) => given.tables.push(schema),
        }
    }
    Ok(given)
}

/// Reads what is public of a frame.
fn read_head(source: &InputSource) -> Result<FileHead> {
    let (input, _) = source.open()?;
    let reader = FrameReader::open(input).with_context(|| source.name())?;
    Ok(reader.head().clone())
}
