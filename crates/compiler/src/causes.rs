//! What exporters are known to lose, in words with the way out, and the means to find it.

use crate::model::{Estimator, Model, Test, TreeEnsemble, TreeNode};
use cipherfn_program::{Op, UnaryFunction};
use cipherfn_protocol::specs::OutputField;

/// Objectives with a logarithmic link.
pub(crate) const EXPONENTIAL: &str = "the export leaves out the exponential of the objective \
    (Poisson, gamma, Tweedie). Give the library's own model file, or take the exponential of the \
    predictions yourself and compare with their logarithms";

/// Split points of 64 bits that values of 64 bits lie on: in 32 bits both are another number.
pub(crate) const SPLIT_POINTS: &str = "the library's are 64-bit numbers (LightGBM, scikit-learn), \
    the file holds them as 32-bit ones. Give the library's own model file, which has them in full";

/// Zeros of a sparse matrix, which are missing values for XGBoost.
pub(crate) const SPARSE_ZEROS: &str = "it was trained on a sparse matrix (a sparse one-hot \
    encoder), whose zeros the library takes as missing, and the export does not. Train on dense \
    columns (sparse_output=False) and export anew";

/// Comparisons with a missing value are false.
pub(crate) const DIRECTIONS: &str = "the export drops the directions that the library has learned \
    (scikit-learn's trees), so that every comparison with one is false. Fill missing values in \
    before the model (SimpleImputer in the pipeline), train and export anew";

/// Categorical splits that became comparisons with zero.
pub(crate) const CATEGORIES: &str = "categorical splits (of HistGradientBoosting, LightGBM) are \
    exported so, without their sets of categories. Encode the categories before the model \
    (OneHotEncoder), train and export anew, or give the library's own model file";

/// Classes that are scored one by one.
pub(crate) const ONE_VERSUS_ALL: &str = "the model was trained one class against all others \
    (multiclassova), and the export takes it for one of exclusive classes, so that probabilities \
    are others. Give the library's own model file";

/// Trees of several targets, all given to the first one.
pub(crate) const TARGETS: &str = "the export gives the trees of all targets to one of them. Give \
    the library's own model file (save_model)";

/// The first of several values a row that is the same in all rows, beside one that is not.
pub(crate) fn idle_target(rows: &[Vec<f64>]) -> Option<usize> {
    let (first, others) = rows.split_first()?;
    let is_idle = |target: usize| {
        let value = |row: &Vec<f64>| row.get(target).map(|value| value.to_bits());
        others.iter().all(|row| value(row) == value(first))
    };
    let (idle, varying): (Vec<usize>, Vec<usize>) = (0..first.len()).partition(|own| is_idle(*own));
    idle.first()
        .copied()
        .filter(|_| !varying.is_empty() && !others.is_empty())
}

/// The standard deviation beside a linear model's mean.
pub(crate) const DEVIATION: &str = "the export (skl2onnx, return_std) sums the rows' products with \
    the covariance and leaves out the product with the row itself. Export the mean alone, or write \
    the node \"Mul\" between \"MatMul\" and \"ReduceSum\" into the graph";

/// Whether a model is exported with such a deviation: the root of a linear form.
pub(crate) fn has_deviation(model: &Model) -> bool {
    let is_linear = |estimator: &Estimator| matches!(estimator, Estimator::Linear(_));
    let is_root = |op: &Op| {
        matches!(
            op,
            Op::Unary {
                function: UnaryFunction::Sqrt,
                ..
            }
        )
    };
    model.summary.producer.starts_with("skl2onnx")
        && model.outputs == [OutputField::Prediction, OutputField::Prediction]
        && model.estimators.iter().all(is_linear)
        && model
            .postprocess
            .steps()
            .iter()
            .any(|step| is_root(&step.op))
}

/// Several trees a round and class, given to the classes in turn.
pub(crate) fn forest_mode(parallel: usize) -> String {
    format!(
        "the file gives trees to the wrong classes: the model was trained in forest mode \
         (num_parallel_tree={parallel}), which the export does not know. Give the library's own \
         model file (save_model)"
    )
}

/// All tree ensembles of a model.
pub(crate) fn ensembles(model: &Model) -> impl Iterator<Item = &TreeEnsemble> + Clone {
    let estimators = model.estimators.iter();
    estimators.filter_map(|estimator| match estimator {
        Estimator::Trees(trees) => Some(trees),
        Estimator::LinearTrees(trees) => Some(&trees.constants),
        Estimator::Linear(_)
        | Estimator::Lookups(_)
        | Estimator::Layers(_)
        | Estimator::Neighbours(_)
        | Estimator::Stacked(_) => None,
    })
}

/// Feature, test and whether missing values go to yes, of every split.
pub(crate) fn splits(model: &Model) -> impl Iterator<Item = (usize, Test, bool)> + Clone {
    let trees = ensembles(model).flat_map(|ensemble| &ensemble.trees);
    let nodes = trees.flat_map(|tree| &tree.nodes);
    nodes.filter_map(|node| match node {
        TreeNode::Split {
            feature,
            test,
            missing_goes_yes,
            ..
        } => Some((*feature as usize, *test, *missing_goes_yes)),
        TreeNode::Leaf(_) => None,
    })
}

/// Features that are compared with zero and nothing else.
pub(crate) fn compared_with_zero(model: &Model) -> impl Iterator<Item = usize> {
    let is_one = |feature: &usize| {
        let mut tests = splits(model).filter(|split| split.0 == *feature).peekable();
        tests.peek().is_some() && tests.all(|split| split.1 == Test::Greater(0.0))
    };
    (0..model.features).filter(is_one)
}

/// The model's trees as forest mode gives them to the classes, for every number of trees a round
/// and class that is possible, with that number.
pub(crate) fn forest_modes(model: &Model) -> impl Iterator<Item = (usize, TreeEnsemble)> {
    let ensemble = of_classes(model);
    ensemble.into_iter().flat_map(|ensemble| {
        let possible = parallels(ensemble);
        possible.map(|parallel| (parallel, regrouped(ensemble, parallel)))
    })
}

/// The ensemble of a model that is one of trees for more than two classes.
pub(crate) fn of_classes(model: &Model) -> Option<&TreeEnsemble> {
    match model.estimators.as_slice() {
        [Estimator::Trees(ensemble)] if ensemble.scores > 2 => Some(ensemble),
        _ => None,
    }
}

/// Lengths of the runs in which an ensemble's trees may be given to its classes.
pub(crate) fn parallels(ensemble: &TreeEnsemble) -> impl Iterator<Item = usize> {
    let (trees, classes) = (ensemble.trees.len(), ensemble.scores);
    let rounds = if trees % classes == 0 {
        trees / classes
    } else {
        0
    };
    (2..=rounds).filter(move |parallel| rounds % parallel == 0)
}

/// The class of the tree at `index` where they are given in runs of `parallel`.
pub(crate) const fn class_in_runs(classes: usize, parallel: usize, index: usize) -> usize {
    index / parallel % classes
}

fn regrouped(ensemble: &TreeEnsemble, parallel: usize) -> TreeEnsemble {
    let mut regrouped = ensemble.clone();
    for (index, tree) in regrouped.trees.iter_mut().enumerate() {
        let class = class_in_runs(ensemble.scores, parallel, index) as u32;
        for node in &mut tree.nodes {
            if let TreeNode::Leaf(values) = node {
                for (score, _) in values {
                    *score = class;
                }
            }
        }
    }
    regrouped
}

/// `1 / (1 + exp(-x))`.
pub(crate) fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}
