//! A model's live versions, and what may become of them.

mod versions;

use super::UniqueId;
use cipherfn_protocol::api::{ModelName, ModelSummary, Version};
use cipherfn_protocol::hash::SpecsHash;
use std::num::NonZeroUsize;
use time::OffsetDateTime;

/// A published model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    /// Name.
    pub name: ModelName,
    /// The version whose specs new clients get.
    pub current: SpecsHash,
    /// Versions that answer queries, the newest first; `current` is among them.
    pub versions: Vec<LiveVersion>,
    /// Folders of versions that were live, whose files may still be in use.
    pub retired: Vec<Retired>,
}

/// A version that answers queries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveVersion {
    /// Hash of its client specs, which names it.
    pub specs: SpecsHash,
    /// Where its files are.
    pub folder: Folder,
    /// Bytes of its bundle.
    pub bundle_bytes: u64,
    /// When it was published.
    pub published: OffsetDateTime,
}

/// A folder that no version names any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retired {
    /// Which.
    pub folder: Folder,
    /// Since when.
    pub since: OffsetDateTime,
}

/// Where a version's files are, below the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Folder {
    /// Version 1: one for all publications of the same specs.
    Specs(SpecsHash),
    /// That of one publication.
    Publication(UniqueId),
}

impl Model {
    /// The model after a version was published. The `keep` newest stay live. A version that is live
    /// already becomes the current one; its files are then the new ones.
    pub fn published(
        known: Option<&Self>,
        name: &ModelName,
        version: LiveVersion,
        keep: NonZeroUsize,
        now: OffsetDateTime,
    ) -> Self {
        let mut model = Self {
            name: name.clone(),
            current: version.specs,
            versions: vec![version],
            retired: Vec::new(),
        };
        let Some(known) = known else {
            return model;
        };
        if known.names(model.versions[0].folder) {
            // It was written, and whoever wrote it did not learn so.
            return known.clone();
        }
        model.retired.clone_from(&known.retired);
        for version in &known.versions {
            if version.specs != model.current && model.versions.len() < keep.get() {
                model.versions.push(version.clone());
            } else {
                model.retired.push(Retired {
                    folder: version.folder,
                    since: now,
                });
            }
        }
        model
    }

    /// The model with another live version as the current one: `to`, or the newest that is not
    /// current. `None` where there is no such version.
    pub fn rolled_back(&self, to: Option<SpecsHash>) -> Option<Self> {
        let mut versions = self.versions.iter().map(|version| version.specs);
        let current = versions.find(|hash| to.map_or(*hash != self.current, |to| *hash == to))?;
        Some(Self {
            current,
            ..self.clone()
        })
    }

    /// What is left without a version, or without all of them; nothing where that was the last one.
    pub fn without(&self, version: Option<SpecsHash>) -> Option<Self> {
        let versions = self.versions.iter();
        let versions: Vec<_> = versions
            .filter(|known| version.is_some_and(|version| known.specs != version))
            .cloned()
            .collect();
        let newest = versions.first()?.specs;
        let is_left = versions.iter().any(|known| known.specs == self.current);
        Some(Self {
            current: if is_left { self.current } else { newest },
            versions,
            ..self.clone()
        })
    }

    /// The live version of these specs.
    pub fn version(&self, specs: SpecsHash) -> Option<&LiveVersion> {
        self.versions.iter().find(|version| version.specs == specs)
    }

    /// Folders of live and of retired versions.
    pub(super) fn folders(&self) -> impl Iterator<Item = Folder> {
        let live = self.versions.iter().map(|version| version.folder);
        live.chain(self.retired.iter().map(|retired| retired.folder))
    }

    pub(super) fn names(&self, folder: Folder) -> bool {
        self.folders().any(|known| known == folder)
    }

    /// What clients and developers see.
    pub fn summary(&self) -> ModelSummary {
        let version = |version: &LiveVersion| Version {
            specs: version.specs,
            bundle_bytes: version.bundle_bytes,
            published: version.published,
        };
        ModelSummary {
            name: self.name.clone(),
            current: self.current,
            versions: self.versions.iter().map(version).collect(),
        }
    }
}

#[cfg(test)]
mod tests;
