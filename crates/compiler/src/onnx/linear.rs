//! Linear estimators of the machine-learning domain as weights and intercepts.

use super::scores::{Atom, Combination};
use crate::error::CompileError;
use crate::read::onnx::node::Node;
use cipherfn_program::ValueId;

/// Weights of linear functions: `functions x features` and one intercept a function.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Functions {
    pub(crate) weights: Vec<Vec<f64>>,
    pub(crate) intercepts: Vec<f64>,
}

impl Functions {
    /// Over the entries of a value before the estimator.
    pub(crate) fn of(&self, value: ValueId) -> Vec<Combination> {
        let atom = |entry: usize| Atom::Feature {
            value,
            entry: entry as u32,
        };
        let terms = |weights: &[f64]| {
            weights
                .iter()
                .enumerate()
                .map(|(entry, &weight)| (atom(entry), weight))
                .collect()
        };
        self.weights
            .iter()
            .zip(&self.intercepts)
            .map(|(weights, &intercept)| Combination::of_terms(intercept, terms(weights)))
            .collect()
    }
}

/// `LinearClassifier`: one function an intercept.
pub(crate) fn classifier(node: &Node, features: usize) -> Result<Functions, CompileError> {
    let intercepts = node.numbers("intercepts")?;
    if intercepts.is_empty() {
        return Err(node.invalid("it has no intercepts"));
    }
    functions(node, features, intercepts)
}

/// `LinearRegressor`.
pub(crate) fn regressor(node: &Node, features: usize) -> Result<Functions, CompileError> {
    let targets = usize::try_from(node.int("targets", 1)?)
        .ok()
        .filter(|targets| (1..=65_536).contains(targets));
    let targets = targets.ok_or_else(|| node.invalid("\"targets\" is not a count"))?;
    let mut intercepts = node.numbers("intercepts")?;
    // ONNX Runtime ignores intercepts of another number.
    if intercepts.len() != targets {
        intercepts = vec![0.0; targets];
    }
    functions(node, features, intercepts)
}

fn functions(
    node: &Node,
    features: usize,
    intercepts: Vec<f64>,
) -> Result<Functions, CompileError> {
    let coefficients = node.numbers("coefficients")?;
    if features == 0 || features.checked_mul(intercepts.len()) != Some(coefficients.len()) {
        let problem = format!(
            "it has {} coefficients for {} functions of {features} features",
            coefficients.len(),
            intercepts.len()
        );
        return Err(node.invalid(problem));
    }
    Ok(Functions {
        weights: coefficients.chunks(features).map(<[f64]>::to_vec).collect(),
        intercepts,
    })
}

/// `SVMRegressor` with a linear kernel: the support vectors collapse to one vector.
pub(crate) fn svm_regressor(node: &Node, features: usize) -> Result<Functions, CompileError> {
    let coefficients = node.numbers("coefficients")?;
    let rho = rho(node, 1)?;
    let count = usize::try_from(node.int("n_supports", 0)?)
        .map_err(|_| node.invalid("n_supports is negative"))?;
    if count == 0 {
        return functions(node, features, rho);
    }
    linear_kernel(node)?;
    let vectors = support_vectors(node, count, features)?;
    if coefficients.len() != count {
        return Err(node.invalid(format!(
            "it has {} coefficients for {count} support vectors",
            coefficients.len()
        )));
    }
    Ok(Functions {
        weights: vec![weighted(&vectors, &coefficients, features)],
        intercepts: rho,
    })
}

/// `SVMClassifier` with a linear kernel.
pub(crate) enum SvmClassifier {
    /// One function a class.
    OneAClass(Functions),
    /// One function a pair of classes `i < j`, in lexicographic order; positive votes for `i`.
    Pairs(Functions),
}

/// Reads a `SVMClassifier`.
pub(crate) fn svm_classifier(
    node: &Node,
    features: usize,
    classes: usize,
) -> Result<SvmClassifier, CompileError> {
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
        return Ok(SvmClassifier::OneAClass(functions(
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
    Ok(SvmClassifier::Pairs(Functions {
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
