//! Version 4: look-ups whose table is a node, encrypted values and tables. What version 3 could say is
//! said the same way.

use super::v2::{CircuitLayout, InputV2};
use super::v3::{NodeV3, TurnV3};
use crate::circuit::{self, Carrier, InputId, Lookup, NodeId, Table, TableInput, ValueInput};
use serde::{Deserialize, Serialize};

pub(crate) type CircuitV4 = CircuitLayout<NodeV4, InputV4>;

/// New kinds are a further version: a variant is its number in the file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum NodeV4 {
    V3(NodeV3),
    TurnedNode {
        node: u32,
        rotation: u32,
        form: Vec<TurnV3>,
    },
    Carrier {
        input: u32,
        index: u32,
    },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum InputV4 {
    V2(InputV2),
    Values { count: u32 },
    Tables { count: u32 },
}

impl From<&circuit::Circuit> for CircuitV4 {
    fn from(circuit: &circuit::Circuit) -> Self {
        let nodes = circuit.nodes.iter().map(Into::into).collect();
        let inputs = circuit.inputs.iter().map(Into::into).collect();
        Self::with(circuit, nodes, inputs)
    }
}

impl From<NodeV4> for circuit::Node {
    fn from(node: NodeV4) -> Self {
        match node {
            NodeV4::V3(node) => node.into(),
            NodeV4::TurnedNode {
                node,
                rotation,
                form,
            } => Self::Lookup(Lookup {
                table: Table::Node(NodeId(node)),
                rotation,
                form: form.into_iter().map(Into::into).collect(),
            }),
            NodeV4::Carrier { input, index } => Self::Carrier(Carrier {
                input: InputId(input),
                index,
            }),
        }
    }
}

impl From<&circuit::Node> for NodeV4 {
    fn from(node: &circuit::Node) -> Self {
        match node {
            circuit::Node::Lookup(Lookup {
                table: Table::Node(node),
                rotation,
                form,
            }) => Self::TurnedNode {
                node: node.0,
                rotation: *rotation,
                form: form.iter().map(Into::into).collect(),
            },
            circuit::Node::Carrier(Carrier { input, index }) => Self::Carrier {
                input: input.0,
                index: *index,
            },
            node => Self::V3(NodeV3::from_node(node).expect("version 3 has all other nodes")),
        }
    }
}

impl From<InputV4> for circuit::Input {
    fn from(input: InputV4) -> Self {
        match input {
            InputV4::V2(input) => input.into(),
            InputV4::Values { count } => Self::Values(ValueInput { count }),
            InputV4::Tables { count } => Self::Tables(TableInput { count }),
        }
    }
}

impl From<&circuit::Input> for InputV4 {
    fn from(input: &circuit::Input) -> Self {
        match input {
            circuit::Input::Values(ValueInput { count }) => Self::Values { count: *count },
            circuit::Input::Tables(TableInput { count }) => Self::Tables { count: *count },
            input => Self::V2(InputV2::from_input(input).expect("version 2 has all other inputs")),
        }
    }
}
