//! Rows and columns that others add to a frame that a service keeps: `cipherfn frame grant`, `add` and
//! `revoke`.

use super::names;
use super::rows::read_schema;
use super::stored::cut;
use crate::connection::Connection;
use crate::files::{Content, Destination, InputSource};
use crate::grants::{GrantTrust, end_of, expires_in, grant_id, tell};
use crate::shared::{Force, block_on};
use crate::signing::SigningArguments;
use crate::terminal::{self, Terminal, Unit};
use anyhow::{Context, Result, bail};
use cipherfn_client_http::KeyRing;
use cipherfn_frame::file::FrameReader;
use cipherfn_frame::kept::{self, head};
use cipherfn_frame::schema::NameForm;
use cipherfn_protocol::api::frames::{FrameStatus, MAX_PIECES};
use cipherfn_protocol::api::grant::{
    Grant, GrantId, GrantTarget, GrantedColumns, MAX_BYTES, TenantId,
};
use cipherfn_protocol::api::grants::{GrantStatus, Revocation};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Let somebody else add rows or columns to a frame that a service keeps for you, and nothing else
///
/// Writes a grant that this signing key signs: whoever has it may add so many pieces of so many bytes until
/// it runs out (cipherfn frame add), under the frame's key and schema. It shows nothing of the frame. Give
/// it away as you would a password, or name the tenant who may use it.
///
/// With --columns it is for columns beside the rows that the frame has now, once: it says which, and how many
/// rows there are. Whoever adds them has to know from you which row is which.
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
    /// For columns in place of rows: their schema, TOML, under the frame's name
    #[arg(long, value_name = "FILE")]
    columns: Option<InputSource>,
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

/// Add rows or columns to somebody else's frame, by a grant of its owner
///
/// Rows are a frame of the same schema, encrypted under the same key. They become the last ones. Columns are
/// encrypted by the grant (frame encrypt --grant), a row for each row of the frame. The same file is added
/// once, however often it is sent.
#[derive(Debug, clap::Args)]
#[command(
    mut_arg("rows_a_request", |argument| argument.hide(true)),
    after_help = "Example:\n  cipherfn frame add february.cff --grant sales.grant --service https://abc123.execute-api.eu-central-1.amazonaws.com"
)]
pub(super) struct AddRows {
    /// The rows or columns, a frame
    frame: InputSource,
    /// The grant
    #[arg(long, value_name = "FILE")]
    grant: InputSource,
    #[command(flatten)]
    trust: GrantTrust,
    /// Address of the service
    #[arg(long, value_name = "URL")]
    service: String,
    #[command(flatten)]
    connection: Connection,
}

/// End a grant: nobody adds anything by it any more
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
    /// Remove the rows or columns that were added by it, too
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
            let frame = kept::find(&list.frames, &self.frame, hasher.as_ref())?.frame;
            let target = match &self.columns {
                Some(columns) => {
                    let status = service.frame(frame).await?;
                    let columns = granted_columns(columns, &status, self.keys.as_deref())?;
                    GrantTarget::Columns(frame, columns)
                }
                None => frame.into(),
            };
            let grant = developer.sign_grant(Grant {
                id,
                owner: list.tenant,
                target,
                to: self.to,
                objects: self.objects,
                bytes: u64::from(self.megabytes) * 1_000_000,
                expires: expires_in(self.days)?,
            });
            let document = grant.to_json()?;
            if document.len() > MAX_BYTES {
                bail!(
                    "the grant would have {} bytes, at most {MAX_BYTES} are possible; grant fewer columns, or columns with smaller dictionaries",
                    document.len()
                );
            }
            let mut output = self.output.create(Content::Text, self.force.force, &[])?;
            service.offer_grant(&grant).await?;
            writeln!(output, "{document}")?;
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
        let allows = allowed(terms.objects, terms.bytes);
        tell((&grant, allows), &self.output, &value, terminal)
    }
}

impl AddRows {
    pub(super) fn run(self, terminal: Terminal) -> Result<()> {
        let grant = self.trust.read(&self.grant)?;
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
            added?.context("nothing was added")
        })?;
        terminal.report(&status, || {
            terminal::facts([
                (
                    "frame",
                    status.frame.map_or_else(String::new, |id| id.to_string()),
                ),
                ("added by the grant", added_by(&status)),
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
            let frame = kept::find(&list.frames, &self.frame, hasher.as_ref())?.frame;
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

/// The columns of a schema, beside the rows that a frame has now.
fn granted_columns(
    source: &InputSource,
    frame: &FrameStatus,
    keys: Option<&Path>,
) -> Result<GrantedColumns> {
    let (head, rows) = head(frame)?;
    let head = head.revealed_said(names::hasher(keys)?.as_ref())?;
    let mut columns = read_schema(source)?.with_rows(head.schema.rows());
    if let NameForm::Hashed(id) = head.schema.names() {
        bail!(
            "names of the frame are hashed by secret {id}; --keys names the key ring that has it"
        );
    }
    if let (NameForm::Revealed(_), Some(keys)) = (head.schema.names(), keys) {
        columns = KeyRing::at(keys).hash_names(&columns)?;
    }
    let both = head.schema.as_sent().beside(columns.as_sent());
    both.with_context(|| source.name())?;
    Ok(GrantedColumns {
        schema: String::from_utf8(columns.to_json()?)?,
        parts: match frame.parts.as_slice() {
            [] => vec![rows as u64],
            several => several.to_vec(),
        },
    })
}

/// What came by a grant.
fn added_by(status: &GrantStatus) -> String {
    match status.columns.as_slice() {
        [] => format!("{} rows", status.rows),
        columns => format!("columns {}", columns.join(", ")),
    }
}

/// Grants of a frame, for people.
pub(super) fn text(grants: &[GrantStatus]) -> String {
    if grants.is_empty() {
        return "nobody else may add rows or columns to the frame; `cipherfn frame grant` lets somebody"
            .to_owned();
    }
    let header = ["grant", "for", "pieces", "size", "adds", "expires"];
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
            added_by(grant),
            end_of(grant),
        ]
    });
    terminal::table(header.map(ToOwned::to_owned).to_vec(), rows)
}

fn allowed(objects: u32, bytes: u64) -> String {
    format!("{objects} pieces, {}", terminal::bytes(bytes))
}
