//! `cipherfn frame total`.

use crate::files::{Content, Destination, InputSource};
use crate::shared::Force;
use crate::terminal::{self, Terminal};
use anyhow::{Context, Result};
use cipherfn_frame::file::{FrameReader, FrameWriter};
use cipherfn_serving::frames::FrameTotal;
use std::io::BufReader;

/// Add the sums that owners encrypted under one public key, without any key
///
/// The total is a frame that plans merge with, and that frame decrypt decrypts as it is. Totals can be added
/// to totals. The same sums given twice are refused; in files that hold sums of several owners they go unseen.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  cipherfn frame total north.cff south.cff -o sales.cff")]
pub(super) struct AddSums {
    /// The sums, of frame contribute
    #[arg(required = true, value_name = "FRAME")]
    sums: Vec<InputSource>,
    /// The total to write, a frame, - for standard output
    #[arg(short, long, value_name = "FILE")]
    output: Destination,
    #[command(flatten)]
    force: Force,
}

impl AddSums {
    pub(super) fn run(self, terminal: Terminal) -> Result<()> {
        let inputs: Vec<&InputSource> = self.sums.iter().collect();
        let mut output = self
            .output
            .create(Content::Binary, self.force.force, &inputs)?;
        let mut total = FrameTotal::default();
        for source in &self.sums {
            let (input, _) = source.open()?;
            let add = || -> Result<()> {
                let mut file = FrameReader::open(BufReader::new(input))?;
                total.add(&file)?;
                // To its end: what was cut off is no contribution.
                file.next_rows()?;
                Ok(())
            };
            add().with_context(|| source.name())?;
        }
        let (head, tables) = total.finish()?;
        let mut writer = FrameWriter::new(&mut output, &head, &[])?;
        writer.tables(&tables)?;
        writer.finish()?;
        output.finish()?;
        let owners = head.schema.owners().unwrap_or_default();
        let value = serde_json::json!({
            "frame": head.schema.name(),
            "owners": owners,
            "key": head.key,
        });
        terminal
            .beside_data(self.output.is_stdout())
            .summary(&value, || {
                terminal::facts([
                    ("frame", head.schema.name().to_owned()),
                    ("owners", owners.to_string()),
                    ("for key", head.key.to_string()),
                    ("file", self.output.name()),
                ])
            })
    }
}
