//! The score of a linear model as a sum of its columns' own numbers, with what a file does to the columns
//! before the linear part (scaling, selection, principal components).

use crate::error::CompileError;
use crate::model::{Estimator, Model};
use cipherfn_program::{EntrySum, speaks_for_first};

/// `constant + sum of weight * entry`, over the entries of all columns.
#[derive(Clone, Debug, PartialEq)]
pub struct ColumnWeights {
    /// The constant.
    pub constant: f64,
    /// A weight an entry.
    pub weights: Vec<f64>,
}

/// The raw score of a model with one linear estimator and one score: of a classifier the decision for its second
/// class, as scikit-learn's `decision_function` gives it, which probabilities are made of.
///
/// # Errors
/// Another model, or one whose features are no sums of its columns.
pub fn column_weights(model: &Model) -> Result<ColumnWeights, CompileError> {
    let [Estimator::Linear(linear)] = &model.estimators[..] else {
        return Err(unsupported("it is not linear".into()));
    };
    let ([weights], [bias]) = (&linear.weights[..], &linear.bias[..]) else {
        let scores = linear.bias.len();
        return Err(unsupported(format!("it has {scores} scores")));
    };
    let features = model.preprocess.entry_sums();
    let features = features.map_err(|error| unsupported(error.to_string()))?;
    let mut score = EntrySum::constant(*bias);
    for (feature, weight) in features.iter().zip(weights) {
        score.add(feature, *weight);
    }
    let mut found = ColumnWeights {
        constant: score.constant,
        weights: vec![0.0; model.columns.iter().map(|column| column.width).sum()],
    };
    for (entry, weight) in score.terms {
        found.weights[entry] = weight;
    }
    if speaks_for_first(&model.postprocess, &model.outputs) {
        found.constant = -found.constant;
        for weight in &mut found.weights {
            *weight = -*weight;
        }
    }
    if !(found.constant.is_finite() && found.weights.iter().all(|weight| weight.is_finite())) {
        return Err(unsupported("a weight is no finite number".into()));
    }
    Ok(found)
}

fn unsupported(problem: String) -> CompileError {
    CompileError::UnsupportedModel {
        problem,
        supported: "one score that is a weighted sum of the columns' own numbers".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::column_weights;
    use crate::read::read_model;
    use cipherfn_program::Tensor;
    use std::path::Path;

    fn model(path: &str) -> crate::model::Model {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../tests")
            .join(path);
        read_model(&std::fs::read(path).unwrap()).unwrap()
    }

    /// A scaler before a logistic regression: the score of any row is what the model makes of it.
    #[test]
    fn scaling_is_folded_into_weights() {
        let model = model("libraries/pipeline_scaler_logreg_bc/model.onnx");
        let found = column_weights(&model).unwrap();
        let mut next = 0.0_f64;
        let inputs = model.columns.iter().map(|column| {
            let entries = (0..column.width).map(|_| {
                next += 1.0;
                (100.0 * (next * 0.7).sin()) as f32
            });
            entries.collect::<Vec<f32>>()
        });
        let inputs: Vec<Vec<f32>> = inputs.collect();
        let row: Vec<f64> = inputs.concat().into_iter().map(f64::from).collect();
        let terms = found.weights.iter().zip(&row);
        let terms: Vec<f64> = terms.map(|(weight, x)| weight * x).collect();
        let tensors: Vec<Tensor> = inputs.into_iter().map(Tensor::F32).collect();
        let features = model.features_of(tensors.clone()).unwrap();
        // What is exported speaks for the first class, and scikit-learn's decision for the second.
        let wanted = -model.raw_scores(&features)[0];
        let size: f64 = terms.iter().map(|own| own.abs()).sum();
        let score = found.constant + terms.iter().sum::<f64>();
        assert!((score - wanted).abs() < 1e-5 * size, "{score} {wanted}");
        let outputs = model.predict(tensors).unwrap();
        let label: f64 = outputs[0].to_texts()[0].parse().unwrap();
        assert_eq!(label > 0.5, score > 0.0);
    }

    #[test]
    fn what_is_no_sum_of_columns_is_refused() {
        for (path, expected) in [
            ("models/mixed_columns_logreg/model.onnx", "texts"),
            ("models/polynomial_ridge/model.onnx", "no sums of columns"),
            ("models/normalizer_forest/model.onnx", "not linear"),
            ("libraries/logreg_digits/model.onnx", "10 scores"),
        ] {
            let error = column_weights(&model(path)).unwrap_err().to_string();
            assert!(error.contains(expected), "{path}: {error}");
        }
    }
}
