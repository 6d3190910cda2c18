//! Published models and their versions. Training programs and tables in the clear are published in the
//! same way.

use super::document::{self, Stored};
use super::model::{Folder, LiveVersion, Model, Retired, pointer};
use super::store::ATTEMPTS;
use super::{Registry, UniqueId};
use crate::bucket::{Bucket, Condition, ObjectEntry, Presigned, StorageError};
use bytes::Bytes;
use cipherfn_protocol::api::{ModelName, PublishedKind};
use cipherfn_protocol::hash::{Hash, SpecsHash};
use cipherfn_protocol::specs;
use cipherfn_protocol::statement::SignedStatement;
use cipherfn_protocol::versions::json_version;
use futures_util::{StreamExt, stream};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::time::Duration;
use time::OffsetDateTime;

/// Largest bundle that is read, in bytes.
const MAX_BUNDLE: u64 = (256 << 20) + 4096;
/// Largest report that is read, in bytes.
const MAX_REPORT: u64 = 16 << 20;
/// Models that are looked up at the same time.
const IN_FLIGHT: usize = 16;
/// How long the files of a version that is no longer live are kept for those who have begun to read
/// them: no function runs longer.
const RETIRED: Duration = Duration::from_mins(15);
/// How long files are kept that no model names: they may be those of a publication under way.
const STRAY: Duration = Duration::from_hours(24);

const BUNDLE: &str = "bundle.cfn";
const SPECS: &str = "specs.json";
const SPECS_V1: &str = "specs.v1.json";
const REPORT: &str = "report.json";

/// What is read of a report: how long a row takes.
#[derive(Deserialize)]
struct Report {
    work: ReportedWork,
}

#[derive(Deserialize)]
struct ReportedWork {
    predicted_microseconds: f64,
}

/// What is published: the parts of a bundle, a training program, or a table in the clear.
#[derive(Clone, Debug)]
pub struct Published {
    /// Hash of the specs.
    pub hash: SpecsHash,
    /// The bundle file, or the table's with its cells; none of a program.
    pub bundle: Option<Bytes>,
    /// The client specs document, the program, or what is public of the table.
    pub specs: Bytes,
    /// The same as a document of format 1, where it is not one and can be said in one.
    pub specs_v1: Option<Bytes>,
    /// The compile report, of a model alone.
    pub report: Option<Bytes>,
    /// What it is.
    pub kind: PublishedKind,
}

/// Makes a developer's statement that specs are those of the model that is there now; `None` leaves
/// them unsigned. It is asked again where the model has changed meanwhile.
pub type Sign<'a> = dyn Fn(Option<&Model>, SpecsHash) -> Option<SignedStatement> + Sync + 'a;

/// All models, training programs and tables.
#[derive(Debug)]
pub struct Models {
    /// In order of their names.
    pub models: Vec<Model>,
    /// Why others are not among them: publishing or removing one that is corrupt mends it, one of a
    /// later format is left to a later build.
    pub unreadable: Vec<StorageError>,
}

impl<B: Bucket> Registry<B> {
    /// All models, training programs and tables.
    pub async fn models(&self) -> Result<Models, StorageError> {
        let names = self.bucket.folders("models/").await?;
        // Folders that are no model's are none of ours.
        let names: Vec<ModelName> = names.iter().filter_map(|name| name.parse().ok()).collect();
        let stored: Vec<_> = names.iter().map(|name| self.stored_model(name)).collect();
        let stored: Vec<_> = stream::iter(stored).buffered(IN_FLIGHT).collect().await;
        let mut models = Models {
            models: Vec::new(),
            unreadable: Vec::new(),
        };
        for stored in stored {
            match stored {
                Ok(Stored::Sound(model, _)) => models.models.push(model),
                Ok(Stored::Corrupt(error, _)) | Err(error @ StorageError::Newer { .. }) => {
                    models.unreadable.push(error);
                }
                Ok(Stored::Absent) => (),
                Err(error) => return Err(error),
            }
        }
        Ok(models)
    }

