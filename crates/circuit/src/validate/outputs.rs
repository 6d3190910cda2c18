//! What travels.

use super::inputs::MAX_COEFFICIENT_BITS;
use super::{CircuitError, within};
use crate::circuit::{Carrier, Circuit, ConstantId, Input, Node, Operand, OutputId, Table};

/// Most outputs of a circuit: each is a ciphertext in a reply.
pub const MAX_OUTPUTS: u64 = 64;

pub(super) fn check(circuit: &Circuit, polynomial_size: usize) -> Result<(), CircuitError> {
    let size = polynomial_size as u64;
    within("output count", circuit.outputs.len(), 1..=MAX_OUTPUTS)?;
    let tables = holds_table(circuit);
    for (index, output) in circuit.outputs.iter().enumerate() {
        if output.node.index() >= circuit.nodes.len() {
            return Err(CircuitError::NoNode {
                output: OutputId(index as u32),
                node: output.node,
                count: circuit.nodes.len(),
            });
        }
        within("result coefficient count", output.coefficients, 1..=size)?;
        if output.coefficients > 1 && tables[output.node.index()] {
            return Err(CircuitError::ShownTable {
                output: OutputId(index as u32),
                node: output.node,
                coefficients: output.coefficients,
            });
        }
        within("stride", output.stride, 1..=size)?;
        let last = u64::from(output.coefficients - 1) * u64::from(output.stride);
        within("last result position", last, 0..=size - 1)?;
        within(
            "reply bits",
            output.reply_bits.get(),
            1..=MAX_COEFFICIENT_BITS,
        )?;
    }
    Ok(())
}

/// For each node, whether coefficients beside the wanted one hold tables, of look-ups, of bootstraps or
/// encrypted ones. A value of one coefficient has nothing beside it wherever it is turned, be it
/// encrypted or a constant.
fn holds_table(circuit: &Circuit) -> Vec<bool> {
    let is_table = |id: ConstantId| circuit.constants[id.index()].0.len() > 1;
    let mut holds: Vec<bool> = Vec::with_capacity(circuit.nodes.len());
    // The same of plaintexts, which may travel as they are and are tables once they are turned.
    let mut plain: Vec<bool> = Vec::with_capacity(circuit.nodes.len());
    for node in &circuit.nodes {
        let inherited = node.reads().any(|read| plain[read.node.index()]);
        plain.push(inherited || node.constants().any(is_table));
        holds.push(match node {
            Node::Lookup(lookup) => match lookup.table {
                Table::Constant(id) => is_table(id),
                Table::Node(table) => plain[table.index()] || holds[table.index()],
            },
            Node::Bootstrap(_) => true,
            // Of the number nothing but the choice is left.
            Node::Choice(choice) => {
                let mut sides = choice.sides().into_iter().filter_map(Operand::node);
                sides.any(|side| holds[side.node.index()])
            }
            Node::Carrier(Carrier { input, .. }) => {
                matches!(circuit.inputs[input.index()], Input::Tables(_))
            }
            Node::Pack(pack) if pack.coefficients == 1 => false,
            other => other.reads().any(|read| holds[read.node.index()]),
        });
    }
    holds
}
