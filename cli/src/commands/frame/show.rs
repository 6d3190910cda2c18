//! `cipherfn frame show`.

use crate::files::InputSource;
use crate::terminal::{self, Terminal};
use anyhow::{Context, Result};
use cipherfn_frame::answer::ResultType;
use cipherfn_frame::file::FrameReader;
use std::io::BufReader;

/// Show what an encrypted frame says of itself: names, types, roles, rows, the key it needs
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  cipherfn frame show sales.cff")]
pub(super) struct Show {
    /// The frame, - for standard input
    frame: InputSource,
}

impl Show {
    pub(super) fn run(self, terminal: Terminal) -> Result<()> {
        let (input, _) = self.frame.open()?;
        let context = || self.frame.name();
        let mut reader = FrameReader::open(BufReader::new(input)).with_context(context)?;
        let (mut rows, mut bytes) = (0, 0);
        while let Some(more) = reader.next_rows().with_context(context)? {
            rows += u64::from(more.rows);
            bytes += more
                .inputs
                .iter()
                .map(|input| input.len() as u64)
                .sum::<u64>();
        }
        let head = reader.head();
        let tables: u64 = reader.tables().iter().map(|table| table.len() as u64).sum();
        let columns: Vec<Vec<String>> = head
            .schema
            .columns()
            .iter()
            .map(|column| {
                let roles = [(column.roles.value, "value"), (column.roles.key, "key")];
                let roles = roles
                    .into_iter()
                    .filter(|(has, _)| *has)
                    .map(|(_, name)| name);
                vec![
                    column.name.clone(),
                    ResultType::of(&column.domain).to_string(),
                    roles.collect::<Vec<_>>().join(", "),
                    if column.nulls { "yes" } else { "no" }.into(),
                ]
            })
            .collect();
        let lookups: Vec<String> = head
            .schema
            .lookups()
            .iter()
            .map(|lookup| lookup.by.join(" and "))
            .collect();
        let value = serde_json::json!({
            "name": head.schema.name(),
            "rows": rows,
            "key": head.key,
            "carries_key": !reader.keys().is_empty(),
            "rows_bytes": bytes,
            "tables_bytes": tables,
            "lookups": lookups,
            "columns": columns,
        });
        terminal.report(&value, || {
            let carried = if reader.keys().is_empty() {
                "not in the file"
            } else {
                "in the file"
            };
            let facts = terminal::facts([
                ("frame", head.schema.name().to_owned()),
                ("rows", rows.to_string()),
                ("key", head.key.to_string()),
                ("evaluation key", carried.to_owned()),
                ("rows take", terminal::bytes(bytes)),
                (
                    "look-ups",
                    format!("{} by {}", terminal::bytes(tables), lookups.join("; ")),
                ),
            ]);
            let header = ["column", "type", "roles", "nulls"]
                .map(str::to_owned)
                .into();
            format!("{facts}\n\n{}", terminal::table(header, columns))
        })
    }
}
