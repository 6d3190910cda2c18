//! The circuit of a layer: look-ups, their sums, and the sums in one ciphertext.

use super::choice::LookupChoice;
use super::curve::Curve;
use crate::backend::Backend;
use cipherfn_circuit::Circuit;
use cipherfn_circuit::circuit::{
    Combination, Constant, ConstantId, Input, InputId, Lookup, Node, NodeId, Output, Pack, Product,
    Rotated, SelectorId, Table, Turn, Weighted,
};
use cipherfn_protocol::specs::Bits;
use cipherfn_scheme::noise::Variance;
use cipherfn_scheme::operations::pack;
use std::collections::HashMap;

/// The input that is selectors, if any function is looked up; features of lines come behind.
const SELECTORS: InputId = InputId(0);

/// What a circuit is made of.
pub(super) struct CircuitParts<'a> {
    pub(super) curves: &'a [Curve],
    pub(super) choice: &'a LookupChoice,
    pub(super) backend: Backend,
}

/// Key switches that bring so many scores into one ciphertext.
pub(super) fn key_switches(scores: u32, backend: Backend) -> u32 {
    let levels = backend.set.ring.polynomial_size.ilog2();
    match scores {
        1 => 0,
        _ => scores.next_power_of_two() - 1 + levels - scores.next_power_of_two().ilog2(),
    }
}

/// Of a score, from bringing so many into one ciphertext.
pub(super) fn packing_variance(scores: usize, backend: Backend) -> Variance {
    match (scores, backend.set.packing()) {
        (1, _) | (_, None) => Variance::default(),
        (_, Some(packing)) => pack::variance(backend.set, packing),
    }
}

impl CircuitParts<'_> {
    pub(super) fn circuit(&self) -> Circuit {
        let choice = self.choice;
        let size = self.backend.set.ring.polynomial_size as u32;
        let mut constants = Constants::default();
        let mut inputs = Vec::new();
        if choice.work.lookups > 0 {
            inputs.push(self.backend.bits(choice.work.selectors, choice.gadget));
        }
        let mut nodes = Vec::new();
        let mut push = |node| {
            nodes.push(node);
            NodeId(nodes.len() as u32 - 1)
        };
        let units = choice
            .units
            .iter()
            .zip(self.curves)
            .zip(&choice.sums.amplitudes);
        // What a line stands in for is not looked up.
        let lookups: Vec<Option<NodeId>> = units
            .map(|((unit, curve), amplitude)| {
                if curve.is_line() {
                    return None;
                }
                let entries = curve.entries.iter().map(|entry| torus(entry * amplitude));
                let turn = |(index, turn): &(u32, i64)| Turn {
                    selector: SelectorId {
                        input: SELECTORS,
                        index: *index,
                    },
                    rotation: back(*turn, size),
                };
                Some(push(Node::Lookup(Lookup {
                    table: Table::Constant(constants.id((0..).zip(entries).collect())),
                    rotation: back(unit.start, size),
                    form: unit.turns.iter().map(turn).collect(),
                })))
            })
            .collect();
        let lines = choice.lines.as_ref().map(|lines| {
            let encoding = &lines.encoding;
            inputs.push(Input::Features(encoding.into()));
            push(Node::Product(Product {
                input: InputId(inputs.len() as u32 - 1),
                weights: lines.weights.clone(),
                constant: None,
            }))
        });
        let scores = choice.sums.scales.len();
        let sums: Vec<Rotated> = (0..scores)
            .map(|score| {
                let weighted = |node, rotation, weight| Weighted {
                    node: Rotated { node, rotation },
                    weight,
                };
                let weights = choice.sums.weights[score].iter();
                let terms = lookups
                    .iter()
                    .zip(weights)
                    .filter(|(_, weight)| **weight != 0);
                let terms = terms.filter_map(|(node, weight)| Some(weighted((*node)?, 0, *weight)));
                let line = lines.map(|node| weighted(node, back(score as i64, size), 1));
                let of_lines = choice
                    .lines
                    .as_ref()
                    .map_or(0.0, |lines| lines.constants[score]);
                let constant = choice.sums.constants[score] + of_lines;
                let node = push(Node::Combination(Combination {
                    constant: Some(constants.id(vec![(0, torus(constant))])),
                    terms: terms.chain(line).collect(),
                }));
                Rotated { node, rotation: 0 }
            })
            .collect();
        let output = output(sums, size, choice.budget.reply_bits, push);
        Circuit {
            parameter_set: self.backend.set.name.to_owned(),
            bootstrap: None,
            inputs,
            constants: constants.all,
            nodes,
            outputs: vec![output],
        }
    }
}

/// All scores as one output: the only one as it is, several packed by one more node.
pub(super) fn output(
    scores: Vec<Rotated>,
    size: u32,
    reply_bits: Bits,
    push: impl FnOnce(Node) -> NodeId,
) -> Output {
    let coefficients = scores.len() as u32;
    let (node, stride) = if let [only] = scores.as_slice() {
        (only.node, 1)
    } else {
        let pack = Pack::of_constants(scores);
        let stride = pack.stride(size);
        (push(Node::Pack(pack)), stride)
    };
    Output {
        node,
        coefficients,
        stride,
        reply_bits,
    }
}

/// Rotation that moves coefficient `places` to 0.
pub(super) fn back(places: i64, size: u32) -> u32 {
    (-places).rem_euclid(2 * i64::from(size)) as u32
}

/// Nearest torus value, in units of 2^-64.
pub(super) fn torus(value: f64) -> u64 {
    let value = value - value.round();
    (value * 64_f64.exp2()) as i64 as u64
}

/// Constants, each once.
#[derive(Default)]
pub(super) struct Constants {
    pub(super) all: Vec<Constant>,
    known: HashMap<Constant, ConstantId>,
}

impl Constants {
    pub(super) fn id(&mut self, mut values: Vec<(u32, u64)>) -> ConstantId {
        values.retain(|(_, value)| *value != 0);
        let constant = Constant(values);
        let next = ConstantId(self.all.len() as u32);
        *self.known.entry(constant.clone()).or_insert_with(|| {
            self.all.push(constant);
            next
        })
    }
}
