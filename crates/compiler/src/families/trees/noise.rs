//! Bound on the error of a graph's result.
//!
//! Every CMUX whose operands are ciphertexts multiplies the selector's errors with digits of a
//! ciphertext, which are as good as random and independent: variances add, unless it is the same
//! CMUX that several parts of the result use. A choice between constants multiplies a selector row'
//! s error with *known* digits; a row that several choices use carries the same error into each, so
//! their digits are added before they are squared.

mod boxes;
mod paths;
mod totals;
mod weights;

pub(crate) use boxes::Bits;
pub(crate) use paths::Paths;
pub(crate) use weights::norm;

use crate::backend::Variances;
use crate::families::trees::graph::{CmuxGraph, Polynomial};
use cipherfn_circuit::circuit::{Node, Operand, Select};
use cipherfn_protocol::specs::Gadget;
use cipherfn_scheme::noise::Variance;
use totals::{SparseSums, Totals};

#[cfg(test)]
mod tests;

/// Variance that CMUXes between ciphertexts add to a result coefficient on the worst path, most of
/// all where there are many.
pub(crate) fn of_cmuxes(paths: Paths, variances: Variances) -> Variance {
    paths.cmuxes * variances.cmux
}

/// Variance that choices between constants add. Constants of the graph are multiplied by `scale` to
/// be in units of the gadget's resolution, `2^-(base_log * levels)`.
pub(crate) fn of_constants(
    graph: &CmuxGraph,
    gadget: Gadget,
    variances: Variances,
    scale: f64,
) -> Variance {
    let rows: Vec<Vec<f64>> = graph
        .constants
        .iter()
        .map(|constant| digit_norms(constant, gadget, scale))
        .collect();
    let mut totals = Totals::default();
    let most = fold(&graph.nodes, |_, node, known: &[SparseSums]| {
        known_digits(node, gadget, &rows, known, &mut totals)
    });
    // A row whose digits have norm d on a path, and D at most, adds d^2 <= d D.
    let mut weights = vec![0.0; most.last().map_or(0, |(row, _)| *row as usize + 1)];
    for (row, digits) in most {
        weights[row as usize] = digits;
    }
    let squares = fold(&graph.nodes, |_, node, known: &[f64]| {
        weighted_digits(node, gadget, &rows, &weights, known)
    });
    squares * variances.body_row
}

/// Gives each node a value from those of its operands, which are dropped after their last use.
/// Returns the result's.
fn fold<T: Default>(nodes: &[Node], mut value: impl FnMut(usize, &Node, &[T]) -> T) -> T {
    let mut last_use = vec![0; nodes.len()];
    for (index, node) in nodes.iter().enumerate() {
        operands(node).for_each(|operand| last_use[operand] = index);
    }
    let mut known: Vec<T> = Vec::with_capacity(nodes.len());
    for (index, node) in nodes.iter().enumerate() {
        let own = value(index, node, &known);
        known.push(own);
        for operand in operands(node).filter(|operand| last_use[*operand] == index) {
            known[operand] = T::default();
        }
    }
    known.pop().unwrap_or_default()
}

fn operands(node: &Node) -> impl Iterator<Item = usize> {
    node.reads().map(|rotated| rotated.node.index())
}

/// Euclidean norm of the known digits that multiply each selector row on the worst path, by row
/// index.
fn known_digits(
    node: &Node,
    gadget: Gadget,
    constants: &[Vec<f64>],
    known: &[SparseSums],
    totals: &mut Totals,
) -> SparseSums {
    for addend in node.addends() {
        totals.add(known[addend.node.index()].iter().copied());
    }
    for select in node.selects() {
        match branches(select) {
            None => totals.add(digits(select, gadget, constants)),
            Some(branches) => totals.add_larger(branches, known),
        }
    }
    totals.take()
}

/// Sum of the norms on the worst path, each times its row's weight.
fn weighted_digits(
    node: &Node,
    gadget: Gadget,
    constants: &[Vec<f64>],
    weights: &[f64],
    known: &[f64],
) -> f64 {
    let addends = node
        .addends()
        .iter()
        .map(|addend| known[addend.node.index()]);
    let selects = node.selects().iter().map(|select| match branches(select) {
        None => digits(select, gadget, constants)
            .map(|(row, norm)| weights[row as usize] * norm)
            .sum(),
        Some((clear, set)) => {
            let of = |operand: Option<usize>| operand.map_or(0.0, |index| known[index]);
            of(clear).max(of(set))
        }
    });
    addends.sum::<f64>() + selects.sum::<f64>()
}

/// The rows and norms of a choice between constants.
fn digits(
    select: &Select,
    gadget: Gadget,
    constants: &[Vec<f64>],
) -> impl Iterator<Item = (u32, f64)> {
    let difference = match select.set {
        Operand::Constant(id) => constants[id.index()].as_slice(),
        Operand::Zero | Operand::Node(_) => &[],
    };
    let first = select.selector.index * gadget.levels.get();
    (first..).zip(difference.iter().copied())
}

/// The nodes that a CMUX between ciphertexts chooses from; `None` for a choice between constants.
fn branches(select: &Select) -> Option<(Option<usize>, Option<usize>)> {
    let of = |operand: Operand| match operand {
        Operand::Node(rotated) => Some(rotated.node.index()),
        Operand::Zero | Operand::Constant(_) => None,
    };
    match (of(select.clear), of(select.set)) {
        (None, None) => None,
        both => Some(both),
    }
}

/// For each gadget level, the Euclidean norm of the digits of a polynomial at that level.
fn digit_norms(polynomial: &Polynomial, gadget: Gadget, scale: f64) -> Vec<f64> {
    let mut squares = vec![0.0; gadget.levels.get() as usize];
    for value in polynomial.values() {
        for (square, digit) in squares.iter_mut().zip(balanced_digits(
            (*value as f64 * scale).round() as i64,
            gadget,
        )) {
            *square += (digit * digit) as f64;
        }
    }
    squares.into_iter().map(f64::sqrt).collect()
}

/// Digits in [-B/2, B/2), the least significant first, of a value modulo `B^levels`.
fn balanced_digits(value: i64, gadget: Gadget) -> impl Iterator<Item = i64> {
    let base = 1_i64 << gadget.base_log.get();
    let mut rest = value;
    (0..gadget.levels.get()).map(move |_| {
        let digit = (rest + base / 2).rem_euclid(base) - base / 2;
        rest = (rest - digit) / base;
        digit
    })
}
