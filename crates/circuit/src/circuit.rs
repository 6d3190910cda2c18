//! What the server evaluates: the portable, cleartext description of a compiled model.

mod choice;
mod id;

pub use choice::Choice;
pub use id::{ConstantId, InputId, NodeId, OutputId, SelectorId};

use cipherfn_protocol::specs::{Bits, FeatureForm, Gadget, LinearEncoding, Transport};

/// A compiled model: inputs that the client encrypts, a directed acyclic graph of GLWE values over
/// them, and the values that travel back.
///
/// A query row is the concatenation of the inputs' rows, a reply row that of the outputs' rows, both
/// in order.
#[derive(Clone, Debug, PartialEq)]
pub struct Circuit {
    /// Name of the parameter set of keys and ciphertexts.
    pub parameter_set: String,
    /// Name of the key part that bootstraps take, if there are any.
    pub bootstrap: Option<String>,
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
    /// Values that become GLWE ciphertexts of their own.
    Values(ValueInput),
    /// GLWE ciphertexts that all rows share.
    Tables(TableInput),
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

/// A feature vector, in ciphertexts of `block` features each: see [`FeatureForm`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeatureInput {
    /// Number of features.
    pub features: u32,
    /// Features in one ciphertext.
    pub block: u32,
    /// Distance of features in coefficients, at least the scores of every product of it; of features
    /// together, distance of the scores, at least the features of a ciphertext.
    pub stride: u32,
    /// Which of them stand apart.
    pub form: FeatureForm,
    /// Bits of a body coefficient that travel.
    pub body_bits: Bits,
}

/// Torus values that travel packed, as selectors do, and become GLWE ciphertexts with the value as
/// constant coefficient and zero elsewhere: an expansion without scheme switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ValueInput {
    /// Number of values of a row.
    pub count: u32,
}

/// Whole GLWE ciphertexts that belong to no row: they are given once for all rows that are evaluated
/// together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableInput {
    /// Number of ciphertexts.
    pub count: u32,
}

/// A sparse plaintext polynomial: (position, torus value in units of 2^-64), positions strictly
/// increasing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Constant(pub Vec<(u32, u64)>);

/// A GLWE value. What refers to a node says `NodeId` and nothing of its kind.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Node {
    /// `constant + sum of operands + sum of CMUXes`.
    Sum(Sum),
    /// Plaintext weights times an encrypted feature vector.
    Product(Product),
    /// A table, turned by a linear form of encrypted bits.
    Lookup(Lookup),
    /// An integer combination of nodes.
    Combination(Combination),
    /// One coefficient of each of several nodes, and nothing else of them.
    Pack(Pack),
    /// An encrypted value or table, as it came.
    Carrier(Carrier),
    /// A table at a number that the server computed.
    Bootstrap(Bootstrap),
    /// A CMUX by a number that the server computed.
    Choice(Choice),
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

/// Scores `c` = `sum over i of weights[c][i] * u_i` of a feature vector `u`, each in coefficient `c`
/// [spacings](FeatureInput::spacing), and a constant. Whatever lies in the other coefficients means
/// nothing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Product {
    /// The feature vector.
    pub input: InputId,
    /// Integer weights, one row a score, one entry a feature.
    pub weights: Vec<Vec<i64>>,
    /// Added as it is.
    pub constant: Option<ConstantId>,
}

/// `X^rotation * table`, times the X^rotation of each turn whose bit is 1: a function of a linear
/// form of the bits.
///
/// The constant coefficient of `X^r table` is the table's entry at -r, where the entry at i + N is
/// minus the one at i: for the form's value z at coefficient 0, rotations are those of -z modulo 2N.
/// The other coefficients hold the rest of the table. What leaves the server of a look-up must be one
/// coefficient, by a [`Pack`] or as an output's only one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Lookup {
    /// The function's values.
    pub table: Table,
    /// Where it begins: 0 <= rotation < 2N.
    pub rotation: u32,
    /// At most one turn a selector.
    pub form: Vec<Turn>,
}

/// What a look-up turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Table {
    /// A plaintext.
    Constant(ConstantId),
    /// An encrypted value. Of a carrier with one coefficient the turned one has it at the form's
    /// place.
    Node(NodeId),
}