    /// A model and its live versions.
    pub async fn model(&self, name: &ModelName) -> Result<Option<Model>, StorageError> {
        self.stored_model(name).await?.sound()
    }

    /// A version's specs document of this hash.
    pub async fn specs(
        &self,
        name: &ModelName,
        version: &LiveVersion,
        hash: SpecsHash,
    ) -> Result<Option<Bytes>, StorageError> {
        let path = specs_path(name, version, hash);
        let object = self.bucket.get(&path, specs::MAX_BYTES).await?;
        Ok(object.map(|object| object.bytes))
    }

    /// The bundle of a version.
    pub async fn bundle(
        &self,
        name: &ModelName,
        version: &LiveVersion,
    ) -> Result<Option<Bytes>, StorageError> {
        let path = file(name, version.folder, BUNDLE);
        let object = self.bucket.get(&path, MAX_BUNDLE).await?;
        Ok(object.map(|object| object.bytes))
    }

    /// Microseconds of one thread that a row of a version takes, as its compile report predicts;
    /// `None` where that says nothing.
    pub async fn row_microseconds(
        &self,
        name: &ModelName,
        version: &LiveVersion,
    ) -> Result<Option<f64>, StorageError> {
        let path = file(name, version.folder, REPORT);
        let object = self.bucket.get(&path, MAX_REPORT).await?;
        let report = object.and_then(|object| serde_json::from_slice(&object.bytes).ok());
        Ok(report.map(|report: Report| report.work.predicted_microseconds))
    }

    /// A request that gives a version's specs for a while, for documents that are too large for an
    /// answer.
    pub async fn specs_request(
        &self,
        name: &ModelName,
        version: &LiveVersion,
        hash: SpecsHash,
        lifetime: Duration,
    ) -> Result<Presigned, StorageError> {
        let path = specs_path(name, version, hash);
        self.bucket.presign_get(&path, lifetime).await
    }

    /// Publishes a version and makes it the current one, with a statement of `sign`; the `keep`
    /// newest versions stay live.
    /// Publishing a version that is there makes it current again. A name stands for what it was published
    /// as, as long as that is there. A pointer that cannot be read is written over. `now` is what the version says of when it was published.
    pub async fn publish(
        &self,
        name: &ModelName,
        version: &Published,
        sign: &Sign<'_>,
        keep: NonZeroUsize,
        now: OffsetDateTime,
    ) -> Result<Model, StorageError> {
        let folder = Folder::Publication(UniqueId::random()?);
        let json = "application/json";
        let binary = "application/octet-stream";
        let mut files = vec![(SPECS, &version.specs, json)];
        files.extend(version.bundle.iter().map(|bundle| (BUNDLE, bundle, binary)));
        files.extend(version.report.iter().map(|report| (REPORT, report, json)));
        files.extend(version.specs_v1.iter().map(|specs| (SPECS_V1, specs, json)));
        for (part, bytes, content_type) in files {
            let path = file(name, folder, part);
            self.bucket
                .put(&path, bytes.clone(), content_type, Condition::Always)
                .await?;
        }
        // When former versions cease to be live, by the store's clock: those of publishers differ.
        let objects = self.bucket.list(&file(name, folder, "")).await?;
        let retired = newest(&objects).unwrap_or(now);
        let live = LiveVersion {
            specs: version.hash,
            specs_v1: version.specs_v1.as_ref().map_or_else(
                || {
                    let is_known = version.kind == PublishedKind::Model
                        && json_version(&version.specs).ok() == Some(1);
                    is_known.then_some(version.hash)
                },
                |document| Some(Hash::of(document)),
            ),
            statement: None,
            folder,
            bundle_bytes: version.bundle.as_ref().unwrap_or(&version.specs).len() as u64,
            published: now,
        };
        // The pointer comes last: a version that it names is complete.
        for _ in 0..ATTEMPTS {
            let stored = self.stored_model(name).await?;
            let known = stored.value();
            known.map_or(Ok(()), |known| known.takes(version.kind))?;
            let live = LiveVersion {
                statement: sign(known, live.specs),
                ..live.clone()
            };
            let model = Model::published(known, (name, version.kind), live, keep, retired);
            if self.replace(&stored, &model).await? {
                self.tidy(name).await;
                return Ok(model);
            }
        }
        Err(contended(name))
    }

