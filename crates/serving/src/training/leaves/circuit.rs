//! Circuits of leaf counts.
//!
//! Every leaf has a coefficient, 1 in units of a count: a tree's value is the monomial of the leaf that
//! a row reaches. So trees are evaluated as they are for predictions, from the leaves up, and what many
//! of them have adds up in one ciphertext: sums of CMUXes of one selector are one CMUX of sums (ADR 2).
//! Of a row whose label has a bit, one more product has the same monomials, of others zero.

use super::LeafError;
use cipherfn_circuit::MAX_OUTPUTS;
use cipherfn_circuit::circuit::{
    Circuit, Constant, ConstantId, Input, Node, NodeId, Operand, Output, Rotated, Select,
    SelectorForm, SelectorGroup, SelectorId, Sum,
};
use cipherfn_protocol::specs::Transport;
use cipherfn_scheme::parameters::ParameterSet;
use cipherfn_training::leaves::{LeafNode, LeafTraining, LeafTree};
use std::collections::{BTreeMap, HashMap};

/// A circuit, and how many CMUXes the error of a coefficient comes from at most.
pub(super) struct LeafCircuit {
    pub(super) circuit: Circuit,
    pub(super) path: usize,
}

/// The circuits of a program, with outputs in the order of
/// [`LeafTraining::blocks`].
pub(super) fn circuits(
    training: &LeafTraining,
    set: &'static ParameterSet,
) -> Result<Vec<LeafCircuit>, LeafError> {
    let size = set.ring.polynomial_size;
    for (index, tree) in training.trees().iter().enumerate() {
        if tree.leaves() > size {
            return Err(LeafError::TooManyLeaves {
                tree: index + 1,
                leaves: tree.leaves(),
                limit: size,
            });
        }
    }
    let labels = training.target().bits();
    let blocks = training.blocks(size);
    let together = (MAX_OUTPUTS as usize / (1 + labels)).max(1);
    let circuits = blocks.chunks(together).map(|blocks| {
        let mut builder = Builder::new(training);
        let mut nodes = Vec::new();
        for block in blocks {
            let mut first = 0;
            let trees = training.trees()[block.clone()].iter();
            let roots: Vec<Shape> = trees
                .map(|tree| {
                    let root = builder.tree(tree, first);
                    first += tree.leaves() as u32;
                    root
                })
                .collect();
            let counts = builder.sum(&roots);
            let counts = builder.whole(counts);
            nodes.push((counts, first));
            for label in 0..labels {
                nodes.push((builder.labelled(counts, label), first));
            }
        }
        builder.finish(&nodes, set)
    });
    Ok(circuits.collect())
}

/// A function of a row's bits, by its place among those that are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Shape {
    Leaf(u32),
    Choice(u32),
}

/// Asks for a bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Choice {
    selector: u32,
    clear: Shape,
    set: Shape,
}

struct Builder<'a> {
    training: &'a LeafTraining,
    /// First selector of each column, and of the label.
    first: Vec<u32>,
    choices: Vec<Choice>,
    places: HashMap<Choice, u32>,
    /// How many other functions name a choice.
    uses: Vec<u32>,
    known: HashMap<u32, NodeId>,
    constants: Vec<Constant>,
    constant_ids: HashMap<Constant, ConstantId>,
    nodes: Vec<Node>,
    /// Of each node the CMUXes of the worst path.
    paths: Vec<usize>,
}

/// The bins of each column that a node is reached with: first and last.
type Bounds = Vec<(u32, u32)>;

impl<'a> Builder<'a> {
    fn new(training: &'a LeafTraining) -> Self {
        let mut next = 0;
        let mut first = Vec::new();
        for column in 0..training.cuts().len() {
            first.push(next);
            next += training.bin_bits(column);
        }
        first.push(next);
        Self {
            training,
            first,
            choices: Vec::new(),
            places: HashMap::new(),
            uses: Vec::new(),
            known: HashMap::new(),
            constants: Vec::new(),
            constant_ids: HashMap::new(),
            nodes: Vec::new(),
            paths: Vec::new(),
        }
    }

