//! The typed intermediate representation: a model cut at its estimators.
//!
//! [`read_model`](crate::read::read_model) evaluates the graph partially. What depends on the input alone becomes
//! [`Model::preprocess`], what depends on the estimators' scores [`Model::postprocess`]; the
//! [`Estimator`]s between them are what the server evaluates under encryption.

use cipherfn_program::RowProgram;
use cipherfn_protocol::specs::{ColumnKind, OutputField};
use std::collections::BTreeMap;

pub mod reference;

#[cfg(test)]
mod tests;

/// A model that can be compiled.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// The inputs, in the order of the pre-processing program's inputs.
    pub columns: Vec<Column>,
    /// From the inputs to the feature vector: one `f32` output of [`Self::features`] entries.
    pub preprocess: RowProgram,
    /// Length of the feature vector.
    pub features: usize,
    /// For each feature, the column that alone determines it, counted over all inputs' entries;
    /// `None` where several do.
    pub origins: Vec<Option<u32>>,
    /// What is evaluated under encryption, at least one: the features to raw scores. Several are a
    /// mixture (voting, stacking); the model's raw scores are all of theirs, in this order.
    pub estimators: Vec<Estimator>,
    /// From the raw scores (one `f64` input) to the outputs.
    pub postprocess: RowProgram,
    /// Meaning of the post-processing program's outputs, in order.
    pub outputs: Vec<OutputField>,
    /// For people.
    pub summary: Summary,
}

impl Model {
    /// Number of raw scores of all estimators.
    pub fn scores(&self) -> usize {
        self.estimators.iter().map(Estimator::scores).sum()
    }
}

/// One input of the ONNX graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name. An input of width 1 is the table's column of that name; a wider one takes
    /// consecutive columns.
    pub name: String,
    /// Type of its entries.
    pub kind: ColumnKind,
    /// Entries in one row.
    pub width: usize,
    /// Whether NaN or an empty cell has a meaning for the model.
    pub missing: bool,
}

/// Where a model comes from and what it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Exporter and version.
    pub producer: String,
    /// Name of the graph.
    pub graph: String,
    /// `classification` or `regression`.
    pub task: Task,
    /// Whether the file is an export, which may have lost something, rather than the library's own.
    pub exported: bool,
    /// Whether the file says that the trees are averaged, each predicting alone, or boosted; `None`
    /// where it does not say.
    pub averages: Option<bool>,
    /// The graph's operators with their domains, in order of appearance, each once.
    pub operators: Vec<String>,
    /// What the reader decided where the file leaves a choice.
    pub notes: Vec<String>,
}

/// What a model does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Predicts a class.
    Classification,
    /// Predicts numbers.
    Regression,
}

impl Task {
    /// Name for people and specs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Classification => "classification",
            Self::Regression => "regression",
        }
    }
}

/// The encrypted part: features to raw scores.
#[derive(Clone, Debug, PartialEq)]
pub enum Estimator {
    /// A sum of decision trees.
    Trees(TreeEnsemble),
    /// A linear map.
    Linear(LinearModel),
    /// A sum of decision trees whose leaves are linear functions.
    LinearTrees(LinearTrees),
    /// Sums of functions of linear forms.
    Lookups(LookupModel),
    /// Sums of functions of linear forms in functions.
    Layers(LayeredModel),
    /// Sums over the nearest of fixed points.
    Neighbours(NeighbourModel),
    /// Trees over what the server computes.
    Stacked(StackedModel),
}

impl Estimator {
    /// Number of raw scores.
    pub fn scores(&self) -> usize {
        match self {
            Self::Trees(trees) => trees.scores,
            Self::Linear(linear) => linear.bias.len(),
            Self::LinearTrees(trees) => trees.constants.scores,
            Self::Lookups(model) => model.bias.len(),
            Self::Layers(model) => model.bias.len(),
            Self::Neighbours(model) => model.bias.len(),
            Self::Stacked(model) => model.trees.scores,
        }
    }
}

impl Estimator {
    /// Whether functions are looked up, so that scores are approximate.
    pub(crate) const fn looks_up(&self) -> bool {
        matches!(
            self,
            Self::Lookups(_) | Self::Layers(_) | Self::Neighbours(_) | Self::Stacked(_)
        )
    }
}