    /// Makes another live version the current one: `to`, or the newest that is not current. `None`
    /// where there is no such model or version. `sign` states anew which specs are the model's.
    pub async fn roll_back(
        &self,
        name: &ModelName,
        to: Option<SpecsHash>,
        sign: &Sign<'_>,
    ) -> Result<Option<Model>, StorageError> {
        let mut to = to;
        for _ in 0..ATTEMPTS {
            let stored = self.stored_model(name).await?;
            let known = stored.value();
            let Some(model) = known.and_then(|model| model.rolled_back(to)) else {
                return stored.sound().map(|_| None);
            };
            // Chosen once: where this was written and whoever wrote it did not learn so, the next
            // one that is not current would be the one to get away from.
            to = Some(model.current);
            let statement = sign(known, model.current);
            let model = model.stated(statement);
            if self.replace(&stored, &model).await? {
                return Ok(Some(model));
            }
        }
        Err(contended(name))
    }

    /// Removes a version, or the whole model: afterwards no query of it is answered. What is left,
    /// or `None` where nothing is; the `bool` says whether something was removed. Where another
    /// version becomes the current one, `sign` states so. A pointer that cannot be read goes with
    /// the whole model.
    pub async fn remove(
        &self,
        name: &ModelName,
        version: Option<SpecsHash>,
        sign: &Sign<'_>,
    ) -> Result<(Option<Model>, bool), StorageError> {
        // Over all attempts: where one was made and nobody learned so, the next one finds nothing to remove.
        let (mut is_removed, mut folders) = (false, BTreeSet::new());
        for _ in 0..ATTEMPTS {
            let stored = self.stored_model(name).await?;
            let (known, etag) = match &stored {
                Stored::Absent => break,
                Stored::Sound(model, etag) => (Some(model), etag),
                Stored::Corrupt(_, etag) if version.is_none() => (None, etag),
                Stored::Corrupt(..) => return stored.sound().map(|_| (None, false)),
            };
            let left = known.and_then(|model| model.without(version));
            let left = left.map(|left| match known {
                Some(known) if known.current != left.current => {
                    let statement = sign(Some(known), left.current);
                    left.stated(statement)
                }
                _ => left,
            });
            is_removed |= known.is_none() || left.as_ref() != known;
            folders.extend(known.into_iter().flat_map(Model::folders));
            let done = match &left {
                Some(model) => self.replace(&stored, model).await?,
                None => self.bucket.delete(&pointer(name), Some(etag)).await?,
            };
            if done {
                self.remove_unnamed(name, (left.as_ref(), folders)).await?;
                return Ok((left, is_removed));
            }
        }
        if self.stored_model(name).await?.etag().is_some() {
            return Err(contended(name));
        }
        self.remove_unnamed(name, (None, folders)).await?;
        Ok((None, is_removed))
    }

    /// Removes those of a model's folders that what is left of it does not name: nobody will again.
    async fn remove_unnamed(
        &self,
        name: &ModelName,
        (left, folders): (Option<&Model>, BTreeSet<Folder>),
    ) -> Result<(), StorageError> {
        for folder in folders {
            if left.is_none_or(|left| !left.names(folder)) {
                self.remove_folder(name, folder).await?;
            }
        }
        self.tidy(name).await;
        Ok(())
    }

    /// [`Self::collect`] after a change that is made: whether it succeeds says nothing of the change,
    /// and the next one does it again. What the change has written last tells the store's time, which
    /// is that of the files; a publisher whose clock is ahead would remove those of others who are
    /// about to publish.
    async fn tidy(&self, name: &ModelName) {
        let done = async {
            let objects = self.bucket.list(&format!("models/{name}/")).await?;
            match newest(&objects) {
                Some(now) => self.collect(name, now).await,
                None => Ok(()),
            }
        };
        if let Err(error) = done.await {
            tracing::warn!(
                model = name.as_str(),
                error = error.to_string(),
                "files that nobody names are left"
            );
        }
    }

