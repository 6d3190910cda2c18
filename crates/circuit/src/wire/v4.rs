//! Version 4: bootstraps, look-ups whose table is a node, encrypted values and tables. What version 3
//! could say is said the same way, behind the name of the key part that bootstraps take.

use super::v1::RotatedV1;
use super::v2::{CircuitLayout, InputV2};
use super::v3::{NodeV3, TurnV3};
use crate::circuit::{
    self, Bootstrap, Carrier, ConstantId, InputId, Lookup, NodeId, Table, TableInput, ValueInput,
};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct CircuitV4 {
    bootstrap: Option<String>,
    circuit: CircuitLayout<NodeV4, InputV4>,
}

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
    Bootstrap {
        of: RotatedV1,
        table: u32,
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
        Self {
            bootstrap: circuit.bootstrap.clone(),
            circuit: CircuitLayout::with(circuit, nodes, inputs),
        }
    }
}

impl From<CircuitV4> for circuit::Circuit {
    fn from(circuit: CircuitV4) -> Self {
        Self {
            bootstrap: circuit.bootstrap,
            ..circuit.circuit.into()
        }
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
            NodeV4::Bootstrap { of, table } => Self::Bootstrap(Bootstrap {
                of: of.into(),
                table: ConstantId(table),
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
            circuit::Node::Bootstrap(Bootstrap { of, table }) => Self::Bootstrap {
                of: of.into(),
                table: table.0,
            },
            node => Self::V3(node.try_into().expect("version 3 has all other nodes")),
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
            input => Self::V2(input.try_into().expect("version 2 has all other inputs")),
        }
    }
}