/// `score = weights x features + bias`.
#[derive(Clone, Debug, PartialEq)]
pub struct LinearModel {
    /// One row of finite weights a score, one entry a feature.
    pub weights: Vec<Vec<f64>>,
    /// One finite entry a score.
    pub bias: Vec<f64>,
}

/// `score = weights x functions(forms(features)) + bias`: a network with one hidden layer, or a
/// kernel machine. A function follows from the form of its number alone.
#[derive(Clone, Debug, PartialEq)]
pub struct LookupModel {
    /// The nodes whose functions these are.
    pub nodes: Vec<String>,
    /// One a function.
    pub forms: Vec<LinearForm>,
    /// For each form, the distance that it is of, where it is one.
    pub distances: Vec<Option<PointDistance>>,
    /// From the values of all forms (one `f64` input) to those of all functions (one `f64` output).
    pub functions: RowProgram,
    /// One row of finite weights a score, one entry a function.
    pub weights: Vec<Vec<f64>>,
    /// One finite entry a score.
    pub bias: Vec<f64>,
}

/// A form that is `zero + factor d`, with d the squared distance of the row from a fixed point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PointDistance {
    /// The form at the point.
    pub zero: f64,
    /// What it grows by with the distance.
    pub factor: f64,
}

/// `score = weights x functions + bias`, with functions of linear forms in the features and in
/// functions of layers before: a network with several hidden layers.
#[derive(Clone, Debug, PartialEq)]
pub struct LayeredModel {
    /// Each over those before it.
    pub layers: Vec<FunctionLayer>,
    /// One row of finite weights a score, one entry a function, over all layers.
    pub weights: Vec<Vec<f64>>,
    /// One finite entry a score.
    pub bias: Vec<f64>,
}

/// `score = weights x votes + bias`, with the vote of a point 1 where its number is among the `kept`
/// smallest, else 0: nearest neighbours. Of equal numbers those of the first points are smaller.
#[derive(Clone, Debug, PartialEq)]
pub struct NeighbourModel {
    /// The node that ranks them.
    pub node: String,
    /// One a point: its squared distance from the row.
    pub distances: Vec<LinearForm>,
    /// How many points have a vote.
    pub kept: usize,
    /// One row of finite weights a score, one entry a point.
    pub weights: Vec<Vec<f64>>,
    /// One finite entry a score.
    pub bias: Vec<f64>,
}

/// Trees that ask whether numbers are above thresholds: stacking with trees on top.
#[derive(Clone, Debug, PartialEq)]
pub struct StackedModel {
    /// The node whose trees these are.
    pub node: String,
    /// What is compared.
    pub numbers: Vec<ComparedNumber>,
    /// What is asked.
    pub comparisons: Vec<NumberComparison>,
    /// Trees over the answers: feature `i` is 1 where comparison `i` holds, else 0, and every split
    /// asks whether it is above 1/2.
    pub trees: TreeEnsemble,
}

/// A number that the server computes.
#[derive(Clone, Debug, PartialEq)]
pub enum ComparedNumber {
    /// A linear form of the features.
    Form(LinearForm),
    /// The one score of functions of the features.
    Score(Box<Estimator>),
}

/// `number > threshold`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NumberComparison {
    /// Which of the numbers.
    pub number: u32,
    /// Finite.
    pub threshold: f64,
}

/// Functions of one form each.
#[derive(Clone, Debug, PartialEq)]
pub struct FunctionLayer {
    /// The node whose functions these are.
    pub node: String,
    /// One a function: what it has of the features, and its bias.
    pub forms: Vec<LinearForm>,
    /// What each form has of functions before, counted over all layers.
    pub inner: Vec<Vec<(u32, f64)>>,
    /// From the values of all forms (one `f64` input) to those of all functions (one `f64` output).
    pub functions: RowProgram,
}

/// `sum of weight * feature, plus bias`.
#[derive(Clone, Debug, PartialEq)]
pub struct LinearForm {
    /// Features with finite weights that are not zero.
    pub weights: Vec<(u32, f64)>,
    /// Added to them.
    pub bias: f64,
}

/// Raw scores are `base` plus the sum of one leaf of every tree. Averages are folded into the
/// leaves.
#[derive(Clone, Debug, PartialEq)]
pub struct TreeEnsemble {
    /// Number of raw scores.
    pub scores: usize,
    /// One entry a score.
    pub base: Vec<f64>,
    /// The trees.
    pub trees: Vec<Tree>,
}

