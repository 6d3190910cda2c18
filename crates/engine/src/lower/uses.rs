//! How often a value is needed.

use cipherfn_circuit::circuit::{Circuit, Node, Operand};

/// How often a node's value is needed by nodes and outputs that the reply needs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Uses {
    /// By nodes; the value at 0 of a CMUX is needed twice, in the sum and in the difference.
    pub(super) total: u32,
    /// Every use is as an addend.
    pub(super) only_added: bool,
    /// Some combination, packed value or bootstrap reads it, as a value in memory.
    pub(super) whole: bool,
    /// Some output is this value.
    pub(super) is_output: bool,
}

/// One entry a node.
pub(super) fn count(circuit: &Circuit) -> Vec<Uses> {
    let unused = Uses {
        total: 0,
        only_added: true,
        whole: false,
        is_output: false,
    };
    let mut uses = vec![unused; circuit.nodes.len()];
    for output in &circuit.outputs {
        uses[output.node.index()].is_output = true;
    }
    for (index, node) in circuit.nodes.iter().enumerate().rev() {
        if uses[index].total == 0 && !uses[index].is_output {
            continue;
        }
        let Node::Sum(sum) = node else {
            for read in node.reads() {
                uses[read.node.index()].total += 1;
                uses[read.node.index()].whole = true;
            }
            continue;
        };
        for addend in &sum.addends {
            uses[addend.node.index()].total += 1;
        }
        for select in &sum.selects {
            for (operand, times) in [(select.clear, 2), (select.set, 1)] {
                if let Operand::Node(operand) = operand {
                    uses[operand.node.index()].total += times;
                    uses[operand.node.index()].only_added = false;
                }
            }
        }
    }
    uses
}
