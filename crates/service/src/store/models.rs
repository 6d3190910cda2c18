//! Published models and their versions.

use super::objects::Condition;
use super::{Store, StoreError};
use bytes::Bytes;
use cipherfn_protocol::api::{ModelName, ModelSummary, Version};
use cipherfn_protocol::hash::SpecsHash;
use cipherfn_protocol::specs;
use futures_util::{StreamExt, TryStreamExt, stream};
use std::time::Duration;
use time::OffsetDateTime;

/// Largest bundle that is read, in bytes.
const MAX_BUNDLE: u64 = (256 << 20) + 4096;
/// How often a changed pointer is read and written again.
const ATTEMPTS: u32 = 5;
/// Models that are looked up at the same time.
const IN_FLIGHT: usize = 16;

/// What is published: the parts of a bundle.
#[derive(Clone, Debug)]
pub struct Published {
    /// Hash of the specs.
    pub hash: SpecsHash,
    /// The bundle file.
    pub bundle: Bytes,
    /// The client specs document.
    pub specs: Bytes,
    /// The compile report.
    pub report: Bytes,
}

impl Store {
    /// All models, in order of their names.
    pub async fn models(&self) -> Result<Vec<ModelSummary>, StoreError> {
        let names = self.folders("models/").await?;
        // Folders that are no model's are none of ours.
        let names = names
            .into_iter()
            .filter_map(|name| name.parse::<ModelName>().ok());
        let models: Vec<Option<ModelSummary>> = stream::iter(names)
            .map(|name| async move { self.model(&name).await })
            .buffered(IN_FLIGHT)
            .try_collect()
            .await?;
        Ok(models.into_iter().flatten().collect())
    }

    /// A model's live versions.
    pub async fn model(&self, name: &ModelName) -> Result<Option<ModelSummary>, StoreError> {
        Ok(self.document(&pointer(name)).await?.map(|(model, _)| model))
    }

    /// The specs document of a version.
    pub async fn specs(
        &self,
        name: &ModelName,
        hash: SpecsHash,
    ) -> Result<Option<Bytes>, StoreError> {
        let object = self
            .get(&part(name, hash, "specs.json"), specs::MAX_BYTES)
            .await?;
        Ok(object.map(|object| object.bytes))
    }

    /// The bundle of a version.
    pub async fn bundle(
        &self,
        name: &ModelName,
        hash: SpecsHash,
    ) -> Result<Option<Bytes>, StoreError> {
        let object = self
            .get(&part(name, hash, "bundle.cfn"), MAX_BUNDLE)
            .await?;
        Ok(object.map(|object| object.bytes))
    }

    /// An URL that gives a version's specs for a while, for documents that are too large for an
    /// answer.
    pub async fn specs_url(
        &self,
        name: &ModelName,
        hash: SpecsHash,
        lifetime: Duration,
    ) -> Result<String, StoreError> {
        let key = part(name, hash, "specs.json");
        self.presigned_get(&key, lifetime).await
    }

    /// Publishes a version and makes it the current one; the `keep` newest versions stay live, the
    /// others are removed. Publishing a version that is there makes it current again.
    pub async fn publish(
        &self,
        name: &ModelName,
        version: &Published,
        keep: usize,
    ) -> Result<ModelSummary, StoreError> {
        // The pointer comes last: a version that it names is complete.
        for (file, bytes, content_type) in [
            ("bundle.cfn", &version.bundle, "application/octet-stream"),
            ("specs.json", &version.specs, "application/json"),
            ("report.json", &version.report, "application/json"),
        ] {
            let key = part(name, version.hash, file);
            self.put(&key, bytes.clone(), content_type, Condition::Always)
                .await?;
        }
        let entry = Version {
            specs: version.hash,
            bundle_bytes: version.bundle.len() as u64,
            published: now(),
        };
        let mut dropped = Vec::new();
        let model = self
            .change(name, |model| {
                let mut versions = model.map(|model| model.versions).unwrap_or_default();
                versions.retain(|known| known.specs != version.hash);
                versions.insert(0, entry.clone());
                dropped = versions.split_off(versions.len().min(keep.max(1)));
                Some(ModelSummary {
                    name: name.clone(),
                    current: version.hash,
                    versions,
                })
            })
            .await?;
        self.remove_files(name, &dropped).await?;
        Ok(model.unwrap_or_else(|| unreachable!("publishing leaves a model")))
    }

