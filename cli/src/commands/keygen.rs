//! `cipherfn keygen`.

use super::register;
use crate::files::InputSource;
use crate::terminal::{self, Terminal};
use anyhow::Result;
use cipherfn_client_http::{Existing, KeyRing, State};
use std::path::PathBuf;

/// Make the keys that a model needs in a key ring
///
/// Keys belong to a parameter set, not to a model: keys that are already there are used again, and
/// never overwritten without --force. secret.cfk stays with you; the parts of the evaluation key, such as
/// expansion.cfk, go to the server. A model that needs a further part adds it from the same secret key.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  cipherfn keygen fraud.specs.json -o keys/")]
pub(crate) struct Keygen {
    /// The client specs, - for standard input
    specs: InputSource,
    /// The key ring, a directory
    #[arg(short, long, value_name = "DIRECTORY")]
    output: PathBuf,
    /// Replace keys that are already there: replies under the old ones can no longer be decrypted
    #[arg(long)]
    force: bool,
}

impl Keygen {
    pub(crate) fn run(self, terminal: Terminal) -> Result<()> {
        let client = super::encrypt::read_client(&self.specs)?;
        let existing = if self.force {
            Existing::Replace
        } else {
            Existing::Keep
        };
        let filled = register::fill(&KeyRing::at(&self.output), &client, existing, terminal)?;
        let value = serde_json::json!({
            "parameter_set": client.parameter_set().name,
            "secret_key": json(&filled.secret),
            "key_parts": filled
                .parts
                .iter()
                .map(|(part, state)| ((*part).to_owned(), json(state)))
                .collect::<serde_json::Map<_, _>>(),
        });
        terminal.summary(&value, || {
            let mut facts = vec![
                ("parameters", client.parameter_set().name.to_owned()),
                ("secret key", text(&filled.secret, "never give it away")),
            ];
            let parts = filled.parts.iter();
            facts.extend(parts.map(|(part, state)| (*part, text(state, "for the server"))));
            if filled.parts.is_empty() {
                facts.push(("evaluation key", "not needed by this model".to_owned()));
            }
            terminal::facts(facts)
        })
    }
}

fn json(state: &State) -> serde_json::Value {
    match state {
        State::Written(path, bytes) => {
            serde_json::json!({ "state": "written", "path": path, "bytes": bytes })
        }
        State::Kept(path) => serde_json::json!({ "state": "kept", "path": path }),
    }
}

fn text(state: &State, use_for: &str) -> String {
    match state {
        State::Written(path, bytes) => {
            format!("{}, {}: {use_for}", path.display(), terminal::bytes(*bytes))
        }
        State::Kept(path) => format!("{} is already there and is used as it is", path.display()),
    }
}
