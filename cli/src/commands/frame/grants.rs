//! Rows that others add to a frame that a service keeps: `cipherfn frame grant`, `add` and `revoke`.

use super::names;
use super::stored::cut;
use crate::connection::Connection;
use crate::files::{Content, Destination, InputSource};
use crate::shared::{Force, block_on};
use crate::signing::{SigningArguments, grant_id};
use crate::terminal::{self, Terminal, Unit};
use anyhow::{Context, Result};
use cipherfn_frame::file::FrameReader;
use cipherfn_protocol::api::frames::MAX_PIECES;
use cipherfn_protocol::api::grant::{Grant, GrantId, MAX_BYTES, SignedGrant, TenantId};
use cipherfn_protocol::api::grants::{GrantStatus, Revocation};
use cipherfn_signing::verify_grant;
use std::io::Write;
use std::path::PathBuf;
use time::{Duration, OffsetDateTime};

/// Let somebody else add rows to a frame that a service keeps for you, and nothing else
///
/// Writes a grant that this signing key signs: whoever has it may add so many pieces of so many bytes until
/// it runs out (cipherfn frame add), under the frame's key and schema. It shows nothing of the frame. Give
/// it away as you would a password, or name the tenant who may use it.
#[derive(Debug, clap::Args)]
#[command(
    mut_arg("rows_a_request", |argument| argument.hide(true)),
    after_help = "Example:\n  cipherfn frame grant sales --service https://abc123.execute-api.eu-central-1.amazonaws.com --objects 10 --megabytes 100 --days 7 -o sales.grant"
)]
pub(super) struct MakeGrant {
    /// The frame, by name or id
    frame: String,
    /// The key ring whose secret hashed the frame's name, to name it
    #[arg(long, value_name = "DIRECTORY")]
    keys: Option<PathBuf>,
    /// Address of the service
    #[arg(long, value_name = "URL")]
    service: String,
    /// Pieces that may be added: a file of 8 MB or less is one
    #[arg(long, value_name = "N", default_value = "10", value_parser = clap::value_parser!(u32).range(1..=MAX_PIECES as i64))]
    objects: u32,
    /// Megabytes that these may have together
    #[arg(long, value_name = "MB", default_value = "100", value_parser = clap::value_parser!(u32).range(1..=6400))]
    megabytes: u32,
    /// Days after which it can no longer be used
    #[arg(long, value_name = "DAYS", default_value = "7", value_parser = clap::value_parser!(u16).range(1..=366))]
    days: u16,
    /// The tenant who may use it, as `cipherfn frame list` tells that tenant [default: anybody who has
    /// the grant]
    #[arg(long, value_name = "TENANT")]
    to: Option<TenantId>,
    /// The grant to write, - for standard output
    #[arg(short, long, value_name = "FILE")]
    output: Destination,
    #[command(flatten)]
    signing: SigningArguments,
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    force: Force,
}

/// Add rows to somebody else's frame, by a grant of its owner
///
/// The rows are a frame of the same schema, encrypted under the same key. They become the last ones. The
/// same file is added once, however often it is sent.
#[derive(Debug, clap::Args)]
#[command(
    mut_arg("rows_a_request", |argument| argument.hide(true)),
    after_help = "Example:\n  cipherfn frame add february.cff --grant sales.grant --service https://abc123.execute-api.eu-central-1.amazonaws.com"
)]
pub(super) struct AddRows {
    /// The rows, a frame
    frame: InputSource,
    /// The grant
    #[arg(long, value_name = "FILE")]
    grant: InputSource,
    /// Address of the service
    #[arg(long, value_name = "URL")]
    service: String,
    #[command(flatten)]
    connection: Connection,
}

/// End a grant: nobody adds rows by it any more
#[derive(Debug, clap::Args)]
#[command(
    mut_arg("rows_a_request", |argument| argument.hide(true)),
    after_help = "Example:\n  cipherfn frame revoke sales --grant 0f3c5a... --service https://abc123.execute-api.eu-central-1.amazonaws.com"
)]
pub(super) struct Revoke {
    /// The frame, by name or id
    frame: String,
    /// The key ring whose secret hashed the frame's name, to name it
    #[arg(long, value_name = "DIRECTORY")]
    keys: Option<PathBuf>,
    /// The grant, as `cipherfn frame list --grants FRAME` shows it
    #[arg(long, value_name = "ID")]
    grant: GrantId,
    /// Remove the rows that were added by it, too
    #[arg(long)]
    drop_rows: bool,
    /// Address of the service
    #[arg(long, value_name = "URL")]
    service: String,
    #[command(flatten)]
    connection: Connection,
}

