//! From counts to leaves.

use super::{BoostedStep, LeafCounts, LeafNode, LeafTarget, LeafTraining, LeafTree};
use crate::error::TrainingError;
use crate::model::{FittedFunction, FittedModel, FittedNode, ScaledColumn};

/// Trees with refitted leaves.
#[derive(Clone, Debug, PartialEq)]
pub struct Refitted {
    /// The model.
    pub model: FittedModel,
    /// Leaves that no row reached: they have what the nearest node above them with rows has; of boosted
    /// leaves what they had.
    pub empty: usize,
}

impl LeafTraining {
    /// The model of counts: what trees say is the mean over the rows of a leaf, what all say together the
    /// mean over the trees. Boosted leaves take their step (`leaves::boosted`).
    ///
    /// # Errors
    /// Counts that no `rows` rows leave.
    pub fn refit(&self, rows: usize, counts: &[LeafCounts]) -> Result<Refitted, TrainingError> {
        let trees = self.trees();
        let mut empty = 0;
        let mut fitted = Vec::with_capacity(trees.len());
        if counts.len() != trees.len() {
            return Err(TrainingError::impossible(
                "there are counts of another number of trees",
            ));
        }
        for (number, (tree, counts)) in trees.iter().zip(counts).enumerate() {
            let totals = of_nodes(tree, counts);
            let is_possible = totals.rows[0] == rows as u64
                && (0..tree.nodes.len()).all(|node| self.is_possible(&totals, node));
            if !is_possible {
                return Err(TrainingError::impossible(format!(
                    "tree {} has counts that {rows} rows do not leave",
                    number + 1
                )));
            }
            empty += counts.rows.iter().filter(|rows| **rows == 0).count();
            fitted.push(match self.boosted() {
                Some(step) => self.stepped(tree, &totals, (&step, &step.start.leaves[number])),
                None => self.means(tree, &totals),
            });
        }
        let labels = match self.target() {
            LeafTarget::Classes { classes, .. } => Some(classes.clone()),
            LeafTarget::Number { .. } => None,
        };
        let numbers = self.columns().map(|name| ScaledColumn {
            name: name.into(),
            offset: 0.0,
            scale: 1.0,
        });
        Ok(Refitted {
            model: FittedModel {
                name: self.name().into(),
                numbers: numbers.collect(),
                squares: false,
                categories: Vec::new(),
                function: match self.boosted() {
                    Some(step) => FittedFunction::Boosted {
                        base: step.start.base,
                        trees: fitted,
                    },
                    None => FittedFunction::Trees {
                        trees: fitted,
                        labels,
                    },
                },
            },
            empty,
        })
    }

    /// Whether some rows have these labels.
    pub(super) fn is_possible(&self, totals: &LeafCounts, node: usize) -> bool {
        let rows = totals.rows[node];
        let labels = totals.labels.iter().map(|bit| bit[node]);
        match self.target() {
            LeafTarget::Classes { .. } => labels.sum::<u64>() <= rows,
            LeafTarget::Number { .. } => labels.max().unwrap_or_default() <= rows,
        }
    }

    fn means(&self, tree: &LeafTree, totals: &LeafCounts) -> Vec<FittedNode> {
        // The nearest node with rows, which is known of parents first.
        let mut counted = vec![0; tree.nodes.len()];
        for (index, node) in tree.nodes.iter().enumerate() {
            if totals.rows[index] > 0 {
                counted[index] = index;
            }
            if let LeafNode::Split { above, below, .. } = *node {
                counted[above as usize] = counted[index];
                counted[below as usize] = counted[index];
            }
        }
        self.with_leaves(tree, |node| self.values(totals, counted[node]))
    }

    /// The tree with what `says` gives for its leaves, by their nodes.
    fn with_leaves(&self, tree: &LeafTree, says: impl Fn(usize) -> Vec<f64>) -> Vec<FittedNode> {
        let cuts = self.cuts();
        let nodes = tree.nodes.iter().enumerate();
        let fitted = nodes.map(|(index, node)| match *node {
            LeafNode::Leaf => FittedNode::Leaf(says(index)),
            LeafNode::Split {
                column,
                cut,
                above,
                below,
                missing_above,
            } => FittedNode::Split {
                column,
                threshold: cuts[column as usize][cut as usize],
                above,
                below,
                missing_above,
            },
        });
        fitted.collect()
    }

    /// The tree after the step: of its leaves' values, `before`, and of what their rows have left.
    fn stepped(
        &self,
        tree: &LeafTree,
        totals: &LeafCounts,
        (step, before): (&BoostedStep<'_>, &[f64]),
    ) -> Vec<FittedNode> {
        let numbers = tree.numbers();
        let part = step.rate / self.trees().len() as f64;
        self.with_leaves(tree, |node| {
            let rows = totals.rows[node] as f64;
            let added = if rows > 0.0 {
                let residuals: f64 = self.values(totals, node).iter().sum();
                part * residuals * (rows / (rows + step.penalty))
            } else {
                0.0
            };
            vec![before[numbers[node]] + added]
        })
    }

    /// A mean a class, or of the number.
    fn values(&self, totals: &LeafCounts, node: usize) -> Vec<f64> {
        let rows = totals.rows[node] as f64;
        let labels = totals.labels.iter().map(|bit| bit[node]);
        match self.target() {
            LeafTarget::Classes { .. } => {
                let others: Vec<u64> = labels.collect();
                let first = totals.rows[node] - others.iter().sum::<u64>();
                let all = [first].into_iter().chain(others);
                all.map(|count| count as f64 / rows).collect()
            }
            LeafTarget::Number { low, step, .. } => {
                let sum: u64 = labels.enumerate().map(|(bit, count)| count << bit).sum();
                vec![low + step * (sum as f64 / rows)]
            }
        }
    }
}

/// Counts of all nodes: those of the leaves below.
fn of_nodes(tree: &LeafTree, counts: &LeafCounts) -> LeafCounts {
    LeafCounts {
        rows: totals(tree, &counts.rows),
        labels: counts.labels.iter().map(|bit| totals(tree, bit)).collect(),
    }
}

fn totals(tree: &LeafTree, leaves: &[u64]) -> Vec<u64> {
    let mut totals = vec![0; tree.nodes.len()];
    let numbers = tree.numbers();
    for (index, node) in tree.nodes.iter().enumerate().rev() {
        totals[index] = match *node {
            LeafNode::Leaf => leaves.get(numbers[index]).copied().unwrap_or_default(),
            LeafNode::Split { above, below, .. } => totals[above as usize] + totals[below as usize],
        };
    }
    totals
}
