//! What is known to make an exported model another one than the library's.
//!
//! Most causes are tried on the rows that differ: the model is evaluated as if the export had kept
//! what it is known to lose.

use super::{Cell, Comparison, cells};
use crate::error::CompileError;
use crate::model::{Estimator, Test, TreeEnsemble, TreeNode};
use cipherfn_program::Tensor;

/// Part of the rows that differ which a cause must explain to be named.
const EXPLAINED: f64 = 0.9;

/// Causes in words, with the way out.
pub(super) fn of(comparison: &Comparison<'_>) -> Result<String, CompileError> {
    let tried = [
        link(comparison),
        split_points(comparison)?,
        zeros(comparison)?,
        forest_mode(comparison)?,
        directions(comparison)?,
        categories(comparison),
    ];
    let known: Vec<String> = tried.into_iter().flatten().collect();
    Ok(if known.is_empty() {
        "no known cause explains it; known are: forest mode and multi-target trees with the wrong \
         classes, categorical splits as `<= 0`, dropped directions of missing values, exponentials \
         left out, 64-bit split points, zeros of sparse columns, columns in another order. Give \
         the library's own model file, or export the model anew"
            .to_owned()
    } else {
        known.join("\n")
    })
}

impl Comparison<'_> {
    /// Whether most of the rows that differ are as expected if their scores are `scores` of their
    /// features.
    fn explained_by(&self, scores: impl Fn(Vec<f32>) -> Vec<f64>) -> Result<bool, CompileError> {
        let mut explained = 0;
        for row in &self.differing {
            let features = self.model.features_of(self.rows[*row].clone())?;
            let scores = Tensor::F64(scores(features));
            let outputs = self.model.postprocess.run(vec![scores])?;
            let found = cells(outputs, &self.model.outputs);
            explained += usize::from(self.agrees(*row, &found));
        }
        Ok(self.is_most(explained))
    }

    fn is_most(&self, explained: usize) -> bool {
        explained as f64 >= EXPLAINED * self.differing.len() as f64
    }

    fn ensembles(&self) -> impl Iterator<Item = &TreeEnsemble> + Clone {
        let estimators = self.model.estimators.iter();
        estimators.filter_map(|estimator| match estimator {
            Estimator::Trees(trees) => Some(trees),
            Estimator::Linear(_) => None,
        })
    }

    /// Feature, test and whether missing values go to yes, of every split.
    fn splits(&self) -> impl Iterator<Item = (usize, Test, bool)> + Clone {
        let trees = self.ensembles().flat_map(|ensemble| &ensemble.trees);
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
}

/// Objectives with a logarithmic link.
fn link(comparison: &Comparison<'_>) -> Option<String> {
    let exponentials = |row: usize| -> Vec<Cell> {
        let cells = comparison.found[row].iter().map(|cell| match cell {
            Cell::Number(number) => Cell::Number(number.exp()),
            Cell::Label(label) => Cell::Label(label.clone()),
        });
        cells.collect()
    };
    let rows = comparison.differing.iter();
    let explained = rows.filter(|row| comparison.agrees(**row, &exponentials(**row)));
    comparison.is_most(explained.count()).then(|| {
        "the expected values are the exponentials of the model's: the export leaves out the \
         exponential of the objective (Poisson, gamma, Tweedie). Give the library's own model \
         file, or take the exponential of the predictions yourself and compare with their \
         logarithms"
            .to_owned()
    })
}

/// Split points of 64 bits that values of 64 bits lie on: in 32 bits both are another number.
fn split_points(comparison: &Comparison<'_>) -> Result<Option<String>, CompileError> {
    let order = |a: &(usize, f32), b: &(usize, f32)| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1));
    let mut thresholds: Vec<(usize, f32)> = comparison
        .splits()
        .filter_map(|(feature, test, _)| match test {
            Test::Greater(threshold) => Some((feature, threshold)),
            Test::Equal(_) => None,
        })
        .collect();
    thresholds.sort_unstable_by(order);
    let is_split = |feature: usize, value: f32| {
        let near = [value.next_down(), value, value.next_up()];
        let is_one = |value| thresholds.binary_search_by(|split| order(split, &(feature, value)));
        near.into_iter().any(|value| is_one(value + 0.0).is_ok())
    };
    let mut lying = 0;
    for row in &comparison.differing {
        let features = comparison
            .model
            .features_of(comparison.rows[*row].clone())?;
        let mut features = features.into_iter().enumerate();
        lying += usize::from(features.any(|(feature, value)| is_split(feature, value)));
    }
    Ok(comparison.is_most(lying).then(|| {
        "values of these rows lie on split points: the library's are 64-bit numbers (LightGBM, \
         scikit-learn), the file holds them as 32-bit ones. Give the library's own model file, \
         which has them in full"
            .to_owned()
    }))
}

