//! Weights of inputs on the worst path.

use crate::families::trees::graph::CmuxGraph;
use cipherfn_circuit::circuit::{Node, Operand};

/// Largest Euclidean norm of the weights that meet an input's errors on a path through the graph:
/// all products weigh the same ciphertext, so norms add, and do not their squares. One polynomial
/// holds the weights of all coefficients: the result at each meets all of them.
pub(crate) fn norm(graph: &CmuxGraph) -> f64 {
    let mut norms: Vec<f64> = Vec::with_capacity(graph.nodes.len());
    for node in &graph.nodes {
        let of = |operand: Operand| match operand {
            Operand::Node(rotated) => norms[rotated.node.index()],
            Operand::Zero | Operand::Constant(_) => 0.0,
        };
        let norm = match node {
            Node::Product(product) => {
                let weights = product.weights.iter().flatten();
                let squares = weights.map(|weight| (*weight as f64).powi(2));
                squares.sum::<f64>().sqrt()
            }
            Node::Sum(sum) => {
                let addends = sum
                    .addends
                    .iter()
                    .map(|rotated| norms[rotated.node.index()]);
                let selects = sum.selects.iter();
                let selects = selects.map(|select| of(select.clear).max(of(select.set)));
                addends.sum::<f64>() + selects.sum::<f64>()
            }
            Node::Combination(combination) => {
                let terms = combination.terms.iter();
                let weighted = terms
                    .map(|term| term.weight.unsigned_abs() as f64 * norms[term.node.node.index()]);
                weighted.sum()
            }
            Node::Pack(pack) => {
                let items = pack.items.iter().map(|item| norms[item.node.index()]);
                items.fold(0.0, f64::max)
            }
            Node::Choice(choice) => choice.sides().map(of).into_iter().fold(0.0, f64::max),
            // A bootstrap's result has none of the errors of what it is of.
            Node::Lookup(_) | Node::Carrier(_) | Node::Bootstrap(_) => 0.0,
        };
        norms.push(norm);
    }
    norms.pop().unwrap_or(0.0)
}
