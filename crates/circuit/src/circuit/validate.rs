//! The rules that a circuit must keep before anything is sized or indexed by it.

use super::{Circuit, Constant, LevelledCircuit, LinearCircuit, Node, Operand, Rotated};
use cipherfn_protocol::specs::Gadget;
use std::collections::HashSet;

/// Most selectors of a query row.
const MAX_SELECTORS: u32 = 1 << 18;
/// Most nodes of a circuit.
const MAX_NODES: usize = 1 << 22;
/// Most base bits times levels: digits are computed exactly in 53 bits.
const MAX_GADGET_BITS: u32 = 48;
/// Largest magnitude of a linear model's weight: exact as a float with room for the sum.
const MAX_WEIGHT: u64 = 1 << 40;
/// Most bits of a coefficient that travels.
const MAX_COEFFICIENT_BITS: u32 = 64;

/// A rule that a circuit breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CircuitError {
    /// A number outside its range.
    #[error("{field} is {found}, it must be {allowed}")]
    OutOfRange {
        /// Which number.
        field: &'static str,
        /// Value found.
        found: u64,
        /// Range in words.
        allowed: String,
    },
    /// A node refers to itself or to a later one.
    #[error("node {node} uses node {operand}, which does not come before it (a cycle)")]
    NotTopological {
        /// The node.
        node: usize,
        /// What it refers to.
        operand: u32,
    },
    /// A node refers to something that does not exist.
    #[error("node {node} uses {kind} {index} of {count}")]
    Dangling {
        /// The node.
        node: usize,
        /// `constant` or `selector`.
        kind: &'static str,
        /// Index found.
        index: u32,
        /// How many there are.
        count: usize,
    },
    /// A rotation of 2N or more.
    #[error("node {node} rotates by {rotation}, which is not below {limit}")]
    Rotation {
        /// The node.
        node: usize,
        /// Rotation found.
        rotation: u32,
        /// 2N.
        limit: usize,
    },
    /// Two CMUXes of one node with one selector.
    #[error("node {node} selects twice by selector {selector}")]
    RepeatedSelector {
        /// The node.
        node: usize,
        /// The selector.
        selector: u32,
    },
    /// Positions of a constant that repeat, go back, or lie outside the polynomial.
    #[error(
        "constant {constant} has position {position}: positions must increase strictly and lie below {limit}"
    )]
    Position {
        /// The constant.
        constant: usize,
        /// Position found.
        position: u32,
        /// N.
        limit: usize,
    },
    /// Rows of a weight matrix that differ in length.
    #[error("output {output} has {found} weights, output 0 has {expected}")]
    Ragged {
        /// The row.
        output: usize,
        /// Its length.
        found: usize,
        /// Length of row 0.
        expected: usize,
    },
    /// More memory than this build gives a circuit.
    #[error("evaluating it takes more than {limit} {unit}")]
    TooLarge {
        /// What is limited.
        unit: &'static str,
        /// The limit.
        limit: u64,
    },
}

/// Dimensions of a circuit's ciphertexts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dimensions {
    /// k.
    pub glwe_dimension: usize,
    /// N.
    pub polynomial_size: usize,
}

/// Checks every rule in time and memory linear in the circuit's size.
pub fn validate(circuit: &Circuit, dimensions: Dimensions) -> Result<(), CircuitError> {
    match circuit {
        Circuit::Levelled(circuit) => levelled(circuit, dimensions.polynomial_size),
        Circuit::Linear(circuit) => linear(circuit, dimensions.polynomial_size),
    }
}

fn levelled(circuit: &LevelledCircuit, polynomial_size: usize) -> Result<(), CircuitError> {
    within(
        "selector count",
        u64::from(circuit.selectors),
        0,
        u64::from(MAX_SELECTORS),
    )?;
    within(
        "node count",
        circuit.nodes.len() as u64,
        1,
        MAX_NODES as u64,
    )?;
    let Gadget { base_log, levels } = circuit.gadget;
    within(
        "gadget base (log2)",
        u64::from(base_log),
        1,
        u64::from(MAX_GADGET_BITS),
    )?;
    within(
        "gadget levels",
        u64::from(levels),
        1,
        u64::from(MAX_GADGET_BITS / base_log),
    )?;
    outputs(
        circuit.coefficients,
        circuit.stride,
        circuit.reply_bits,
        polynomial_size,
    )?;
    for (index, constant) in circuit.constants.iter().enumerate() {
        positions(index, constant, polynomial_size)?;
    }
    let mut seen = HashSet::new();
    circuit
        .nodes
        .iter()
        .enumerate()
        .try_for_each(|(index, node)| check_node(circuit, index, node, polynomial_size, &mut seen))
}

