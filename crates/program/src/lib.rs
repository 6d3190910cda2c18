//! What a client computes in the clear on one row, before encryption and after decryption: the row
//! program, and the arithmetic between its values and what is encrypted.
//!
//! ```text
//!   columns ──► row program ──► feature vector ──► bins, bits, amplitudes ──► encryption
//!   outputs ◄── row program ◄── scores ◄── phases ◄────────────────────────── decryption
//! ```
//!
//! Types for a run only: how they are stored and sent is the business of `cipherfn-protocol`. The
//! serialised form of a row program is the exception, since a program is data of one form wherever
//! it stands.
//!
//! # Row programs
//! A compiled model is cut at its encrypted estimator. Everything before it (scalers, imputers,
//! encoders) becomes one row program from columns to the feature vector, everything behind it (link
//! functions, normalisation, labels) another one from raw scores to the outputs.
//!
//! A program is a list of steps in static single assignment form. Values are flat: shapes,
//! broadcasting and axes are resolved when the program is made, so a step works on vectors of known
//! kind and length, and [`RowProgram`] is type-checked once, on construction or deserialisation.
//! Arithmetic is done in the kind of the operands (`f32` stays `f32`), as ONNX Runtime does.
//!
//! ```
//! use cipherfn_program::{BinaryFunction, EntryKind, Op, ProgramBuilder, Tensor, TensorType};
//!
//! let mut builder = ProgramBuilder::new(vec![TensorType { kind: EntryKind::F32, len: 2 }])?;
//! let offset = builder.constant("scaler", Tensor::F32(vec![1.0, 2.0]))?;
//! let shifted = builder.push("scaler", Op::Binary { function: BinaryFunction::Sub, left: builder.input(0), right: offset })?;
//! let program = builder.finish(&[shifted])?;
//! assert_eq!(program.run(vec![Tensor::F32(vec![1.5, 1.5])])?, vec![Tensor::F32(vec![0.5, -0.5])]);
//! # Ok::<(), cipherfn_program::ProgramError>(())
//! ```

mod builder;
mod check;
mod columns;
mod decimals;
mod decoding;
mod encoding;
mod error;
mod evaluate;
mod functions;
mod missing;
mod op;
mod orientation;
mod quantise;
mod relation;
mod sums;
mod tensor;
#[cfg(test)]
mod tests;
mod units;

pub use builder::ProgramBuilder;
pub use columns::{ColumnKind, InputColumn, OutputField, PredictionColumn};
pub use decimals::{MAX_DECIMALS, has_decimals, split_of_decimals};
pub use decoding::{Decoding, ReplyForm, ScoreDecoding};
pub use encoding::{
    Encoding, FeatureForm, Gadget, IntegerEncoding, IntegerFeature, LinearEncoding, MissingBin,
    Predicate, Quantiser, Selector, SelectorEncoding, Transport,
};
pub use error::ProgramError;
pub use evaluate::apply as evaluate;
pub use functions::round_down;
pub use op::{
    BinaryFunction, Norm, Op, ProgramStep, ReduceFunction, SoftmaxKind, UnaryFunction, ValueId,
};
pub use orientation::speaks_for_first;
pub use quantise::QuantiseError;
pub use relation::{Relation, broken};
pub use sums::{EntrySum, EntrySumError};
pub use tensor::{EntryKind, Tensor, TensorType};
pub use units::{BaseLog, Bits, Levels, Microseconds, ScoreUnits, TorusFraction};

use serde::{Deserialize, Serialize, Serializer};

/// Most entries that one value may have.
pub const MAX_LEN: usize = 1 << 20;
/// Most entries of all values, and most multiplications, of one program.
pub const MAX_WORK: usize = 1 << 26;

/// A type-checked program for one row.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "ProgramParts")]
pub struct RowProgram {
    parts: ProgramParts,
}

/// The serialised form, unchecked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ProgramParts {
    /// Types of the inputs: values `0 .. inputs.len()`.
    inputs: Vec<TensorType>,
    /// Step `i` defines value `inputs.len() + i`.
    steps: Vec<ProgramStep>,
    /// Values that the program returns.
    outputs: Vec<ValueId>,
}

impl RowProgram {
    /// A program that returns its inputs.
    pub fn identity(inputs: Vec<TensorType>) -> Result<Self, ProgramError> {
        let outputs = (0..inputs.len() as u32).map(ValueId).collect();
        Self::try_from(ProgramParts {
            inputs,
            steps: Vec::new(),
            outputs,
        })
    }

    /// Types of the inputs, in order. Input `i` takes as many consecutive columns of a table as it
    /// is long.
    pub fn inputs(&self) -> &[TensorType] {
        &self.parts.inputs
    }

    /// Types of the outputs, in order.
    pub fn outputs(&self) -> Vec<TensorType> {
        check::types(&self.parts.inputs, &self.parts.steps)
            .map(|types| {
                self.parts
                    .outputs
                    .iter()
                    .map(|id| types[id.index()])
                    .collect()
            })
            .unwrap_or_default()
    }

    /// The values that the program returns, in order.
    pub fn output_ids(&self) -> &[ValueId] {
        &self.parts.outputs
    }

    /// The steps, in order.
    pub fn steps(&self) -> &[ProgramStep] {
        &self.parts.steps
    }

    /// Whether the program returns its inputs unchanged.
    pub fn is_identity(&self) -> bool {
        self.parts.steps.is_empty()
            && self
                .parts
                .outputs
                .iter()
                .map(|id| id.index())
                .eq(0..self.parts.inputs.len())
    }

    /// Runs the program on one row.
    pub fn run(&self, inputs: Vec<Tensor>) -> Result<Vec<Tensor>, ProgramError> {
        evaluate::run(&self.parts, inputs)
    }
}

impl TryFrom<ProgramParts> for RowProgram {
    type Error = ProgramError;

    fn try_from(parts: ProgramParts) -> Result<Self, ProgramError> {
        let types = check::types(&parts.inputs, &parts.steps)?;
        if let Some(id) = parts.outputs.iter().find(|id| id.index() >= types.len()) {
            return Err(ProgramError::undefined("output", *id));
        }
        Ok(Self { parts })
    }
}

impl Serialize for RowProgram {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.parts.serialize(serializer)
    }
}
