//! From linked nodes, as a file gives them, to a checked arena with normalised predicates.

use super::{MAX_DEPTH, MAX_NODES, TreeInput};
use crate::error::CompileError;
use crate::model::{Test, Tree, TreeNode};
use crate::read::onnx::node::Node;
use std::collections::{BTreeMap, HashMap};

/// Numbers that the trees compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SourceKind {
    /// 32-bit floats, or integers that ONNX Runtime converts to them.
    Single,
    /// 64-bit floats.
    Double,
}

/// A node as a file gives it.
#[derive(Clone, Debug)]
pub(super) enum RawNode {
    Leaf(Vec<(u32, f64)>),
    Split(RawSplit),
}

#[derive(Clone, Debug)]
pub(super) struct RawSplit {
    pub(super) feature: u32,
    pub(super) mode: Mode,
    pub(super) value: f64,
    /// Of `Mode::Member`.
    pub(super) members: Vec<f64>,
    pub(super) missing_is_true: bool,
    pub(super) on_true: usize,
    pub(super) on_false: usize,
}

/// Branch modes: what takes the true branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    LessOrEqual,
    Less,
    GreaterOrEqual,
    Greater,
    Equal,
    NotEqual,
    Member,
}

/// Builds trees and collects what they need.
pub(super) struct TreeBuilder<'a> {
    pub(super) node: &'a Node<'a>,
    kind: SourceKind,
    /// Nodes that may still be made.
    room: usize,
    splits: BTreeMap<u32, Vec<f64>>,
}

impl<'a> TreeBuilder<'a> {
    pub(super) fn new(node: &'a Node<'a>, input: &TreeInput) -> Self {
        Self {
            node,
            kind: input.kind,
            room: input.room,
            splits: BTreeMap::new(),
        }
    }

    /// Split points of each feature, increasing, where the input is 64-bit floats.
    pub(super) fn splits(self) -> Vec<(u32, Vec<f64>)> {
        self.splits
            .into_iter()
            .map(|(feature, mut splits)| {
                splits.sort_by(f64::total_cmp);
                splits.dedup();
                (feature, splits)
            })
            .collect()
    }

    /// The tree below `root`. A subtree that several nodes share is copied, as exporters of
    /// categorical splits share them.
    pub(super) fn tree(&mut self, raw: &[RawNode], root: usize) -> Result<Tree, CompileError> {
        self.refuse_cycles(raw, root)?;
        let mut nodes: Vec<TreeNode> = Vec::new();
        // Raw node, its depth, and which link of which made node leads to it.
        let mut open = vec![(root, 0, None)];
        while let Some((at, depth, link)) = open.pop() {
            self.count(depth)?;
            let id = nodes.len() as u32;
            if let Some((parent, yes)) = link {
                connect(&mut nodes, parent, yes, id);
            }
            match &raw[at] {
                RawNode::Leaf(values) => nodes.push(TreeNode::Leaf(values.clone())),
                RawNode::Split(split) if split.mode == Mode::Member => {
                    // `x in {a, b}` is `x == a ? true : (x == b ? true : false)`.
                    let Some((last, others)) = split.members.split_last() else {
                        return Err(self.node.invalid("a BRANCH_MEMBER node has no members"));
                    };
                    for (more, &member) in others.iter().chain([last]).enumerate() {
                        let id = nodes.len();
                        self.count(depth + more)?;
                        let test = self.equal(split.feature, member)?;
                        nodes.push(unconnected(split.feature, test, split.missing_is_true));
                        open.push((split.on_true, depth + more + 1, Some((id, true))));
                        if more == others.len() {
                            open.push((split.on_false, depth + more + 1, Some((id, false))));
                        } else {
                            connect(&mut nodes, id, false, id as u32 + 1);
                        }
                    }
                }
                RawNode::Split(split) => {
                    let (test, yes_is_true, nan_is_true) = self.normalised(split)?;
                    nodes.push(unconnected(split.feature, test, nan_is_true == yes_is_true));
                    let (yes, no) = if yes_is_true {
                        (split.on_true, split.on_false)
                    } else {
                        (split.on_false, split.on_true)
                    };
                    open.push((no, depth + 1, Some((id as usize, false))));
                    open.push((yes, depth + 1, Some((id as usize, true))));
                }
            }
        }
        Ok(Tree { nodes })
    }

    fn count(&mut self, depth: usize) -> Result<(), CompileError> {
        self.room = match self.room.checked_sub(1) {
            Some(room) => room,
            None => {
                return Err(self.node.invalid(format!(
                    "the model's trees have more than {MAX_NODES} nodes"
                )));
            }
        };
        if depth > MAX_DEPTH {
            return Err(self
                .node
                .invalid(format!("a tree is deeper than {MAX_DEPTH} levels")));
        }
        Ok(())
    }