fn linear(circuit: &LinearCircuit, polynomial_size: usize) -> Result<(), CircuitError> {
    let size = polynomial_size as u64;
    within("output count", circuit.weights.len() as u64, 1, size)?;
    let outputs_len = circuit.weights.len();
    let features = circuit.weights[0].len();
    within(
        "feature count",
        features as u64,
        1,
        u64::from(MAX_SELECTORS),
    )?;
    if let Some((output, row)) = circuit
        .weights
        .iter()
        .enumerate()
        .find(|(_, row)| row.len() != features)
    {
        return Err(CircuitError::Ragged {
            output,
            found: row.len(),
            expected: features,
        });
    }
    within(
        "bias count",
        circuit.bias.len() as u64,
        outputs_len as u64,
        outputs_len as u64,
    )?;
    within(
        "stride",
        u64::from(circuit.stride),
        outputs_len as u64,
        outputs_len as u64,
    )?;
    within(
        "block",
        u64::from(circuit.block),
        1,
        size / outputs_len as u64,
    )?;
    within(
        "body bits",
        u64::from(circuit.body_bits),
        1,
        u64::from(MAX_COEFFICIENT_BITS),
    )?;
    within(
        "reply bits",
        u64::from(circuit.reply_bits),
        1,
        u64::from(MAX_COEFFICIENT_BITS),
    )?;
    let largest = circuit
        .weights
        .iter()
        .flatten()
        .map(|weight| weight.unsigned_abs())
        .max()
        .unwrap_or(0);
    within("largest weight", largest, 0, MAX_WEIGHT)
}

fn outputs(
    coefficients: u32,
    stride: u32,
    reply_bits: u32,
    polynomial_size: usize,
) -> Result<(), CircuitError> {
    let size = polynomial_size as u64;
    within("result coefficient count", u64::from(coefficients), 1, size)?;
    within("stride", u64::from(stride), 1, size)?;
    within(
        "last result position",
        u64::from(coefficients - 1) * u64::from(stride),
        0,
        size - 1,
    )?;
    within(
        "reply bits",
        u64::from(reply_bits),
        1,
        u64::from(MAX_COEFFICIENT_BITS),
    )
}

fn positions(
    index: usize,
    constant: &Constant,
    polynomial_size: usize,
) -> Result<(), CircuitError> {
    let mut least = 0;
    for (position, _) in &constant.0 {
        if u64::from(*position) < least || *position as usize >= polynomial_size {
            return Err(CircuitError::Position {
                constant: index,
                position: *position,
                limit: polynomial_size,
            });
        }
        least = u64::from(*position) + 1;
    }
    Ok(())
}

fn check_node(
    circuit: &LevelledCircuit,
    index: usize,
    node: &Node,
    polynomial_size: usize,
    seen: &mut HashSet<u32>,
) -> Result<(), CircuitError> {
    let exists = |kind, found: u32, count: usize| {
        if (found as usize) < count {
            Ok(())
        } else {
            Err(CircuitError::Dangling {
                node: index,
                kind,
                index: found,
                count,
            })
        }
    };
    let rotated = |rotated: &Rotated| {
        if rotated.node as usize >= index {
            return Err(CircuitError::NotTopological {
                node: index,
                operand: rotated.node,
            });
        }
        if rotated.rotation as usize >= 2 * polynomial_size {
            return Err(CircuitError::Rotation {
                node: index,
                rotation: rotated.rotation,
                limit: 2 * polynomial_size,
            });
        }
        Ok(())
    };
    let constants = circuit.constants.len();
    node.constant
        .map_or(Ok(()), |constant| exists("constant", constant, constants))?;
    node.addends.iter().try_for_each(rotated)?;
    seen.clear();
    for select in &node.selects {
        exists("selector", select.selector, circuit.selectors as usize)?;
        if !seen.insert(select.selector) {
            return Err(CircuitError::RepeatedSelector {
                node: index,
                selector: select.selector,
            });
        }
        for operand in [select.clear, select.set] {
            match operand {
                Operand::Zero => {}
                Operand::Constant(constant) => exists("constant", constant, constants)?,
                Operand::Node(node) => rotated(&node)?,
            }
        }
    }
    Ok(())
}

fn within(field: &'static str, found: u64, least: u64, most: u64) -> Result<(), CircuitError> {
    if (least..=most).contains(&found) {
        return Ok(());
    }
    let allowed = if least == most {
        format!("{least}")
    } else {
        format!("between {least} and {most}")
    };
    Err(CircuitError::OutOfRange {
        field,
        found,
        allowed,
    })
}
