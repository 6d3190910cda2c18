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

fn text(list: &TrainingList) -> String {
    if list.trainings.is_empty() {
        return "there are no trainings of yours; `cipherfn joint declare` makes one".to_owned();
    }
    let header = [
        "training", "program", "uploads", "rows", "grants", "expires",
    ];
    let rows = list.trainings.iter().map(|training| {
        vec![
            training.training.to_string(),
            training.program.to_string(),
            training.owners.to_string(),
            match training.least_owners {
                None => training.rows.to_string(),
                Some(least) => format!("a total of {least} owners at least"),
            },
            training.grants.to_string(),
            terminal::date(training.expires),
        ]
    });
    terminal::table(header.map(ToOwned::to_owned).to_vec(), rows)
}
