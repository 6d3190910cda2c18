//! Trees of a file.

use super::LIBRARY;
use super::file::{FileTree, Trees};
use crate::error::CompileError;
use crate::read::features::{FeatureCollector, FeatureView, Members};
use crate::read::forest::{FileNode, Forest};
use crate::read::json::Float;
use crate::read::library::{MAX_VALUES, NodePlace, TreePlace};
use std::collections::HashMap;
use std::ops::Range;

/// First code that is no category (`OutOfRangeCat`): 32-bit floats count no further.
const LEAST_INVALID_CODE: i64 = 1 << 24;

/// Reads the trees of `used`, each times its weight.
pub(super) fn read(
    model: &Trees,
    weights: Option<&[Float]>,
    used: Range<usize>,
    scores: usize,
    features: &mut FeatureCollector,
) -> Result<Forest, CompileError> {
    let count = model.list.len();
    let lengths = [
        ("tree_info", Some(model.tree_info.len())),
        ("weight_drop", weights.map(<[Float]>::len)),
    ];
    for (name, len) in lengths {
        if let Some(len) = len.filter(|&len| len != count) {
            return Err(LIBRARY.invalid(name, format!("{len} entries for {count} trees")));
        }
    }
    let mut forest = Forest::new(LIBRARY);
    for index in used {
        let weight = weights.map_or(1.0, |weights| weights[index].0);
        let score = u32::try_from(model.tree_info[index])
            .ok()
            .filter(|&score| (score as usize) < scores)
            .ok_or_else(|| {
                let problem = format!("score {} of {scores}", model.tree_info[index]);
                LIBRARY.invalid(format!("tree_info of tree {index}"), problem)
            })?;
        let tree = OneTree::new(&model.list[index], index, scores)?;
        let nodes = (0..tree.len)
            .map(|node| tree.node(node, score, weight, features))
            .collect::<Result<Vec<_>, _>>()?;
        forest.add(features, nodes)?;
    }
    Ok(forest)
}

/// A tree whose lists have the lengths that they must have.
struct OneTree<'a> {
    tree: &'a FileTree,
    index: usize,
    len: usize,
    /// Start and end of each node's set in the list of categories.
    sets: HashMap<usize, Range<usize>>,
    leaves: Leaves,
}

/// Where leaves have their values.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Leaves {
    /// One value, for the tree's own score.
    One,
    /// A value a score, at the place that the right child states.
    Listed(usize),
    /// A value a score, at the node's own place.
    AtNodes(usize),
}

impl<'a> OneTree<'a> {
    fn new(tree: &'a FileTree, index: usize, scores: usize) -> Result<Self, CompileError> {
        let place = TreePlace(index);
        let len = tree.left_children.len();
        let size = tree.tree_param.size_leaf_vector.at("size_leaf_vector")?;
        let leaves = match size {
            0 | 1 => Leaves::One,
            _ if size != scores => {
                let problem = format!("size_leaf_vector is {size}, the model has {scores} scores");
                return Err(LIBRARY.invalid(place, problem));
            }
            _ if tree.leaf_weights.is_empty() => Leaves::AtNodes(size),
            _ => Leaves::Listed(size),
        };
        let lengths = [
            ("right_children", tree.right_children.len()),
            ("split_indices", tree.split_indices.len()),
            ("split_conditions", tree.split_conditions.len()),
            ("default_left", tree.default_left.len()),
        ];
        // Files of the first versions have no types of splits.
        let types = Some(tree.split_type.len()).filter(|&len| len > 0);
        let lengths = lengths
            .into_iter()
            .chain(types.map(|len| ("split_type", len)));
        for (name, found) in lengths {
            if found != len {
                let problem = format!("{name} has {found} entries, left_children {len}");
                return Err(LIBRARY.invalid(place, problem));
            }
        }
        Ok(Self {
            tree,
            index,
            len,
            sets: sets(tree, index)?,
            leaves,
        })
    }