impl MakeGrant {
    pub(super) fn run(self, terminal: Terminal) -> Result<()> {
        let id = grant_id()?;
        let developer = self.signing.file(None)?.developer()?;
        developer.introduce();
        let grant = block_on(async {
            let service = self.connection.open(&self.service).await?;
            let list = service.frames().await?;
            let hasher = names::hasher(self.keys.as_deref())?;
            let frame = names::find(&list, &self.frame, hasher.as_ref())?.frame;
            let expires = OffsetDateTime::now_utc() + Duration::days(self.days.into());
            let grant = developer.sign_grant(Grant {
                id,
                owner: list.tenant,
                target: frame.into(),
                to: self.to,
                objects: self.objects,
                bytes: u64::from(self.megabytes) * 1_000_000,
                expires: expires.replace_nanosecond(0)?,
            });
            let mut output = self.output.create(Content::Text, self.force.force, &[])?;
            service.offer_grant(&grant).await?;
            writeln!(output, "{}", grant.to_json()?)?;
            output.finish()?;
            Ok(grant)
        })?;
        let terms = &grant.grant;
        let value = serde_json::json!({
            "grant": terms.id,
            "frame": terms.target.frame(),
            "objects": terms.objects,
            "bytes": terms.bytes,
        });
        let beside = terminal.beside_data(self.output.is_stdout());
        beside.summary(&value, || {
            let to = terms.to.map_or_else(
                || "anybody who has it".to_owned(),
                |tenant| tenant.to_string(),
            );
            terminal::facts([
                ("grant", terms.id.to_string()),
                ("file", self.output.name()),
                ("for", to),
                ("allows", allowed(terms.objects, terms.bytes)),
                ("expires", terminal::date(terms.expires)),
            ])
        })
    }
}

impl AddRows {
    pub(super) fn run(self, terminal: Terminal) -> Result<()> {
        let grant = SignedGrant::from_json(self.grant.read_all(MAX_BYTES as u64)?.trim_ascii())
            .with_context(|| self.grant.name())?;
        verify_grant(&grant).with_context(|| {
            format!(
                "{} was changed; ask the frame's owner for it",
                self.grant.name()
            )
        })?;
        // All of it is read before any of it is sent.
        let rows = self.frame.repeatable()?;
        let source = || self.frame.name();
        let mut reader = FrameReader::open(rows.open()?.0).with_context(source)?;
        while reader.next_rows().with_context(source)?.is_some() {}
        let (mut pieces, len) = cut(&rows)?;
        let status = block_on(async {
            let service = self.connection.open(&self.service).await?;
            let progress = terminal.progress(len, Unit::Bytes, "uploading");
            let mut failed = None;
            let all = std::iter::from_fn(|| match pieces.next_piece() {
                Ok(piece) => piece.map(Some),
                Err(error) => {
                    failed = Some(error);
                    Some(None)
                }
            });
            let added = service.add_rows(&grant, all, |bytes| progress.set_position(bytes));
            let added = added.await;
            progress.finish_and_clear();
            if let Some(error) = failed {
                return Err(error).with_context(source);
            }
            added?.context("no rows were added")
        })?;
        terminal.report(&status, || {
            terminal::facts([
                (
                    "frame",
                    status.frame.map_or_else(String::new, |id| id.to_string()),
                ),
                ("rows added by the grant", status.rows.to_string()),
                (
                    "left of it",
                    allowed(
                        status.objects.saturating_sub(status.objects_used),
                        status.bytes.saturating_sub(status.bytes_used),
                    ),
                ),
                ("expires", terminal::date(status.expires)),
            ])
        })
    }
}

impl Revoke {
    pub(super) fn run(self, terminal: Terminal) -> Result<()> {
        let revocation = Revocation {
            grant: self.grant,
            drop_rows: self.drop_rows,
        };
        let frame = block_on(async {
            let service = self.connection.open(&self.service).await?;
            let list = service.frames().await?;
            let hasher = names::hasher(self.keys.as_deref())?;
            let frame = names::find(&list, &self.frame, hasher.as_ref())?.frame;
            Ok(service.revoke_grant(frame, &revocation).await?)
        })?;
        terminal.report(&frame, || {
            terminal::facts([
                ("grant", format!("{} is revoked", self.grant)),
                ("rows of the frame", frame.rows.to_string()),
            ])
        })
    }
}

/// Grants of a frame, for people.
pub(super) fn text(grants: &[GrantStatus]) -> String {
    if grants.is_empty() {
        return "nobody else may add rows to the frame; `cipherfn frame grant` lets somebody"
            .to_owned();
    }
    let header = ["grant", "for", "pieces", "size", "rows", "expires"];
    let rows = grants.iter().map(|grant| {
        vec![
            grant.grant.to_string(),
            grant
                .to
                .map_or_else(|| "anybody".to_owned(), |to| to.to_string()),
            format!("{} of {}", grant.objects_used, grant.objects),
            format!(
                "{} of {}",
                terminal::bytes(grant.bytes_used),
                terminal::bytes(grant.bytes)
            ),
            grant.rows.to_string(),
            terminal::date(grant.expires),
        ]
    });
    terminal::table(header.map(ToOwned::to_owned).to_vec(), rows)
}

fn allowed(objects: u32, bytes: u64) -> String {
    format!("{objects} pieces, {}", terminal::bytes(bytes))
}