    /// Removes files that no model names and nobody can be reading or writing by now: those of
    /// versions that ceased to be live a while ago, and of publications that broke off. `now` is the
    /// store's time.
    pub async fn collect(&self, name: &ModelName, now: OffsetDateTime) -> Result<(), StorageError> {
        // Listed before the pointer is read: a publication that is over by then is in the pointer.
        let objects = self.bucket.list(&format!("models/{name}/")).await?;
        let stored = self.stored_model(name).await?;
        if matches!(stored, Stored::Corrupt(..)) {
            return Ok(());
        }
        for (folder, written) in folders(name, &objects) {
            let model = stored.value();
            let retired = model.and_then(|model| {
                let retired = model.retired.iter();
                retired.into_iter().find(|retired| retired.folder == folder)
            });
            let is_due = match retired {
                // A folder that is named again lives, whatever was said of it before.
                Some(retired) => {
                    !model.is_some_and(|model| model.lives(folder))
                        && retired.since + RETIRED <= now
                }
                None => !model.is_some_and(|model| model.names(folder)) && written + STRAY <= now,
            };
            if is_due {
                self.remove_folder(name, folder).await?;
            }
        }
        if let Some(model) = stored.value() {
            // Those without files as well: whoever removed them may have come no further.
            let is_due = |it: &Retired| !model.lives(it.folder) && it.since + RETIRED <= now;
            let mut left = model.clone();
            left.retired.retain(|it| !is_due(it));
            // Whoever came before does the same, sooner or later.
            self.replace(&stored, &left).await?;
        }
        Ok(())
    }

    async fn stored_model(&self, name: &ModelName) -> Result<Stored<Model>, StorageError> {
        document::read(&self.bucket, &pointer(name)).await
    }

    /// Writes a model over what was read; `false` where somebody else came before.
    async fn replace(&self, stored: &Stored<Model>, model: &Model) -> Result<bool, StorageError> {
        if stored.value() == Some(model) {
            return Ok(true);
        }
        let path = pointer(&model.name);
        let written = document::write(&self.bucket, &path, model, stored.unchanged()).await?;
        Ok(written.is_some())
    }

    async fn remove_folder(&self, name: &ModelName, folder: Folder) -> Result<(), StorageError> {
        for part in [BUNDLE, SPECS, SPECS_V1, REPORT] {
            self.bucket.delete(&file(name, folder, part), None).await?;
        }
        Ok(())
    }
}

/// When the last of these was written.
fn newest(objects: &[ObjectEntry]) -> Option<OffsetDateTime> {
    objects.iter().map(|object| object.modified).max()
}

/// Folders of a model, and when their last file was written.
fn folders(name: &ModelName, objects: &[ObjectEntry]) -> BTreeMap<Folder, OffsetDateTime> {
    let mut folders = BTreeMap::new();
    let prefix = format!("models/{name}/");
    for object in objects {
        let folder = object.key.strip_prefix(&prefix);
        let folder = folder.and_then(|rest| rest.split_once('/')?.0.parse().ok());
        if let Some(folder) = folder {
            let written = folders.entry(folder).or_insert(object.modified);
            *written = object.modified.max(*written);
        }
    }
    folders
}

fn contended(name: &ModelName) -> StorageError {
    StorageError::Contended {
        key: pointer(name),
        attempts: ATTEMPTS,
    }
}

fn specs_path(name: &ModelName, version: &LiveVersion, hash: SpecsHash) -> String {
    let of_version_1 = version.specs != hash && version.specs_v1 == Some(hash);
    let part = if of_version_1 { SPECS_V1 } else { SPECS };
    file(name, version.folder, part)
}

fn file(name: &ModelName, folder: Folder, part: &str) -> String {
    format!("models/{name}/{folder}/{part}")
}
