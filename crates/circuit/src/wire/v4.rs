//! Version 4: bootstraps, look-ups whose table is a node, encrypted values and tables. What version 3
//! could say is said the same way, behind the name of the key part that bootstraps take.

use super::v1::RotatedV1;
use super::v2::{CircuitLayout, InputV2, LaterInput, LaterNode};
use super::v3::{NodeV3, TurnV3};
use crate::circuit::{
    self, Bootstrap, Carrier, ConstantId, InputId, Lookup, NodeId, Table, TableInput, ValueInput,
};
use serde::{Deserialize, Serialize};

pub(crate) type CircuitV4 = BootstrappedLayout<NodeV4, InputV4>;

/// The layout of version 4 and later ones.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct BootstrappedLayout<N, I> {
    bootstrap: Option<String>,
    circuit: CircuitLayout<N, I>,
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

impl<N, I> BootstrappedLayout<N, I> {
    /// The circuit in this version, if it can say all nodes and inputs.
    pub(crate) fn from_circuit<'a>(circuit: &'a circuit::Circuit) -> Option<Self>
    where
        N: TryFrom<&'a circuit::Node>,
        I: TryFrom<&'a circuit::Input>,
    {
        Some(Self {
            bootstrap: circuit.bootstrap.clone(),
            circuit: CircuitLayout::from_circuit(circuit)?,
        })
    }

    /// A circuit whose nodes and inputs are said already.
    pub(super) fn with(circuit: &circuit::Circuit, nodes: Vec<N>, inputs: Vec<I>) -> Self {
        Self {
            bootstrap: circuit.bootstrap.clone(),
            circuit: CircuitLayout::with(circuit, nodes, inputs),
        }
    }
}

impl<N: Into<circuit::Node>, I: Into<circuit::Input>> From<BootstrappedLayout<N, I>>
    for circuit::Circuit
{
    fn from(circuit: BootstrappedLayout<N, I>) -> Self {
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

impl TryFrom<&circuit::Node> for NodeV4 {
    type Error = LaterNode;

    fn try_from(node: &circuit::Node) -> Result<Self, LaterNode> {
        Ok(match node {
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
            node => Self::V3(node.try_into()?),
        })
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

impl TryFrom<&circuit::Input> for InputV4 {
    type Error = LaterInput;

    fn try_from(input: &circuit::Input) -> Result<Self, LaterInput> {
        Ok(match input {
            circuit::Input::Values(ValueInput { count }) => Self::Values { count: *count },
            circuit::Input::Tables(TableInput { count }) => Self::Tables { count: *count },
            input => Self::V2(input.try_into()?),
        })
    }
}
