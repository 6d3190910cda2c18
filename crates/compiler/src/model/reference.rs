//! The model as a float computation: the reference for agreement, and for tests against the
//! libraries' own outputs.

use super::{
    ComparedNumber, Estimator, LayeredModel, LinearForm, LinearModel, LinearTrees, LookupModel,
    Model, NeighbourModel, StackedModel, Test, Tree, TreeEnsemble, TreeNode,
};
use cipherfn_program::{ProgramError, RowProgram, Tensor};

impl Model {
    /// Outputs for one row, all in the clear.
    pub fn predict(&self, inputs: Vec<Tensor>) -> Result<Vec<Tensor>, ProgramError> {
        let features = self.features_of(inputs)?;
        self.postprocess
            .run(vec![Tensor::F64(self.raw_scores(&features))])
    }

    /// Raw scores of all estimators for a feature vector, in 64-bit arithmetic.
    pub fn raw_scores(&self, features: &[f32]) -> Vec<f64> {
        self.estimators
            .iter()
            .flat_map(|estimator| estimator.raw_scores(features))
            .collect()
    }

    /// The same for many feature vectors: a tree is asked for all of them while the caches hold it.
    pub(crate) fn raw_scores_of(&self, rows: &[Vec<f32>]) -> Vec<Vec<f64>> {
        let mut scores: Vec<Vec<f64>> = vec![Vec::new(); rows.len()];
        for estimator in &self.estimators {
            let own = match estimator {
                Estimator::Trees(trees) => trees.raw_scores_of(rows),
                _ => rows.iter().map(|row| estimator.raw_scores(row)).collect(),
            };
            for (scores, own) in scores.iter_mut().zip(own) {
                scores.extend(own);
            }
        }
        scores
    }

    /// The feature vector of one row.
    pub fn features_of(&self, inputs: Vec<Tensor>) -> Result<Vec<f32>, ProgramError> {
        // The front-end makes programs with one `f32` output only.
        Ok(self
            .preprocess
            .run(inputs)?
            .into_iter()
            .find_map(|output| {
                if let Tensor::F32(features) = output {
                    Some(features)
                } else {
                    None
                }
            })
            .unwrap_or_default())
    }
}

impl Estimator {
    /// Raw scores for a feature vector, in 64-bit arithmetic.
    pub fn raw_scores(&self, features: &[f32]) -> Vec<f64> {
        match self {
            Self::Trees(trees) => trees.raw_scores(features),
            Self::Linear(linear) => linear.raw_scores(features),
            Self::LinearTrees(trees) => trees.raw_scores(features),
            Self::Lookups(model) => model.raw_scores(features),
            Self::Layers(model) => model.raw_scores(features),
            Self::Neighbours(model) => model.raw_scores(features),
            Self::Stacked(model) => model.raw_scores(features),
        }
    }
}

impl LookupModel {
    /// Raw scores for a feature vector.
    pub fn raw_scores(&self, features: &[f32]) -> Vec<f64> {
        self.forms_and_scores(features).1
    }

    /// The values of all forms, and the raw scores.
    pub(crate) fn forms_and_scores(&self, features: &[f32]) -> (Vec<f64>, Vec<f64>) {
        let forms = self.forms.iter().map(|form| form.of(features));
        let forms: Vec<f64> = forms.collect();
        let values = functions_of(&self.functions, forms.clone());
        let scores = sums(&self.weights, &self.bias, &values);
        (forms, scores)
    }
}

impl LayeredModel {
    /// Raw scores for a feature vector.
    pub fn raw_scores(&self, features: &[f32]) -> Vec<f64> {
        self.forms_and_scores(features).1
    }

    /// The values of all forms, over all layers, and the raw scores.
    pub(crate) fn forms_and_scores(&self, features: &[f32]) -> (Vec<f64>, Vec<f64>) {
        let (mut forms, mut values) = (Vec::new(), Vec::new());
        for layer in &self.layers {
            let form = |(form, inner): (&LinearForm, &Vec<(u32, f64)>)| {
                let inner = inner.iter().map(|&(unit, w): &(u32, f64)| {
                    let value: f64 = values[unit as usize];
                    w * value
                });
                form.of(features) + inner.sum::<f64>()
            };
            let own: Vec<f64> = layer.forms.iter().zip(&layer.inner).map(form).collect();
            values.extend(functions_of(&layer.functions, own.clone()));
            forms.extend(own);
        }
        let scores = sums(&self.weights, &self.bias, &values);
        (forms, scores)
    }
}

impl NeighbourModel {
    /// Raw scores for a feature vector.
    pub fn raw_scores(&self, features: &[f32]) -> Vec<f64> {
        let distances = self.distances_of(features);
        let mut nearest: Vec<usize> = (0..distances.len()).collect();
        // Stable: of equal ones the first.
        nearest.sort_by(|&one, &other| distances[one].total_cmp(&distances[other]));
        let mut votes = vec![0.0; distances.len()];
        for point in nearest.into_iter().take(self.kept) {
            votes[point] = 1.0;
        }
        sums(&self.weights, &self.bias, &votes)
    }

    /// The squared distances of all points.
    pub(crate) fn distances_of(&self, features: &[f32]) -> Vec<f64> {
        let forms = self.distances.iter();
        forms.map(|form| form.of(features)).collect()
    }
}

impl StackedModel {
    /// Raw scores for a feature vector.
    pub fn raw_scores(&self, features: &[f32]) -> Vec<f64> {
        let numbers = self.numbers_of(features);
        let above = self.comparisons.iter();
        let above = above.map(|own| numbers[own.number as usize] > own.threshold);
        self.scores_of(above)
    }

