//! Models as they are stored: every format there ever was.

use super::{Folder, LiveVersion, Model, Retired, pointer};
use crate::registry::document::Document;
use cipherfn_protocol::api::{ModelName, ModelSummary, PublishedKind, Version};
use cipherfn_protocol::hash::SpecsHash;
use cipherfn_protocol::statement::SignedStatement;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;
use time::OffsetDateTime;

cipherfn_protocol::versions! {
    /// A stored model.
    pub(in crate::registry) enum ModelVersions,
    read by serde_json::from_slice, error serde_json::Error {
        /// What clients see, and nothing else.
        V1(ModelSummary) = 1,
        /// Each version in a folder of its own.
        V2(ModelV2) = 2,
        /// A training program, which what knows format 2 alone would take for a model.
        V3(ModelV2) = 3,
        /// A table in the clear.
        V4(ModelV2) = 4,
    }
}

/// What clients see, and where the files are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::registry) struct ModelV2 {
    format: u64,
    name: ModelName,
    current: SpecsHash,
    versions: Vec<LiveVersionV2>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    retired: Vec<RetiredV2>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LiveVersionV2 {
    specs: SpecsHash,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    specs_v1: Option<SpecsHash>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    statement: Option<SignedStatement>,
    folder: Folder,
    bundle_bytes: u64,
    #[serde(with = "time::serde::rfc3339")]
    published: OffsetDateTime,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RetiredV2 {
    folder: Folder,
    #[serde(with = "time::serde::rfc3339")]
    since: OffsetDateTime,
}

impl Document for Model {
    type Versions = ModelVersions;

    fn migrate(document: ModelVersions) -> Result<Self, String> {
        let model: Self = match document {
            ModelVersions::V1(model) => model.into(),
            ModelVersions::V2(model) => model.into(),
            ModelVersions::V3(program) => Self {
                kind: PublishedKind::Program,
                ..program.into()
            },
            ModelVersions::V4(table) => Self {
                kind: PublishedKind::Table,
                ..table.into()
            },
        };
        if model.version(model.current).is_none() {
            return Err("the current version is not a live one".to_owned());
        }
        Ok(model)
    }

    fn belongs_to(&self, key: &str) -> bool {
        key == pointer(&self.name)
    }

    fn to_json(&self) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(&ModelV2::from(self))
    }
}

impl From<ModelSummary> for Model {
    fn from(model: ModelSummary) -> Self {
        let version = |version: Version| LiveVersion {
            specs: version.specs,
            specs_v1: Some(version.specs),
            statement: None,
            folder: Folder::Specs(version.specs),
            bundle_bytes: version.bundle_bytes,
            published: version.published,
        };
        Self {
            name: model.name,
            kind: PublishedKind::Model,
            current: model.current,
            versions: model.versions.into_iter().map(version).collect(),
            retired: Vec::new(),
        }
    }
}

impl From<ModelV2> for Model {
    fn from(model: ModelV2) -> Self {
        let version = |version: LiveVersionV2| LiveVersion {
            specs: version.specs,
            specs_v1: version.specs_v1,
            statement: version.statement,
            folder: version.folder,
            bundle_bytes: version.bundle_bytes,
            published: version.published,
        };
        let retired = |RetiredV2 { folder, since }| Retired { folder, since };
        Self {
            name: model.name,
            kind: PublishedKind::Model,
            current: model.current,
            versions: model.versions.into_iter().map(version).collect(),
            retired: model.retired.into_iter().map(retired).collect(),
        }
    }
}

impl From<&Model> for ModelV2 {
    fn from(model: &Model) -> Self {
        let version = |version: &LiveVersion| LiveVersionV2 {
            specs: version.specs,
            specs_v1: version.specs_v1,
            statement: version.statement.clone(),
            folder: version.folder,
            bundle_bytes: version.bundle_bytes,
            published: version.published,
        };
        let retired = |Retired { folder, since }: &Retired| RetiredV2 {
            folder: *folder,
            since: *since,
        };
        Self {
            format: match model.kind {
                PublishedKind::Model => 2,
                PublishedKind::Program => 3,
                PublishedKind::Table => 4,
            },
            name: model.name.clone(),
            current: model.current,
            versions: model.versions.iter().map(version).collect(),
            retired: model.retired.iter().map(retired).collect(),
        }
    }
}

/// A folder's name: 64 digits are a hash, 32 an id.
impl FromStr for Folder {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(hash) = text.parse() {
            return Ok(Self::Specs(hash));
        }
        text.parse()
            .map(Self::Publication)
            .map_err(|_| "a version's folder is 32 or 64 hexadecimal digits".to_owned())
    }
}

impl fmt::Display for Folder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Specs(hash) => hash.fmt(f),
            Self::Publication(id) => id.fmt(f),
        }
    }
}

impl Serialize for Folder {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Folder {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}
