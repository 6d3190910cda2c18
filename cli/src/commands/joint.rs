//! `cipherfn joint`: a training by descent on rows that several owners upload, or the total of their sums.

mod add;
mod declare;
mod grants;
mod list;
mod sums;
mod terms;
mod total;

use crate::connection::Connection;
use crate::files::InputSource;
use crate::grants::end_of;
use crate::shared::block_on;
use crate::terminal::{self, Terminal};
use anyhow::{Context, Result};
use cipherfn_protocol::api::grant::GrantId;
use cipherfn_protocol::api::trainings::{TrainingId, TrainingStatus};
use cipherfn_scheme::public::PublicKey;

/// Largest file of a public key.
const MAX_PUBLIC_KEY: u64 = 1 << 20;

/// Train on what several owners upload to a service, each under the key holder's public key
///
/// The key holder declares a training and gives its public key and a grant to each owner; owners encrypt and
/// upload without talking to each other, and cannot decrypt; train --joint runs the steps on all rows
/// together. By a program of statistics owners upload sums of their rows, and joint total takes what these add up
/// to, for statistics fit and show. An owner who holds all rows needs none of this, and should train at home.
#[derive(Debug, clap::Args)]
pub(crate) struct Joint {
    #[command(subcommand)]
    command: JointCommand,
}

/// What to do with a training.
#[derive(Debug, clap::Subcommand)]
enum JointCommand {
    Declare(declare::DeclareTraining),
    Grant(grants::GrantRows),
    Add(add::AddOwnRows),
    Total(total::TakeTotal),
    Show(ShowTraining),
    List(list::ListTrainings),
    Revoke(grants::RevokeRows),
    Delete(DeleteTraining),
}

/// Show who may add rows to a training or sums to a total, and who did
#[derive(Debug, clap::Args)]
#[command(
    mut_arg("rows_a_request", |argument| argument.hide(true)),
    after_help = "Example:\n  cipherfn joint show 0f1e2d3c4b5a69788796a5b4c3d2e1f0 --service https://abc123.execute-api.eu-central-1.amazonaws.com"
)]
struct ShowTraining {
    /// The training, as `cipherfn joint declare` told it
    training: TrainingId,
    /// Address of the service
    #[arg(long, value_name = "URL")]
    service: String,
    #[command(flatten)]
    connection: Connection,
}

/// End a training before its job, and delete all rows that owners have added
#[derive(Debug, clap::Args)]
#[command(
    mut_arg("rows_a_request", |argument| argument.hide(true)),
    after_help = "Example:\n  cipherfn joint delete 0f1e2d3c4b5a69788796a5b4c3d2e1f0 --service https://abc123.execute-api.eu-central-1.amazonaws.com"
)]
struct DeleteTraining {
    /// The training
    training: TrainingId,
    /// Address of the service
    #[arg(long, value_name = "URL")]
    service: String,
    #[command(flatten)]
    connection: Connection,
}

impl Joint {
    pub(crate) fn run(self, terminal: Terminal) -> Result<()> {
        match self.command {
            JointCommand::Declare(command) => command.run(terminal),
            JointCommand::Grant(command) => command.run(terminal),
            JointCommand::Add(command) => command.run(terminal),
            JointCommand::Total(command) => command.run(terminal),
            JointCommand::Show(command) => command.run(terminal),
            JointCommand::List(command) => command.run(terminal),
            JointCommand::Revoke(command) => command.run(terminal),
            JointCommand::Delete(command) => command.run(terminal),
        }
    }
}

impl ShowTraining {
    fn run(self, terminal: Terminal) -> Result<()> {
        let status = block_on(async {
            let service = self.connection.open(&self.service).await?;
            Ok::<_, anyhow::Error>(service.training(self.training).await?)
        })?;
        terminal.report(&status, || text(&status))
    }
}

impl DeleteTraining {
    fn run(self, terminal: Terminal) -> Result<()> {
        block_on(async {
            let service = self.connection.open(&self.service).await?;
            Ok::<_, anyhow::Error>(service.delete_training(self.training).await?)
        })?;
        let value = serde_json::json!({ "training": self.training, "state": "deleted" });
        terminal.report(&value, || {
            terminal::facts([
                ("training", self.training.to_string()),
                ("state", "deleted".to_owned()),
            ])
        })
    }
}

/// A training, for people.
fn text(status: &TrainingStatus) -> String {
    let mut facts = vec![
        ("training", status.training.to_string()),
        ("program", status.program.to_string()),
        ("version", status.specs.short()),
        ("key", status.key.to_string()),
    ];
    let owners = status.owners.len();
    facts.extend(match status.least_owners {
        None => vec![
            ("owners", owners.to_string()),
            ("rows", status.rows.to_string()),
        ],
        Some(least) => {
            let owners = format!("{owners} have contributed, the total is of {least} at least");
            vec![("owners", owners)]
        }
    });
    facts.push(("expires", terminal::date(status.expires)));
    let mut text = terminal::facts(facts);
    if status.grants.is_empty() {
        text.push_str("\nnobody may add anything; `cipherfn joint grant` lets somebody");
        return text;
    }
    let has_added = |grant: GrantId| status.owners.iter().any(|own| own.grant == grant);
    let added = status.least_owners.map_or("rows", |_| "sums");
    let header = ["grant", "for", added, "size", "expires"];
    let rows = status.grants.iter().map(|grant| {
        let most = grant.most_rows.unwrap_or_default();
        vec![
            grant.grant.to_string(),
            grant
                .to
                .map_or_else(|| "anybody".to_owned(), |to| to.to_string()),
            match status.least_owners {
                None => format!("{} of {most}", grant.rows),
                Some(_) if has_added(grant.grant) => "contributed".to_owned(),
                Some(_) => "none yet".to_owned(),
            },
            format!(
                "{} of {}",
                terminal::bytes(grant.bytes_used),
                terminal::bytes(grant.bytes)
            ),
            end_of(grant),
        ]
    });
    let table = terminal::table(header.map(ToOwned::to_owned).to_vec(), rows);
    format!("{text}\n{table}")
}

/// A public key and its file's bytes.
fn read_public_key(source: &InputSource) -> Result<(PublicKey, Vec<u8>)> {
    let bytes = source.read_all(MAX_PUBLIC_KEY)?;
    let key = PublicKey::from_file_bytes(&bytes).with_context(|| source.name())?;
    Ok((key, bytes))
}
