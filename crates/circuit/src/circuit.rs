//! What the server evaluates: the portable, cleartext description of a compiled model.

use cipherfn_protocol::specs::{Gadget, Transport};
use serde::{Deserialize, Serialize};

mod validate;

pub use validate::{CircuitError, Dimensions, validate};

/// A compiled model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Circuit {
    /// Sums of CMUX trees over encrypted selectors.
    Levelled(LevelledCircuit),
    /// Plaintext weights times an encrypted feature vector.
    Linear(LinearCircuit),
}

/// Index of a [`Node`]; a node refers only to nodes with smaller indices.
pub type NodeId = u32;
/// Index of a [`Constant`].
pub type ConstantId = u32;
/// Index of a selector of the query.
pub type SelectorId = u32;

impl Circuit {
    /// Name of the parameter set of keys and ciphertexts.
    pub fn parameter_set(&self) -> &str {
        match self {
            Self::Levelled(circuit) => &circuit.parameter_set,
            Self::Linear(circuit) => &circuit.parameter_set,
        }
    }

    /// Whether its queries are expanded with an evaluation key.
    pub fn needs_evaluation_key(&self) -> bool {
        matches!(self, Self::Levelled(circuit) if circuit.transport == Transport::Packed)
    }
}

/// A directed acyclic graph of sums of CMUXes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LevelledCircuit {
    /// Parameter set of keys and ciphertexts.
    pub parameter_set: String,
    /// Number of selectors in a query row.
    pub selectors: u32,
    /// Gadget of the selectors.
    pub gadget: Gadget,
    /// How the selectors travel.
    pub transport: Transport,
    /// Plaintext polynomials.
    pub constants: Vec<Constant>,
    /// Nodes in topological order; the last one is the result.
    pub nodes: Vec<Node>,
    /// Number of result coefficients ...
    pub coefficients: u32,
    /// ... at positions 0, `stride`, 2 `stride`, ...
    pub stride: u32,
    /// Bits of each coefficient of a reply.
    pub reply_bits: u32,
}

/// A sparse plaintext polynomial: (position, torus value in units of 2^-64), positions strictly
/// increasing.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Constant(pub Vec<(u32, u64)>);

/// A GLWE value: `constant + sum of operands + sum of CMUXes`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Node {
    /// Added as it is.
    pub constant: Option<ConstantId>,
    /// Other nodes, each times a monomial.
    pub addends: Vec<Rotated>,
    /// `selector ? set : clear`, at most one a selector.
    pub selects: Vec<Select>,
}

/// `X^rotation * node`, 0 <= rotation < 2N.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Rotated {
    /// The node.
    pub node: NodeId,
    /// The monomial's degree.
    pub rotation: u32,
}

/// One CMUX: `clear + selector * (set - clear)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Select {
    /// The encrypted bit.
    pub selector: SelectorId,
    /// Value when the bit is 0.
    pub clear: Operand,
    /// Value when the bit is 1.
    pub set: Operand,
}

/// Input of a CMUX.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Operand {
    /// The zero polynomial.
    Zero,
    /// A plaintext polynomial.
    Constant(ConstantId),
    /// A node, times a monomial.
    Node(Rotated),
}

/// A linear model: score `c` is `sum over i of weights[c][i] * u_i + bias[c]`, with the inputs
/// `u_i` as the specs' linear encoding places them (feature `i` in coefficient `(i % block) *
/// stride` of ciphertext `i / block`) and score `c` in coefficient `c`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LinearCircuit {
    /// Parameter set of keys and ciphertexts.
    pub parameter_set: String,
    /// Integer weights, one row an output, one entry a feature.
    pub weights: Vec<Vec<i64>>,
    /// Torus constants (units of 2^-64), one an output.
    pub bias: Vec<u64>,
    /// Features in one ciphertext.
    pub block: u32,
    /// Distance of features in coefficients: the number of outputs.
    pub stride: u32,
    /// Bits of a body coefficient that travel.
    pub body_bits: u32,
    /// Bits of each coefficient of a reply.
    pub reply_bits: u32,
}
