//! Client specs: all that a client needs to encrypt rows for one model and to read its answers, as
//! a JSON document.
//!
//! The document's exact bytes are hashed; a query carries that hash, so a server knows which
//! version of a model it was made for.

use crate::hash::{Hash, ParameterSetHash, SpecsHash};
use cipherfn_program::RowProgram;
use serde::{Deserialize, Serialize};

mod validate;

#[cfg(test)]
mod tests;

/// Version of the document's layout.
pub const FORMAT: u32 = 1;
/// Largest document that is read.
pub const MAX_BYTES: u64 = 64 << 20;

/// The document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientSpecs {
    /// Layout version, [`FORMAT`].
    pub format: u32,
    /// What the model is, for people.
    pub model: ModelSummary,
    /// Hash of the circuit that answers: another circuit gives other specs.
    pub circuit: Hash,
    /// Parameter set of keys and ciphertexts.
    pub parameter_set: ParameterSetRef,
    /// Columns that a row must have, in the order of the program's inputs.
    pub columns: Vec<InputColumn>,
    /// From columns to the feature vector (one output, `f32`, one entry a feature).
    pub preprocess: RowProgram,
    /// From the feature vector to a query row.
    pub encoding: Encoding,
    /// From the reply's coefficients to the model's raw scores.
    pub decoding: Decoding,
    /// From the raw scores (one input, `f64`, one entry a score) to the outputs.
    pub postprocess: RowProgram,
    /// Meaning of the post-processing program's outputs, in order.
    pub outputs: Vec<OutputField>,
}

/// What the model is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelSummary {
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

/// One column of the input table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputColumn {
    /// Header name.
    pub name: String,
    /// Type of its cells.
    pub kind: ColumnKind,
    /// Whether an empty cell or NaN has a meaning for the model.
    pub missing: bool,
}

/// Type of a column's cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ColumnKind {
    /// 32-bit float, as ONNX models take.
    Float32,
    /// 64-bit float.
    Float64,
    /// 64-bit integer.
    Int64,
    /// Text.
    Text,
}

/// How a feature vector becomes a query row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// Selector bits.
    Selectors(SelectorEncoding),
    /// Coefficients of a linear model's input.
    Linear(LinearEncoding),
}

/// Selector bits of quantised features.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SelectorEncoding {
    /// One quantiser a used feature.
    pub quantisers: Vec<Quantiser>,
    /// The bits to encrypt, in order.
    pub selectors: Vec<Selector>,
    /// Gadget of the selectors' GGSW ciphertexts.
    pub gadget: Gadget,
    /// Whether bits travel packed (expanded with the evaluation key) or as seeded GGSW
    /// ciphertexts.
    pub transport: Transport,
}

/// Form in which selectors travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// Gadget-scaled bits in the coefficients of seeded GLWE ciphertexts.
    Packed,
    /// One seeded GGSW ciphertext a selector, no evaluation key.
    Ggsw,
}

/// Base and level count of a gadget decomposition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gadget {
    /// log2 of the base.
    pub base_log: u32,
    /// Number of levels.
    pub levels: u32,
}

/// Bins of one feature: bin index = number of `splits` that the value exceeds, so bin `i` is
/// `(splits[i-1], splits[i]]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quantiser {
    /// Index into the feature vector.
    pub feature: u32,
    /// Name for errors and reports.
    pub name: String,
    /// Strictly increasing split points; at least one, unless missing values have a bin of their
    /// own.
    pub splits: Vec<f32>,
    /// Where a missing value (NaN) goes. Without it a missing value is an error.
    pub missing: Option<MissingBin>,
}

/// Bin of missing values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MissingBin {
    /// Index 0; every other bin moves up by one.
    First,
    /// One past the last ordinary bin.
    Last,
}

/// One encrypted bit.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Selector {
    /// Index into `quantisers`.
    pub quantiser: u32,
    /// Which bit of it.
    pub predicate: Predicate,
}

/// A boolean function of a bin index.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Predicate {
    /// Bit `i` (0 is the least significant) of the bin index.
    Bit(u32),
    /// True for bins in one of the half-open ranges, sorted and disjoint.
    Within(Vec<(u32, u32)>),
}