    /// Makes another live version the current one: `to`, or the newest that is not current. `None`
    /// where there is no such model or version.
    pub async fn roll_back(
        &self,
        name: &ModelName,
        to: Option<SpecsHash>,
    ) -> Result<Option<ModelSummary>, StoreError> {
        let mut found = false;
        let model = self
            .change(name, |model| {
                let mut model = model?;
                let target = model.versions.iter().map(|version| version.specs);
                let target = target
                    .into_iter()
                    .find(|hash| to.map_or(*hash != model.current, |to| *hash == to));
                found = target.is_some();
                model.current = target.unwrap_or(model.current);
                Some(model)
            })
            .await?;
        Ok(model.filter(|_| found))
    }

    /// Removes a version, or the whole model: afterwards no query of it is answered. What is left,
    /// or `None` where nothing is; the `bool` says whether something was removed.
    pub async fn remove(
        &self,
        name: &ModelName,
        version: Option<SpecsHash>,
    ) -> Result<(Option<ModelSummary>, bool), StoreError> {
        let mut dropped = Vec::new();
        let model = self
            .change(name, |model| {
                let mut model = model?;
                let (kept, gone) = model
                    .versions
                    .drain(..)
                    .partition(|known| version.is_some_and(|version| known.specs != version));
                (model.versions, dropped) = (kept, gone);
                let newest = model.versions.first()?.specs;
                if model
                    .versions
                    .iter()
                    .all(|known| known.specs != model.current)
                {
                    model.current = newest;
                }
                Some(model)
            })
            .await?;
        self.remove_files(name, &dropped).await?;
        Ok((model, !dropped.is_empty()))
    }

    /// Changes a model's pointer; `None` removes it. Others may change it meanwhile: then the
    /// change is computed anew.
    async fn change(
        &self,
        name: &ModelName,
        mut change: impl FnMut(Option<ModelSummary>) -> Option<ModelSummary>,
    ) -> Result<Option<ModelSummary>, StoreError> {
        let key = pointer(name);
        for _ in 0..ATTEMPTS {
            let (model, etag) = self.document::<ModelSummary>(&key).await?.unzip();
            let before = model.clone();
            let after = change(model);
            if after == before {
                return Ok(after);
            }
            let written = match (&after, &etag) {
                (None, _) => {
                    self.delete(&key).await?;
                    true
                }
                (Some(model), None) => self.put_document(&key, model, Condition::Absent).await?,
                (Some(model), Some(etag)) => {
                    self.put_document(&key, model, Condition::Unchanged(etag))
                        .await?
                }
            };
            if written {
                return Ok(after);
            }
        }
        Err(StoreError::Contended {
            key,
            attempts: ATTEMPTS,
        })
    }

    async fn remove_files(&self, name: &ModelName, versions: &[Version]) -> Result<(), StoreError> {
        for version in versions {
            for file in ["bundle.cfn", "specs.json", "report.json"] {
                self.delete(&part(name, version.specs, file)).await?;
            }
        }
        Ok(())
    }
}

pub(super) fn now() -> OffsetDateTime {
    let now = OffsetDateTime::now_utc();
    now.replace_nanosecond(0).unwrap_or(now)
}

fn pointer(name: &ModelName) -> String {
    format!("models/{name}/model.json")
}

fn part(name: &ModelName, hash: SpecsHash, file: &str) -> String {
    format!("models/{name}/{hash}/{file}")
}