impl TreeEnsemble {
    /// Difference of the largest and the smallest value of each score, over all combinations of
    /// leaves.
    pub(crate) fn ranges(&self) -> Vec<f64> {
        let ends = self.ends().into_iter();
        ends.map(|(low, high)| high - low).collect()
    }

    /// The smallest and the largest value of each score beside its base, over all combinations of
    /// leaves.
    pub(crate) fn ends(&self) -> Vec<(f64, f64)> {
        let mut ends = vec![(0.0, 0.0); self.scores];
        for tree in &self.trees {
            let leaves: Vec<&[(u32, f64)]> =
                tree.nodes.iter().filter_map(TreeNode::as_leaf).collect();
            let mut own = vec![(f64::INFINITY, f64::NEG_INFINITY, 0); self.scores];
            for (score, value) in leaves.iter().copied().flatten() {
                let (low, high, count) = &mut own[*score as usize];
                (*low, *high, *count) = (low.min(*value), high.max(*value), *count + 1);
            }
            for (end, (low, high, count)) in ends.iter_mut().zip(own) {
                // A leaf that does not name a score adds nothing to it.
                if count > 0 {
                    let zero = if count < leaves.len() { 0.0 } else { low };
                    *end = (end.0 + low.min(zero), end.1 + high.max(zero));
                }
            }
        }
        ends
    }
}

/// Trees whose leaves are linear functions: what a leaf adds to a score is its value and the sum of
/// its slopes, each times a feature.
#[derive(Clone, Debug, PartialEq)]
pub struct LinearTrees {
    /// The trees, with what their leaves add whatever the features.
    pub constants: TreeEnsemble,
    /// For each tree, the slopes of its leaves by node; a leaf without an entry is constant.
    pub slopes: Vec<BTreeMap<u32, Vec<Slope>>>,
    /// How many features have slopes: the first ones of the feature vector. They are never NaN.
    pub inputs: usize,
}

/// What a feature adds to a score in a leaf.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Slope {
    /// The score.
    pub score: u32,
    /// The feature.
    pub feature: u32,
    /// Score units a unit of the feature, finite.
    pub weight: f64,
    /// Smallest and largest value of the feature in a row that reaches the leaf; infinite where no
    /// split bounds it.
    pub range: (f64, f64),
}

/// A decision tree as an arena: the root is node 0, every node is reached exactly once, children
/// come after their parent.
#[derive(Clone, Debug, PartialEq)]
pub struct Tree {
    /// The nodes.
    pub nodes: Vec<TreeNode>,
}

#[cfg(test)]
impl Tree {
    /// One question, whether feature 0 is above 0, and what either answer adds to scores.
    pub(crate) fn stump(yes: &[(u32, f64)], no: &[(u32, f64)]) -> Self {
        let split = TreeNode::Split {
            feature: 0,
            test: Test::Greater(0.0),
            missing_goes_yes: false,
            yes: 1,
            no: 2,
        };
        let [yes, no] = [yes, no].map(|values| TreeNode::Leaf(values.to_vec()));
        Self {
            nodes: vec![split, yes, no],
        }
    }
}

/// A node of a decision tree.
#[derive(Clone, Debug, PartialEq)]
pub enum TreeNode {
    /// What the leaf adds to which scores: increasing score indices, finite values.
    Leaf(Vec<(u32, f64)>),
    /// A comparison.
    Split {
        /// Index into the feature vector.
        feature: u32,
        /// What is asked of it.
        test: Test,
        /// Whether a missing value (NaN) takes the `yes` branch.
        missing_goes_yes: bool,
        /// Node where the answer is yes.
        yes: u32,
        /// Node where the answer is no.
        no: u32,
    },
}

impl TreeNode {
    /// What a leaf adds to which scores.
    pub(crate) fn as_leaf(&self) -> Option<&[(u32, f64)]> {
        match self {
            Self::Leaf(values) => Some(values),
            Self::Split { .. } => None,
        }
    }
}

/// A predicate of one 32-bit feature. Every ONNX branch mode is one of these, up to a swap of the
/// children and a step to the adjacent float.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Test {
    /// `x > threshold`; the threshold is finite.
    Greater(f32),
    /// `x == value`; the value is finite.
    Equal(f32),
}
