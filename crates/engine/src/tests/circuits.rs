//! Circuits for tests: a builder, and random small ones.

use super::{SETS, Set, part};
use cipherfn_circuit::circuit::{
    Circuit, Constant, ConstantId, FeatureInput, Input, InputId, Node, NodeId, Operand, Output,
    Product, Rotated, Select, SelectorForm, SelectorGroup, SelectorId, Sum,
};
use cipherfn_protocol::specs::{Bits, FeatureForm};
use cipherfn_scheme::parameters::ParameterSet;
use proptest::prelude::*;

/// Builds circuits node by node.
#[derive(Clone)]
pub(crate) struct Builder(Circuit);

/// A node as it is.
pub(crate) fn operand(node: NodeId) -> Operand {
    Operand::Node(Rotated { node, rotation: 0 })
}

impl Builder {
    /// A circuit whose first input is a group of bits.
    pub(crate) fn new(set: Set, selectors: u32) -> Self {
        let mut builder = Self(Circuit {
            parameter_set: set.0.into(),
            bootstrap: None,
            inputs: Vec::new(),
            constants: Vec::new(),
            nodes: Vec::new(),
            outputs: Vec::new(),
        });
        builder.bits_of(set, selectors);
        builder
    }

    /// Says what bootstraps take.
    pub(crate) fn bootstrap(&mut self, part: &str) {
        self.0.bootstrap = Some(part.to_owned());
    }

    /// A further group of bits.
    pub(crate) fn bits_of(&mut self, (_, transport, gadget): Set, count: u32) -> InputId {
        self.input(Input::Selectors(SelectorGroup {
            count,
            gadget,
            transport,
            form: SelectorForm::Bits,
        }))
    }

    /// A feature vector.
    pub(crate) fn features(&mut self, features: u32, block: u32, stride: u32) -> InputId {
        self.input(Input::Features(FeatureInput {
            features,
            block,
            stride,
            form: FeatureForm::Apart,
            body_bits: Bits::new(48),
        }))
    }

    pub(crate) fn input(&mut self, input: Input) -> InputId {
        self.0.inputs.push(input);
        InputId(self.0.inputs.len() as u32 - 1)
    }

    pub(crate) fn constant(&mut self, coefficients: &[(u32, u64)]) -> ConstantId {
        self.0.constants.push(Constant(coefficients.to_vec()));
        ConstantId(self.0.constants.len() as u32 - 1)
    }

    /// A plaintext of one coefficient, as an operand.
    pub(crate) fn scalar(&mut self, value: u64) -> Operand {
        Operand::Constant(self.constant(&[(0, value)]))
    }

    /// A node that is a plaintext.
    pub(crate) fn plain(&mut self, coefficients: &[(u32, u64)]) -> NodeId {
        let constant = Some(self.constant(coefficients));
        self.push(Node::Sum(Sum {
            constant,
            ..Sum::default()
        }))
    }

    /// A node that is one CMUX by a selector of the first input.
    pub(crate) fn node(&mut self, selector: u32, clear: Operand, set: Operand) -> NodeId {
        self.cmux(SelectorId::first(selector), clear, set)
    }

    /// A node that is one CMUX.
    pub(crate) fn cmux(&mut self, selector: SelectorId, clear: Operand, set: Operand) -> NodeId {
        self.push(Node::Sum(Sum {
            selects: vec![Select {
                selector,
                clear,
                set,
            }],
            ..Sum::default()
        }))
    }

    /// [`Self::node`], as an operand.
    pub(crate) fn select(&mut self, selector: u32, clear: Operand, set: Operand) -> Operand {
        operand(self.node(selector, clear, set))
    }

    /// Scores of a feature vector.
    pub(crate) fn product(
        &mut self,
        input: InputId,
        weights: Vec<Vec<i64>>,
        bias: &[(u32, u64)],
    ) -> NodeId {
        let constant = (!bias.is_empty()).then(|| self.constant(bias));
        self.push(Node::Product(Product {
            input,
            weights,
            constant,
        }))
    }

