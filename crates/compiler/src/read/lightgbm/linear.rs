//! Leaves that are linear functions (`linear_tree`).
//!
//! A leaf answers `leaf_const` and the sum of its coefficients, each times a column's number, or
//! `leaf_value` where one of these numbers is NaN (`Tree::Predict`). Whether one is becomes splits of
//! its own below the tree's, where the path to the leaf lets NaN through.

use super::LIBRARY;
use super::text::{LightGbmFile, Section};
use super::trees::{Comparison, TreeLists};
use crate::error::CompileError;
use crate::read::features::{FeatureCollector, FeatureView, ZERO};
use crate::read::forest::{FileNode, FileSlope};
use crate::read::library::{MAX_DEPTH, MAX_VALUES, NodePlace};
use std::collections::HashMap;

/// The linear functions of a tree's leaves.
pub(super) struct LinearLeaves {
    constants: Vec<f64>,
    /// For each leaf, columns and coefficients, each column once.
    terms: Vec<Vec<(u32, f64)>>,
}

impl LinearLeaves {
    /// The lists of a tree; `None` if its leaves are constants.
    pub(super) fn read(
        section: &Section<'_>,
        tree: &TreeLists,
        columns: usize,
    ) -> Result<Option<Self>, CompileError> {
        match section.get("is_linear").map(str::trim) {
            None | Some("0") => return Ok(None),
            Some("1") => {}
            Some(other) => return Err(section.invalid(format!("is_linear is {other:?}"))),
        }
        let leaves = tree.leaf_value.len();
        let counts: Vec<usize> = section.list("num_features", leaves)?;
        let count = counts
            .iter()
            .fold(0, |sum: usize, &own| sum.saturating_add(own));
        LIBRARY.count("num_features", count, MAX_VALUES, "coefficients")?;
        let of: Vec<u32> = section.list("leaf_features", count)?;
        let coefficients: Vec<f64> = section.list("leaf_coeff", count)?;
        let mut terms = of.into_iter().zip(coefficients);
        let mut leaf = |(leaf, own): (usize, usize)| {
            let mut own: Vec<(u32, f64)> = terms.by_ref().take(own).collect();
            own.sort_by_key(|&(column, _)| column);
            let twice = own.windows(2).find(|pair| pair[0].0 == pair[1].0);
            if let Some(&[(column, _), _]) = twice {
                let problem = format!("leaf {leaf} has column {column} twice in leaf_features");
                return Err(section.invalid(problem));
            }
            match own.last() {
                Some(&(column, _)) if column as usize >= columns => Err(section.invalid(format!(
                    "leaf {leaf} has column {column} of {columns} in leaf_features"
                ))),
                _ => Ok(own),
            }
        };
        Ok(Some(Self {
            constants: section.list("leaf_const", leaves)?,
            terms: counts
                .into_iter()
                .enumerate()
                .map(&mut leaf)
                .collect::<Result<_, _>>()?,
        }))
    }

    /// Appends a node a leaf, then the splits that ask for missing values and what lies below them.
    /// Leaves count for a score, and are divided by a number of trees.
    pub(super) fn push(
        self,
        tree: &TreeLists,
        (score, divisor): (u32, f64),
        middles: &[f64],
        features: &mut FeatureCollector,
        nodes: &mut Vec<FileNode>,
    ) -> Result<(), CompileError> {
        let parents = tree.parents();
        let first = nodes.len();
        let mut below = first + tree.leaf_value.len();
        let mut appended = Vec::new();
        let leaves = tree.leaf_value.iter().zip(self.constants).zip(self.terms);
        for (at, ((value, constant), terms)) in (first..).zip(leaves) {
            let place = NodePlace {
                tree: tree.index,
                node: at,
            };
            let mut linear = (constant / divisor, Vec::with_capacity(terms.len()));
            let mut doubtful = Vec::new();
            let reaches = if terms.is_empty() {
                HashMap::new()
            } else {
                reaches(tree, &parents, at)
            };
            for (column, coefficient) in terms {
                let reach = reaches.get(&column).copied().unwrap_or(Reach::ALL);
                let middle = middles[column as usize];
                let weight = coefficient / divisor;
                if middle != 0.0 {
                    linear.0 += weight * middle;
                }
                linear.1.push(FileSlope {
                    score,
                    feature: features.amount(place, column, middle)?,
                    weight,
                    range: (reach.low - middle, reach.high - middle),
                });
                if reach.missing {
                    doubtful.push(column);
                }
            }
            // The leaf's own node is the first question, and the linear function the last answer.
            let mut own = vec![FileNode::Linear(vec![(score, linear.0)], linear.1)];
            for column in doubtful {
                own.push(FileNode::Leaf(vec![(score, value / divisor)]));
                let answers = (below + own.len() - 1, below + own.len() - 2);
                own.push(FileNode::missing(features, column, answers.0, answers.1));
            }
            nodes.extend(own.pop());
            below += own.len();
            appended.extend(own);
        }
        nodes.extend(appended);
        Ok(())
    }
}