    /// What is compared.
    pub(crate) fn numbers_of(&self, features: &[f32]) -> Vec<f64> {
        let number = |number: &ComparedNumber| match number {
            ComparedNumber::Form(form) => form.of(features),
            ComparedNumber::Score(estimator) => {
                let scores = estimator.raw_scores(features);
                scores.first().copied().unwrap_or(f64::NAN)
            }
        };
        self.numbers.iter().map(number).collect()
    }

    /// Raw scores where comparisons have these answers.
    pub(crate) fn scores_of(&self, answers: impl Iterator<Item = bool>) -> Vec<f64> {
        let answers: Vec<f32> = answers.map(|own| f32::from(u8::from(own))).collect();
        self.trees.raw_scores(&answers)
    }
}

fn sums(weights: &[Vec<f64>], bias: &[f64], values: &[f64]) -> Vec<f64> {
    let score = |(weights, bias): (&Vec<f64>, &f64)| {
        let terms = weights.iter().zip(values).map(|(w, x)| w * x);
        bias + terms.sum::<f64>()
    };
    weights.iter().zip(bias).map(score).collect()
}

/// The values of all functions of forms; NaN where one has none.
pub(crate) fn functions_of(functions: &RowProgram, forms: Vec<f64>) -> Vec<f64> {
    let count = forms.len();
    let outputs = functions.run(vec![Tensor::F64(forms)]);
    let first = outputs.ok().and_then(|outputs| outputs.into_iter().next());
    match first {
        Some(Tensor::F64(values)) => values,
        _ => vec![f64::NAN; count],
    }
}

impl LinearForm {
    /// Its value for a feature vector.
    pub(crate) fn of(&self, features: &[f32]) -> f64 {
        let terms = self.weights.iter();
        let terms = terms.map(|&(feature, w)| w * f64::from(features[feature as usize]));
        self.bias + terms.sum::<f64>()
    }
}

impl LinearModel {
    /// Raw scores for a feature vector.
    pub fn raw_scores(&self, features: &[f32]) -> Vec<f64> {
        let dot = |weights: &[f64]| {
            weights
                .iter()
                .zip(features)
                .map(|(w, &x)| w * f64::from(x))
                .sum::<f64>()
        };
        self.weights
            .iter()
            .zip(&self.bias)
            .map(|(weights, bias)| dot(weights) + bias)
            .collect()
    }
}

impl TreeEnsemble {
    /// Raw scores for a feature vector.
    pub fn raw_scores(&self, features: &[f32]) -> Vec<f64> {
        let mut scores = self.base.clone();
        for tree in &self.trees {
            for &(score, value) in tree.leaf(features) {
                scores[score as usize] += value;
            }
        }
        scores
    }
}

impl TreeEnsemble {
    fn raw_scores_of(&self, rows: &[Vec<f32>]) -> Vec<Vec<f64>> {
        let mut scores = vec![self.base.clone(); rows.len()];
        for tree in &self.trees {
            for (scores, row) in scores.iter_mut().zip(rows) {
                for &(score, value) in tree.leaf(row) {
                    scores[score as usize] += value;
                }
            }
        }
        scores
    }
}

impl LinearTrees {
    /// The range of each raw score over feature vectors; 0 without any.
    pub(crate) fn seen(&self, rows: &[Vec<f32>]) -> Vec<f64> {
        let mut ends = vec![(f64::INFINITY, f64::NEG_INFINITY); self.constants.scores];
        for row in rows {
            for (end, score) in ends.iter_mut().zip(self.raw_scores(row)) {
                *end = (end.0.min(score), end.1.max(score));
            }
        }
        let range = |(low, high): (f64, f64)| (high - low).max(0.0);
        ends.into_iter().map(range).collect()
    }

    /// Raw scores for a feature vector.
    pub fn raw_scores(&self, features: &[f32]) -> Vec<f64> {
        let mut scores = self.constants.raw_scores(features);
        for (tree, slopes) in self.constants.trees.iter().zip(&self.slopes) {
            for slope in slopes.get(&tree.leaf_node(features)).into_iter().flatten() {
                let value = f64::from(features[slope.feature as usize]);
                scores[slope.score as usize] += slope.weight * value;
            }
        }
        scores
    }
}

impl Tree {
    /// What the leaf that a feature vector reaches adds to which scores.
    pub fn leaf(&self, features: &[f32]) -> &[(u32, f64)] {
        let node = &self.nodes[self.leaf_node(features) as usize];
        node.as_leaf().unwrap_or_default()
    }

    /// The leaf that a feature vector reaches.
    pub fn leaf_node(&self, features: &[f32]) -> u32 {
        let mut node = 0;
        loop {
            match &self.nodes[node as usize] {
                TreeNode::Leaf(_) => return node,
                TreeNode::Split {
                    feature,
                    test,
                    missing_goes_yes,
                    yes,
                    no,
                } => {
                    let value = features[*feature as usize];
                    let goes_yes = if value.is_nan() {
                        *missing_goes_yes
                    } else {
                        test.holds(value)
                    };
                    node = if goes_yes { *yes } else { *no };
                }
            }
        }
    }
}

impl Test {
    /// The answer for a value that is not missing.
    #[expect(clippy::float_cmp, reason = "the ONNX branch mode compares exactly")]
    pub fn holds(self, value: f32) -> bool {
        match self {
            Self::Greater(threshold) => value > threshold,
            Self::Equal(wanted) => value == wanted,
        }
    }
}
