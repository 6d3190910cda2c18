//! `cipherfn frame`: encrypted data frames.

mod columns;
mod concat;
mod decrypt;
mod encrypt;
mod explain;
mod plan;
mod query;
mod rows;
mod schema;
mod show;
mod sql;
mod stored;

use crate::files::InputSource;
use crate::terminal::Terminal;
use anyhow::{Context, Result};
use cipherfn_frame::file::{FileHead, FrameReader};
use cipherfn_serving::frames::StoredFrame;

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
    Query(query::Query),
    Decrypt(decrypt::DecryptFrame),
    Explain(explain::Explain),
    Show(show::Show),
    Upload(stored::Upload),
    List(stored::List),
}

impl Frame {
    pub(crate) fn run(self, terminal: Terminal) -> Result<()> {
        match self.command {
            FrameCommand::Plan(command) => command.run(terminal),
            FrameCommand::Schema(command) => command.run(terminal),
            FrameCommand::Concat(command) => command.run(terminal),
            FrameCommand::Encrypt(command) => command.run(terminal),
            FrameCommand::Query(command) => command.run(terminal),
            FrameCommand::Decrypt(command) => command.run(terminal),
            FrameCommand::Explain(command) => command.run(terminal),
            FrameCommand::Show(command) => command.run(terminal),
            FrameCommand::Upload(command) => command.run(terminal),
            FrameCommand::List(command) => command.run(terminal),
        }
    }
}

/// A frame's file.
struct Loaded {
    head: FileHead,
    keys: Vec<Vec<u8>>,
    frame: StoredFrame,
}

/// Reads a whole frame.
fn read(source: &InputSource) -> Result<Loaded> {
    let read = || {
        let (input, _) = source.open()?;
        let mut reader = FrameReader::open(input)?;
        let head = reader.head().clone();
        let frame = StoredFrame::read(&mut reader)?;
        let keys = reader.keys().to_vec();
        Ok::<_, anyhow::Error>(Loaded { head, keys, frame })
    };
    read().with_context(|| source.name())
}

/// Reads what is public of a frame.
fn read_head(source: &InputSource) -> Result<FileHead> {
    let (input, _) = source.open()?;
    let reader = FrameReader::open(input).with_context(|| source.name())?;
    Ok(reader.head().clone())
}
