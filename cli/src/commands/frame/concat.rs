//! `cipherfn frame concat`.

use crate::files::{Content, Destination, InputSource};
use crate::shared::Force;
use crate::terminal::{self, Terminal};
use anyhow::{Context, Result, bail};
use cipherfn_frame::file::{FileHead, FrameReader, FrameWriter};
use cipherfn_frame::schema::{MAX_ROWS, Rows};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::io;

/// Put the rows of encrypted frames one below the other: needs no secret
///
/// They have one schema, key and gadget, as parts of a table that were encrypted apart have. Frames that
/// others look up are encrypted whole, as their tables have to hold every row.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  cipherfn frame concat january.cff february.cff -o sales.cff")]
pub(super) struct Concat {
    /// The frames, in the order of their rows
    #[arg(required = true, num_args = 2.., value_name = "FRAME")]
    frames: Vec<InputSource>,
    /// The frame to write, - for standard output
    #[arg(short, long, value_name = "FILE")]
    output: Destination,
    #[command(flatten)]
    force: Force,
}

impl Concat {
    pub(super) fn run(self, terminal: Terminal) -> Result<()> {
        // Pipes are read twice: for their heads, and for their rows.
        let sources = self.frames.iter().map(InputSource::repeatable);
        let sources: Vec<InputSource> = sources.collect::<Result<_>>()?;
        let heads = sources.iter().map(super::read_head);
        let head = joined(&heads.collect::<Result<Vec<_>>>()?, &sources)?;
        check_different(&sources)?;
        let inputs: Vec<&InputSource> = sources.iter().collect();
        let mut output = self
            .output
            .create(Content::Binary, self.force.force, &inputs)?;
        // The first frame's key is that of all.
        let open = |source: &InputSource| -> Result<_> {
            FrameReader::open(source.open()?.0).with_context(|| source.name())
        };
        let keys = open(&sources[0])?.keys().to_vec();
        let mut writer = FrameWriter::new(&mut output, &head, &keys)?;
        for source in &sources {
            let mut reader = open(source)?;
            while let Some(rows) = reader.next_rows().with_context(|| source.name())? {
                writer.rows(rows.rows, &rows.inputs)?;
            }
        }
        writer.finish()?;
        output.finish()?;
        let rows = head.schema.rows().count.unwrap_or_default();
        let value = serde_json::json!({ "frame": head.schema.name(), "rows": rows });
        terminal
            .beside_data(self.output.is_stdout())
            .summary(&value, || {
                terminal::facts([
                    ("frame", head.schema.name().to_owned()),
                    ("file", self.output.name()),
                    ("rows", rows.to_string()),
                ])
            })
    }
}

/// Refuses the same file twice, under whatever names: each of its rows would be there twice, and no two
/// encryptions are alike.
fn check_different(sources: &[InputSource]) -> Result<()> {
    let mut seen = HashMap::new();
    for source in sources {
        let mut hash = Sha256::new();
        let (mut input, _) = source.open()?;
        io::copy(&mut input, &mut hash)
            .with_context(|| format!("cannot read {}", source.name()))?;
        if let Some(first) = seen.insert(hash.finalize(), source) {
            bail!(
                "{} and {} are the same frame, so that each row would be there twice; name it once",
                first.name(),
                source.name()
            );
        }
    }
    Ok(())
}

/// The head of all rows.
fn joined(heads: &[FileHead], sources: &[InputSource]) -> Result<FileHead> {
    let without_rows = |head: &FileHead| {
        let padded = head.schema.rows().padded;
        let rows = Rows {
            count: None,
            padded,
        };
        head.schema.clone().with_rows(rows)
    };
    let first = &heads[0];
    let mut count = 0;
    for (head, source) in heads.iter().zip(sources) {
        let what = match head {
            head if head.key != first.key => "is encrypted under another key than",
            head if head.parameter_set != first.parameter_set => "is of another parameter set than",
            head if head.gadget != first.gadget => "is encrypted with another gadget than",
            head if without_rows(head) != without_rows(first) => "has another schema than",
            _ => {
                count += head.schema.rows().count.unwrap_or_default();
                continue;
            }
        };
        bail!(
            "{} {what} {}; encrypt both with one schema and key ring",
            source.name(),
            sources[0].name()
        );
    }
    if first.schema.owners().is_some() {
        bail!(
            "{} has an owner's sums, which are added by `cipherfn frame total`",
            sources[0].name()
        );
    }
    if !first.schema.lookups().is_empty() {
        bail!(
            "{} can be looked up, by tables that have to hold every row; put the tables together and encrypt that",
            sources[0].name()
        );
    }
    if count > MAX_ROWS {
        bail!(
            "a frame has at most {MAX_ROWS} rows, and these have {count} together; concatenate fewer"
        );
    }
    let rows = Rows {
        count: Some(count),
        padded: first.schema.rows().padded,
    };
    Ok(FileHead {
        schema: first.schema.clone().with_rows(rows),
        ..first.clone()
    })
}
