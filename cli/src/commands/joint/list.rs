//! `cipherfn joint list`.

use crate::connection::Connection;
use crate::shared::block_on;
use crate::terminal::{self, Terminal};
use anyhow::Result;
use cipherfn_protocol::api::trainings::TrainingList;

/// List your trainings that owners may add rows to, and your totals
#[derive(Debug, clap::Args)]
#[command(
    mut_arg("rows_a_request", |argument| argument.hide(true)),
    after_help = "Example:\n  cipherfn joint list --service https://abc123.execute-api.eu-central-1.amazonaws.com"
)]
pub(super) struct ListTrainings {
    /// Address of the service
    #[arg(long, value_name = "URL")]
    service: String,
    #[command(flatten)]
    connection: Connection,
}

impl ListTrainings {
    pub(super) fn run(self, terminal: Terminal) -> Result<()> {
        let list = block_on(async {
            let service = self.connection.open(&self.service).await?;
            Ok::<_, anyhow::Error>(service.trainings().await?)
        })?;
        terminal.report(&list, || text(&list))
    }
}

fn counted(number: u64, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}

fn text(list: &TrainingList) -> String {
    if list.trainings.is_empty() {
        return "there are no trainings of yours; `cipherfn joint declare` makes one".to_owned();
    }
    // Rows are added as uploads, sums by owners: which of these a number counts, its own cell says.
    let header = ["training", "program", "added", "grants", "expires"];
    let rows = list.trainings.iter().map(|training| {
        vec![
            training.training.to_string(),
            training.program.to_string(),
            match training.least_owners {
                None => format!(
                    "{} in {}",
                    counted(training.rows, "row"),
                    counted(training.owners, "upload")
                ),
                Some(least) => format!(
                    "{}, a total of {least} owners at least",
                    counted(training.owners, "contribution")
                ),
            },
            training.grants.to_string(),
            terminal::date(training.expires),
        ]
    });
    terminal::table(header.map(ToOwned::to_owned).to_vec(), rows)
}