    /// Depth-first search with an explicit stack.
    fn refuse_cycles(&self, raw: &[RawNode], root: usize) -> Result<(), CompileError> {
        enum State {
            Open,
            Done,
        }
        let mut states: HashMap<usize, State> = HashMap::new();
        let mut stack = vec![(root, 0)];
        while let Some((at, visited)) = stack.pop() {
            states.insert(at, State::Open);
            let child = match (&raw[at], visited) {
                (RawNode::Split(split), 0) => split.on_true,
                (RawNode::Split(split), 1) => split.on_false,
                _ => {
                    states.insert(at, State::Done);
                    continue;
                }
            };
            stack.push((at, visited + 1));
            match states.get(&child) {
                None => stack.push((child, 0)),
                Some(State::Open) => {
                    return Err(self.node.invalid(format!(
                        "a tree has a cycle: a branch of node {at} leads back to node {child}"
                    )));
                }
                Some(State::Done) => {}
            }
        }
        Ok(())
    }

    /// The predicate, whether its `yes` is the true branch, and whether NaN takes the true branch.
    fn normalised(&mut self, split: &RawSplit) -> Result<(Test, bool, bool), CompileError> {
        let (mode, value) = self.finite(split)?;
        let missing = split.missing_is_true;
        Ok(match mode {
            Mode::LessOrEqual => (self.greater(split.feature, value)?, false, missing),
            Mode::Greater => (self.greater(split.feature, value)?, true, missing),
            Mode::Less => (
                self.greater(split.feature, self.below(value))?,
                false,
                missing,
            ),
            Mode::GreaterOrEqual => (
                self.greater(split.feature, self.below(value))?,
                true,
                missing,
            ),
            Mode::Equal => (self.equal(split.feature, value)?, true, missing),
            // NaN differs from every number.
            Mode::NotEqual => (self.equal(split.feature, value)?, false, true),
            Mode::Member => {
                return Err(self
                    .node
                    .invalid("a BRANCH_MEMBER node is used as a comparison"));
            }
        })
    }

    /// An infinite threshold as one that parts finite numbers, which alone reach the trees, in the
    /// same way. Trees that ask for nothing but whether a value is missing have such
    /// thresholds.
    fn finite(&self, split: &RawSplit) -> Result<(Mode, f64), CompileError> {
        let (mode, value) = (split.mode, split.value);
        if value.is_finite() {
            return Ok((mode, value));
        }
        let problem = |what: &str| {
            let feature = split.feature;
            self.node
                .invalid(format!("a threshold of feature {feature} is {value}{what}"))
        };
        let positive = value > 0.0;
        let takes_all = match mode {
            _ if value.is_nan() => return Err(problem(", not a number")),
            Mode::LessOrEqual | Mode::Less => positive,
            Mode::GreaterOrEqual | Mode::Greater => !positive,
            Mode::Equal | Mode::NotEqual | Mode::Member => {
                return Err(problem(" in a comparison for equality"));
            }
        };
        let largest = match self.kind {
            SourceKind::Single => f64::from(f32::MAX),
            SourceKind::Double => f64::MAX,
        };
        Ok((
            if takes_all {
                Mode::LessOrEqual
            } else {
                Mode::Greater
            },
            largest,
        ))
    }

    /// The number just below `value` among those that the input can hold.
    fn below(&self, value: f64) -> f64 {
        match self.kind {
            // `x >= value` for a 32-bit `x` is `x >= value` rounded up.
            SourceKind::Single => {
                let nearest = value as f32;
                f64::from(if f64::from(nearest) < value {
                    nearest
                } else {
                    nearest.next_down()
                })
            }
            SourceKind::Double => value.next_down(),
        }
    }

    fn greater(&mut self, feature: u32, threshold: f64) -> Result<Test, CompileError> {
        if self.kind == SourceKind::Double {
            self.splits.entry(feature).or_default().push(threshold);
        }
        let nearest = threshold as f32;
        let rounded = if f64::from(nearest) > threshold {
            nearest.next_down()
        } else {
            nearest
        };
        if !rounded.is_finite() {
            return Err(self.node.unsupported(
                format!("threshold {threshold} of feature {feature}"),
                "thresholds of 32-bit range",
            ));
        }
        Ok(Test::Greater(rounded))
    }

    fn equal(&mut self, feature: u32, value: f64) -> Result<Test, CompileError> {
        let narrow = value as f32;
        #[expect(clippy::float_cmp, reason = "asks whether the conversion was exact")]
        if f64::from(narrow) != value {
            let problem = format!("it compares feature {feature} for equality with {value}");
            return Err(self.node.unsupported(
                problem,
                "equality with numbers that 32-bit floats hold exactly",
            ));
        }
        if self.kind == SourceKind::Double {
            self.splits
                .entry(feature)
                .or_default()
                .extend([value.next_down(), value]);
        }
        Ok(Test::Equal(narrow))
    }
}

/// A split whose children come later.
fn unconnected(feature: u32, test: Test, missing_goes_yes: bool) -> TreeNode {
    TreeNode::Split {
        feature,
        test,
        missing_goes_yes,
        yes: 0,
        no: 0,
    }
}

fn connect(nodes: &mut [TreeNode], parent: usize, is_yes: bool, child: u32) {
    if let Some(TreeNode::Split { yes, no, .. }) = nodes.get_mut(parent) {
        *(if is_yes { yes } else { no }) = child;
    }
}