    /// A tree's function, whose leaves have coefficients from `first` on.
    fn tree(&mut self, tree: &LeafTree, first: u32) -> Shape {
        let cuts = self.training.cuts().iter();
        let bounds: Bounds = cuts.map(|cuts| (0, cuts.len() as u32)).collect();
        // Children come after their parent: bounds are known from the root down, functions from the
        // leaves up.
        let mut all = vec![bounds; tree.nodes.len()];
        for (index, node) in tree.nodes.iter().enumerate() {
            if let LeafNode::Split {
                column,
                cut,
                above,
                below,
                ..
            } = *node
            {
                let own = all[index].clone();
                let (least, most) = own[column as usize];
                let (mut over, mut under) = (own.clone(), own);
                over[column as usize] = (least.max(cut + 1), most);
                under[column as usize] = (least, most.min(cut));
                all[above as usize] = over;
                all[below as usize] = under;
            }
        }
        let numbers = tree.numbers();
        let mut shapes = vec![Shape::Leaf(0); tree.nodes.len()];
        for (index, node) in tree.nodes.iter().enumerate().rev() {
            shapes[index] = match *node {
                LeafNode::Leaf => Shape::Leaf(first + numbers[index] as u32),
                LeafNode::Split {
                    column,
                    cut,
                    above,
                    below,
                    ..
                } => {
                    let (above, below) = (shapes[above as usize], shapes[below as usize]);
                    let question = Question {
                        column: column as usize,
                        cut,
                        bounds: all[index][column as usize],
                        above,
                        below,
                    };
                    let bits = self.training.bin_bits(column as usize);
                    // No row comes here if there is no bin.
                    self.ask(&question, bits, 0).unwrap_or(below)
                }
            };
        }
        shapes[0]
    }

    /// The function of the lowest `bits` bits of bins that begin with `prefix`; `None` where there is no
    /// such bin.
    fn ask(&mut self, question: &Question, bits: u32, prefix: u32) -> Option<Shape> {
        let least = prefix.max(question.bounds.0);
        let most = (prefix + (1 << bits) - 1).min(question.bounds.1);
        if least > most {
            return None;
        }
        if least > question.cut {
            return Some(question.above);
        }
        if most <= question.cut {
            return Some(question.below);
        }
        // Several bins, so there is a bit left.
        let bit = bits - 1;
        let clear = self.ask(question, bit, prefix);
        let set = self.ask(question, bit, prefix | 1 << bit);
        Some(match (clear, set) {
            (Some(clear), Some(set)) => self.choice(Choice {
                selector: self.first[question.column] + bit,
                clear,
                set,
            }),
            (one, other) => one.or(other)?,
        })
    }

    fn choice(&mut self, choice: Choice) -> Shape {
        if choice.clear == choice.set {
            return choice.clear;
        }
        if let Some(place) = self.places.get(&choice) {
            return Shape::Choice(*place);
        }
        for side in [choice.clear, choice.set] {
            if let Shape::Choice(place) = side {
                self.uses[place as usize] += 1;
            }
        }
        let place = self.choices.len() as u32;
        self.choices.push(choice);
        self.uses.push(0);
        self.places.insert(choice, place);
        Shape::Choice(place)
    }

    /// The sum of functions: those that ask for the same bit share a CMUX.
    fn sum(&mut self, shapes: &[Shape]) -> Value {
        let mut constant = BTreeMap::new();
        let mut addends = Vec::new();
        let mut asked: BTreeMap<u32, (Vec<Shape>, Vec<Shape>)> = BTreeMap::new();
        for shape in shapes {
            match *shape {
                Shape::Leaf(position) => add(&mut constant, position, self.unit()),
                // What others read, too, is evaluated once.
                Shape::Choice(place) if self.uses[place as usize] > 1 => {
                    addends.push(self.shared(place));
                }
                Shape::Choice(place) => self.split(place, &mut asked),
            }
        }
        self.value(constant, addends, asked)
    }

    fn split(&self, place: u32, asked: &mut BTreeMap<u32, (Vec<Shape>, Vec<Shape>)>) {
        let Choice {
            selector,
            clear,
            set,
        } = self.choices[place as usize];
        let sides = asked.entry(selector).or_default();
        sides.0.push(clear);
        sides.1.push(set);
    }

    fn shared(&mut self, place: u32) -> NodeId {
        if let Some(node) = self.known.get(&place) {
            return *node;
        }
        let mut asked = BTreeMap::new();
        self.split(place, &mut asked);
        let value = self.value(BTreeMap::new(), Vec::new(), asked);
        let node = self.whole(value);
        self.known.insert(place, node);
        node
    }

