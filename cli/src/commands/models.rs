//! `cipherfn models`.

use crate::bucket::BucketArguments;
use crate::connection::Connection;
use crate::shared::block_on;
use crate::signing::SigningArguments;
use crate::terminal::{self, Terminal};
use crate::usage::bail_usage;
use anyhow::{Context, Result, bail};
use cipherfn_protocol::api::{ModelList, ModelName, ModelSummary, ProgramList, PublishedKind};
use cipherfn_protocol::hash::SpecsHash;
use cipherfn_protocol::statement::SignedStatement;
use cipherfn_service::StorageError;
use cipherfn_service::registry::Model;
use clap::{Args, Subcommand};

/// List published models and tables, roll one back, or remove one
///
/// Without an action: lists the models and tables of a bucket (--bucket, --dev) or of a service (--service),
/// or the training programs (--programs). The actions take names of programs, too.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = false,
    after_help = "Examples:\n  cipherfn models --bucket my-bucket\n  cipherfn models --service https://abc123.execute-api.eu-central-1.amazonaws.com\n  \
                  cipherfn models roll-back fraud --bucket my-bucket\n  cipherfn models remove fraud --bucket my-bucket"
)]
pub(crate) struct Models {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    bucket: BucketArguments,
    #[command(flatten)]
    signing: SigningArguments,
    /// List the training programs in place of the models
    #[arg(long)]
    programs: bool,
    /// List the models of the service at this address
    #[arg(long, value_name = "URL", conflicts_with_all = ["bucket", "dev"])]
    service: Option<String>,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make a version that is still live the current one again
    RollBack {
        /// Name of the model
        name: ModelName,
        /// Hash of the version's specs, or its first digits [default: the newest that is not
        /// current]
        #[arg(long, value_name = "HASH")]
        to: Option<String>,
    },
    /// Remove a model, or one version: its queries are no longer answered
    Remove {
        /// Name of the model
        name: ModelName,
        /// Hash of the version's specs, or its first digits [default: all versions]
        #[arg(long, value_name = "HASH")]
        version: Option<String>,
    },
}

impl Models {
    pub(crate) fn run(self, terminal: Terminal) -> Result<()> {
        if self.programs && self.action.is_some() {
            bail_usage!("--programs is for lists; actions take names of programs without it");
        }
        match (&self.action, &self.service) {
            (None, Some(url)) => {
                let models = block_on(async {
                    let service = self.connection.open(url).await?;
                    Ok(if self.programs {
                        service.programs().await?.programs
                    } else {
                        service.models().await?.models
                    })
                })?;
                self.list(models, terminal)
            }
            (None, None) if !self.bucket.is_given() => bail_usage!(
                "whose models? give --service URL for those of a service, --bucket NAME for those of its bucket, or --dev DIRECTORY for those of a `cipherfn dev` that is running{}",
                BucketArguments::found_here()
            ),
            (None, None) => {
                let found = block_on(async { Ok(self.bucket.open().await?.models().await?) })?;
                for error in found.unreadable {
                    let remedy = match error {
                        StorageError::Newer { .. } => "",
                        _ => ", or remove the model",
                    };
                    terminal::warning(&format!("{error}{remedy}"));
                }
                let models = found.models.iter();
                let models =
                    models.filter(|it| (it.kind == PublishedKind::Program) == self.programs);
                self.list(models.map(Model::summary).collect(), terminal)
            }
            (Some(_), Some(_)) => bail_usage!(
                "models are changed in their bucket; give --bucket or --dev in place of --service"
            ),
            (Some(action), None) => block_on(self.change(action, terminal)),
        }
    }

    fn list(&self, models: Vec<ModelSummary>, terminal: Terminal) -> Result<()> {
        let shown = text(&models, self.programs);
        if self.programs {
            terminal.report(&ProgramList { programs: models }, || shown)
        } else {
            terminal.report(&ModelList { models }, || shown)
        }
    }