/// Zeros of a sparse matrix, which are missing values for XGBoost and LightGBM.
fn zeros(comparison: &Comparison<'_>) -> Result<Option<String>, CompileError> {
    if comparison.ensembles().next().is_none() {
        return Ok(None);
    }
    let missing = |value: f32| if value == 0.0 { f32::NAN } else { value };
    let explained = comparison.explained_by(|features| {
        let features: Vec<f32> = features.into_iter().map(missing).collect();
        comparison.model.raw_scores(&features)
    })?;
    Ok(explained.then(|| {
        "with missing values in place of zeros the model gives what is expected: it was trained on \
         a sparse matrix (a sparse one-hot encoder), whose zeros the library takes as missing, and \
         the export does not. Train on dense columns (sparse_output=False) and export anew"
            .to_owned()
    }))
}

/// Several trees a round and class, given to the classes in turn.
fn forest_mode(comparison: &Comparison<'_>) -> Result<Option<String>, CompileError> {
    let [Estimator::Trees(ensemble)] = comparison.model.estimators.as_slice() else {
        return Ok(None);
    };
    let classes = ensemble.scores;
    if classes < 3 || ensemble.trees.len() % classes != 0 {
        return Ok(None);
    }
    let rounds = ensemble.trees.len() / classes;
    for parallel in (2..=rounds).filter(|parallel| rounds % parallel == 0) {
        let mut regrouped = ensemble.clone();
        for (index, tree) in regrouped.trees.iter_mut().enumerate() {
            let class = (index / parallel % classes) as u32;
            for node in &mut tree.nodes {
                if let TreeNode::Leaf(values) = node {
                    for (score, _) in values {
                        *score = class;
                    }
                }
            }
        }
        if comparison.explained_by(|features| regrouped.raw_scores(&features))? {
            return Ok(Some(format!(
                "the file gives trees to the wrong classes: the model was trained in forest mode \
                 (num_parallel_tree={parallel}), which the export does not know. Give the \
                 library's own model file (save_model)"
            )));
        }
    }
    Ok(None)
}

/// Missing values in a file that does not say where they go.
fn directions(comparison: &Comparison<'_>) -> Result<Option<String>, CompileError> {
    // A comparison with a missing value is false: without directions all go to one side.
    let mut sides = comparison.splits().map(|(_, _, goes_yes)| goes_yes);
    let first = sides.next();
    if first.is_none() || sides.any(|side| Some(side) != first) {
        return Ok(None);
    }
    let mut missing = 0;
    for row in &comparison.differing {
        let features = comparison
            .model
            .features_of(comparison.rows[*row].clone())?;
        missing += usize::from(features.iter().any(|value| value.is_nan()));
    }
    Ok(comparison.is_most(missing).then(|| {
        "these rows have missing values, and no node of the file says where missing values go: \
         the export drops the directions that the library has learned (scikit-learn's trees), so \
         that every comparison with one is false. Fill missing values in before the model \
         (SimpleImputer in the pipeline), train and export anew"
            .to_owned()
    }))
}

/// Categorical splits that became comparisons with zero.
fn categories(comparison: &Comparison<'_>) -> Option<String> {
    let is_suspicious = |feature: &usize| {
        let tests = || comparison.splits().filter(|split| split.0 == *feature);
        tests().count() > 1 && tests().all(|split| split.1 == Test::Greater(0.0))
    };
    let feature = (0..comparison.model.features).find(is_suspicious)?;
    Some(format!(
        "all splits of feature {feature} compare it with 0: categorical splits (of \
         HistGradientBoosting, LightGBM) are exported so, without their sets of categories. Encode \
         the categories before the model (OneHotEncoder), train and export anew, or give the \
         library's own model file"
    ))
}
