//! `cipherfn frame show`.

use super::names;
use super::rows::read_schema;
use crate::files::InputSource;
use crate::terminal::{self, Terminal};
use anyhow::{Context, Result, bail};
use cipherfn_client_http::KeyRing;
use cipherfn_frame::answer::ResultType;
use cipherfn_frame::file::FrameReader;
use cipherfn_frame::schema::Domain;
use cipherfn_scheme::parameters::ParameterSet;
use std::io::BufReader;
use std::path::PathBuf;

/// Show what an encrypted frame says of itself: names, types, roles, rows, the key it needs
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  cipherfn frame show sales.cff")]
pub(super) struct Show {
    /// The frame, - for standard input
    frame: InputSource,
    /// The key ring whose secret hashed its names, to show them
    #[arg(long, value_name = "DIRECTORY")]
    keys: Option<PathBuf>,
    /// A schema with names that somebody else hashed by the same secret, TOML: the key ring remembers them
    #[arg(long, value_name = "FILE", requires = "keys")]
    schema: Option<InputSource>,
}

impl Show {
    pub(super) fn run(self, terminal: Terminal) -> Result<()> {
        if let (Some(keys), Some(source)) = (&self.keys, &self.schema) {
            let ring = KeyRing::at(keys);
            if ring.name_hasher()?.is_none() {
                bail!(
                    "{} has no secret for names (names.key); copy it from the key ring that hashed them",
                    keys.display()
                );
            }
            ring.hash_names(&read_schema(source)?)?;
        }
        let hasher = names::hasher(self.keys.as_deref())?;
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
        let head = &reader.head().clone().revealed(hasher.as_ref());
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
                    cells(&column.domain),
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
        let set = ParameterSet::by_tag(head.parameter_set, "data frame");
        let set = set.with_context(context)?.name;
        let gadget = format!("{}x{}", head.gadget.base_log, head.gadget.levels);
        let schema: serde_json::Value = serde_json::from_slice(&head.schema.to_json()?)?;
        let value = serde_json::json!({
            "name": head.schema.name(),
            "sent_as": head.schema.as_sent().name(),
            "rows": rows,
            "key": head.key,
            "parameter_set": set,
            "gadget": gadget,
            "schema": schema,
            "carries_key": !reader.keys().is_empty(),
            "rows_bytes": bytes,
            "tables_bytes": tables,
            "lookups": lookups,
            "owners": head.schema.owners(),
            "columns": columns,
        });
        terminal.report(&value, || {
            let carried = if reader.keys().is_empty() {
                "not in the file"
            } else {
                "in the file"
            };
            let mut facts = vec![
                ("frame", head.schema.name().to_owned()),
                ("rows", rows.to_string()),
                ("key", head.key.to_string()),
                ("parameter set", set.to_owned()),
                ("gadget", gadget.clone()),
                ("evaluation key", carried.to_owned()),
                ("rows take", terminal::bytes(bytes)),
                (
                    "look-ups",
                    format!("{} by {}", terminal::bytes(tables), lookups.join("; ")),
                ),
            ];
            if let Some(owners) = head.schema.owners() {
                let sums = format!("of {owners} owners, under a public key");
                facts.push(("sums", sums));
            }
            facts.extend(names::fact(&head.schema));
            let facts = terminal::facts(facts);
            let header = ["column", "type", "cells", "roles", "nulls"]
                .map(str::to_owned)
                .into();
            format!("{facts}\n\n{}", terminal::table(header, columns))
        })
    }
}

/// What cells can be: the range, or the first texts of the dictionary.
fn cells(domain: &Domain) -> String {
    const SHOWN: usize = 6;
    let Domain::Text { dictionary } = domain else {
        return domain.shown();
    };
    let texts: Vec<String> = dictionary
        .iter()
        .take(SHOWN)
        .map(|text| format!("{text:?}"))
        .collect();
    match dictionary.len().checked_sub(SHOWN) {
        Some(more) if more > 0 => format!("{} and {more} more", texts.join(", ")),
        _ => texts.join(", "),
    }
}