    fn value(
        &mut self,
        mut constant: BTreeMap<u32, u64>,
        addends: Vec<NodeId>,
        asked: BTreeMap<u32, (Vec<Shape>, Vec<Shape>)>,
    ) -> Value {
        let mut selects = Vec::with_capacity(asked.len());
        for (selector, (clear, set)) in asked {
            let (clear, set) = (self.sum(&clear), self.sum(&set));
            let selector = SelectorId::first(selector);
            let (clear, set) = match (clear, set) {
                (Value::Constant(clear), Value::Constant(mut set)) => {
                    // clear + s (set - clear): the first part needs no multiplexer.
                    for (position, value) in clear {
                        add(&mut constant, position, value);
                        add(&mut set, position, value.wrapping_neg());
                    }
                    (Operand::Zero, self.operand(Value::Constant(set)))
                }
                (clear, set) => (self.operand(clear), self.operand(set)),
            };
            selects.push(Select {
                selector,
                clear,
                set,
            });
        }
        match (&addends[..], selects.is_empty(), constant.is_empty()) {
            ([], true, _) => return Value::Constant(constant),
            ([only], true, true) => return Value::Node(*only),
            _ => {}
        }
        let constant = (!constant.is_empty()).then(|| self.constant(constant));
        let addends = addends.into_iter().map(unrotated).collect();
        Value::Node(self.push(Sum {
            constant,
            addends,
            selects,
        }))
    }

    /// `counts` of rows whose label has a bit.
    fn labelled(&mut self, counts: NodeId, bit: usize) -> NodeId {
        let label = self.first.last().copied().unwrap_or_default();
        self.push(Sum {
            selects: vec![Select {
                selector: SelectorId::first(label + bit as u32),
                clear: Operand::Zero,
                set: Operand::Node(unrotated(counts)),
            }],
            ..Sum::default()
        })
    }

    fn push(&mut self, sum: Sum) -> NodeId {
        let of = |operand: Operand| match operand {
            Operand::Node(node) => self.paths[node.node.index()],
            Operand::Zero | Operand::Constant(_) => 0,
        };
        let selects = sum.selects.iter();
        let selects = selects.map(|select| 1 + of(select.clear).max(of(select.set)));
        let addends = sum.addends.iter();
        let addends = addends.map(|addend| self.paths[addend.node.index()]);
        let path = selects.sum::<usize>() + addends.sum::<usize>();
        self.nodes.push(Node::Sum(sum));
        self.paths.push(path);
        NodeId(self.nodes.len() as u32 - 1)
    }

    /// A value as a node.
    fn whole(&mut self, value: Value) -> NodeId {
        match value {
            Value::Node(node) => node,
            Value::Constant(constant) => {
                let constant = Some(self.constant(constant));
                self.push(Sum {
                    constant,
                    ..Sum::default()
                })
            }
        }
    }

    fn operand(&mut self, value: Value) -> Operand {
        match value {
            Value::Node(node) => Operand::Node(unrotated(node)),
            Value::Constant(constant) if constant.is_empty() => Operand::Zero,
            Value::Constant(constant) => Operand::Constant(self.constant(constant)),
        }
    }

    fn constant(&mut self, constant: BTreeMap<u32, u64>) -> ConstantId {
        let constant = Constant(constant.into_iter().collect());
        if let Some(id) = self.constant_ids.get(&constant) {
            return *id;
        }
        let id = ConstantId(self.constants.len() as u32);
        self.constants.push(constant.clone());
        self.constant_ids.insert(constant, id);
        id
    }

    /// A count of 1.
    const fn unit(&self) -> u64 {
        1 << (u64::BITS - self.training.sums().count_bits)
    }

    fn finish(self, outputs: &[(NodeId, u32)], set: &ParameterSet) -> LeafCircuit {
        let path = outputs.iter().map(|(node, _)| self.paths[node.index()]);
        let output = |(node, coefficients): &(NodeId, u32)| Output {
            node: *node,
            coefficients: *coefficients,
            stride: 1,
            reply_bits: cipherfn_training::leaves::REPLY_BITS,
        };
        LeafCircuit {
            path: path.max().unwrap_or_default(),
            circuit: Circuit {
                parameter_set: set.name.into(),
                bootstrap: None,
                inputs: vec![Input::Selectors(SelectorGroup {
                    count: self.training.selectors() as u32,
                    gadget: self.training.sums().gadget(),
                    transport: Transport::Packed,
                    form: SelectorForm::Bits,
                })],
                constants: self.constants,
                nodes: self.nodes,
                outputs: outputs.iter().map(output).collect(),
            },
        }
    }
}

/// Whether a column's bin is above a cut.
struct Question {
    column: usize,
    cut: u32,
    /// Bins that come here.
    bounds: (u32, u32),
    above: Shape,
    below: Shape,
}

/// A polynomial, known or computed.
enum Value {
    Constant(BTreeMap<u32, u64>),
    Node(NodeId),
}

const fn unrotated(node: NodeId) -> Rotated {
    Rotated { node, rotation: 0 }
}

fn add(constant: &mut BTreeMap<u32, u64>, position: u32, value: u64) {
    let entry = constant.entry(position).or_default();
    *entry = entry.wrapping_add(value);
    if *entry == 0 {
        constant.remove(&position);
    }
}

#[cfg(test)]
mod tests;
