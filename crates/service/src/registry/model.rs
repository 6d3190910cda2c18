//! A model's live versions, and what may become of them.

mod versions;

use super::UniqueId;
use crate::bucket::StorageError;
use cipherfn_protocol::api::{ApiVersion, ModelName, ModelSummary, PublishedKind, Version};
use cipherfn_protocol::hash::SpecsHash;
use cipherfn_protocol::statement::SignedStatement;
use std::num::NonZeroUsize;
use time::OffsetDateTime;

/// A published model, training program or table in the clear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    /// Name.
    pub name: ModelName,
    /// What its versions are.
    pub kind: PublishedKind,
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
    /// Hash of its specs as a document of format 1, for clients of version 1: the same, or another
    /// document's; `None` where they cannot be said in that format.
    pub specs_v1: Option<SpecsHash>,
    /// Its developer's statement that these are the model's specs; `None` where it was published
    /// without one.
    pub statement: Option<SignedStatement>,
    /// Where its files are.
    pub folder: Folder,
    /// Bytes of its bundle, of the program, or of the table.
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

/// Where a model's document lies.
pub(super) fn pointer(name: &ModelName) -> String {
    format!("models/{name}/model.json")
}

impl Model {
    /// The model after a version was published. The `keep` newest stay live. A version that is live
    /// already becomes the current one; its files are then the new ones.
    pub fn published(
        known: Option<&Self>,
        (name, kind): (&ModelName, PublishedKind),
        version: LiveVersion,
        keep: NonZeroUsize,
        now: OffsetDateTime,
    ) -> Self {
        let mut model = Self {
            name: name.clone(),
            kind,
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

    /// The newest statement on the model that its live versions have, as they came.
    pub fn statement(&self) -> Option<&SignedStatement> {
        let statements = self.versions.iter();
        statements
            .filter_map(|version| version.statement.as_ref())
            .max_by_key(|signed| signed.statement.serial)
    }

    /// The model with a statement on its current version. Clients refuse statements that are older
    /// than one that they know, so a version that becomes current again needs a new one.
    pub(super) fn stated(mut self, statement: Option<SignedStatement>) -> Self {
        let mut versions = self.versions.iter_mut();
        if let Some(version) = versions.find(|version| version.specs == self.current) {
            version.statement = statement;
        }
        self
    }

    /// The live version of these specs, of either format.
    pub fn version(&self, specs: SpecsHash) -> Option<&LiveVersion> {
        let mut versions = self.versions.iter();
        versions.find(|version| version.specs == specs || version.specs_v1 == Some(specs))
    }

    /// Hash of the specs that new clients of a version of the API get: those of the current
    /// version, or of the newest one that can be said to them. `None` where none can.
    pub fn current(&self, api: ApiVersion) -> Option<SpecsHash> {
        let newest = || {
            self.versions
                .iter()
                .find_map(|version| version.specs_of(api))
        };
        let current = self.version(self.current);
        current
            .and_then(|version| version.specs_of(api))
            .or_else(newest)
    }

    /// Folders of live and of retired versions.
    pub(super) fn folders(&self) -> impl Iterator<Item = Folder> {
        let live = self.versions.iter().map(|version| version.folder);
        live.chain(self.retired.iter().map(|retired| retired.folder))
    }

    /// Whether a live version has the folder.
    pub(super) fn lives(&self, folder: Folder) -> bool {
        self.versions.iter().any(|version| version.folder == folder)
    }

    pub(super) fn names(&self, folder: Folder) -> bool {
        self.folders().any(|known| known == folder)
    }

    /// That it can get a version of a kind: names are exclusive.
    pub fn takes(&self, kind: PublishedKind) -> Result<(), StorageError> {
        if self.kind == kind {
            return Ok(());
        }
        Err(StorageError::NameTaken {
            name: self.name.clone(),
            held: self.kind,
            wanted: kind,
        })
    }

    /// What its developer sees: all of it.
    pub fn summary(&self) -> ModelSummary {
        ModelSummary {
            name: self.name.clone(),
            kind: self.kind,
            current: self.current,
            versions: self.versions.iter().map(|it| it.shown(it.specs)).collect(),
        }
    }

    /// What clients of a version of the API see: those versions of the model that can be said to
    /// them. `None` where there is none.
    pub fn summary_for(&self, api: ApiVersion) -> Option<ModelSummary> {
        let version = |version: &LiveVersion| Some(version.shown(version.specs_of(api)?));
        Some(ModelSummary {
            name: self.name.clone(),
            kind: self.kind,
            current: self.current(api)?,
            versions: self.versions.iter().filter_map(version).collect(),
        })
    }
}

impl LiveVersion {
    /// Hash of its specs as clients of a version of the API know them.
    pub fn specs_of(&self, api: ApiVersion) -> Option<SpecsHash> {
        match api {
            ApiVersion::V1 => self.specs_v1,
            ApiVersion::V2 => Some(self.specs),
        }
    }

    fn shown(&self, specs: SpecsHash) -> Version {
        Version {
            specs,
            bundle_bytes: self.bundle_bytes,
            published: self.published,
        }
    }
}

#[cfg(test)]
mod tests;
