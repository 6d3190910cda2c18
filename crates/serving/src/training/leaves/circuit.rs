//! Circuits of leaf counts.
//!
//! Every leaf has a coefficient, 1 in units of a count: a tree's value is the monomial of the leaf that
//! a row reaches. So trees are evaluated as they are for predictions, from the leaves up, and what many
//! of them have adds up in one ciphertext: sums of CMUXes of one selector are one CMUX of sums (ADR 2).
//! Of a row whose label has a bit, one more product has the same monomials, of others zero.

mod histograms;
mod questions;

use super::error::LeafError;
use cipherfn_circuit::MAX_OUTPUTS;
use cipherfn_circuit::circuit::{
    Circuit, Constant, ConstantId, Input, Node, NodeId, Operand, Output, Rotated, Select,
    SelectorForm, SelectorGroup, SelectorId, Sum,
};
use cipherfn_protocol::specs::Transport;
use cipherfn_scheme::parameters::ParameterSet;
use cipherfn_training::leaves::{LeafTraining, LeafTree};
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
    require_room(training, &training.counted(), size)?;
    let labels = training.target().bits();
    let blocks = training.blocks(size);
    let together = (MAX_OUTPUTS as usize / (1 + labels)).max(1);
    let circuits = blocks.chunks(together).map(|blocks| {
        let mut builder = Builder::new(training);
        let mut nodes = Vec::new();
        // The tree that is grown, which all columns turn.
        let grown = training
            .growth()
            .map(|_| builder.counts(&training.trees()[..1]));
        for block in blocks {
            let (counts, first) = match grown {
                Some((leaves, _)) => builder.histograms(leaves, block.clone()),
                None => builder.counts(&training.trees()[block.clone()]),
            };
            nodes.push((counts, first));
            for label in 0..labels {
                nodes.push((builder.labelled(counts, label), first));
            }
        }
        builder.finish(&nodes, set)
    });
    Ok(circuits.collect())
}

/// That `places` of each of what is counted fit a ciphertext.
pub(super) fn require_room(
    training: &LeafTraining,
    places: &[usize],
    limit: usize,
) -> Result<(), LeafError> {
    let over = places.iter().position(|places| *places > limit);
    let Some(index) = over else {
        return Ok(());
    };
    if training.growth().is_none() {
        return Err(LeafError::TooManyLeaves {
            tree: index + 1,
            leaves: places[index],
            limit,
        });
    }
    Err(LeafError::TooManyBins {
        column: training.counted_name(index),
        bins: training.cuts()[index].len() + 1,
        places: places[index],
        limit,
    })
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

    /// The sum of trees with a coefficient a leaf, and how many coefficients that are.
    fn counts(&mut self, trees: &[LeafTree]) -> (NodeId, u32) {
        let mut first = 0;
        let mut roots = Vec::with_capacity(trees.len());
        for tree in trees {
            roots.push(self.tree(tree, first));
            first += tree.leaves() as u32;
        }
        let counts = self.sum(&roots);
        (self.whole(counts), first)
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
