//! Version 3: look-ups, integer combinations and packed values. What version 2 could say is said the
//! same way.

use super::v1::RotatedV1;
use super::v2::{CircuitLayout, InputV2, LaterNode, NodeV2};
use crate::circuit::{self, Combination, ConstantId, InputId, Lookup, Pack, SelectorId, Table};
use serde::{Deserialize, Serialize};

pub(crate) type CircuitV3 = CircuitLayout<NodeV3, InputV2>;

/// New kinds are a further version: a variant is its number in the file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum NodeV3 {
    V2(NodeV2),
    Lookup {
        table: u32,
        rotation: u32,
        form: Vec<TurnV3>,
    },
    Combination {
        constant: Option<u32>,
        terms: Vec<WeightedV3>,
    },
    Pack {
        items: Vec<RotatedV1>,
    },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct TurnV3 {
    input: u32,
    selector: u32,
    rotation: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct WeightedV3 {
    node: RotatedV1,
    weight: i64,
}

impl From<NodeV3> for circuit::Node {
    fn from(node: NodeV3) -> Self {
        match node {
            NodeV3::V2(node) => node.into(),
            NodeV3::Lookup {
                table,
                rotation,
                form,
            } => Self::Lookup(Lookup {
                table: Table::Constant(ConstantId(table)),
                rotation,
                form: form.into_iter().map(Into::into).collect(),
            }),
            NodeV3::Combination { constant, terms } => Self::Combination(Combination {
                constant: constant.map(ConstantId),
                terms: terms.into_iter().map(Into::into).collect(),
            }),
            NodeV3::Pack { items } => Self::Pack(Pack::of_constants(
                items.into_iter().map(Into::into).collect(),
            )),
        }
    }
}

impl TryFrom<&circuit::Node> for NodeV3 {
    type Error = LaterNode;

    fn try_from(node: &circuit::Node) -> Result<Self, LaterNode> {
        Ok(match node {
            circuit::Node::Sum(sum) => Self::V2(sum.into()),
            circuit::Node::Product(product) => Self::V2(product.into()),
            circuit::Node::Lookup(lookup) => Self::Lookup {
                table: match lookup.table {
                    Table::Constant(id) => id.0,
                    Table::Node(_) => return Err(LaterNode),
                },
                rotation: lookup.rotation,
                form: lookup.form.iter().map(Into::into).collect(),
            },
            circuit::Node::Combination(combination) => Self::Combination {
                constant: combination.constant.map(|id| id.0),
                terms: combination.terms.iter().map(Into::into).collect(),
            },
            circuit::Node::Pack(pack) if pack.coefficients == 1 => Self::Pack {
                items: pack.items.iter().map(Into::into).collect(),
            },
            circuit::Node::Pack(_)
            | circuit::Node::Carrier(_)
            | circuit::Node::Bootstrap(_)
            | circuit::Node::Choice(_) => {
                return Err(LaterNode);
            }
        })
    }
}

impl From<TurnV3> for circuit::Turn {
    fn from(turn: TurnV3) -> Self {
        Self {
            selector: SelectorId {
                input: InputId(turn.input),
                index: turn.selector,
            },
            rotation: turn.rotation,
        }
    }
}

impl From<&circuit::Turn> for TurnV3 {
    fn from(turn: &circuit::Turn) -> Self {
        Self {
            input: turn.selector.input.0,
            selector: turn.selector.index,
            rotation: turn.rotation,
        }
    }
}

impl From<WeightedV3> for circuit::Weighted {
    fn from(term: WeightedV3) -> Self {
        Self {
            node: term.node.into(),
            weight: term.weight,
        }
    }
}

impl From<&circuit::Weighted> for WeightedV3 {
    fn from(term: &circuit::Weighted) -> Self {
        Self {
            node: (&term.node).into(),
            weight: term.weight,
        }
    }
}