/// One step of a look-up: `value + selector * (X^rotation - 1) * value`, a CMUX.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Turn {
    /// The encrypted bit.
    pub selector: SelectorId,
    /// By how much it turns: below 2N.
    pub rotation: u32,
}

/// `constant + sum of weight * X^rotation * node`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Combination {
    /// Added as it is.
    pub constant: Option<ConstantId>,
    /// Nodes with their weights.
    pub terms: Vec<Weighted>,
}

/// An integer times a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Weighted {
    /// The node, times a monomial.
    pub node: Rotated,
    /// The integer.
    pub weight: i64,
}

/// Coefficient 0 of item i as coefficient i [`Pack::stride`], and zero elsewhere: whatever else the
/// items hold, tables and sums of weights, is cleared. One item is an isolated coefficient.
///
/// Several `coefficients` of an item are those at multiples of their [distance](Pack::spacing): they
/// keep it.
///
/// By key switching: the parameter set needs a key of as many levels as the distance's log2.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pack {
    /// Nodes, each times the monomial that brings the first wanted coefficient to place 0.
    pub items: Vec<Rotated>,
    /// Wanted coefficients of each, a power of two.
    pub coefficients: u32,
}

/// A ciphertext of an input of [values](ValueInput) or [tables](TableInput).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Carrier {
    /// The input.
    pub input: InputId,
    /// Which of its ciphertexts.
    pub index: u32,
}

/// The table's entry at a number z, the constant coefficient of a value as a fraction of the torus, in
/// [0, 1): with N' the entries of a table of the part ([`Circuit::bootstrap`]), entry `i` for z in
/// `[i, i + 1) / 2N'`, so that of a function f it is `f((i + 1/2) / 2N')`, and minus entry i for z half
/// a torus further. Any function of half the torus can be said, and of the whole torus one with
/// `f(z + 1/2) = -f(z)`.
///
/// The result is the constant coefficient. z is looked up with an error, that of the value and that
/// of the switch to the table's steps, and the result has one of its own; whatever lies in the other
/// coefficients means nothing. As of a [`Lookup`], one coefficient of it may leave the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Bootstrap {
    /// The node, times the monomial that brings the number to place 0.
    pub of: Rotated,
    /// The function's values, at positions below N'.
    pub table: ConstantId,
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
    /// Whether queries are expanded, values packed or bootstrapped with an evaluation key.
    pub fn needs_evaluation_key(&self) -> bool {
        let packed = |input: &Input| match input {
            Input::Selectors(group) => group.transport == Transport::Packed,
            Input::Values(_) => true,
            Input::Features(_) | Input::Tables(_) => false,
        };
        let takes_key =
            |node: &Node| matches!(node, Node::Pack(_) | Node::Bootstrap(_) | Node::Choice(_));
        self.inputs.iter().any(packed) || self.nodes.iter().any(takes_key)
    }

    /// Number of result coefficients, over all outputs.
    pub fn coefficients(&self) -> usize {
        self.outputs
            .iter()
            .map(|output| output.coefficients as usize)
            .sum()
    }

    /// All CMUXes of sums, in order.
    pub fn selects(&self) -> impl Iterator<Item = &Select> {
        self.nodes.iter().flat_map(Node::selects)
    }
}

impl Node {
    /// The sum that it is.
    pub const fn as_sum(&self) -> Option<&Sum> {
        match self {
            Self::Sum(sum) => Some(sum),
            _ => None,
        }
    }

    /// The choice that it is.
    pub const fn as_choice(&self) -> Option<&Choice> {
        match self {
            Self::Choice(choice) => Some(choice),
            _ => None,
        }
    }

    /// Whether it takes a bootstrap.
    pub const fn is_bootstrapped(&self) -> bool {
        matches!(self, Self::Bootstrap(_) | Self::Choice(_))
    }

    /// The addends of a sum, none of another node.
    pub fn addends(&self) -> &[Rotated] {
        self.as_sum().map_or(&[], |sum| &sum.addends)
    }

    /// The CMUXes of a sum, none of another node.
    pub fn selects(&self) -> &[Select] {
        self.as_sum().map_or(&[], |sum| &sum.selects)
    }

