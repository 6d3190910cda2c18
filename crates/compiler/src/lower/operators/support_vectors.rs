//! Support vector machines: `SVMClassifier` and `SVMRegressor`. With a linear kernel the support
//! vectors collapse to one vector of weights a function; with others the kernel of every support
//! vector is a function of a linear form.

use super::linear::linear_map;
use crate::error::CompileError;
use crate::ir::{Function, LinearMap};
use crate::lower::decision::Labels;
use crate::lower::emitter::{Emitter, Operand, reshaped};
use crate::lower::registry::{Operator, ml};
use crate::lower::transform::Transform;
use crate::read::onnx::node::Node;
use crate::read::onnx::tensor::{Constant, Element};
use cipherfn_program::{BinaryFunction, Tensor, UnaryFunction};

pub(in crate::lower) const OPERATORS: &[Operator] = &[
    ml("SVMClassifier", 1, classifier),
    ml("SVMRegressor", 1, regressor),
];

fn regressor(emitter: &mut Emitter<'_>) -> Result<Vec<Operand>, CompileError> {
    let (features, node) = (emitter.features()?, emitter.node);
    let machine = regression_machine(node, features.len())?;
    let scores = machine.scores(emitter, &features)?;
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
    let (machine, of) = classification_machine(node, features.len(), labels.len())?;
    let scores = machine.scores(emitter, &features)?;
    let decision = match of {
        FunctionsOf::Classes => {
            let positive = node.floats("coefficients")?.iter().all(|&x| x >= 0.0);
            emitter.one_function_a_class(scores, transform, positive)?
        }
        FunctionsOf::Pairs => emitter.one_function_a_pair(scores, transform, labels.len())?,
    };
    emitter.classified(&decision, &labels)
}

/// The functions of a node.
enum Machine {
    Linear(LinearMap),
    /// Sums of a kernel's values.
    Kernel {
        kernel: Kernel,
        /// Support vectors, one after the other.
        vectors: Vec<f64>,
        /// Over the kernel's values.
        sums: LinearMap,
    },
}

impl Machine {
    /// Of coefficients of support vectors, one list a function.
    fn of(
        node: &Node,
        features: usize,
        vectors: Vec<f64>,
        sums: LinearMap,
    ) -> Result<Self, CompileError> {
        let Some(kernel) = Kernel::of(node)? else {
            let weights = sums.weights.iter();
            return Ok(Self::Linear(LinearMap {
                weights: weights
                    .map(|coefficients| weighted(&vectors, coefficients, features))
                    .collect(),
                intercepts: sums.intercepts,
            }));
        };
        Ok(Self::Kernel {
            kernel,
            vectors,
            sums,
        })
    }

    /// Its functions of a row, 64-bit floats of shape `[1, functions]`.
    fn scores(
        self,
        emitter: &mut Emitter<'_>,
        features: &Operand,
    ) -> Result<Operand, CompileError> {
        let (kernel, vectors, sums) = match self {
            Self::Linear(map) => return emitter.estimate(features, Function::Linear(map)),
            Self::Kernel {
                kernel,
                vectors,
                sums,
            } => (kernel, vectors, sums),
        };
        let values = kernel.values(emitter, features, &vectors)?;
        let (inner, functions) = (values.columns(), sums.intercepts.len());
        let entry = |k: usize, function: usize| sums.weights[function][k];
        let entries = (0..inner).flat_map(|k| (0..functions).map(move |own| (k, own)));
        let coefficients = matrix(
            emitter,
            [inner, functions],
            entries.map(|(k, own)| entry(k, own)).collect(),
        )?;
        let products = emitter.mat_mul(&values, &coefficients)?;
        let intercepts = emitter.vector(Tensor::F64(sums.intercepts))?;
        emitter.binary(BinaryFunction::Add, &products, &intercepts)
    }
}

/// A kernel that is not linear.
enum Kernel {
    /// `exp(-gamma |x - s|^2)`.
    Radial { gamma: f64 },
    /// `(gamma x s + offset)^degree`.
    Polynomial {
        gamma: f64,
        offset: f64,
        degree: f64,
    },
    /// `tanh(gamma x s + offset)`.
    Sigmoid { gamma: f64, offset: f64 },
}

