//! Frames that a service keeps: `cipherfn frame upload`, `list` and `delete`, and what the commands that
//! take frames as files have in common with those over a service.

use super::models::LinearModels;
use super::{PlanInputs, grants, names};
use crate::connection::Connection;
use crate::files::InputSource;
use crate::shared::block_on;
use crate::terminal::{self, Terminal, Unit};
use crate::trust::TrustArguments;
use crate::usage::bail_usage;
use anyhow::{Context, Result, bail};
use cipherfn_client::Accept;
use cipherfn_client_http::{KeyRing, Service, Uploaded};
use cipherfn_frame::file::FrameReader;
use cipherfn_frame::kept::{self, head};
use cipherfn_frame::pieces::Pieces;
use cipherfn_frame::schema::{NameForm, NameHasher};
use cipherfn_protocol::api::ModelName;
use cipherfn_protocol::api::frames::{FrameId, FrameList, FrameStatus, PublishedVersion};
use cipherfn_scheme::parameters::ParameterSet;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where the frames are.
#[derive(Debug, clap::Args)]
pub(super) struct Place {
    /// A service that keeps the frames: they are named by their schemas' names or by their ids
    #[arg(long, value_name = "URL")]
    pub(super) service: Option<String>,
    /// With --service, a table that it has in the clear and that the plan merges with, by the name under
    /// which it is published; once a table. --keys names the key ring that remembers whose it is
    #[arg(
        long = "table",
        value_name = "NAME",
        requires = "service",
        requires = "keys"
    )]
    tables: Vec<ModelName>,
    #[command(flatten)]
    trust: TrustArguments,
    #[command(flatten)]
    pub(super) connection: Connection,
}

/// Let a service keep an encrypted frame
///
/// Registers the evaluation key where the service lacks it. The frame is kept until it runs out or is
/// deleted, and queried by name: cipherfn frame query --service.
#[derive(Debug, clap::Args)]
#[command(
    mut_arg("rows_a_request", |argument| argument.hide(true)),
    after_help = "Example:\n  cipherfn frame upload sales.cff --service https://abc123.execute-api.eu-central-1.amazonaws.com --keys keys/"
)]
pub(super) struct Upload {
    /// The frame
    frame: InputSource,
    /// Address of the service
    #[arg(long, value_name = "URL")]
    service: String,
    /// The key ring
    #[arg(long, value_name = "DIRECTORY")]
    keys: PathBuf,
    #[command(flatten)]
    connection: Connection,
}

/// List the frames that a service keeps for you, or delete one
#[derive(Debug, clap::Args)]
#[command(
    mut_arg("rows_a_request", |argument| argument.hide(true)),
    after_help = "Example:\n  cipherfn frame list --service https://abc123.execute-api.eu-central-1.amazonaws.com"
)]
pub(super) struct List {
    /// Address of the service
    #[arg(long, value_name = "URL")]
    service: String,
    /// Delete the frame of this name or id
    #[arg(long, value_name = "FRAME")]
    delete: Option<String>,
    /// Show who else may add rows or columns to the frame of this name or id
    #[arg(long, value_name = "FRAME", conflicts_with = "delete")]
    grants: Option<String>,
    /// The key ring whose secret hashed names of frames, to name frames and to show their names
    #[arg(long, value_name = "DIRECTORY")]
    keys: Option<PathBuf>,
    #[command(flatten)]
    connection: Connection,
}

impl Place {
    /// What is public of frames and tables: of files, or of those that a service has.
    pub(super) fn given(
        &self,
        frames: &[InputSource],
        models: &LinearModels,
        keys: Option<&Path>,
    ) -> Result<PlanInputs> {
        let Some(url) = &self.service else {
            return super::given(frames, names::hasher(keys)?.as_ref());
        };
        block_on(async {
            let service = self.connection.open(url).await?;
            Ok(self.at(&service, (frames, models), keys).await?.given)
        })
    }

    /// What a service has of these names.
    pub(super) async fn at(
        &self,
        service: &Service,
        (frames, models): (&[InputSource], &LinearModels),
        keys: Option<&Path>,
    ) -> Result<AtService> {
        let accept = self.trust.accept();
        let models = models.published()?;
        if self.tables.len() + models.len() > 1 && matches!(accept, Accept::Specs(_)) {
            bail_usage!("--specs names a version of one table or model, and several are given");
        }
        let hasher = names::hasher(keys)?;
        let found = find(service, frames, hasher.as_ref()).await?;
        let heads = found.iter().map(|status| {
            let (head, rows) = head(status)?;
            Ok((head.revealed_said(hasher.as_ref())?, rows))
        });
        let heads = heads.collect::<Result<Vec<_>>>()?;
        let (mut tables, mut versions) = (Vec::new(), Vec::new());
        for name in &self.tables {
            let Some(keys) = keys else {
                bail_usage!("--table needs --keys, which remembers whose tables the service has");
            };
            let table = service.table(name, &KeyRing::at(keys), &accept).await?;
            tables.push(table.schema);
            versions.push(table.version);
        }
        let mut scores = Vec::with_capacity(models.len());
        for name in &models {
            let Some(keys) = keys else {
                bail_usage!(
                    "--model {name} needs --keys, which remembers whose models the service has"
                );
            };
            let fetched = service.score(name, &KeyRing::at(keys), &accept).await?;
            scores.push(Arc::new(fetched.score));
        }
        Ok(AtService {
            given: PlanInputs {
                heads,
                tables,
                scores,
                of_service: true,
            },
            frames: found.iter().map(|frame| frame.frame).collect(),
            tables: versions,
        })
    }
}