/// Which values reach a node, for each column that the splits above it ask. Longer paths than any
/// tree may have are cut off: reading the tree refuses them.
fn reaches(
    tree: &TreeLists,
    parents: &[Option<(usize, bool)>],
    node: usize,
) -> HashMap<u32, Reach> {
    let mut path = Vec::new();
    let mut at = node;
    while let Some((split, is_left)) = parents[at]
        && path.len() <= MAX_DEPTH
    {
        path.push((split, is_left));
        at = split;
    }
    let mut reaches = HashMap::new();
    for (split, is_left) in path.into_iter().rev() {
        if let Some(comparison) = tree.comparison(split) {
            let reach: &mut Reach = reaches.entry(comparison.column).or_insert(Reach::ALL);
            *reach = reach.through(&comparison, is_left);
        }
    }
    reaches
}

/// Which values of a column reach a node.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Reach {
    /// Numbers from here ...
    low: f64,
    /// ... to here, where there are any.
    high: f64,
    /// NaN.
    missing: bool,
}

impl Reach {
    const ALL: Self = Self {
        low: f64::NEG_INFINITY,
        high: f64::INFINITY,
        missing: true,
    };

    /// What of it takes a branch.
    fn through(self, comparison: &Comparison, is_left: bool) -> Self {
        let &Comparison {
            view,
            threshold,
            default_left,
            ..
        } = comparison;
        let (low, high) = if is_left {
            (self.low, self.high.min(threshold))
        } else {
            (self.low.max(threshold), self.high)
        };
        let is_default = default_left == is_left;
        let holds_zero = self.low <= ZERO && self.high >= -ZERO;
        match view {
            FeatureView::MissingIsZero => Self {
                low,
                high,
                missing: self.missing && (0.0 <= threshold) == is_left,
            },
            // Numbers that count as zero take the default branch, on whichever side they lie.
            FeatureView::ZeroIsMissing if is_default && holds_zero => Self {
                low: low.min(-ZERO),
                high: high.max(ZERO),
                missing: self.missing,
            },
            _ => Self {
                low,
                high,
                missing: self.missing && is_default,
            },
        }
    }
}

/// How far from zero a column's numbers lie, in spans of them, to be counted from their middle: a
/// 32-bit float would hold them less well than their differences.
const FAR: f64 = 8.0;

/// What is taken off each column's numbers: the middle of those of the training, where they lie far
/// from zero (moments in time), else 0.
pub(super) fn middles(file: &LightGbmFile<'_>, columns: usize) -> Vec<f64> {
    let infos = file.header.get("feature_infos").unwrap_or("");
    let middle = |info: &str| {
        let (low, high) = info.strip_prefix('[')?.strip_suffix(']')?.split_once(':')?;
        let (low, high): (f64, f64) = (low.parse().ok()?, high.parse().ok()?);
        let middle = f64::midpoint(low, high);
        (middle.is_finite() && middle.abs() > FAR * (high - low).abs()).then_some(middle)
    };
    let mut middles: Vec<f64> = infos
        .split_ascii_whitespace()
        .map(|info| middle(info).unwrap_or(0.0))
        .collect();
    middles.resize(columns, 0.0);
    middles
}