impl Kernel {
    /// `None` for the linear one.
    fn of(node: &Node) -> Result<Option<Self>, CompileError> {
        let parameters = node.floats("kernel_params")?;
        let parameters = parameters.into_iter().map(f64::from).collect();
        let parameters = node.finite("kernel_params", parameters)?;
        let parameter = |at: usize| parameters.get(at).copied().unwrap_or(0.0);
        let (gamma, offset, degree) = (parameter(0), parameter(1), parameter(2));
        match node.text("kernel_type", "LINEAR")?.as_str() {
            "LINEAR" => Ok(None),
            "RBF" => Ok(Some(Self::Radial { gamma })),
            "POLY" => Ok(Some(Self::Polynomial {
                gamma,
                offset,
                degree,
            })),
            "SIGMOID" => Ok(Some(Self::Sigmoid { gamma, offset })),
            other => Err(node.unsupported(
                format!("kernel {other}"),
                "the kernels LINEAR, RBF, POLY and SIGMOID",
            )),
        }
    }

    /// Its values for a row and every support vector, of shape `[1, vectors]`.
    fn values(
        &self,
        emitter: &mut Emitter<'_>,
        features: &Operand,
        vectors: &[f64],
    ) -> Result<Operand, CompileError> {
        match *self {
            Self::Radial { gamma } => {
                let distances = emitter.squared_distances(features, vectors)?;
                let scaled = emitter.against(BinaryFunction::Mul, &distances, -gamma)?;
                emitter.unary(UnaryFunction::Exp, &scaled)
            }
            Self::Polynomial {
                gamma,
                offset,
                degree,
            } => {
                let line = line(emitter, features, vectors, gamma, offset)?;
                emitter.against(BinaryFunction::Pow, &line, degree)
            }
            Self::Sigmoid { gamma, offset } => {
                let line = line(emitter, features, vectors, gamma, offset)?;
                emitter.unary(UnaryFunction::Tanh, &line)
            }
        }
    }
}

/// `gamma x s + offset` for every support vector `s`.
fn line(
    emitter: &mut Emitter<'_>,
    features: &Operand,
    vectors: &[f64],
    gamma: f64,
    offset: f64,
) -> Result<Operand, CompileError> {
    let width = features.len();
    let count = vectors.len() / width.max(1);
    let row = emitter.cast(features, Element::F64)?;
    let row = reshaped(&row, vec![1, width]);
    let entries = (0..width).flat_map(|k| (0..count).map(move |vector| (k, vector)));
    let entries = entries.map(|(k, vector)| gamma * vectors[vector * width + k]);
    let weights = matrix(emitter, [width, count], entries.collect())?;
    let products = emitter.mat_mul(&row, &weights)?;
    emitter.against(BinaryFunction::Add, &products, offset)
}

fn matrix(
    emitter: &mut Emitter<'_>,
    shape: [usize; 2],
    entries: Vec<f64>,
) -> Result<Operand, CompileError> {
    emitter.constant(Constant {
        element: Element::F64,
        shape: shape.to_vec(),
        value: Tensor::F64(entries),
    })
}

fn regression_machine(node: &Node, features: usize) -> Result<Machine, CompileError> {
    let coefficients = node.numbers("coefficients")?;
    let rho = rho(node, 1)?;
    let count = usize::try_from(node.int("n_supports", 0)?)
        .map_err(|_| node.invalid("n_supports is negative"))?;
    if count == 0 {
        return Ok(Machine::Linear(linear_map(node, features, rho)?));
    }
    let vectors = support_vectors(node, count, features)?;
    if coefficients.len() != count {
        return Err(node.invalid(format!(
            "it has {} coefficients for {count} support vectors",
            coefficients.len()
        )));
    }
    let sums = LinearMap {
        weights: vec![coefficients],
        intercepts: rho,
    };
    Machine::of(node, features, vectors, sums)
}

/// What a classifier's functions are for.
enum FunctionsOf {
    Classes,
    /// One a pair of classes `i < j`, in lexicographic order; positive votes for `i`.
    Pairs,
}

fn classification_machine(
    node: &Node,
    features: usize,
    classes: usize,
) -> Result<(Machine, FunctionsOf), CompileError> {
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
        let map = linear_map(node, features, vec![rho[0]; classes])?;
        return Ok((Machine::Linear(map), FunctionsOf::Classes));
    }
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
    let pairs: Vec<(usize, usize)> = (0..classes)
        .flat_map(|i| (i + 1..classes).map(move |j| (i, j)))
        .collect();
    // Row `j - 1` of the coefficients is of class `i` against `j`, row `i` of class `j` against it.
    let of_pair = |&(i, j): &(usize, usize)| {
        let mut own = vec![0.0; total];
        for (row, class) in [(j - 1, i), (i, j)] {
            let range = starts[class]..starts[class] + counts[class];
            own[range.clone()].copy_from_slice(&coefficients[row * total..][range]);
        }
        own
    };
    let sums = LinearMap {
        weights: pairs.iter().map(of_pair).collect(),
        intercepts: rho(node, pairs.len())?,
    };
    let machine = Machine::of(node, features, vectors, sums)?;
    Ok((machine, FunctionsOf::Pairs))
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
