//! What the server evaluates: the portable, cleartext description of a compiled model.

mod id;

pub use id::{ConstantId, InputId, NodeId, OutputId, SelectorId};

use cipherfn_protocol::specs::{Bits, Gadget, Transport};

/// A compiled model: inputs that the client encrypts, a directed acyclic graph of GLWE values over
/// them, and the values that travel back.
///
/// A query row is the concatenation of the inputs' rows, a reply row that of the outputs' rows, both
/// in order.
#[derive(Clone, Debug, PartialEq)]
pub struct Circuit {
    /// Name of the parameter set of keys and ciphertexts.
    pub parameter_set: String,
    /// What a query row holds.
    pub inputs: Vec<Input>,
    /// Plaintext polynomials.
    pub constants: Vec<Constant>,
    /// Values, each made of earlier ones.
    pub nodes: Vec<Node>,
    /// What a reply row holds.
    pub outputs: Vec<Output>,
}

/// What the client encrypts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// Selectors, which become GGSW ciphertexts.
    Selectors(SelectorGroup),
    /// Numbers in the coefficients of GLWE ciphertexts.
    Features(FeatureInput),
}

/// Selectors that travel together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SelectorGroup {
    /// Number of selectors.
    pub count: u32,
    /// Gadget of their GGSW ciphertexts.
    pub gadget: Gadget,
    /// How they travel.
    pub transport: Transport,
    /// What each of them says.
    pub form: SelectorForm,
}

/// What a selector encrypts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SelectorForm {
    /// A bit.
    Bits,
    /// `X^(d N / 2^log2_values)` of a digit `d` in `0 .. 2^log2_values`.
    Digits {
        /// log2 of the number of values.
        log2_values: u32,
    },
}

/// A feature vector: feature `i` in coefficient `(i % block) * stride` of ciphertext `i / block`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeatureInput {
    /// Number of features.
    pub features: u32,
    /// Features in one ciphertext.
    pub block: u32,
    /// Distance of features in coefficients: at least the scores of every product of it.
    pub stride: u32,
    /// Bits of a body coefficient that travel.
    pub body_bits: Bits,
}

/// A sparse plaintext polynomial: (position, torus value in units of 2^-64), positions strictly
/// increasing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Constant(pub Vec<(u32, u64)>);

/// A GLWE value.
///
/// Look-ups of linear forms, isolated coefficients, packed values and bootstraps are further
/// variants: what refers to a node says `NodeId` and nothing of its kind.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Node {
    /// `constant + sum of operands + sum of CMUXes`.
    Sum(Sum),
    /// Plaintext weights times an encrypted feature vector.
    Product(Product),
}

/// `constant + sum of addends + sum of CMUXes`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Sum {
    /// Added as it is.
    pub constant: Option<ConstantId>,
    /// Other nodes, each times a monomial.
    pub addends: Vec<Rotated>,
    /// `selector ? set : clear`, at most one a selector.
    pub selects: Vec<Select>,
}

/// `X^rotation * node`, 0 <= rotation < 2N.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rotated {
    /// The node.
    pub node: NodeId,
    /// The monomial's degree.
    pub rotation: u32,
}

/// One CMUX: `clear + selector * (set - clear)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Select {
    /// The encrypted bit.
    pub selector: SelectorId,
    /// Value when the bit is 0.
    pub clear: Operand,
    /// Value when the bit is 1.
    pub set: Operand,
}

/// Input of a CMUX.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operand {
    /// The zero polynomial.
    Zero,
    /// A plaintext polynomial.
    Constant(ConstantId),
    /// A node, times a monomial.
    Node(Rotated),
}

/// Scores `c` = `sum over i of weights[c][i] * u_i` of a feature vector `u`, each in coefficient `c`,
/// and a constant. Whatever lies in the other coefficients means nothing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Product {
    /// The feature vector.
    pub input: InputId,
    /// Integer weights, one row a score, one entry a feature.
    pub weights: Vec<Vec<i64>>,
    /// Added as it is.
    pub constant: Option<ConstantId>,
}

/// Coefficients of a value that travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Output {
    /// The value.
    pub node: NodeId,
    /// Number of coefficients ...
    pub coefficients: u32,
    /// ... at positions 0, `stride`, 2 `stride`, ...
    pub stride: u32,
    /// Bits of each, and of the mask's.
    pub reply_bits: Bits,
}

impl Circuit {
    /// Whether queries are expanded with an evaluation key.
    pub fn needs_evaluation_key(&self) -> bool {
        self.inputs.iter().any(|input| {
            matches!(input, Input::Selectors(group) if group.transport == Transport::Packed)
        })
    }

    /// Number of result coefficients, over all outputs.
    pub fn coefficients(&self) -> usize {
        self.outputs
            .iter()
            .map(|output| output.coefficients as usize)
            .sum()
    }

    /// All CMUXes, in order.
    pub fn selects(&self) -> impl Iterator<Item = &Select> {
        self.nodes.iter().flat_map(|node| match node {
            Node::Sum(sum) => sum.selects.as_slice(),
            Node::Product(_) => &[],
        })
    }
}

impl Node {
    /// The sum that it is.
    pub const fn as_sum(&self) -> Option<&Sum> {
        match self {
            Self::Sum(sum) => Some(sum),
            Self::Product(_) => None,
        }
    }

    /// The addends of a sum, none of a product.
    pub fn addends(&self) -> &[Rotated] {
        self.as_sum().map_or(&[], |sum| &sum.addends)
    }

    /// The CMUXes of a sum, none of a product.
    pub fn selects(&self) -> &[Select] {
        self.as_sum().map_or(&[], |sum| &sum.selects)
    }

    /// The nodes that it reads, as often as it names them.
    pub fn reads(&self) -> impl Iterator<Item = Rotated> {
        self.as_sum().into_iter().flat_map(Sum::reads)
    }
}

impl Sum {
    /// The operands that a choice of `bit`s leaves: the constant, the addends, and one side of each
    /// CMUX.
    pub fn chosen(&self, bit: impl Fn(SelectorId) -> bool) -> impl Iterator<Item = Operand> {
        let constant = self.constant.map(Operand::Constant);
        let addends = self.addends.iter().copied().map(Operand::Node);
        let selected = self.selects.iter().map(move |select| {
            if bit(select.selector) {
                select.set
            } else {
                select.clear
            }
        });
        constant.into_iter().chain(addends).chain(selected)
    }

    /// The nodes that it reads, as often as it names them.
    pub fn reads(&self) -> impl Iterator<Item = Rotated> {
        let addends = self.addends.iter().copied();
        let sides = self
            .selects
            .iter()
            .flat_map(|select| [select.clear, select.set]);
        addends.chain(sides.filter_map(|operand| match operand {
            Operand::Node(rotated) => Some(rotated),
            Operand::Zero | Operand::Constant(_) => None,
        }))
    }
}
