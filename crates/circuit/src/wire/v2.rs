//! Version 2: any inputs and outputs, sums and products. What version 1 could say of an operand is
//! said the same way.

use super::v1::{Gadget, OperandV1, RotatedV1, Transport};
use crate::circuit::{
    self, ConstantId, FeatureInput, InputId, NodeId, SelectorForm, SelectorGroup, SelectorId,
};
use cipherfn_protocol::specs::{Bits, FeatureForm};
use serde::{Deserialize, Serialize};

pub(crate) type CircuitV2 = CircuitLayout<NodeV2, InputV2>;

/// The layout of version 2 and later ones, which have further nodes and inputs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct CircuitLayout<N, I> {
    parameter_set: String,
    inputs: Vec<I>,
    constants: Vec<Vec<(u32, u64)>>,
    nodes: Vec<N>,
    outputs: Vec<OutputV2>,
}

/// New kinds are a further version: a variant is its number in the file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum InputV2 {
    Bits {
        count: u32,
        gadget: Gadget,
        transport: Transport,
    },
    Features {
        features: u32,
        block: u32,
        stride: u32,
        body_bits: u32,
    },
    Digits {
        count: u32,
        gadget: Gadget,
        transport: Transport,
        log2_values: u32,
    },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum NodeV2 {
    Sum {
        constant: Option<u32>,
        addends: Vec<RotatedV1>,
        selects: Vec<SelectV2>,
    },
    Product {
        input: u32,
        weights: Vec<Vec<i64>>,
        constant: Option<u32>,
    },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct SelectV2 {
    input: u32,
    selector: u32,
    clear: OperandV1,
    set: OperandV1,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct OutputV2 {
    node: u32,
    coefficients: u32,
    stride: u32,
    reply_bits: u32,
}

impl<N: Into<circuit::Node>, I: Into<circuit::Input>> From<CircuitLayout<N, I>>
    for circuit::Circuit
{
    fn from(circuit: CircuitLayout<N, I>) -> Self {
        Self {
            parameter_set: circuit.parameter_set,
            bootstrap: None,
            inputs: circuit.inputs.into_iter().map(Into::into).collect(),
            constants: circuit
                .constants
                .into_iter()
                .map(circuit::Constant)
                .collect(),
            nodes: circuit.nodes.into_iter().map(Into::into).collect(),
            outputs: circuit.outputs.into_iter().map(Into::into).collect(),
        }
    }
}

impl<N, I> CircuitLayout<N, I> {
    /// The circuit in this version, if it can say all nodes and inputs.
    pub(crate) fn from_circuit<'a>(circuit: &'a circuit::Circuit) -> Option<Self>
    where
        N: TryFrom<&'a circuit::Node>,
        I: TryFrom<&'a circuit::Input>,
    {
        let nodes = circuit.nodes.iter().map(N::try_from);
        let inputs = circuit.inputs.iter().map(I::try_from);
        let nodes = nodes.collect::<Result<_, _>>().ok()?;
        Some(Self::with(
            circuit,
            nodes,
            inputs.collect::<Result<_, _>>().ok()?,
        ))
    }

    /// A circuit whose nodes and inputs are said already.
    pub(super) fn with(circuit: &circuit::Circuit, nodes: Vec<N>, inputs: Vec<I>) -> Self {
        Self {
            parameter_set: circuit.parameter_set.clone(),
            inputs,
            constants: circuit
                .constants
                .iter()
                .map(|constant| constant.0.clone())
                .collect(),
            nodes,
            outputs: circuit.outputs.iter().map(Into::into).collect(),
        }
    }
}

impl From<InputV2> for circuit::Input {
    fn from(input: InputV2) -> Self {
        let group = |count, gadget, transport, form| {
            Self::Selectors(SelectorGroup {
                count,
                gadget: Gadget::into(gadget),
                transport: Transport::into(transport),
                form,
            })
        };
        match input {
            InputV2::Bits {
                count,
                gadget,
                transport,
            } => group(count, gadget, transport, SelectorForm::Bits),
            InputV2::Digits {
                count,
                gadget,
                transport,
                log2_values,
            } => group(
                count,
                gadget,
                transport,
                SelectorForm::Digits { log2_values },
            ),
            InputV2::Features {
                features,
                block,
                stride,
                body_bits,
            } => Self::Features(FeatureInput {
                features,
                block,
                stride,
                form: FeatureForm::Apart,
                body_bits: Bits::new(body_bits),
            }),
        }
    }
}

/// An input of a later version.
#[derive(Debug)]
pub(crate) struct LaterInput;

impl TryFrom<&circuit::Input> for InputV2 {
    type Error = LaterInput;

    fn try_from(input: &circuit::Input) -> Result<Self, LaterInput> {
        Ok(match *input {
            circuit::Input::Selectors(SelectorGroup {
                count,
                gadget,
                transport,
                form: SelectorForm::Bits,
            }) => Self::Bits {
                count,
                gadget: gadget.into(),
                transport: transport.into(),
            },
            circuit::Input::Selectors(SelectorGroup {
                count,
                gadget,
                transport,
                form: SelectorForm::Digits { log2_values },
            }) => Self::Digits {
                count,
                gadget: gadget.into(),
                transport: transport.into(),
                log2_values,
            },
            circuit::Input::Features(FeatureInput {
                features,
                block,
                stride,
                form: FeatureForm::Apart,
                body_bits,
            }) => Self::Features {
                features,
                block,
                stride,
                body_bits: body_bits.get(),
            },
            circuit::Input::Features(FeatureInput {
                form: FeatureForm::Together,
                ..
            })
            | circuit::Input::Values(_)
            | circuit::Input::Tables(_) => return Err(LaterInput),
        })
    }
}

impl From<NodeV2> for circuit::Node {
    fn from(node: NodeV2) -> Self {
        match node {
            NodeV2::Sum {
                constant,
                addends,
                selects,
            } => Self::Sum(circuit::Sum {
                constant: constant.map(ConstantId),
                addends: addends.into_iter().map(Into::into).collect(),
                selects: selects.into_iter().map(Into::into).collect(),
            }),
            NodeV2::Product {
                input,
                weights,
                constant,
            } => Self::Product(circuit::Product {
                input: InputId(input),
                weights,
                constant: constant.map(ConstantId),
            }),
        }
    }
}

/// A node of a later version.
#[derive(Debug)]
pub(crate) struct LaterNode;

impl TryFrom<&circuit::Node> for NodeV2 {
    type Error = LaterNode;

    fn try_from(node: &circuit::Node) -> Result<Self, LaterNode> {
        match node {
            circuit::Node::Sum(sum) => Ok(sum.into()),
            circuit::Node::Product(product) => Ok(product.into()),
            _ => Err(LaterNode),
        }
    }
}

impl From<&circuit::Sum> for NodeV2 {
    fn from(sum: &circuit::Sum) -> Self {
        Self::Sum {
            constant: sum.constant.map(|id| id.0),
            addends: sum.addends.iter().map(Into::into).collect(),
            selects: sum.selects.iter().map(Into::into).collect(),
        }
    }
}

impl From<&circuit::Product> for NodeV2 {
    fn from(product: &circuit::Product) -> Self {
        Self::Product {
            input: product.input.0,
            weights: product.weights.clone(),
            constant: product.constant.map(|id| id.0),
        }
    }
}

impl From<SelectV2> for circuit::Select {
    fn from(select: SelectV2) -> Self {
        Self {
            selector: SelectorId {
                input: InputId(select.input),
                index: select.selector,
            },
            clear: select.clear.into(),
            set: select.set.into(),
        }
    }
}

impl From<&circuit::Select> for SelectV2 {
    fn from(select: &circuit::Select) -> Self {
        Self {
            input: select.selector.input.0,
            selector: select.selector.index,
            clear: (&select.clear).into(),
            set: (&select.set).into(),
        }
    }
}

impl From<OutputV2> for circuit::Output {
    fn from(output: OutputV2) -> Self {
        Self {
            node: NodeId(output.node),
            coefficients: output.coefficients,
            stride: output.stride,
            reply_bits: Bits::new(output.reply_bits),
        }
    }
}

impl From<&circuit::Output> for OutputV2 {
    fn from(output: &circuit::Output) -> Self {
        Self {
            node: output.node.0,
            coefficients: output.coefficients,
            stride: output.stride,
            reply_bits: output.reply_bits.get(),
        }
    }
}
