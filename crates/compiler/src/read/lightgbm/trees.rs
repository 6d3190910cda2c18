//! Trees of a file.

use super::LIBRARY;
use super::linear::{self, LinearLeaves};
use super::text::{LightGbmFile, Section};
use crate::error::CompileError;
use crate::read::features::{FeatureCollector, FeatureId, FeatureView, Members, ZERO};
use crate::read::forest::{FileNode, Forest};
use crate::read::library::{MAX_NODES, MAX_VALUES, NodePlace, TreePlace};
use std::collections::HashMap;

/// Bits of a node's `decision_type`.
const IS_CATEGORICAL: u8 = 1;
const DEFAULT_LEFT: u8 = 2;
/// Codes are compared as 32-bit floats, which count no further.
const MAX_CODE: u32 = 1 << 24;

/// Reads all trees; averages are folded into the leaves.
pub(super) fn read(
    file: &LightGbmFile<'_>,
    scores: usize,
    features: &mut FeatureCollector,
) -> Result<Forest, CompileError> {
    let trees = file.trees.len();
    if !trees.is_multiple_of(scores) {
        let problem = format!("{trees} trees, {scores} in each round");
        return Err(LIBRARY.invalid("num_tree_per_iteration", problem));
    }
    let divisor = if averages(file) {
        (trees / scores).max(1) as f64
    } else {
        1.0
    };
    let middles = linear::middles(file, features.columns());
    let mut forest = Forest::new(LIBRARY);
    for (index, section) in file.trees.iter().enumerate() {
        let tree = TreeLists::read(section, index)?;
        let score = (index % scores) as u32;
        let mut sets = HashMap::new();
        let mut nodes = (0..tree.splits)
            .map(|node| tree.split(node, features, &mut sets))
            .collect::<Result<Vec<_>, _>>()?;
        if let Some(leaves) = LinearLeaves::read(section, &tree, features.columns())? {
            leaves.push(&tree, (score, divisor), &middles, features, &mut nodes)?;
        } else {
            let leaf = |value: &f64| FileNode::Leaf(vec![(score, value / divisor)]);
            nodes.extend(tree.leaf_value.iter().map(leaf));
        }
        forest.add(features, nodes)?;
    }
    Ok(forest)
}

/// Whether the library predicts the mean of the trees, not their sum.
pub(super) fn averages(file: &LightGbmFile<'_>) -> bool {
    file.header.get("average_output").is_some()
}

/// A tree's lists: nodes `0 .. splits` are splits, and leaf `i` is node `splits + i`.
pub(super) struct TreeLists {
    pub(super) index: usize,
    pub(super) splits: usize,
    split_feature: Vec<u32>,
    threshold: Vec<f64>,
    decision_type: Vec<u8>,
    left_child: Vec<i64>,
    right_child: Vec<i64>,
    pub(super) leaf_value: Vec<f64>,
    cat_boundaries: Vec<usize>,
    cat_threshold: Vec<u32>,
}

impl TreeLists {
    fn read(section: &Section<'_>, index: usize) -> Result<Self, CompileError> {
        let leaves = section.count("num_leaves")?;
        LIBRARY.count(TreePlace(index), leaves, MAX_NODES, "leaves")?;
        let splits = leaves
            .checked_sub(1)
            .ok_or_else(|| section.invalid("num_leaves is 0"))?;
        let sets = section.count("num_cat")?;
        let boundaries = if sets == 0 { 0 } else { sets.saturating_add(1) };
        let cat_boundaries: Vec<usize> = section.list("cat_boundaries", boundaries)?;
        let words = cat_boundaries.last().copied().unwrap_or(0);
        Ok(Self {
            index,
            splits,
            split_feature: section.list("split_feature", splits)?,
            threshold: section.list("threshold", splits)?,
            decision_type: section.list("decision_type", splits)?,
            left_child: section.list("left_child", splits)?,
            right_child: section.list("right_child", splits)?,
            leaf_value: section.list("leaf_value", leaves)?,
            cat_threshold: section.list("cat_threshold", words)?,
            cat_boundaries,
        })
    }

    fn split(
        &self,
        node: usize,
        features: &mut FeatureCollector,
        sets: &mut HashMap<(usize, u32), FeatureId>,
    ) -> Result<FileNode, CompileError> {
        let place = NodePlace {
            tree: self.index,
            node,
        };
        let column = self.split_feature[node];
        if column as usize >= features.columns() {
            let problem = format!("feature {column} of {}", features.columns());
            return Err(LIBRARY.invalid(place, problem));
        }
        let left = self.child(place, self.left_child[node])?;
        let right = self.child(place, self.right_child[node])?;
        let decision = self.decision_type[node];
        if decision & IS_CATEGORICAL != 0 {
            let set = self.threshold[node];
            if !(set >= 0.0 && set + 1.0 < self.cat_boundaries.len() as f64) {
                return Err(LIBRARY.invalid(place, format!("set of categories {set}")));
            }
            let set = set as usize;
            let member = if let Some(&member) = sets.get(&(set, column)) {
                member
            } else {
                let members = Members::Codes(self.codes(place, set)?);
                let member = features.member(place, column, members)?;
                sets.insert((set, column), member);
                member
            };
            return Ok(FileNode::Split {
                feature: member,
                threshold: 0.5,
                missing_goes_above: false,
                above: left,
                below: right,
            });
        }
        let Comparison {
            view,
            threshold,
            default_left,
            ..
        } = self
            .comparison(node)
            .ok_or_else(|| LIBRARY.invalid(place, "missing values of kind 3"))?;
        // Every number is at most infinity: only missing values go right.
        if threshold == f64::INFINITY && view == FeatureView::Plain && !default_left {
            return Ok(FileNode::missing(features, column, right, left));
        }
        Ok(FileNode::Split {
            feature: features.feature(column, view),
            threshold,
            missing_goes_above: !default_left,
            above: right,
            below: left,
        })
    }