    fn node(
        &self,
        node: usize,
        score: u32,
        weight: f32,
        features: &mut FeatureCollector,
    ) -> Result<FileNode, CompileError> {
        let place = NodePlace {
            tree: self.index,
            node,
        };
        let tree = self.tree;
        if tree.left_children[node] == -1 {
            return self.leaf(place, score, weight).map(FileNode::Leaf);
        }
        let child = |name: &str, id: i64| {
            usize::try_from(id).map_err(|_| LIBRARY.invalid(place, format!("{name} is {id}")))
        };
        let left = child("its left child", tree.left_children[node])?;
        let right = child("its right child", tree.right_children[node])?;
        let column = u32::try_from(tree.split_indices[node])
            .ok()
            .filter(|&column| (column as usize) < features.columns())
            .ok_or_else(|| {
                let found = tree.split_indices[node];
                LIBRARY.invalid(place, format!("feature {found} of {}", features.columns()))
            })?;
        let default_left = tree.default_left[node].0;
        // Left is the side of smaller values, and of categories outside the set.
        let split = |feature, threshold| FileNode::Split {
            feature,
            threshold,
            missing_goes_above: !default_left,
            above: right,
            below: left,
        };
        match tree.split_type.get(node) {
            None | Some(0) => {
                let threshold = tree.split_conditions[node].0;
                let below = threshold.next_down();
                Ok(match below {
                    _ if threshold.is_nan() => {
                        return Err(LIBRARY.invalid(place, "its threshold is not a number"));
                    }
                    // No number is below the threshold: all go right.
                    f32::NEG_INFINITY if default_left => {
                        FileNode::missing(features, column, left, right)
                    }
                    f32::NEG_INFINITY => {
                        let problem = format!("its threshold is {threshold}, its left is idle");
                        return Err(LIBRARY.invalid(place, problem));
                    }
                    below => split(features.feature(column, FeatureView::Plain), below.into()),
                })
            }
            Some(1) => {
                let set = self
                    .sets
                    .get(&node)
                    .ok_or_else(|| LIBRARY.invalid(place, "it has no set of categories"))?;
                let mut codes = tree.categories[set.clone()]
                    .iter()
                    .map(|&code| {
                        u32::try_from(code)
                            .ok()
                            .filter(|&code| i64::from(code) < LEAST_INVALID_CODE)
                            .ok_or_else(|| LIBRARY.invalid(place, format!("category {code}")))
                    })
                    .collect::<Result<Vec<_>, _>>()?;
                codes.sort_unstable();
                codes.dedup();
                let member = features.member(place, column, Members::Codes(codes))?;
                Ok(split(member, 0.5))
            }
            Some(other) => Err(LIBRARY.invalid(place, format!("its split type is {other}"))),
        }
    }

    fn leaf(
        &self,
        place: NodePlace,
        score: u32,
        weight: f32,
    ) -> Result<Vec<(u32, f64)>, CompileError> {
        let vector = |values: &[Float], at: usize, size: usize| {
            let start = at.checked_mul(size);
            let values = start.and_then(|start| values.get(start..start.checked_add(size)?));
            let weighted = |(score, value): (u32, &Float)| (score, f64::from(weight * value.0));
            values
                .map(|values| (0..).zip(values).map(weighted).collect())
                .ok_or_else(|| LIBRARY.invalid(place, "its leaf has no values"))
        };
        match self.leaves {
            Leaves::One => {
                let value = self.tree.split_conditions[place.node].0;
                Ok(vec![(score, f64::from(weight * value))])
            }
            Leaves::Listed(size) => {
                let id = self.tree.right_children[place.node];
                let at = usize::try_from(id)
                    .map_err(|_| LIBRARY.invalid(place, format!("its leaf is number {id}")))?;
                vector(&self.tree.leaf_weights, at, size)
            }
            Leaves::AtNodes(size) => vector(&self.tree.base_weights, place.node, size),
        }
    }
}

/// Sets of categories by node.
fn sets(tree: &FileTree, index: usize) -> Result<HashMap<usize, Range<usize>>, CompileError> {
    let place = TreePlace(index);
    let count = tree.categories_nodes.len();
    let lengths = [tree.categories_segments.len(), tree.categories_sizes.len()];
    if lengths.iter().any(|&len| len != count) {
        let problem = format!("{count} categories_nodes, segments and sizes {lengths:?}");
        return Err(LIBRARY.invalid(place, problem));
    }
    let mut sets = HashMap::with_capacity(count);
    let mut total = 0;
    for (at, &node) in tree.categories_nodes.iter().enumerate() {
        let invalid =
            |problem: &str| LIBRARY.invalid(format!("{place}, set of categories {at}"), problem);
        let start = usize::try_from(tree.categories_segments[at]).ok();
        let size = usize::try_from(tree.categories_sizes[at]).ok();
        let range = start
            .zip(size)
            .and_then(|(start, size)| Some(start..start.checked_add(size)?))
            .filter(|range| range.end <= tree.categories.len())
            .ok_or_else(|| invalid("it lies outside the list of categories"))?;
        total += range.len();
        LIBRARY.count(place, total, MAX_VALUES, "categories of all its sets")?;
        let node = usize::try_from(node).map_err(|_| invalid("its node is negative"))?;
        if sets.insert(node, range).is_some() {
            return Err(invalid("its node has another set"));
        }
    }
    Ok(sets)
}
