//! Sums of owners by the keys of a frame, as a program: the schema of one owner's sums. Whoever knows frames reads
//! it.

use cipherfn_protocol::hash::Hash;
use serde::Deserialize;
use serde::de::IgnoredAny;

/// What tells such schemas from other programs.
#[derive(Deserialize)]
struct SchemaMark {
    #[serde(rename = "owners")]
    _owners: IgnoredAny,
    #[serde(rename = "lookup")]
    _lookup: IgnoredAny,
}

/// The same of documents before they are programs.
#[derive(Deserialize)]
struct SchemaDocument {
    #[serde(rename = "lookup")]
    _lookup: IgnoredAny,
    algorithm: Option<IgnoredAny>,
}

/// A schema of sums, JSON as files of frames have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SummedSchema {
    json: Vec<u8>,
}

impl SummedSchema {
    /// Whether a TOML document is meant as one.
    pub fn is_spec(text: &str) -> bool {
        toml::from_str(text).is_ok_and(|kind: SchemaDocument| kind.algorithm.is_none())
    }

    /// Whether a program, JSON, is meant as one.
    pub fn is_program(bytes: &[u8]) -> bool {
        serde_json::from_slice::<SchemaMark>(bytes).is_ok()
    }

    /// Of a schema's bytes, whatever it says.
    pub const fn new(json: Vec<u8>) -> Self {
        Self { json }
    }

    /// The schema's bytes.
    pub fn json(&self) -> &[u8] {
        &self.json
    }

    /// Hash of everything in it.
    pub fn hash(&self) -> Hash {
        Hash::of(&self.json)
    }
}
