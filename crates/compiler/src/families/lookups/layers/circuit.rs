//! The circuit of a network: look-ups, forms with their bootstraps, scores in one ciphertext.

use super::super::circuit::{Constants, back, output, torus};
use super::super::curve::Curve;
use super::choice::LayersChoice;
use super::integers::{FormSum, TableArgument};
use crate::backend::Backend;
use cipherfn_circuit::Circuit;
use cipherfn_circuit::circuit::{
    Bootstrap, Combination, Input, InputId, Lookup, Node, NodeId, Product, Rotated, SelectorId,
    Table, Turn, Weighted,
};

/// What a circuit is made of.
pub(super) struct LayersCircuit<'a> {
    pub(super) curves: &'a [Curve],
    pub(super) choice: &'a LayersChoice,
    pub(super) backend: Backend,
}

/// Nodes so far.
struct Nodes<'a> {
    choice: &'a LayersChoice,
    /// The input that the features are.
    features: InputId,
    constants: Constants,
    all: Vec<Node>,
    /// Nodes of tables, where they are used.
    tables: Vec<Option<NodeId>>,
}

impl LayersCircuit<'_> {
    pub(super) fn circuit(&self) -> Circuit {
        let choice = self.choice;
        let size = self.backend.set.ring.polynomial_size as u32;
        let mut inputs = Vec::new();
        if choice.work.lookups > 0 {
            inputs.push(self.backend.bits(choice.work.selectors, choice.gadget));
        }
        let mut nodes = Nodes {
            choice,
            features: InputId(inputs.len() as u32),
            constants: Constants::default(),
            all: Vec::new(),
            tables: Vec::new(),
        };
        inputs.extend(
            choice
                .lines
                .as_ref()
                .map(|lines| Input::Features((&lines.encoding).into())),
        );
        for (unit, argument) in choice.integers.arguments.iter().enumerate() {
            if !choice.integers.used[unit] {
                nodes.tables.push(None);
                continue;
            }
            let amplitude = choice.integers.amplitudes[unit];
            let entries = self.curves[unit].entries.iter();
            let entries = entries.map(|entry| torus(entry * amplitude));
            let table = nodes.constants.id((0..).zip(entries).collect());
            let node = match argument {
                TableArgument::Bits(own) => {
                    let turn = |(index, turn): &(u32, i64)| Turn {
                        selector: SelectorId {
                            input: InputId(0),
                            index: *index,
                        },
                        rotation: back(*turn, size),
                    };
                    Node::Lookup(Lookup {
                        table: Table::Constant(table),
                        rotation: back(own.start, size),
                        form: own.turns.iter().map(turn).collect(),
                    })
                }
                TableArgument::Phase(sum) => {
                    let node = nodes.sum(sum);
                    let of = Rotated { node, rotation: 0 };
                    Node::Bootstrap(Bootstrap { of, table })
                }
            };
            let node = nodes.push(node);
            nodes.tables.push(Some(node));
        }
        let scores = choice.integers.scores.iter();
        let items: Vec<Rotated> = scores
            .map(|sum| Rotated {
                node: nodes.sum(sum),
                rotation: 0,
            })
            .collect();
        let output = output(items, size, choice.budget.reply_bits, |node| {
            nodes.push(node)
        });
        let has_bootstraps = choice.work.bootstraps > 0;
        Circuit {
            parameter_set: self.backend.set.name.to_owned(),
            bootstrap: has_bootstraps.then(|| choice.of.part.name.to_owned()),
            inputs,
            constants: nodes.constants.all,
            nodes: nodes.all,
            outputs: vec![output],
        }
    }
}

impl Nodes<'_> {
    fn push(&mut self, node: Node) -> NodeId {
        self.all.push(node);
        NodeId(self.all.len() as u32 - 1)
    }

    /// A form as a combination.
    fn sum(&mut self, sum: &FormSum) -> NodeId {
        let weighted = |node, weight| Weighted {
            node: Rotated { node, rotation: 0 },
            weight,
        };
        let mut terms: Vec<Weighted> = sum
            .terms
            .iter()
            .filter_map(|(table, weight)| Some(weighted(self.tables[*table as usize]?, *weight)))
            .collect();
        let mut constant = sum.constant;
        if let (Some(lines), false) = (&self.choice.lines, sum.slopes.is_empty()) {
            let (weights, middle) = lines.weights(sum);
            constant += middle;
            let product = self.push(Node::Product(Product {
                input: self.features,
                weights: vec![weights],
                constant: None,
            }));
            terms.push(weighted(product, 1));
        }
        let constant = Some(self.constants.id(vec![(0, torus(constant))]));
        self.push(Node::Combination(Combination { constant, terms }))
    }
}
