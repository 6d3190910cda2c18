//! Steps of a row program and their operations.

use super::{EntryKind, Tensor};
use serde::{Deserialize, Serialize};

/// Index of a value: inputs first, then one value a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ValueId(pub u32);

impl ValueId {
    /// As an index.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// One operation and where it comes from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProgramStep {
    /// Name of the ONNX node, for errors.
    pub node: String,
    /// What is computed.
    pub op: Op,
}

/// What a step computes. Binary operations take operands of equal kind, and of equal length or with
/// one of length 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Op {
    /// A constant.
    Constant(Tensor),
    /// All entries of the arguments, one after the other.
    Concat(Vec<ValueId>),
    /// Entry `i` is `source[entries[i]]`: slicing, transposing, broadcasting, reordering.
    Select {
        /// Where entries come from.
        source: ValueId,
        /// Which ones, in order.
        entries: Vec<u32>,
    },
    /// Look-up of whole blocks: for each `k` of `index`, `table[k * inner .. (k + 1) * inner]`. A
    /// negative `k` counts from the end.
    Pick {
        /// Table of blocks.
        table: ValueId,
        /// Integer block numbers.
        index: ValueId,
        /// Block length.
        inner: usize,
    },
    /// Conversion: floats to integers truncate, texts are parsed.
    Cast {
        /// Argument.
        source: ValueId,
        /// Kind of the result.
        kind: EntryKind,
    },
    /// Entrywise function of one argument.
    Unary {
        /// Function.
        function: UnaryFunction,
        /// Argument.
        argument: ValueId,
    },
    /// Entrywise function of two arguments.
    Binary {
        /// Function.
        function: BinaryFunction,
        /// First operand.
        left: ValueId,
        /// Second operand.
        right: ValueId,
    },
    /// `yes` where `condition` is not 0, else `no`; three equal lengths.
    Where {
        /// Integer condition.
        condition: ValueId,
        /// Entry where it holds.
        yes: ValueId,
        /// Entry where it does not.
        no: ValueId,
    },
    /// Row-major product of a `rows x inner` and an `inner x columns` matrix.
    MatMul {
        /// Left factor.
        left: ValueId,
        /// Right factor.
        right: ValueId,
        /// Rows of the left factor.
        rows: usize,
        /// Columns of the left factor.
        inner: usize,
        /// Columns of the right factor.
        columns: usize,
    },
    /// One entry for each `group` consecutive entries.
    Reduce {
        /// How.
        function: ReduceFunction,
        /// Argument.
        argument: ValueId,
        /// Group length.
        group: usize,
    },
    /// Index of the largest entry of each group.
    ArgMax {
        /// Argument.
        argument: ValueId,
        /// Group length.
        group: usize,
        /// Of equal entries, the last one instead of the first.
        last: bool,
    },
    /// Softmax within each group.
    Softmax {
        /// Variant.
        variant: SoftmaxKind,
        /// Argument.
        argument: ValueId,
        /// Group length.
        group: usize,
    },
    /// Division of each group by its norm; a group of norm 0 stays as it is.
    Normalize {
        /// Norm.
        norm: Norm,
        /// Argument.
        argument: ValueId,
        /// Group length.
        group: usize,
    },
    /// Maps each entry from `keys` to `values`; NaN is equal to itself here. Without a default an
    /// unknown entry is an error.
    Encode {
        /// Argument.
        argument: ValueId,
        /// Known entries.
        keys: Tensor,
        /// What they become.
        values: Tensor,
        /// What any other entry becomes (one entry).
        default: Option<Tensor>,
    },
    /// For each entry, 1 at its place among `categories` and 0 elsewhere, as `f32`.
    OneHot {
        /// Argument.
        argument: ValueId,
        /// Known entries.
        categories: Tensor,
        /// Whether an unknown entry gives all zeros instead of an error.
        unknown: bool,
    },
    /// 64-bit to 32-bit floats that stay on the same side of every split point: `x > s` exactly if
    /// the result exceeds `s` rounded down to 32 bits.
    Narrow {
        /// Argument.
        argument: ValueId,
        /// Split points of each entry, increasing.
        splits: Vec<Vec<f64>>,
    },
}

