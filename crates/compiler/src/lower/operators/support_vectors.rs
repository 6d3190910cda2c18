//! Support vector machines: `SVMClassifier` and `SVMRegressor`. With a linear kernel the support
//! vectors collapse to one vector of weights a function.

use super::linear::linear_map;
use crate::error::CompileError;
use crate::ir::{Function, LinearMap};
use crate::lower::decision::Labels;
use crate::lower::emitter::{Emitter, Operand};
use crate::lower::registry::{Operator, ml};
use crate::lower::transform::Transform;
use crate::read::onnx::node::Node;
use crate::read::onnx::tensor::Element;
use cipherfn_program::BinaryFunction;

pub(in crate::lower) const OPERATORS: &[Operator] = &[
    ml("SVMClassifier", 1, classifier),
    ml("SVMRegressor", 1, regressor),
];

fn regressor(emitter: &mut Emitter<'_>) -> Result<Vec<Operand>, CompileError> {
    let (features, node) = (emitter.features()?, emitter.node);
    let map = regression_map(node, features.len())?;
    let scores = emitter.estimate(&features, Function::Linear(map))?;
    let outputs = emitter.regression(&scores, Transform::None, Element::F32)?;
    if node.int("one_class", 0)? == 0 {
        return Ok(outputs);
    }
    outputs.iter().map(|scores| sign(emitter, scores)).collect()
}

/// 1 where the value is positive, else -1.
fn sign(emitter: &mut Emitter<'_>, scores: &Operand) -> Result<Operand, CompileError> {
    let [zero, plus, minus] = [
        emitter.number(scores.element, 0.0)?,
        emitter.number(scores.element, 1.0)?,
        emitter.number(scores.element, -1.0)?,
    ];
    let positive = emitter.binary(BinaryFunction::Greater, scores, &zero)?;
    emitter.choose(&positive, &plus, &minus)
}

fn classifier(emitter: &mut Emitter<'_>) -> Result<Vec<Operand>, CompileError> {
    let (features, node) = (emitter.features()?, emitter.node);
    if node.has("prob_a") || node.has("prob_b") {
        return Err(node.unsupported(
            "it couples pairwise probabilities",
            "SVC without probabilities (probability=False), LinearSVC, logistic regression",
        ));
    }
    let labels = Labels::read(node, "classlabels_ints")?;
    let transform = Transform::of(node)?;
    let decision = match classification_map(node, features.len(), labels.len())? {
        Functions::OneAClass(map) => {
            let positive = node.floats("coefficients")?.iter().all(|&x| x >= 0.0);
            let scores = emitter.estimate(&features, Function::Linear(map))?;
            emitter.one_function_a_class(scores, transform, positive)?
        }
        Functions::OneAPair(map) => {
            let pairs = emitter.estimate(&features, Function::Linear(map))?;
            emitter.one_function_a_pair(pairs, transform, labels.len())?
        }
    };
    emitter.classified(&decision, &labels)
}

fn regression_map(node: &Node, features: usize) -> Result<LinearMap, CompileError> {
    let coefficients = node.numbers("coefficients")?;
    let rho = rho(node, 1)?;
    let count = usize::try_from(node.int("n_supports", 0)?)
        .map_err(|_| node.invalid("n_supports is negative"))?;
    if count == 0 {
        return linear_map(node, features, rho);
    }
    linear_kernel(node)?;
    let vectors = support_vectors(node, count, features)?;
    if coefficients.len() != count {
        return Err(node.invalid(format!(
            "it has {} coefficients for {count} support vectors",
            coefficients.len()
        )));
    }
    Ok(LinearMap {
        weights: vec![weighted(&vectors, &coefficients, features)],
        intercepts: rho,
    })
}

/// Functions of a classifier.
enum Functions {
    OneAClass(LinearMap),
    /// One function a pair of classes `i < j`, in lexicographic order; positive votes for `i`.
    OneAPair(LinearMap),
}

fn classification_map(
    node: &Node,
    features: usize,
    classes: usize,
) -> Result<Functions, CompileError> {
    let counts = node
        .ints("vectors_per_class")?
        .iter()
        .map(|&count| {
            usize::try_from(count)
                .map_err(|_| node.invalid("vectors_per_class has a negative entry"))
        })
        .collect::<Result<Vec<_>, _>>()?;
    let total = counts
        .iter()
        .fold(0_usize, |sum, &count| sum.saturating_add(count));
    if total == 0 {
        let rho = rho(node, 1)?;
        return Ok(Functions::OneAClass(linear_map(
            node,
            features,
            vec![rho[0]; classes],
        )?));
    }
    linear_kernel(node)?;
    if counts.len() != classes || classes < 2 {
        return Err(node.invalid(format!(
            "it counts support vectors of {} classes, but has {classes}",
            counts.len()
        )));
    }
    let vectors = support_vectors(node, total, features)?;
    let coefficients = node.numbers("coefficients")?;
    if (classes - 1).checked_mul(total) != Some(coefficients.len()) {
        return Err(node.invalid(format!(
            "it has {} coefficients for {total} support vectors and {classes} classes",
            coefficients.len()
        )));
    }
    let starts: Vec<usize> = counts
        .iter()
        .scan(0, |start, count| {
            Some(std::mem::replace(start, *start + count))
        })
        .collect();
    // Row `r` of the coefficients, for the support vectors of one class.
    let part = |row: usize, class: usize| {
        let range = starts[class]..starts[class] + counts[class];
        let own = &coefficients[row * total..(row + 1) * total];
        weighted(
            &vectors[range.start * features..range.end * features],
            &own[range],
            features,
        )
    };
    let pairs: Vec<(usize, usize)> = (0..classes)
        .flat_map(|i| (i + 1..classes).map(move |j| (i, j)))
        .collect();
    let weights = pairs
        .iter()
        .map(|&(i, j)| {
            part(j - 1, i)
                .iter()
                .zip(part(i, j))
                .map(|(x, y)| x + y)
                .collect()
        })
        .collect();
    Ok(Functions::OneAPair(LinearMap {
        weights,
        intercepts: rho(node, pairs.len())?,
    }))
}

fn linear_kernel(node: &Node) -> Result<(), CompileError> {
    match node.text("kernel_type", "LINEAR")?.as_str() {
        "LINEAR" => Ok(()),
        other => Err(node.unsupported(format!("kernel {other}"), "the LINEAR kernel")),
    }
}

fn rho(node: &Node, count: usize) -> Result<Vec<f64>, CompileError> {
    let mut rho = node.numbers("rho")?;
    if rho.len() < count {
        return Err(node.invalid(format!(
            "\"rho\" has {} entries instead of {count}",
            rho.len()
        )));
    }
    rho.truncate(count);
    Ok(rho)
}

fn support_vectors(node: &Node, count: usize, features: usize) -> Result<Vec<f64>, CompileError> {
    let vectors = node.numbers("support_vectors")?;
    if count.checked_mul(features) != Some(vectors.len()) || features == 0 {
        return Err(node.invalid(format!(
            "it has {} numbers for {count} support vectors of {features} features",
            vectors.len()
        )));
    }
    Ok(vectors)
}

/// Sum of vectors with coefficients.
fn weighted(vectors: &[f64], coefficients: &[f64], features: usize) -> Vec<f64> {
    let mut sum = vec![0.0; features];
    for (vector, coefficient) in vectors.chunks(features).zip(coefficients) {
        sum.iter_mut()
            .zip(vector)
            .for_each(|(sum, x)| *sum += coefficient * x);
    }
    sum
}
