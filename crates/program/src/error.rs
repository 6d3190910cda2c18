//! Why a row program is invalid, or fails on a row.

use super::{EntryKind, TensorType, ValueId};

/// Why a row program is invalid, or fails on a row.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ProgramError {
    /// A step is ill-formed.
    #[error("row program step \"{node}\" is invalid: {problem}")]
    Invalid {
        /// ONNX node of the step.
        node: String,
        /// What is wrong.
        problem: String,
    },
    /// The program would be too large.
    #[error(
        "row program step \"{node}\" makes the program too large: {amount} exceeds the limit of {limit}"
    )]
    TooLarge {
        /// ONNX node of the step.
        node: String,
        /// Entries or multiplications wanted.
        amount: usize,
        /// Most that is allowed.
        limit: usize,
    },
    /// A row with another number of inputs.
    #[error("the row has {found} inputs, the model takes {expected}")]
    InputCount {
        /// Inputs of the program.
        expected: usize,
        /// Inputs given.
        found: usize,
    },
    /// An input of another type.
    #[error("input {index} is {found}, the model takes {expected}")]
    InputType {
        /// Which input.
        index: usize,
        /// Type of the program's input.
        expected: TensorType,
        /// Type given.
        found: TensorType,
    },
    /// A value that the model was not made for.
    #[error("\"{value}\" is not a value that step \"{node}\" of the model knows; it knows {known}")]
    UnknownValue {
        /// ONNX node of the step.
        node: String,
        /// The value.
        value: String,
        /// Some values that are known.
        known: String,
    },
    /// Text that is not a number.
    #[error("\"{value}\" is not a {kind}, which step \"{node}\" of the model needs")]
    Unparsable {
        /// ONNX node of the step.
        node: String,
        /// The text.
        value: String,
        /// What it should be.
        kind: EntryKind,
    },
    /// A computed index outside its table.
    #[error("index {index} is outside the {blocks} entries of the table in step \"{node}\"")]
    IndexOutOfRange {
        /// ONNX node of the step.
        node: String,
        /// The index.
        index: i64,
        /// Entries of the table.
        blocks: usize,
    },
    /// Integer division by zero.
    #[error("integer division by zero in step \"{node}\"")]
    DivisionByZero {
        /// ONNX node of the step.
        node: String,
    },
}

impl ProgramError {
    pub(super) fn invalid(node: &str, problem: impl Into<String>) -> Self {
        Self::Invalid {
            node: node.to_owned(),
            problem: problem.into(),
        }
    }

    pub(super) fn undefined(node: &str, id: ValueId) -> Self {
        Self::invalid(node, format!("value {} is not defined before it", id.0))
    }
}
