//! Circuits beside each other.

use cipherfn_circuit::Circuit;
use cipherfn_circuit::circuit::{ConstantId, InputId, Node, NodeId, Operand, SelectorId, Table};

/// Appends a circuit whose parts are counted from zero, and which bootstraps by the same part of the key if
/// both do.
pub(crate) fn append(circuit: &mut Circuit, other: Circuit) {
    let shift = Shift {
        inputs: circuit.inputs.len() as u32,
        constants: circuit.constants.len() as u32,
        nodes: circuit.nodes.len() as u32,
    };
    circuit.bootstrap = circuit.bootstrap.take().or(other.bootstrap);
    circuit.inputs.extend(other.inputs);
    circuit.constants.extend(other.constants);
    let nodes = other.nodes.into_iter().map(|mut node| {
        shift.node(&mut node);
        node
    });
    circuit.nodes.extend(nodes);
    let outputs = other.outputs.into_iter().map(|mut output| {
        shift.node_id(&mut output.node);
        output
    });
    circuit.outputs.extend(outputs);
}

/// By how much names move.
struct Shift {
    inputs: u32,
    constants: u32,
    nodes: u32,
}

impl Shift {
    fn node(&self, node: &mut Node) {
        match node {
            Node::Sum(sum) => {
                sum.constant.iter_mut().for_each(|id| self.constant_id(id));
                for addend in &mut sum.addends {
                    self.node_id(&mut addend.node);
                }
                for select in &mut sum.selects {
                    let SelectorId { input, .. } = &mut select.selector;
                    self.input_id(input);
                    self.operand(&mut select.clear);
                    self.operand(&mut select.set);
                }
            }
            Node::Product(product) => {
                self.input_id(&mut product.input);
                product
                    .constant
                    .iter_mut()
                    .for_each(|id| self.constant_id(id));
            }
            Node::Lookup(lookup) => {
                match &mut lookup.table {
                    Table::Constant(id) => self.constant_id(id),
                    Table::Node(id) => self.node_id(id),
                }
                for turn in &mut lookup.form {
                    self.input_id(&mut turn.selector.input);
                }
            }
            Node::Combination(combination) => {
                let constant = combination.constant.iter_mut();
                constant.for_each(|id| self.constant_id(id));
                for term in &mut combination.terms {
                    self.node_id(&mut term.node.node);
                }
            }
            Node::Carrier(carrier) => self.input_id(&mut carrier.input),
            Node::Pack(pack) => {
                for item in &mut pack.items {
                    self.node_id(&mut item.node);
                }
            }
            Node::Bootstrap(bootstrap) => {
                self.node_id(&mut bootstrap.of.node);
                self.constant_id(&mut bootstrap.table);
            }
            Node::Choice(choice) => {
                self.node_id(&mut choice.of.node);
                self.operand(&mut choice.clear);
                self.operand(&mut choice.set);
            }
        }
    }

    fn operand(&self, operand: &mut Operand) {
        match operand {
            Operand::Zero => {}
            Operand::Constant(id) => self.constant_id(id),
            Operand::Node(rotated) => self.node_id(&mut rotated.node),
        }
    }

    fn input_id(&self, id: &mut InputId) {
        id.0 += self.inputs;
    }

    fn constant_id(&self, id: &mut ConstantId) {
        id.0 += self.constants;
    }

    fn node_id(&self, id: &mut NodeId) {
        id.0 += self.nodes;
    }
}