    /// The plaintexts that it names, as often as it names them.
    pub fn constants(&self) -> impl Iterator<Item = ConstantId> {
        let own = match self {
            Self::Sum(sum) => sum.constant,
            Self::Product(product) => product.constant,
            Self::Combination(combination) => combination.constant,
            Self::Lookup(Lookup {
                table: Table::Constant(table),
                ..
            }) => Some(*table),
            Self::Bootstrap(bootstrap) => Some(bootstrap.table),
            Self::Lookup(_) | Self::Pack(_) | Self::Carrier(_) | Self::Choice(_) => None,
        };
        let selects = self.selects().iter();
        let sides = selects.flat_map(|select| [select.clear, select.set]);
        let sides = sides.chain(self.as_choice().into_iter().flat_map(Choice::sides));
        own.into_iter()
            .chain(sides.filter_map(|operand| match operand {
                Operand::Constant(id) => Some(id),
                Operand::Zero | Operand::Node(_) => None,
            }))
    }

    /// The nodes that it reads, as often as it names them.
    pub fn reads(&self) -> impl Iterator<Item = Rotated> {
        let terms = match self {
            Self::Combination(combination) => combination.terms.as_slice(),
            _ => &[],
        };
        let items = match self {
            Self::Pack(pack) => pack.items.as_slice(),
            _ => &[],
        };
        let other = match self {
            Self::Lookup(lookup) => lookup
                .table
                .node()
                .map(|node| Rotated { node, rotation: 0 }),
            Self::Bootstrap(bootstrap) => Some(bootstrap.of),
            _ => None,
        };
        let sum = self.as_sum().into_iter().flat_map(Sum::reads);
        let choice = self.as_choice().into_iter().flat_map(Choice::reads);
        sum.chain(choice)
            .chain(terms.iter().map(|term| term.node))
            .chain(items.iter().copied())
            .chain(other)
    }
}

impl Operand {
    /// The node that it is.
    pub const fn node(self) -> Option<Rotated> {
        match self {
            Self::Node(rotated) => Some(rotated),
            Self::Zero | Self::Constant(_) => None,
        }
    }
}

impl Table {
    /// The node that it is.
    pub const fn node(self) -> Option<NodeId> {
        match self {
            Self::Node(node) => Some(node),
            Self::Constant(_) => None,
        }
    }
}

impl From<&LinearEncoding> for FeatureInput {
    fn from(encoding: &LinearEncoding) -> Self {
        Self {
            features: encoding.names.len() as u32,
            block: encoding.block,
            stride: encoding.stride,
            form: encoding.form,
            body_bits: encoding.body_bits,
        }
    }
}

impl FeatureInput {
    /// Distance in coefficients of the scores of a product.
    pub const fn spacing(&self) -> u32 {
        match self.form {
            FeatureForm::Apart => 1,
            FeatureForm::Together => self.stride,
        }
    }

    /// Distance in coefficients of the features of a ciphertext.
    pub const fn feature_spacing(&self) -> u32 {
        match self.form {
            FeatureForm::Apart => self.stride,
            FeatureForm::Together => 1,
        }
    }
}

impl Pack {
    /// One coefficient of each item.
    pub const fn of_constants(items: Vec<Rotated>) -> Self {
        Self {
            items,
            coefficients: 1,
        }
    }

    /// Distance of an item's wanted coefficients: N where it is one.
    pub const fn spacing(&self, polynomial_size: u32) -> u32 {
        polynomial_size / self.coefficients
    }

    /// Distance of the items in the result: that of an item's coefficients divided by the number of
    /// items, rounded up to a power of two.
    pub const fn stride(&self, polynomial_size: u32) -> u32 {
        self.spacing(polynomial_size) / (self.items.len() as u32).next_power_of_two()
    }

    /// Every wanted coefficient: the node, times the monomial that brings it to place 0, and its place
    /// in the result.
    pub fn wanted(&self, polynomial_size: u32) -> impl Iterator<Item = (Rotated, u32)> {
        let (spacing, turn) = (self.spacing(polynomial_size), 2 * polynomial_size);
        let items = self.items.iter();
        let items = items.zip((0..).step_by(self.stride(polynomial_size) as usize));
        items.flat_map(move |(item, place)| {
            (0..polynomial_size)
                .step_by(spacing as usize)
                .map(move |up| {
                    let rotation = (item.rotation + turn - up) % turn;
                    (Rotated { rotation, ..*item }, place + up)
                })
        })
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
        addends.chain(sides.filter_map(Operand::node))
    }
}
