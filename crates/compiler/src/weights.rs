//! The score of a linear model as a sum of its columns' own numbers.
//!
//! What a file does to the columns before the linear part (scaling, selection, principal components) is
//! followed in 64-bit numbers: differences of 32-bit scores would lose the weight of a column that is
//! large before it is centred.

use crate::error::CompileError;
use crate::model::{Estimator, Model};
use cipherfn_program::{
    BinaryFunction, EntryKind, Op, ProgramStep, ReduceFunction, RowProgram, UnaryFunction,
};
use std::collections::BTreeMap;

/// Most terms that are added up.
const MAX_WORK: usize = 1 << 26;

/// `constant + sum of weight * entry`, over the entries of all columns.
#[derive(Clone, Debug, PartialEq)]
pub struct ColumnWeights {
    /// The constant.
    pub constant: f64,
    /// A weight an entry.
    pub weights: Vec<f64>,
}

/// The raw score of a model with one linear estimator and one score: of a classifier what its probability
/// is made of.
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
    let features = features(&model.preprocess)?;
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

/// A sum of entries of the inputs.
#[derive(Clone, Debug, Default)]
struct EntrySum {
    constant: f64,
    terms: BTreeMap<usize, f64>,
}

impl EntrySum {
    fn constant(constant: f64) -> Self {
        Self {
            constant,
            terms: BTreeMap::new(),
        }
    }

    fn entry(entry: usize) -> Self {
        Self {
            constant: 0.0,
            terms: BTreeMap::from([(entry, 1.0)]),
        }
    }

    fn add(&mut self, other: &Self, factor: f64) {
        self.constant += factor * other.constant;
        for (entry, weight) in &other.terms {
            *self.terms.entry(*entry).or_default() += factor * weight;
        }
    }

    fn scaled(&self, factor: f64) -> Self {
        let mut scaled = Self::default();
        scaled.add(self, factor);
        scaled
    }

    fn as_constant(&self) -> Option<f64> {
        self.terms.is_empty().then_some(self.constant)
    }
}

/// The features of a model.
fn features(program: &RowProgram) -> Result<Vec<EntrySum>, CompileError> {
    let mut next = 0;
    let mut values: Vec<Vec<EntrySum>> = Vec::new();
    for input in program.inputs() {
        if input.kind == EntryKind::Text {
            return Err(unsupported("a column of texts has no weight".into()));
        }
        values.push((next..next + input.len).map(EntrySum::entry).collect());
        next += input.len;
    }
    let mut work = 0;
    for step in program.steps() {
        let value = result(step, &values, &mut work).ok_or_else(|| {
            unsupported(format!(
                "node {:?}, before its linear part, gives no sums of columns",
                step.node
            ))
        })?;
        values.push(value);
    }
    let [output] = program.output_ids() else {
        return Err(unsupported("its features are several values".into()));
    };
    Ok(values.swap_remove(output.index()))
}

/// What a step gives; `None` where that is no sum of entries, or takes too much work.
fn result(step: &ProgramStep, values: &[Vec<EntrySum>], work: &mut usize) -> Option<Vec<EntrySum>> {
    let value = |id: &cipherfn_program::ValueId| &values[id.index()];
    let mut charge = |forms: usize| {
        *work += forms;
        (*work <= MAX_WORK).then_some(())
    };
    match &step.op {
        Op::Constant(tensor) => {
            let numbers = tensor.to_f64()?.into_iter();
            Some(numbers.map(EntrySum::constant).collect())
        }
        Op::Concat(parts) => Some(parts.iter().flat_map(|part| value(part).clone()).collect()),
        Op::Select { source, entries } => {
            let source = value(source);
            let entries = entries.iter();
            entries
                .map(|entry| source.get(*entry as usize).cloned())
                .collect()
        }
        // Whole numbers stay what they are in floats; floats do not in whole numbers.
        Op::Cast { source, kind } => {
            matches!(kind, EntryKind::F32 | EntryKind::F64).then(|| value(source).clone())
        }
        Op::Unary {
            function: UnaryFunction::Neg,
            argument,
        } => Some(value(argument).iter().map(|own| own.scaled(-1.0)).collect()),
        Op::Binary {
            function,
            left,
            right,
        } => {
            let (left, right) = (value(left), value(right));
            let len = left.len().max(right.len());
            let pairs = left.iter().cycle().zip(right.iter().cycle()).take(len);
            pairs
                .map(|(left, right)| {
                    charge(1 + left.terms.len() + right.terms.len())?;
                    binary(*function, left, right)
                })
                .collect()
        }
        Op::MatMul {
            left,
            right,
            rows,
            inner,
            columns,
        } => {
            let (left, right) = (value(left), value(right));
            let mut product = Vec::with_capacity(rows * columns);
            for row in 0..*rows {
                for column in 0..*columns {
                    let mut sum = EntrySum::default();
                    for at in 0..*inner {
                        let (a, b) = (&left[row * inner + at], &right[at * columns + column]);
                        charge(1 + a.terms.len() + b.terms.len())?;
                        sum.add(&binary(BinaryFunction::Mul, a, b)?, 1.0);
                    }
                    product.push(sum);
                }
            }
            Some(product)
        }
        Op::Reduce {
            function,
            argument,
            group,
        } => {
            let factor = match function {
                ReduceFunction::Sum => 1.0,
                ReduceFunction::Mean => 1.0 / *group as f64,
                _ => return None,
            };
            let groups = value(argument).chunks((*group).max(1));
            groups
                .map(|group| {
                    let mut sum = EntrySum::default();
                    for own in group {
                        charge(1 + own.terms.len())?;
                        sum.add(own, factor);
                    }
                    Some(sum)
                })
                .collect()
        }
        _ => None,
    }
}

/// Sums, and products with constants.
fn binary(function: BinaryFunction, left: &EntrySum, right: &EntrySum) -> Option<EntrySum> {
    let sum = |factor: f64| {
        let mut sum = left.clone();
        sum.add(right, factor);
        sum
    };
    match function {
        BinaryFunction::Add => Some(sum(1.0)),
        BinaryFunction::Sub => Some(sum(-1.0)),
        BinaryFunction::Mul => match (left.as_constant(), right.as_constant()) {
            (Some(factor), _) => Some(right.scaled(factor)),
            (_, Some(factor)) => Some(left.scaled(factor)),
            _ => None,
        },
        BinaryFunction::Div => right
            .as_constant()
            .map(|divisor| left.scaled(1.0 / divisor)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::column_weights;
    use crate::read::read_model;
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
        let tensors = inputs.into_iter().map(cipherfn_program::Tensor::F32);
        let features = model.features_of(tensors.collect()).unwrap();
        let wanted = model.raw_scores(&features)[0];
        let size: f64 = terms.iter().map(|own| own.abs()).sum();
        let score = found.constant + terms.iter().sum::<f64>();
        assert!((score - wanted).abs() < 1e-5 * size, "{score} {wanted}");
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