/// Functions of one argument. Predicates give integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names are the functions")]
pub enum UnaryFunction {
    Neg,
    Abs,
    Sqrt,
    Exp,
    Log,
    Floor,
    Ceil,
    /// To the nearest integer, ties to even.
    Round,
    Sign,
    Reciprocal,
    /// `1 / (1 + exp(-x))`.
    Sigmoid,
    Tanh,
    Sin,
    Cos,
    Erf,
    /// `ln(1 + exp(x))`.
    Softplus,
    /// Inverse of the normal distribution function as ONNX Runtime approximates it.
    Probit,
    /// 1 where the argument is 0.
    Not,
    IsNan,
    IsInf,
}

/// Functions of two arguments. Comparisons and logic give integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names are the functions")]
pub enum BinaryFunction {
    Add,
    Sub,
    Mul,
    Div,
    Pow,
    Mod,
    Min,
    Max,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    And,
    Or,
    Xor,
}

/// Reductions of a group to one entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names are the functions")]
pub enum ReduceFunction {
    Sum,
    Mean,
    Product,
    Max,
    Min,
    L1,
    L2,
    SumSquare,
    LogSumExp,
}

/// Variants of softmax.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SoftmaxKind {
    /// `exp(x - max) / sum`.
    Softmax,
    /// Its logarithm.
    LogSoftmax,
    /// `SOFTMAX_ZERO` of `ai.onnx.ml`: entries within 1e-7 of zero are multiplied by `exp(-max)`
    /// instead.
    SkipZero,
}

/// Norms of `ai.onnx.ml`'s `Normalizer`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Norm {
    /// Largest entry.
    Max,
    /// Sum of absolute values.
    L1,
    /// Root of the sum of squares.
    L2,
}

impl Op {
    /// The values that the operation reads.
    pub fn arguments(&self) -> Vec<ValueId> {
        match self {
            Self::Constant(_) => Vec::new(),
            Self::Concat(parts) => parts.clone(),
            Self::Select { source, .. } | Self::Cast { source, .. } => vec![*source],
            Self::Pick { table, index, .. } => vec![*table, *index],
            Self::Unary { argument, .. }
            | Self::Reduce { argument, .. }
            | Self::ArgMax { argument, .. }
            | Self::Softmax { argument, .. }
            | Self::Normalize { argument, .. }
            | Self::Encode { argument, .. }
            | Self::OneHot { argument, .. }
            | Self::Narrow { argument, .. } => vec![*argument],
            Self::Binary { left, right, .. } | Self::MatMul { left, right, .. } => {
                vec![*left, *right]
            }
            Self::Where { condition, yes, no } => vec![*condition, *yes, *no],
        }
    }

    /// Replaces every value that the operation reads.
    pub fn rename(&mut self, mut new: impl FnMut(ValueId) -> ValueId) {
        match self {
            Self::Constant(_) => {}
            Self::Concat(parts) => parts.iter_mut().for_each(|id| *id = new(*id)),
            Self::Select { source, .. } | Self::Cast { source, .. } => *source = new(*source),
            Self::Pick { table, index, .. } => {
                *table = new(*table);
                *index = new(*index);
            }
            Self::Unary { argument, .. }
            | Self::Reduce { argument, .. }
            | Self::ArgMax { argument, .. }
            | Self::Softmax { argument, .. }
            | Self::Normalize { argument, .. }
            | Self::Encode { argument, .. }
            | Self::OneHot { argument, .. }
            | Self::Narrow { argument, .. } => *argument = new(*argument),
            Self::Binary { left, right, .. } | Self::MatMul { left, right, .. } => {
                *left = new(*left);
                *right = new(*right);
            }
            Self::Where { condition, yes, no } => {
                *condition = new(*condition);
                *yes = new(*yes);
                *no = new(*no);
            }
        }
    }
}