    /// The sum of nodes.
    pub(crate) fn sum(&mut self, operands: &[Operand]) -> Operand {
        let addends = operands.iter().filter_map(|operand| match operand {
            Operand::Node(node) => Some(*node),
            _ => None,
        });
        let sum = Sum {
            addends: addends.collect(),
            ..Sum::default()
        };
        operand(self.push(Node::Sum(sum)))
    }

    /// A value that travels.
    pub(crate) fn output(&mut self, node: NodeId, coefficients: u32, stride: u32) {
        self.0.outputs.push(Output {
            node,
            coefficients,
            stride,
            reply_bits: Bits::new(32),
        });
    }

    /// The circuit whose only result is `top`.
    pub(crate) fn finish(mut self, top: Operand, coefficients: u32, stride: u32) -> Circuit {
        let last = |builder: &Self| NodeId(builder.0.nodes.len() as u32 - 1);
        if top != operand(last(&self)) {
            self.sum(&[top]);
        }
        let last = last(&self);
        self.output(last, coefficients, stride);
        self.0
    }

    /// The circuit with the outputs that it was given.
    pub(crate) fn build(self) -> Circuit {
        self.0
    }

    pub(crate) fn push(&mut self, node: Node) -> NodeId {
        self.0.nodes.push(node);
        NodeId(self.0.nodes.len() as u32 - 1)
    }
}

/// An index into [`SETS`], a random circuit of up to twelve nodes for it, and bits for its
/// selectors.
pub(super) fn random() -> impl Strategy<Value = (usize, Circuit, Vec<bool>)> {
    let node = (
        any::<[u8; 8]>(),
        prop::collection::vec(any::<[u8; 6]>(), 0..3),
    );
    (
        0..SETS.len(),
        prop::collection::vec(node, 1..12),
        prop::collection::vec(any::<bool>(), 3),
    )
        .prop_map(|(set, nodes, bits)| {
            let mut builder = Builder::new(SETS[set], bits.len() as u32);
            let size = ParameterSet::by_name(SETS[set].0)
                .map_or(512, |set| set.ring.polynomial_size as u32);
            let constants = [
                builder.constant(&[(0, part(3))]),
                builder.constant(&[(0, part(-5)), (1, part(2))]),
                builder.constant(&[(size - 1, part(4))]),
                builder.constant(&[]),
            ];
            for (index, (seed, selects)) in nodes.iter().enumerate() {
                let earlier = |byte: u8| Rotated {
                    node: NodeId(u32::from(byte) % index as u32),
                    rotation: rotation(byte, size),
                };
                let side = |kind: u8, byte: u8| match kind % 4 {
                    0 => Operand::Zero,
                    1 | 2 if index > 0 => Operand::Node(earlier(byte)),
                    _ => Operand::Constant(constants[byte as usize % constants.len()]),
                };
                let constant =
                    (seed[0] % 2 == 0).then_some(constants[seed[1] as usize % constants.len()]);
                let addends = seed[2..4]
                    .iter()
                    .take(if index > 0 { seed[4] as usize % 3 } else { 0 })
                    .map(|byte| earlier(*byte))
                    .collect();
                let selects = selects.iter().enumerate().map(|(place, bytes)| Select {
                    selector: SelectorId::first(
                        (u32::from(seed[5]) + place as u32) % bits.len() as u32,
                    ),
                    clear: side(bytes[0], bytes[1]),
                    set: side(bytes[2], bytes[3]),
                });
                let selects = selects.collect();
                builder.push(Node::Sum(Sum {
                    constant,
                    addends,
                    selects,
                }));
            }
            let top = operand(NodeId(nodes.len() as u32 - 1));
            (set, builder.finish(top, 4, 1), bits)
        })
}

fn rotation(byte: u8, size: u32) -> u32 {
    [0, 0, 1, size - 1, size, size + 3, 2 * size - 1, 0][byte as usize / 8 % 8]
}
