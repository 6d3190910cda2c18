//! Version 1: one group of bits and one result, or one product; nothing mixed.

use crate::circuit::{
    self, ConstantId, FeatureInput, Input, InputId, NodeId, Output, Product, SelectorForm,
    SelectorGroup, SelectorId, Sum,
};
use crate::validate::CircuitError;
use cipherfn_protocol::specs::{self, BaseLog, Bits, Levels};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum CircuitV1 {
    Levelled(LevelledCircuit),
    Linear(LinearCircuit),
}

/// Sums of CMUXes over one group of bits; the last node is the result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct LevelledCircuit {
    pub(crate) parameter_set: String,
    pub(crate) selectors: u32,
    pub(crate) gadget: Gadget,
    pub(crate) transport: Transport,
    pub(crate) constants: Vec<Vec<(u32, u64)>>,
    pub(crate) nodes: Vec<NodeV1>,
    pub(crate) coefficients: u32,
    pub(crate) stride: u32,
    pub(crate) reply_bits: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct NodeV1 {
    pub(crate) constant: Option<u32>,
    pub(crate) addends: Vec<RotatedV1>,
    pub(crate) selects: Vec<SelectV1>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct RotatedV1 {
    pub(crate) node: u32,
    pub(crate) rotation: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct SelectV1 {
    pub(crate) selector: u32,
    pub(crate) clear: OperandV1,
    pub(crate) set: OperandV1,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum OperandV1 {
    Zero,
    Constant(u32),
    Node(RotatedV1),
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Gadget {
    pub(crate) base_log: u32,
    pub(crate) levels: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Transport {
    Packed,
    Ggsw,
}

/// One product of one feature vector; score `c` is the result's coefficient `c`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct LinearCircuit {
    pub(crate) parameter_set: String,
    pub(crate) weights: Vec<Vec<i64>>,
    pub(crate) bias: Vec<u64>,
    pub(crate) block: u32,
    pub(crate) stride: u32,
    pub(crate) body_bits: u32,
    pub(crate) reply_bits: u32,
}

impl TryFrom<CircuitV1> for circuit::Circuit {
    type Error = CircuitError;

    fn try_from(circuit: CircuitV1) -> Result<Self, CircuitError> {
        match circuit {
            CircuitV1::Levelled(levelled) => Ok(levelled.into()),
            CircuitV1::Linear(linear) => linear.try_into(),
        }
    }
}

impl From<LevelledCircuit> for circuit::Circuit {
    fn from(levelled: LevelledCircuit) -> Self {
        // A circuit without nodes breaks a rule whatever its output says.
        let last = levelled.nodes.len().saturating_sub(1);
        Self {
            parameter_set: levelled.parameter_set,
            bootstrap: None,
            inputs: vec![Input::Selectors(SelectorGroup {
                count: levelled.selectors,
                gadget: levelled.gadget.into(),
                transport: levelled.transport.into(),
                form: SelectorForm::Bits,
            })],
            constants: levelled
                .constants
                .into_iter()
                .map(circuit::Constant)
                .collect(),
            nodes: levelled
                .nodes
                .into_iter()
                .map(|node| circuit::Node::Sum(node.into()))
                .collect(),
            outputs: vec![Output {
                node: NodeId(last as u32),
                coefficients: levelled.coefficients,
                stride: levelled.stride,
                reply_bits: Bits::new(levelled.reply_bits),
            }],
        }
    }
}

impl TryFrom<LinearCircuit> for circuit::Circuit {
    type Error = CircuitError;

    fn try_from(linear: LinearCircuit) -> Result<Self, CircuitError> {
        let scores = linear.weights.len();
        for (field, found) in [
            ("bias count", linear.bias.len() as u64),
            ("stride", u64::from(linear.stride)),
        ] {
            if found != scores as u64 {
                return Err(CircuitError::OutOfRange {
                    field,
                    found,
                    least: scores as u64,
                    most: scores as u64,
                });
            }
        }
        let bias = circuit::Constant(
            (0..)
                .zip(linear.bias)
                .filter(|(_, value)| *value != 0)
                .collect(),
        );
        let biased = !bias.0.is_empty();
        Ok(Self {
            parameter_set: linear.parameter_set,
            bootstrap: None,
            inputs: vec![Input::Features(FeatureInput {
                features: linear.weights.first().map_or(0, Vec::len) as u32,
                block: linear.block,
                form: specs::FeatureForm::Apart,
                stride: linear.stride,
                body_bits: Bits::new(linear.body_bits),
            })],
            constants: biased.then_some(bias).into_iter().collect(),
            nodes: vec![circuit::Node::Product(Product {
                input: InputId(0),
                weights: linear.weights,
                constant: biased.then_some(ConstantId(0)),
            })],
            outputs: vec![Output {
                node: NodeId(0),
                coefficients: scores as u32,
                stride: 1,
                reply_bits: Bits::new(linear.reply_bits),
            }],
        })
    }
}

impl CircuitV1 {
    /// The circuit in this version, if it can say it.
    pub(crate) fn from_circuit(circuit: &circuit::Circuit) -> Option<Self> {
        let ([input], [output]) = (circuit.inputs.as_slice(), circuit.outputs.as_slice()) else {
            return None;
        };
        match input {
            Input::Selectors(group) => {
                LevelledCircuit::from_circuit(circuit, group, output).map(Self::Levelled)
            }
            Input::Features(input) => {
                LinearCircuit::from_circuit(circuit, input, output).map(Self::Linear)
            }
            Input::Values(_) | Input::Tables(_) => None,
        }
    }
}

impl LevelledCircuit {
    fn from_circuit(
        circuit: &circuit::Circuit,
        group: &SelectorGroup,
        output: &Output,
    ) -> Option<Self> {
        if group.form != SelectorForm::Bits || output.node.index() + 1 != circuit.nodes.len() {
            return None;
        }
        let node = |node: &circuit::Node| node.as_sum().map(NodeV1::from);
        Some(Self {
            parameter_set: circuit.parameter_set.clone(),
            selectors: group.count,
            gadget: group.gadget.into(),
            transport: group.transport.into(),
            constants: circuit
                .constants
                .iter()
                .map(|constant| constant.0.clone())
                .collect(),
            nodes: circuit.nodes.iter().map(node).collect::<Option<_>>()?,
            coefficients: output.coefficients,
            stride: output.stride,
            reply_bits: output.reply_bits.get(),
        })
    }
}

impl LinearCircuit {
    fn from_circuit(
        circuit: &circuit::Circuit,
        input: &FeatureInput,
        output: &Output,
    ) -> Option<Self> {
        let [circuit::Node::Product(product)] = circuit.nodes.as_slice() else {
            return None;
        };
        let scores = product.weights.len() as u32;
        let mut bias = vec![0; scores as usize];
        if let Some(constant) = product.constant {
            for (position, value) in &circuit.constants.get(constant.index())?.0 {
                *bias.get_mut(*position as usize)? = *value;
            }
        }
        if input.form != specs::FeatureForm::Apart
            || (input.stride, output.coefficients, output.stride) != (scores, scores, 1)
        {
            return None;
        }
        Some(Self {
            parameter_set: circuit.parameter_set.clone(),
            weights: product.weights.clone(),
            bias,
            block: input.block,
            stride: input.stride,
            body_bits: input.body_bits.get(),
            reply_bits: output.reply_bits.get(),
        })
    }
}

impl From<Gadget> for specs::Gadget {
    fn from(Gadget { base_log, levels }: Gadget) -> Self {
        Self::new(BaseLog::new(base_log), Levels::new(levels))
    }
}

impl From<specs::Gadget> for Gadget {
    fn from(gadget: specs::Gadget) -> Self {
        Self {
            base_log: gadget.base_log.get(),
            levels: gadget.levels.get(),
        }
    }
}

impl From<Transport> for specs::Transport {
    fn from(transport: Transport) -> Self {
        match transport {
            Transport::Packed => Self::Packed,
            Transport::Ggsw => Self::Ggsw,
        }
    }
}

impl From<specs::Transport> for Transport {
    fn from(transport: specs::Transport) -> Self {
        match transport {
            specs::Transport::Packed => Self::Packed,
            specs::Transport::Ggsw => Self::Ggsw,
        }
    }
}

impl From<NodeV1> for Sum {
    fn from(node: NodeV1) -> Self {
        Self {
            constant: node.constant.map(ConstantId),
            addends: node.addends.into_iter().map(Into::into).collect(),
            selects: node.selects.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<&Sum> for NodeV1 {
    fn from(sum: &Sum) -> Self {
        Self {
            constant: sum.constant.map(|id| id.0),
            addends: sum.addends.iter().map(Into::into).collect(),
            selects: sum.selects.iter().map(Into::into).collect(),
        }
    }
}

impl From<RotatedV1> for circuit::Rotated {
    fn from(RotatedV1 { node, rotation }: RotatedV1) -> Self {
        Self {
            node: NodeId(node),
            rotation,
        }
    }
}

impl From<&circuit::Rotated> for RotatedV1 {
    fn from(rotated: &circuit::Rotated) -> Self {
        Self {
            node: rotated.node.0,
            rotation: rotated.rotation,
        }
    }
}

impl From<SelectV1> for circuit::Select {
    fn from(select: SelectV1) -> Self {
        Self {
            selector: SelectorId::first(select.selector),
            clear: select.clear.into(),
            set: select.set.into(),
        }
    }
}

impl From<&circuit::Select> for SelectV1 {
    fn from(select: &circuit::Select) -> Self {
        Self {
            selector: select.selector.index,
            clear: (&select.clear).into(),
            set: (&select.set).into(),
        }
    }
}

impl From<OperandV1> for circuit::Operand {
    fn from(operand: OperandV1) -> Self {
        match operand {
            OperandV1::Zero => Self::Zero,
            OperandV1::Constant(id) => Self::Constant(ConstantId(id)),
            OperandV1::Node(rotated) => Self::Node(rotated.into()),
        }
    }
}

impl From<&circuit::Operand> for OperandV1 {
    fn from(operand: &circuit::Operand) -> Self {
        match operand {
            circuit::Operand::Zero => Self::Zero,
            circuit::Operand::Constant(id) => Self::Constant(id.0),
            circuit::Operand::Node(rotated) => Self::Node(rotated.into()),
        }
    }
}
