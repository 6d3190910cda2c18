//! Circuits for tests: a builder, and random small ones.

use super::{SETS, part};
use cipherfn_circuit::circuit::{
    Circuit, Constant, LevelledCircuit, Node, Operand, Rotated, Select,
};
use cipherfn_protocol::specs::{Gadget, Transport};
use cipherfn_scheme::parameters::ParameterSet;
use proptest::prelude::*;

/// Builds levelled circuits node by node.
pub(crate) struct Builder(LevelledCircuit);

impl Builder {
    pub(crate) fn new((set, transport, gadget): (&str, Transport, Gadget), selectors: u32) -> Self {
        Self(LevelledCircuit {
            parameter_set: set.into(),
            selectors,
            gadget,
            transport,
            constants: Vec::new(),
            nodes: Vec::new(),
            coefficients: 1,
            stride: 1,
            reply_bits: 32,
        })
    }

    pub(crate) fn constant(&mut self, coefficients: &[(u32, u64)]) -> u32 {
        self.0.constants.push(Constant(coefficients.to_vec()));
        self.0.constants.len() as u32 - 1
    }

    /// A node that is a plaintext.
    pub(crate) fn plain(&mut self, coefficients: &[(u32, u64)]) -> u32 {
        let constant = Some(self.constant(coefficients));
        self.push(Node {
            constant,
            addends: Vec::new(),
            selects: Vec::new(),
        })
    }

    /// A node that is one CMUX.
    pub(crate) fn node(&mut self, selector: u32, clear: Operand, set: Operand) -> u32 {
        self.push(Node {
            constant: None,
            addends: Vec::new(),
            selects: vec![Select {
                selector,
                clear,
                set,
            }],
        })
    }

    /// [`Self::node`], as an operand.
    pub(crate) fn select(&mut self, selector: u32, clear: Operand, set: Operand) -> Operand {
        Operand::Node(Rotated {
            node: self.node(selector, clear, set),
            rotation: 0,
        })
    }

    /// The sum of nodes.
    pub(crate) fn sum(&mut self, operands: &[Operand]) -> Operand {
        let addends = operands.iter().filter_map(|operand| match operand {
            Operand::Node(node) => Some(*node),
            _ => None,
        });
        let node = Node {
            constant: None,
            addends: addends.collect(),
            selects: Vec::new(),
        };
        Operand::Node(Rotated {
            node: self.push(node),
            rotation: 0,
        })
    }

    /// The circuit whose result is `top`.
    pub(crate) fn finish(mut self, top: Operand, coefficients: u32, stride: u32) -> Circuit {
        if top
            != (Operand::Node(Rotated {
                node: self.0.nodes.len() as u32 - 1,
                rotation: 0,
            }))
        {
            self.sum(&[top]);
        }
        Circuit::Levelled(LevelledCircuit {
            coefficients,
            stride,
            ..self.0
        })
    }

    pub(crate) fn push(&mut self, node: Node) -> u32 {
        self.0.nodes.push(node);
        self.0.nodes.len() as u32 - 1
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
                    node: u32::from(byte) % index as u32,
                    rotation: rotation(byte, size),
                };
                let operand = |kind: u8, byte: u8| match kind % 4 {
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
                    selector: (u32::from(seed[5]) + place as u32) % bits.len() as u32,
                    clear: operand(bytes[0], bytes[1]),
                    set: operand(bytes[2], bytes[3]),
                });
                let selects = selects.collect();
                builder.push(Node {
                    constant,
                    addends,
                    selects,
                });
            }
            let top = Operand::Node(Rotated {
                node: nodes.len() as u32 - 1,
                rotation: 0,
            });
            (set, builder.finish(top, 4, 1), bits)
        })
}

fn rotation(byte: u8, size: u32) -> u32 {
    [0, 0, 1, size - 1, size, size + 3, 2 * size - 1, 0][byte as usize / 8 % 8]
}
