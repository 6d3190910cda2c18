//! Client specs: all that a client needs to encrypt rows for one model and to read its answers, as
//! a JSON document.
//!
//! The document's exact bytes are hashed; a query carries that hash, so a server knows which
//! version of a model it was made for.

use crate::hash::{Hash, ParameterSetHash, SpecsHash};
use crate::json::{self, JsonError};
use crate::versions::{Versions, json_version, list};
use serde::{Deserialize, Serialize};
use v1::SpecsV1;
use v2::SpecsV2;
use v3::SpecsV3;

mod relations;
mod v1;
mod v2;
mod v3;
mod validate;
mod wire;

#[cfg(test)]
mod tests;

pub use cipherfn_program::{
    BaseLog, Bits, ColumnKind, Decoding, Encoding, FeatureForm, Gadget, InputColumn,
    IntegerEncoding, IntegerFeature, Levels, LinearEncoding, MissingBin, OutputField, Predicate,
    Quantiser, Relation, ReplyForm, RowProgram, ScoreDecoding, ScoreUnits, Selector,
    SelectorEncoding, TorusFraction, Transport, speaks_for_first,
};

/// Largest document that is read.
pub const MAX_BYTES: u64 = 64 << 20;
/// Name of the part of an evaluation key that expands packed selectors.
pub const EXPANSION: &str = "expansion";

/// What a client knows of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct ClientSpecs {
    /// What the model is, for people.
    pub model: ModelIdentity,
    /// Hash of the circuit that answers: another circuit gives other specs.
    pub circuit: Hash,
    /// Parameter set of keys and ciphertexts.
    pub parameter_set: ParameterSetRef,
    /// Parts of the set's evaluation key that the server needs; none for a model without key.
    pub key_parts: Vec<String>,
    /// Columns that a row must have, in the order of the program's inputs.
    pub columns: Vec<InputColumn>,
    /// From columns to the feature vector (one output, `f32`, one entry a feature).
    pub preprocess: RowProgram,
    /// From the feature vector to a query row: one encoding an input of the circuit. The row is
    /// their rows, one after the other.
    pub inputs: Vec<Encoding>,
    /// What the feature vectors of rows have to keep that are like the calibration rows; clients
    /// mark others.
    pub relations: Vec<Relation>,
    /// From the reply's coefficients to the model's raw scores.
    pub decoding: Decoding,
    /// From the raw scores (one input, `f64`, one entry a score) to the outputs.
    pub postprocess: RowProgram,
    /// Meaning of the post-processing program's outputs, in order.
    pub outputs: Vec<OutputField>,
}

/// What the model is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelIdentity {
    /// Name given at compile time.
    pub name: String,
    /// `tree ensemble` or `linear`.
    pub family: String,
    /// `classification` or `regression`.
    pub task: String,
}

/// A named parameter set and the hash of its numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ParameterSetRef {
    /// Name in the scheme's table.
    pub name: String,
    /// Hash of name and numbers.
    pub hash: ParameterSetHash,
}

crate::versions! {
    /// Specs as documents.
    enum SpecsVersions, read by json::from_slice, error JsonError {
        /// One input, one output.
        V1(SpecsV1) = 1,
        /// Several, and parts of keys.
        V2(SpecsV2) = 2,
        /// Numbers of decimals.
        V3(SpecsV3) = 3,
        /// Features as integers.
        V4(SpecsV3) = 4,
        /// Features together.
        V5(SpecsV3) = 5,
        /// Relations between features.
        V6(SpecsV3) = 6,
        /// Integers that stand for a few values.
        V7(SpecsV3) = 7,
    }
}

impl TryFrom<SpecsVersions> for ClientSpecs {
    type Error = SpecsError;

    fn try_from(document: SpecsVersions) -> Result<Self, SpecsError> {
        let format = document.version();
        let specs = match document {
            SpecsVersions::V1(document) => SpecsV2::from(document).into(),
            SpecsVersions::V2(document) => document.into(),
            SpecsVersions::V3(document)
            | SpecsVersions::V4(document)
            | SpecsVersions::V5(document)
            | SpecsVersions::V6(document)
            | SpecsVersions::V7(document) => document.try_into()?,
        };
        validate::validate(&specs, format)?;
        Ok(specs)
    }
}