/// What a service has for a plan.
pub(super) struct AtService {
    pub(super) given: PlanInputs,
    /// The frames, in the order of what is given.
    pub(super) frames: Vec<FrameId>,
    /// The tables, in the order of what is given.
    pub(super) tables: Vec<PublishedVersion>,
}

/// The frames of these names or ids. Lists have no schemas: each frame is asked for.
async fn find(
    service: &Service,
    frames: &[InputSource],
    hasher: Option<&NameHasher>,
) -> Result<Vec<FrameStatus>> {
    let list = service.frames().await?;
    let mut found = Vec::with_capacity(frames.len());
    for frame in frames {
        let listed = kept::find(&list.frames, &frame.name(), hasher)?;
        let status = service.frame(listed.frame).await?;
        if name_of(&status) != listed.name {
            bail!(
                "the service lists frame {} as {:?}, and says the schema of {:?}; nothing is asked of it",
                listed.frame,
                listed.name,
                name_of(&status)
            );
        }
        found.push(status);
    }
    Ok(found)
}

fn name_of(frame: &FrameStatus) -> &str {
    let name = frame.schema.get("name");
    name.and_then(|name| name.as_str()).unwrap_or_default()
}

impl Upload {
    pub(super) fn run(self, terminal: Terminal) -> Result<()> {
        let head = super::read_head(&self.frame)?;
        let set = ParameterSet::by_tag(head.parameter_set, "data frame")?;
        let ring = KeyRing::at(&self.keys);
        let secret = ring.secret_key(set)?;
        if secret.id() != head.key {
            bail!(
                "{} is encrypted under key {}, the key ring has key {}",
                self.frame.name(),
                head.key,
                secret.id()
            );
        }
        drop(secret);
        if *head.schema.names() == NameForm::Clear {
            ring.keep_clear(head.schema.name())?;
        }
        let (mut pieces, len) = cut(&self.frame)?;
        block_on(async {
            let service = self.connection.open(&self.service).await?;
            let progress = terminal.progress(Some(1), Unit::Bytes, "registering");
            let registered = service.register_for_frames(&ring, set, |uploaded: Uploaded| {
                progress.set_length(uploaded.of);
                progress.set_position(uploaded.bytes);
            });
            registered.await?;
            progress.finish_and_clear();
            let progress = terminal.progress(len, Unit::Bytes, "uploading");
            let mut failed = None;
            let all = std::iter::from_fn(|| match pieces.next_piece() {
                Ok(piece) => piece,
                Err(error) => {
                    failed = Some(error);
                    None
                }
            });
            let uploaded = service.upload_frame(all, |bytes| progress.set_position(bytes));
            let uploaded = uploaded.await;
            progress.finish_and_clear();
            if let Some(error) = failed {
                // What was declared is not the whole frame.
                if let Ok(status) = uploaded {
                    service.delete_frame(status.frame).await?;
                }
                return Err(error).with_context(|| self.frame.name());
            }
            let status = uploaded?;
            let hasher = ring.name_hasher()?;
            terminal.report(&status, || facts(&status, hasher.as_ref()))
        })
    }
}

/// Cuts a frame's file into pieces; its length where that is known.
pub(super) fn cut(frame: &InputSource) -> Result<(Pieces<impl Read + use<>>, Option<u64>)> {
    let (input, len) = frame.open()?;
    let reader = FrameReader::open(input).with_context(|| frame.name())?;
    Ok((Pieces::new(reader, len.unwrap_or_default()), len))
}

impl List {
    pub(super) fn run(self, terminal: Terminal) -> Result<()> {
        block_on(async {
            let service = self.connection.open(&self.service).await?;
            let hasher = names::hasher(self.keys.as_deref())?;
            let hasher = hasher.as_ref();
            let list = service.frames().await?;
            if let Some(name) = &self.grants {
                let frame = kept::find(&list.frames, name, hasher)?.frame;
                let frame = service.frame(frame).await?;
                return terminal.report(&frame.grants, || grants::text(&frame.grants));
            }
            let Some(name) = &self.delete else {
                return terminal.report(&list, || text(&list, hasher));
            };
            let frame = kept::find(&list.frames, name, hasher)?.frame;
            service.delete_frame(frame).await?;
            let value = serde_json::json!({ "frame": frame, "state": "deleted" });
            terminal.report(&value, || {
                terminal::facts([
                    ("frame", frame.to_string()),
                    ("state", "deleted".to_owned()),
                ])
            })
        })
    }
}

fn facts(frame: &FrameStatus, hasher: Option<&NameHasher>) -> String {
    terminal::facts([
        ("frame", names::shown(name_of(frame), hasher)),
        ("id", frame.frame.to_string()),
        ("rows", frame.rows.to_string()),
        ("key", frame.key.to_string()),
        ("size", terminal::bytes(frame.bytes)),
        ("expires", terminal::date(frame.expires)),
    ])
}

fn text(list: &FrameList, hasher: Option<&NameHasher>) -> String {
    let frames = &list.frames;
    if frames.is_empty() {
        return format!(
            "the service keeps no frames for you, tenant {}; `cipherfn frame upload` sends one",
            list.tenant
        );
    }
    let header = ["frame", "id", "rows", "size", "key", "expires"]
        .map(ToOwned::to_owned)
        .to_vec();
    let rows = frames.iter().map(|frame| {
        vec![
            names::shown(&frame.name, hasher),
            frame.frame.to_string(),
            frame.rows.to_string(),
            terminal::bytes(frame.bytes),
            frame.key.to_string(),
            terminal::date(frame.expires),
        ]
    });
    let table = terminal::table(header, rows);
    format!("{table}\n\nyou are tenant {}", list.tenant)
}