/// Input of a linear model. Feature `i` enters as `delta * (x_i - centre_i) / half_width_i` on the
/// torus, in coefficient `(i % block) * stride` of ciphertext `i / block`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinearEncoding {
    /// Names for errors.
    pub names: Vec<String>,
    /// Middle of each feature's range.
    pub centre: Vec<f64>,
    /// Half of each feature's range; a value outside `centre ± half_width` is an error.
    pub half_width: Vec<f64>,
    /// Torus amplitude of a feature at the end of its range, as a fraction of the torus.
    pub delta: f64,
    /// Features in one ciphertext.
    pub block: u32,
    /// Distance of features in coefficients: the number of outputs.
    pub stride: u32,
    /// Bits of a body coefficient that travel.
    pub body_bits: u32,
}

/// How the coefficients of a decrypted reply become scores.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decoding {
    /// Bits of each coefficient of a reply.
    pub reply_bits: u32,
    /// Number of body coefficients in a reply: the positions 0, `stride`, 2 `stride`, ...
    pub coefficients: u32,
    /// Distance of result coefficients.
    pub stride: u32,
    /// One entry a raw score of the model.
    pub scores: Vec<ScoreDecoding>,
    /// log2 of the probability that some score of a row is off by more than its precision.
    pub failure_log2: f64,
}

/// One raw score: `offset + scale * phase`, rounded to a multiple of `step`, with phase in [-1/2,
/// 1/2).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScoreDecoding {
    /// Which result coefficient holds it.
    pub coefficient: u32,
    /// Score units per torus; its sign may be negative; 0 for a constant score.
    pub scale: f64,
    /// Score at phase zero.
    pub offset: f64,
    /// Rounding step in score units: the only resolution that is exposed.
    pub step: f64,
    /// Largest absolute error, in score units, at the stated failure probability (rounding
    /// included).
    pub precision: f64,
    /// Smallest and largest score that the model can give.
    pub range: (f64, f64),
}

/// What one output of the post-processing program is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputField {
    /// The predicted class: one entry, integer or text.
    Label,
    /// A probability a class, with the class names.
    Probabilities(Vec<String>),
    /// A score a class, with the class names.
    Scores(Vec<String>),
    /// A regressor's values.
    Prediction,
}

/// Specs with the bytes that they were read from.
#[derive(Clone, Debug, PartialEq)]
pub struct SpecsDocument {
    specs: ClientSpecs,
    bytes: Vec<u8>,
    hash: SpecsHash,
}

impl SpecsDocument {
    /// Checks `specs` and writes them in their canonical form, compact JSON.
    pub fn new(specs: ClientSpecs) -> Result<Self, SpecsError> {
        validate::validate(&specs)?;
        let bytes = serde_json::to_vec(&specs).map_err(SpecsError::Json)?;
        check_len(&bytes)?;
        Ok(Self {
            specs,
            hash: Hash::of(&bytes),
            bytes,
        })
    }

    /// Reads and checks a document; the bytes are kept as they are, since their hash names the
    /// document.
    pub fn from_json_bytes(bytes: &[u8]) -> Result<Self, SpecsError> {
        check_len(bytes)?;
        let version: Version = serde_json::from_slice(bytes).map_err(SpecsError::Json)?;
        if version.format != FORMAT {
            return Err(SpecsError::Format {
                found: version.format,
            });
        }
        let specs: ClientSpecs = serde_json::from_slice(bytes).map_err(SpecsError::Json)?;
        validate::validate(&specs)?;
        Ok(Self {
            specs,
            bytes: bytes.to_vec(),
            hash: Hash::of(bytes),
        })
    }

    /// The parsed document.
    pub const fn specs(&self) -> &ClientSpecs {
        &self.specs
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
    #[error("not a client-specs document: {0}; give the file written by `cipherfn specs`")]
    Json(#[source] serde_json::Error),
    /// Another layout version.
    #[error(
        "client specs have format {found}, this build reads format {FORMAT}; write them anew with this build"
    )]
    Format {
        /// Version found.
        found: u32,
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

/// Only the version, whatever else the document holds.
#[derive(Deserialize)]
struct Version {
    format: u32,
}
