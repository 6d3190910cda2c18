//! Trees over bins.

use crate::error::TrainingError;
use serde::{Deserialize, Serialize};

/// A tree as an arena: node 0 is the root, children come after their parent, each node is reached once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeafTree {
    /// The nodes.
    pub nodes: Vec<LeafNode>,
}

/// A node of a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum LeafNode {
    /// Where rows are counted.
    Leaf,
    /// Asks on which side of a cut a value lies.
    Split {
        /// The column.
        column: u32,
        /// The cut, by its place among those of the column.
        cut: u32,
        /// Node of values above the cut.
        above: u32,
        /// Node of the others.
        below: u32,
        /// Whether missing values go where larger ones do. Encrypted rows have none; it is for those
        /// that the refitted model predicts.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        missing_above: bool,
    },
}

impl LeafTree {
    /// One leaf.
    pub(super) fn seed() -> Self {
        Self {
            nodes: vec![LeafNode::Leaf],
        }
    }

    /// That it is one, over columns of so many cuts. `place` names it.
    pub(super) fn check(&self, place: &str, cuts: &[usize]) -> Result<(), TrainingError> {
        let problem = |problem: String| Err(TrainingError::field(place, problem));
        let mut parents = vec![0_u32; self.nodes.len()];
        for (index, node) in self.nodes.iter().enumerate() {
            let LeafNode::Split {
                column,
                cut,
                above,
                below,
                ..
            } = *node
            else {
                continue;
            };
            let known = cuts.get(column as usize).copied().unwrap_or_default();
            if cut as usize >= known {
                return problem(format!(
                    "node {index} asks for cut {cut} of column {column}, which has {known}"
                ));
            }
            for child in [above, below] {
                match parents.get_mut(child as usize) {
                    Some(parents) if child as usize > index => *parents += 1,
                    _ => return problem(format!("node {index} has child {child}, none after it")),
                }
            }
        }
        match parents.split_first() {
            Some((0, others)) if others.iter().all(|parents| *parents == 1) => Ok(()),
            _ => problem("it is no tree: every node but the first has one parent".into()),
        }
    }

    /// Number of leaves.
    pub fn leaves(&self) -> usize {
        let is_leaf = |node: &&LeafNode| **node == LeafNode::Leaf;
        self.nodes.iter().filter(is_leaf).count()
    }

    /// Number of each leaf, in the order of nodes; of splits 0.
    pub fn numbers(&self) -> Vec<usize> {
        let mut next = 0;
        let nodes = self.nodes.iter();
        let number = nodes.map(|node| match node {
            LeafNode::Leaf => {
                next += 1;
                next - 1
            }
            LeafNode::Split { .. } => 0,
        });
        number.collect()
    }

    /// Questions on the longest way.
    pub fn depth(&self) -> usize {
        self.longest(|_| 1)
    }

    /// What questions on the longest way come to together, where one on a column counts as much as `of` says.
    pub(super) fn longest(&self, of: impl Fn(usize) -> usize) -> usize {
        // Children come after their parent.
        let mut ways = vec![0_usize; self.nodes.len()];
        for (index, node) in self.nodes.iter().enumerate() {
            if let LeafNode::Split {
                column,
                above,
                below,
                ..
            } = node
            {
                for child in [above, below] {
                    ways[*child as usize] = ways[index].saturating_add(of(*column as usize));
                }
            }
        }
        ways.into_iter().max().unwrap_or_default()
    }

    /// The leaf node that a row of these bins reaches.
    pub fn reach(&self, bins: &[u32]) -> usize {
        let mut at = 0;
        while let LeafNode::Split {
            column,
            cut,
            above,
            below,
            ..
        } = self.nodes[at]
        {
            let is_above = bins[column as usize] > cut;
            at = if is_above { above } else { below } as usize;
        }
        at
    }
}

#[cfg(test)]
mod tests {
    use super::{LeafNode, LeafTree};

    const fn split(above: u32, below: u32) -> LeafNode {
        LeafNode::Split {
            column: 0,
            cut: 1,
            above,
            below,
            missing_above: false,
        }
    }

    #[test]
    fn only_trees_are_taken() {
        let check = |nodes: &[LeafNode], cuts: usize| {
            let tree = LeafTree {
                nodes: nodes.to_vec(),
            };
            tree.check("tree 1", &[cuts])
        };
        let leaf = LeafNode::Leaf;
        check(&[leaf], 0).unwrap();
        check(&[split(2, 1), leaf, leaf], 2).unwrap();
        for (nodes, cuts, expected) in [
            (vec![], 2, "no tree"),
            (vec![split(2, 1), leaf, leaf], 1, "asks for cut 1"),
            (vec![split(3, 1), leaf, leaf], 2, "has child 3"),
            (vec![split(0, 1), leaf], 2, "has child 0"),
            (vec![split(1, 1), leaf], 2, "no tree"),
            (vec![leaf, leaf], 2, "no tree"),
        ] {
            let error = check(&nodes, cuts).unwrap_err().to_string();
            assert!(error.contains(expected), "{nodes:?}: {error}");
        }
    }
}
