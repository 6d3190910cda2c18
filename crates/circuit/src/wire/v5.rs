//! Version 5: features that stand together in their ciphertexts, and several coefficients of each item
//! packed. What version 4 could say is said the same way.

use super::v1::RotatedV1;
use super::v2::{LaterInput, LaterNode};
use super::v4::{BootstrappedLayout, InputV4, NodeV4};
use crate::circuit::{self, FeatureInput, Pack};
use cipherfn_protocol::specs::{Bits, FeatureForm};
use serde::{Deserialize, Serialize};

pub(crate) type CircuitV5 = BootstrappedLayout<NodeV5, InputV5>;

/// New kinds are a further version: a variant is its number in the file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum NodeV5 {
    V4(NodeV4),
    PackSeveral {
        items: Vec<RotatedV1>,
        coefficients: u32,
    },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum InputV5 {
    V4(InputV4),
    FeaturesTogether {
        features: u32,
        block: u32,
        stride: u32,
        body_bits: u32,
    },
}

impl From<NodeV5> for circuit::Node {
    fn from(node: NodeV5) -> Self {
        match node {
            NodeV5::V4(node) => node.into(),
            NodeV5::PackSeveral {
                items,
                coefficients,
            } => Self::Pack(Pack {
                items: items.into_iter().map(Into::into).collect(),
                coefficients,
            }),
        }
    }
}

impl TryFrom<&circuit::Node> for NodeV5 {
    type Error = LaterNode;

    fn try_from(node: &circuit::Node) -> Result<Self, LaterNode> {
        Ok(match node {
            circuit::Node::Pack(pack) if pack.coefficients != 1 => Self::PackSeveral {
                items: pack.items.iter().map(Into::into).collect(),
                coefficients: pack.coefficients,
            },
            node => Self::V4(node.try_into()?),
        })
    }
}

impl From<InputV5> for circuit::Input {
    fn from(input: InputV5) -> Self {
        match input {
            InputV5::V4(input) => input.into(),
            InputV5::FeaturesTogether {
                features,
                block,
                stride,
                body_bits,
            } => Self::Features(FeatureInput {
                features,
                block,
                stride,
                form: FeatureForm::Together,
                body_bits: Bits::new(body_bits),
            }),
        }
    }
}

impl TryFrom<&circuit::Input> for InputV5 {
    type Error = LaterInput;

    fn try_from(input: &circuit::Input) -> Result<Self, LaterInput> {
        Ok(match *input {
            circuit::Input::Features(FeatureInput {
                features,
                block,
                stride,
                form: FeatureForm::Together,
                body_bits,
            }) => Self::FeaturesTogether {
                features,
                block,
                stride,
                body_bits: body_bits.get(),
            },
            ref input => Self::V4(input.try_into()?),
        })
    }
}
