//! Version 6: choices by numbers that the server computed. What version 5 could say is said the same way.

use super::v1::{Gadget, OperandV1, RotatedV1};
use super::v4::BootstrappedLayout;
use super::v5::{InputV5, NodeV5};
use crate::circuit::{self, Choice};
use serde::{Deserialize, Serialize};

pub(crate) type CircuitV6 = BootstrappedLayout<NodeV6, InputV5>;

/// New kinds are a further version: a variant is its number in the file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum NodeV6 {
    V5(NodeV5),
    Choice {
        of: RotatedV1,
        gadget: Gadget,
        clear: OperandV1,
        set: OperandV1,
    },
}

impl From<&circuit::Circuit> for CircuitV6 {
    fn from(circuit: &circuit::Circuit) -> Self {
        let nodes = circuit.nodes.iter().map(Into::into).collect();
        let inputs = circuit.inputs.iter().map(|input| {
            let input = input.try_into();
            input.expect("version 5 has all inputs")
        });
        Self::with(circuit, nodes, inputs.collect())
    }
}

impl From<NodeV6> for circuit::Node {
    fn from(node: NodeV6) -> Self {
        match node {
            NodeV6::V5(node) => node.into(),
            NodeV6::Choice {
                of,
                gadget,
                clear,
                set,
            } => Self::Choice(Choice {
                of: of.into(),
                gadget: gadget.into(),
                clear: clear.into(),
                set: set.into(),
            }),
        }
    }
}

impl From<&circuit::Node> for NodeV6 {
    fn from(node: &circuit::Node) -> Self {
        match node {
            circuit::Node::Choice(choice) => Self::Choice {
                of: (&choice.of).into(),
                gadget: choice.gadget.into(),
                clear: (&choice.clear).into(),
                set: (&choice.set).into(),
            },
            node => Self::V5(node.try_into().expect("version 5 has all other nodes")),
        }
    }
}
