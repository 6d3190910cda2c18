//! The worst path: how much error the CMUXes between ciphertexts add on it, and how few selectors
//! it may come from.

use super::boxes::{self, Bits};
use super::totals::{SparseSums, Totals};
use super::{branches, fold, operands};
use crate::families::trees::graph::CmuxGraph;
use cipherfn_circuit::circuit::Node;

/// What holds for every path through a graph, from the constants to the result. A path takes one
/// branch of every CMUX and all addends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Paths {
    /// Variance that CMUXes between ciphertexts add, in units of one CMUX's. One that a path
    /// reaches k times counts k^2 times: it carries the same error every time.
    pub cmuxes: f64,
    /// Selectors that this variance comes from, if each of them gives as much as any may give;
    /// infinite where there is no variance.
    pub selectors: f64,
}

impl Paths {
    /// Of a graph over `bits`.
    pub(crate) fn of(graph: &CmuxGraph, bits: Bits<'_>) -> Self {
        // A CMUX that a path reaches k times, and no path more than K times, counts k^2 <= k K
        // times: a sum along the path, so that the worst one is found node by node.
        let times = times(&graph.nodes);
        let mut totals = Totals::default();
        let selectors = fold(&graph.nodes, |index, node, known: &[SparseSums]| {
            by_selector(node, times[index], known, &mut totals)
        });
        let most = selectors.iter().map(|(_, variance)| *variance);
        let most = most.fold(0.0, f64::max);
        let cmuxes = boxes::worst(&graph.nodes, &times, bits);
        Self {
            cmuxes,
            selectors: if most > 0.0 {
                (cmuxes / most).max(1.0)
            } else {
                f64::INFINITY
            },
        }
    }
}

/// For each selector, the most that its CMUXes may give on a path, each `times` of its node.
fn by_selector(node: &Node, times: f64, known: &[SparseSums], totals: &mut Totals) -> SparseSums {
    through(node, known, totals);
    for select in node.selects().iter().filter(|own| branches(own).is_some()) {
        totals.add_at(select.selector.index, times);
    }
    totals.take()
}

/// How often a path reaches each node that has a CMUX between ciphertexts below it, at most.
fn times(nodes: &[Node]) -> Vec<f64> {
    let mut uses = vec![0_u32; nodes.len()];
    nodes
        .iter()
        .flat_map(operands)
        .for_each(|operand| uses[operand] += 1);
    let mut has_cmux = vec![false; nodes.len()];
    for (index, node) in nodes.iter().enumerate() {
        has_cmux[index] = node
            .selects()
            .iter()
            .any(|select| branches(select).is_some())
            || operands(node).any(|operand| has_cmux[operand]);
    }
    let mut totals = Totals::default();
    let shared = fold(nodes, |index, node, known: &[SparseSums]| {
        through(node, known, &mut totals);
        if uses[index] > 1 && has_cmux[index] {
            totals.add_at(index as u32, 1.0);
        }
        totals.take()
    });
    let mut times = vec![1.0_f64; nodes.len()];
    for (node, reached) in shared {
        times[node as usize] = reached;
    }
    // Users come after what they use.
    for (index, node) in nodes.iter().enumerate().rev() {
        for operand in operands(node).filter(|operand| uses[*operand] == 1) {
            times[operand] = times[index];
        }
    }
    times
}

/// Adds the largest values on paths through a node's addends and one branch of each of its CMUXes.
fn through(node: &Node, known: &[SparseSums], totals: &mut Totals) {
    for addend in node.addends() {
        totals.add(known[addend.node.index()].iter().copied());
    }
    for branches in node.selects().iter().filter_map(branches) {
        totals.add_larger(branches, known);
    }
}
