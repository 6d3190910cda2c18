//! Version 4: bootstraps. What version 3 could say is said the same way, behind the name of the key
//! part that they take.

use super::v1::RotatedV1;
use super::v2::CircuitOf;
use super::v3::NodeV3;
use crate::circuit::{self, Bootstrap, ConstantId};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct CircuitV4 {
    bootstrap: Option<String>,
    circuit: CircuitOf<NodeV4>,
}

/// New kinds are a further version: a variant is its number in the file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum NodeV4 {
    V3(NodeV3),
    Bootstrap { of: RotatedV1, table: u32 },
}

impl From<&circuit::Circuit> for CircuitV4 {
    fn from(circuit: &circuit::Circuit) -> Self {
        let nodes = circuit.nodes.iter().map(Into::into).collect();
        Self {
            bootstrap: circuit.bootstrap.clone(),
            circuit: CircuitOf::with_nodes(circuit, nodes),
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
            NodeV4::Bootstrap { of, table } => Self::Bootstrap(Bootstrap {
                of: of.into(),
                table: ConstantId(table),
            }),
        }
    }
}

impl From<&circuit::Node> for NodeV4 {
    fn from(node: &circuit::Node) -> Self {
        match NodeV3::try_from(node) {
            Ok(node) => Self::V3(node),
            Err(Bootstrap { of, table }) => Self::Bootstrap {
                of: (&of).into(),
                table: table.0,
            },
        }
    }
}
