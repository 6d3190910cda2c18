//! `cipherfn keys`.

use crate::connection::Connection;
use crate::shared::block_on;
use crate::terminal::{self, Terminal};
use anyhow::Result;
use cipherfn_protocol::api::v2::KeyList;
use cipherfn_protocol::message::KeyId;

/// List the evaluation keys that you have registered with a service, or delete one by its id
///
/// The service takes so many keys of each caller. The list shows what it counts, also keys whose
/// key ring is gone; `cipherfn register` looks at the key of a key ring.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  cipherfn keys --service https://abc123.execute-api.eu-central-1.amazonaws.com\n  \
                  cipherfn keys --service https://abc123.execute-api.eu-central-1.amazonaws.com --delete 5a0e63fbdcb4f3a27c2b1e9b0f7f4d11"
)]
pub(crate) struct Keys {
    /// Address of the service
    #[arg(long, value_name = "URL")]
    service: String,
    /// Delete the key with this id from the service, with all its parts
    #[arg(long, value_name = "ID")]
    delete: Option<KeyId>,
    #[command(flatten)]
    connection: Connection,
}

impl Keys {
    pub(crate) fn run(self, terminal: Terminal) -> Result<()> {
        block_on(async {
            let service = self.connection.open(&self.service).await?;
            if let Some(key) = self.delete {
                service.delete_key(key).await?;
                return deleted(terminal, key);
            }
            let list = service.keys().await?;
            terminal.report(&list, || text(&list))
        })
    }
}

/// Says that a key is no longer registered.
pub(crate) fn deleted(terminal: Terminal, key: KeyId) -> Result<()> {
    terminal.report(
        &serde_json::json!({ "key": key, "state": "deleted" }),
        || terminal::facts([("key", key.to_string()), ("state", "deleted".to_owned())]),
    )
}

fn text(list: &KeyList) -> String {
    if list.keys.is_empty() && list.unreadable.is_empty() {
        return "no keys are registered; `cipherfn register` registers that of a key ring"
            .to_owned();
    }
    let header = ["key", "parameters", "part", "state", "size", "expires"]
        .map(ToOwned::to_owned)
        .to_vec();
    let known = list.keys.iter().flat_map(|key| {
        key.parts.iter().map(|(name, part)| {
            vec![
                key.key.to_string(),
                key.parameter_set.clone(),
                name.clone(),
                format!("{:?}", part.state).to_lowercase(),
                terminal::bytes(part.bytes),
                terminal::date(part.expires),
            ]
        })
    });
    let unreadable = list.unreadable.iter().map(|key| {
        let mut row = vec![String::new(); 6];
        (row[0], row[3]) = (key.to_string(), "unreadable".to_owned());
        row
    });
    terminal::table(header, known.chain(unreadable))
}
