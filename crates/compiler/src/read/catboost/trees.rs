//! Trees of a file.

use super::LIBRARY;
use super::columns::{Columns, Question};
use super::file::{LinkedNode, ObliviousTree};
use crate::error::CompileError;
use crate::read::forest::{FileNode, Forest};
use crate::read::library::{NodePlace, TreePlace};

/// Most levels of an oblivious tree (the library's own limit).
const MAX_LEVELS: usize = 16;

/// Reads trees with one question a level.
pub(super) fn oblivious(
    trees: &[ObliviousTree],
    scale: f64,
    scores: usize,
    columns: &mut Columns,
) -> Result<Forest, CompileError> {
    let mut forest = Forest::new(LIBRARY);
    for (index, tree) in trees.iter().enumerate() {
        let place = TreePlace(index);
        let splits = tree.splits.as_deref().unwrap_or_default();
        if splits.len() > MAX_LEVELS {
            let problem = format!("it has {} splits, more than {MAX_LEVELS}", splits.len());
            return Err(LIBRARY.invalid(place, problem));
        }
        let leaves = 1usize << splits.len();
        if tree.leaf_values.len() != leaves * scores {
            let found = tree.leaf_values.len();
            let problem = format!("{found} leaf values for {leaves} leaves and {scores} scores");
            return Err(LIBRARY.invalid(place, problem));
        }
        // The highest bit is asked at the root: leaves then stand in the order of their numbers.
        let questions = splits
            .iter()
            .enumerate()
            .rev()
            .map(|(at, split)| columns.question(format!("{place}, split {at}"), split))
            .collect::<Result<Vec<_>, _>>()?;
        let mut nodes = Vec::with_capacity(2 * leaves - 1);
        for (level, question) in questions.iter().enumerate() {
            for _ in 0..1usize << level {
                let below = 2 * nodes.len() + 1;
                nodes.push(split(question, below, below + 1));
            }
        }
        for values in tree.leaf_values.chunks(scores) {
            nodes.push(leaf(values, scale));
        }
        forest.add(&mut columns.features, nodes)?;
    }
    Ok(forest)
}

/// Reads trees of any form.
pub(super) fn linked(
    trees: &[LinkedNode],
    scale: f64,
    scores: usize,
    columns: &mut Columns,
) -> Result<Forest, CompileError> {
    let mut forest = Forest::new(LIBRARY);
    for (index, root) in trees.iter().enumerate() {
        // Breadth first: a node's children get the next free places.
        let mut open = vec![root];
        let mut nodes = Vec::new();
        while let Some(&node) = open.get(nodes.len()) {
            let place = NodePlace {
                tree: index,
                node: nodes.len(),
            };
            nodes.push(match (&node.split, &node.left, &node.right, &node.value) {
                (Some(asked), Some(left), Some(right), _) => {
                    let question = columns.question(place, asked)?;
                    let below = open.len();
                    open.push(left);
                    open.push(right);
                    split(&question, below, below + 1)
                }
                (None, None, None, Some(values)) if values.0.len() == scores => {
                    leaf(&values.0, scale)
                }
                (None, None, None, Some(values)) => {
                    let problem = format!("{} values for {scores} scores", values.0.len());
                    return Err(LIBRARY.invalid(place, problem));
                }
                _ => {
                    let problem = "it is neither a leaf nor a split with two children";
                    return Err(LIBRARY.invalid(place, problem));
                }
            });
        }
        forest.add(&mut columns.features, nodes)?;
    }
    Ok(forest)
}

fn split(question: &Question, below: usize, above: usize) -> FileNode {
    FileNode::Split {
        feature: question.feature,
        threshold: question.threshold,
        missing_goes_above: question.missing_goes_above,
        above,
        below,
    }
}

fn leaf(values: &[f64], scale: f64) -> FileNode {
    FileNode::Leaf(
        (0..)
            .zip(values.iter().map(|value| value * scale))
            .collect(),
    )
}