/// Specs with the bytes that they were read from.
#[derive(Clone, Debug, PartialEq)]
pub struct SpecsDocument {
    specs: ClientSpecs,
    format: u16,
    bytes: Vec<u8>,
    hash: SpecsHash,
}

impl SpecsDocument {
    /// Checks `specs` and writes them in their canonical form, compact JSON of format 2, or of 3 to
    /// 7 where that is needed to say them.
    pub fn new(specs: ClientSpecs) -> Result<Self, SpecsError> {
        let newest = SpecsV3::of(&specs);
        let format = newest.as_ref().map_or(2, SpecsV3::format);
        validate::validate(&specs, format)?;
        let bytes = match newest {
            Some(document) => serde_json::to_vec(&document),
            None => serde_json::to_vec(&SpecsV2::from(specs.clone())),
        };
        Self::of(specs, format, bytes.map_err(SpecsError::Written)?)
    }

    /// The same in format 1 for clients of version 1, or `None` where that cannot be said in it.
    pub fn version_1(&self) -> Result<Option<Self>, SpecsError> {
        if self.format > 2 {
            return Ok(None);
        }
        let Some(document) = SpecsV1::of(self.specs.clone().into()) else {
            return Ok(None);
        };
        let bytes = serde_json::to_vec(&document).map_err(SpecsError::Written)?;
        Self::of(self.specs.clone(), 1, bytes).map(Some)
    }

    /// Reads and checks a document; the bytes are kept as they are, since their hash names the
    /// document.
    pub fn from_json_bytes(bytes: &[u8]) -> Result<Self, SpecsError> {
        check_len(bytes)?;
        let format = json_version(bytes).map_err(SpecsError::Json)?;
        let document = SpecsVersions::read(format, bytes)
            .ok_or(SpecsError::Format { found: format })?
            .map_err(SpecsError::Json)?;
        Self::of(document.try_into()?, format, bytes.to_vec())
    }

    fn of(specs: ClientSpecs, format: u16, bytes: Vec<u8>) -> Result<Self, SpecsError> {
        check_len(&bytes)?;
        Ok(Self {
            specs,
            format,
            hash: Hash::of(&bytes),
            bytes,
        })
    }

    /// The parsed document.
    pub const fn specs(&self) -> &ClientSpecs {
        &self.specs
    }

    /// Format of the document. Clients speak version 1 to a service that gave them format 1.
    pub const fn format(&self) -> u16 {
        self.format
    }

    /// The exact bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Hash of the exact bytes.
    pub const fn hash(&self) -> SpecsHash {
        self.hash
    }
}

/// Why bytes are not client specs.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpecsError {
    /// Longer than [`MAX_BYTES`].
    #[error("client specs of {len} bytes exceed the limit of {MAX_BYTES} bytes")]
    TooLarge {
        /// Length found.
        len: u64,
    },
    /// Not JSON, or not of this layout.
    #[error(
        "not a client-specs document: {0}; give the specs that the bundle holds or the service has"
    )]
    Json(#[source] JsonError),
    /// They cannot be written.
    #[error("client specs cannot be written: {0}")]
    Written(#[source] serde_json::Error),
    /// Another layout version.
    #[error(
        "client specs have format {found}, this build reads {}; write them anew with this build",
        list(SpecsVersions::VERSIONS)
    )]
    Format {
        /// Version found.
        found: u16,
    },
    /// A value that no compiler writes.
    #[error("client specs are invalid: {field} {problem}; fetch them again")]
    Invalid {
        /// Path of the field.
        field: String,
        /// What is wrong with it.
        problem: String,
    },
}

fn check_len(bytes: &[u8]) -> Result<(), SpecsError> {
    let len = bytes.len() as u64;
    if len > MAX_BYTES {
        Err(SpecsError::TooLarge { len })
    } else {
        Ok(())
    }
}