    /// What a split asks of a column's number; `None` for a set of categories, and for a kind of
    /// missing values that the format does not know.
    pub(super) fn comparison(&self, node: usize) -> Option<Comparison> {
        let decision = self.decision_type[node];
        if decision & IS_CATEGORICAL != 0 {
            return None;
        }
        Some(Comparison {
            column: self.split_feature[node],
            view: match (decision >> 2) & 3 {
                0 => FeatureView::MissingIsZero,
                1 => FeatureView::ZeroIsMissing,
                2 => FeatureView::Plain,
                _ => return None,
            },
            threshold: outside_zero(self.threshold[node]),
            default_left: decision & DEFAULT_LEFT != 0,
        })
    }

    /// For each node, the split that leads to it and whether by its left branch; `None` for the
    /// root, and for what no split leads to.
    pub(super) fn parents(&self) -> Vec<Option<(usize, bool)>> {
        let mut parents = vec![None; self.splits + self.leaf_value.len()];
        for split in 0..self.splits {
            for (id, is_left) in [
                (self.left_child[split], true),
                (self.right_child[split], false),
            ] {
                if let Some(parent) = self.node(id).and_then(|node| parents.get_mut(node)) {
                    *parent = Some((split, is_left));
                }
            }
        }
        parents
    }

    /// The node that a child's number stands for: leaves are negative.
    fn node(&self, id: i64) -> Option<usize> {
        let (at, count, offset) = if id < 0 {
            (!id, self.leaf_value.len(), self.splits)
        } else {
            (id, self.splits, 0)
        };
        let at = usize::try_from(at).ok().filter(|&at| at < count)?;
        Some(at + offset)
    }

    /// The node that a child's number stands for.
    fn child(&self, place: NodePlace, id: i64) -> Result<usize, CompileError> {
        self.node(id).ok_or_else(|| {
            let problem = format!("a branch leads to {id}, there are {} splits", self.splits);
            LIBRARY.invalid(place, problem)
        })
    }

    /// Members of a bit set, increasing.
    fn codes(&self, place: NodePlace, set: usize) -> Result<Vec<u32>, CompileError> {
        let invalid = |problem: String| LIBRARY.invalid(place, problem);
        let (start, end) = (self.cat_boundaries[set], self.cat_boundaries[set + 1]);
        let words = self
            .cat_threshold
            .get(start..end)
            .ok_or_else(|| invalid(format!("set of categories {set} is none of the file's")))?;
        let count: usize = words.iter().map(|word| word.count_ones() as usize).sum();
        LIBRARY.count(place, count, MAX_VALUES, "categories")?;
        let codes = words.iter().enumerate().flat_map(|(at, &word)| {
            let bits = (0..32u32).filter(move |bit| word >> bit & 1 == 1);
            bits.map(move |bit| at as u64 * 32 + u64::from(bit))
        });
        codes
            .map(|code| {
                u32::try_from(code)
                    .ok()
                    .filter(|&code| code < MAX_CODE)
                    .ok_or_else(|| invalid(format!("category {code}, more than {MAX_CODE}")))
            })
            .collect()
    }
}

/// `value <= threshold` of a column, in a view.
pub(super) struct Comparison {
    pub(super) column: u32,
    pub(super) view: FeatureView,
    pub(super) threshold: f64,
    /// Whether missing values go left, where the view has any.
    pub(super) default_left: bool,
}

/// The threshold that parts values as the library does: it takes numbers up to [`ZERO`] for 0 before
/// any tree sees them (seen in version 4: a value equal to the threshold `-ZERO` goes right).
fn outside_zero(threshold: f64) -> f64 {
    if (-ZERO..0.0).contains(&threshold) {
        (-ZERO).next_down()
    } else if (0.0..=ZERO).contains(&threshold) {
        ZERO
    } else {
        threshold
    }
}

#[cfg(test)]
mod tests {
    use super::{ZERO, outside_zero};

    #[test]
    fn what_counts_as_zero_lies_on_the_side_of_zero() {
        let thresholds = [-1.0, -ZERO, -1e-36, 0.0, 1e-36, ZERO, 1.0];
        let near = [ZERO, ZERO.next_up(), ZERO.next_down(), 1e-300, 0.0];
        for value in near.iter().flat_map(|&value| [value, -value]) {
            let seen = if value.abs() <= ZERO { 0.0 } else { value };
            for threshold in thresholds {
                let found = value > outside_zero(threshold);
                assert_eq!(found, seen > threshold, "{value} > {threshold}");
            }
        }
    }
}