    async fn change(&self, action: &Action, terminal: Terminal) -> Result<()> {
        let registry = self.bucket.open().await?;
        let missing = |name: &ModelName| {
            format!("there is no model {name}; `cipherfn models` lists those that there are")
        };
        let version = async |name: &ModelName, prefix: &Option<String>| match prefix {
            None => Ok(None),
            Some(prefix) => {
                let model = registry.model(name).await?;
                let model = model.with_context(|| missing(name))?;
                find(&model.summary(), prefix).map(Some)
            }
        };
        let (name, left) = match action {
            Action::RollBack { name, to } => {
                let to = version(name, to).await?;
                let known = registry.model(name).await?;
                let known = known.with_context(|| missing(name))?;
                let sign = self.sign(&known, known.rolled_back(to).as_ref())?;
                let Some(model) = registry.roll_back(name, to, &sign).await? else {
                    bail!(
                        "model {name} has no other live version to roll back to; publish the earlier bundle again"
                    );
                };
                (name, Some(model))
            }
            Action::Remove {
                name,
                version: prefix,
            } => {
                let version = version(name, prefix).await?;
                let (left, removed) = if version.is_some()
                    && let Some(known) = registry.model(name).await?
                {
                    let sign = self.sign(&known, known.without(version).as_ref())?;
                    registry.remove(name, version, &sign).await?
                } else {
                    registry.remove(name, version, &|_, _| None).await?
                };
                if !removed {
                    bail!(missing(name));
                }
                (name, left)
            }
        };
        let list = ModelList {
            models: left.iter().map(Model::summary).collect(),
        };
        terminal.report(&list, || {
            if list.models.is_empty() {
                format!("model {name} is removed")
            } else {
                text(&list.models, false)
            }
        })
    }
}

impl Models {
    /// States that another version of a signed model is the current one, as clients want to see it
    /// stated. Fails where this developer cannot: clients would refuse the version.
    fn sign(
        &self,
        known: &Model,
        changed: Option<&Model>,
    ) -> Result<impl Fn(Option<&Model>, SpecsHash) -> Option<SignedStatement> + Sync + use<>> {
        let (name, current) = (known.name.clone(), changed.map(|model| model.current));
        let needed = known.statement().is_some() && current.is_some_and(|it| it != known.current);
        let developer = if needed {
            self.signing.file(self.bucket.local())?.known()?
        } else {
            None
        };
        let sign =
            move |known: Option<&Model>, specs| developer.as_ref()?.sign_again(&name, known, specs);
        if let (true, Some(current)) = (needed, current)
            && sign(Some(known), current).is_none()
        {
            bail!(
                "version {} of model {} is not signed with this signing key, so clients would refuse it; give its developer's key with --signing-key, or publish its bundle again",
                current.short(),
                known.name
            );
        }
        Ok(sign)
    }
}

/// The one version whose hash begins like this.
fn find(model: &ModelSummary, prefix: &str) -> Result<SpecsHash> {
    let hashes = model.versions.iter().map(|version| version.specs);
    let found: Vec<SpecsHash> = hashes
        .filter(|hash| !prefix.is_empty() && hash.to_string().starts_with(prefix))
        .collect();
    match found.as_slice() {
        [hash] => Ok(*hash),
        [] => bail!(
            "model {} has no live version {prefix:?}; `cipherfn models` lists its versions",
            model.name
        ),
        _ => bail!(
            "model {} has several versions that begin with {prefix}; give more digits",
            model.name
        ),
    }
}

fn text(models: &[ModelSummary], are_programs: bool) -> String {
    if models.is_empty() {
        let none = if are_programs {
            "no training programs"
        } else {
            "no models"
        };
        return format!("{none}; publish one with `cipherfn publish`");
    }
    let header = ["name", "kind", "version", "current", "published", "size"]
        .map(ToOwned::to_owned)
        .to_vec();
    let rows = models.iter().flat_map(|model| {
        model.versions.iter().map(|version| {
            vec![
                model.name.to_string(),
                model.kind.to_string(),
                version.specs.short(),
                if version.specs == model.current {
                    "yes"
                } else {
                    ""
                }
                .to_owned(),
                terminal::date(version.published),
                terminal::bytes(version.bundle_bytes),
            ]
        })
    });
    terminal::table(header, rows)
}
