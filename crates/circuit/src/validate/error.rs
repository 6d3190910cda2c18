//! What is wrong with a circuit.

use crate::circuit::{Carrier, ConstantId, InputId, NodeId, OutputId, SelectorId};

/// A rule that a circuit breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CircuitError {
    /// A number outside its range.
    #[error("{field} is {found}, it must be {}", Range(*least, *most))]
    OutOfRange {
        /// Which number.
        field: &'static str,
        /// Value found.
        found: u64,
        /// Least value allowed.
        least: u64,
        /// Largest value allowed.
        most: u64,
    },
    /// A node refers to itself or to a later one.
    #[error("node {} uses node {}, which does not come before it (a cycle)", .node.0, .operand.0)]
    NotTopological {
        /// The node.
        node: NodeId,
        /// What it refers to.
        operand: NodeId,
    },
    /// A node refers to a constant that does not exist.
    #[error("node {} uses constant {} of {count}", .node.0, .constant.0)]
    NoConstant {
        /// The node.
        node: NodeId,
        /// What it refers to.
        constant: ConstantId,
        /// How many there are.
        count: usize,
    },
    /// A node refers to an input that does not exist or is of another kind.
    #[error("node {} uses input {}, which is no {wanted}", .node.0, .input.0)]
    WrongInput {
        /// The node.
        node: NodeId,
        /// What it refers to.
        input: InputId,
        /// What it must be.
        wanted: &'static str,
    },
    /// A node refers to a selector that does not exist.
    #[error("node {} uses selector {} of {count} of input {}", .node.0, .selector.index, .selector.input.0)]
    NoSelector {
        /// The node.
        node: NodeId,
        /// What it refers to.
        selector: SelectorId,
        /// How many the group has.
        count: u32,
    },
    /// A node refers to a value or table that does not exist.
    #[error("node {} uses ciphertext {} of {count} of input {}", .node.0, .carrier.index, .carrier.input.0)]
    NoCarrier {
        /// The node.
        node: NodeId,
        /// What it refers to.
        carrier: Carrier,
        /// How many the input has.
        count: u32,
    },
    /// A rotation of 2N or more.
    #[error("node {} rotates by {rotation}, which is not below {limit}", .node.0)]
    Rotation {
        /// The node.
        node: NodeId,
        /// Rotation found.
        rotation: u32,
        /// 2N.
        limit: usize,
    },
    /// Two CMUXes of one node with one selector.
    #[error("node {} selects twice by selector {} of input {}", .node.0, .selector.index, .selector.input.0)]
    RepeatedSelector {
        /// The node.
        node: NodeId,
        /// The selector.
        selector: SelectorId,
    },
    /// Positions of a constant that repeat, go back, or lie outside the polynomial.
    #[error(
        "constant {} has position {position}: positions must increase strictly and lie below {limit}",
        .constant.0
    )]
    Position {
        /// The constant.
        constant: ConstantId,
        /// Position found.
        position: u32,
        /// N.
        limit: usize,
    },
    /// A row of weights that has not one entry a feature.
    #[error("score {score} of node {} has {found} weights for {expected} features", .node.0)]
    Ragged {
        /// The node.
        node: NodeId,
        /// The row.
        score: usize,
        /// Its length.
        found: usize,
        /// Features of the input.
        expected: u32,
    },
    /// An output with several coefficients of a look-up.
    #[error(
        "output {} has {coefficients} coefficients of node {}, a look-up or a sum of some, which \
         would show the key holder the rest of its table: pack the coefficients that travel",
        .output.0, .node.0
    )]
    ShownTable {
        /// The output.
        output: OutputId,
        /// The node.
        node: NodeId,
        /// Coefficients that would travel.
        coefficients: u32,
    },
    /// Coefficients of a packed item whose distance is no power of two.
    #[error("node {} packs {coefficients} coefficients of each item, which is no power of two", .node.0)]
    PackedCoefficients {
        /// The node.
        node: NodeId,
        /// Number found.
        coefficients: u32,
    },
    /// A bootstrap in a circuit that names no key part for it.
    #[error("node {} is a bootstrap, and the circuit does not say of which key part", .node.0)]
    NoBootstrap {
        /// The node.
        node: NodeId,
    },
    /// A key part that the parameter set does not have, or that is no bootstrap.
    #[error(
        "the circuit's bootstraps take the key part {part:?}, which is no bootstrap of the parameter set {set:?}"
    )]
    NoBootstrapPart {
        /// Name of the part.
        part: String,
        /// Name of the set.
        set: String,
    },
    /// A key part for bootstraps in a circuit without any.
    #[error("the circuit names the key part {part:?}, and has no bootstrap")]
    UnusedBootstrapPart {
        /// Name of the part.
        part: String,
    },
    /// A table that is too long for the key part.
    #[error(
        "node {} uses constant {} as a table: it has position {position}, and a table has {entries} entries",
        .node.0, .constant.0
    )]
    TableEntry {
        /// The node.
        node: NodeId,
        /// The table.
        constant: ConstantId,
        /// Its last position.
        position: u32,
        /// Entries of a table.
        entries: usize,
    },
    /// An output of a node that does not exist.
    #[error("output {} is node {} of {count}", .output.0, .node.0)]
    NoNode {
        /// The output.
        output: OutputId,
        /// What it refers to.
        node: NodeId,
        /// How many there are.
        count: usize,
    },
    /// More than this build gives a circuit.
    #[error("preparing or evaluating it takes more than {limit} {unit}")]
    TooLarge {
        /// What is limited.
        unit: &'static str,
        /// The limit.
        limit: u64,
    },
}

/// A range in words.
struct Range(u64, u64);

impl std::fmt::Display for Range {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self(least, most) if least == most => write!(f, "{least}"),
            Self(least, most) => write!(f, "between {least} and {most}"),
        }
    }
}
