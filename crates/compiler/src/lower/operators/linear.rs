//! Linear estimators: `LinearClassifier` and `LinearRegressor`.

use crate::error::CompileError;
use crate::ir::{Function, LinearMap};
use crate::lower::decision::Labels;
use crate::lower::emitter::{Emitter, Operand};
use crate::lower::registry::{Operator, ml};
use crate::lower::transform::Transform;
use crate::read::onnx::node::Node;
use crate::read::onnx::tensor::Element;

pub(in crate::lower) const OPERATORS: &[Operator] = &[
    ml("LinearClassifier", 1, classifier),
    ml("LinearRegressor", 1, regressor),
];

/// One function an intercept.
fn classifier(emitter: &mut Emitter<'_>) -> Result<Vec<Operand>, CompileError> {
    let (features, node) = (emitter.features()?, emitter.node);
    let labels = Labels::read(node, "classlabels_ints")?;
    let intercepts = node.numbers("intercepts")?;
    if intercepts.is_empty() {
        return Err(node.invalid("it has no intercepts"));
    }
    let map = linear_map(node, features.len(), intercepts)?;
    let scores = emitter.estimate(&features, Function::Linear(map))?;
    let decision = emitter.linear_classes(scores, Transform::of(node)?, &labels)?;
    emitter.classified(&decision, &labels)
}

fn regressor(emitter: &mut Emitter<'_>) -> Result<Vec<Operand>, CompileError> {
    let (features, node) = (emitter.features()?, emitter.node);
    let targets = usize::try_from(node.int("targets", 1)?)
        .ok()
        .filter(|targets| (1..=65_536).contains(targets));
    let targets = targets.ok_or_else(|| node.invalid("\"targets\" is not a count"))?;
    let mut intercepts = node.numbers("intercepts")?;
    // ONNX Runtime ignores intercepts of another number.
    if intercepts.len() != targets {
        intercepts = vec![0.0; targets];
    }
    let map = linear_map(node, features.len(), intercepts)?;
    let scores = emitter.estimate(&features, Function::Linear(map))?;
    emitter.regression(&scores, Transform::of(node)?, Element::F32)
}

/// The attribute `coefficients`, one row of weights an intercept.
pub(super) fn linear_map(
    node: &Node,
    features: usize,
    intercepts: Vec<f64>,
) -> Result<LinearMap, CompileError> {
    let coefficients = node.numbers("coefficients")?;
    if features.checked_mul(intercepts.len()) != Some(coefficients.len()) {
        return Err(node.invalid(format!(
            "it has {} coefficients for {} functions of {features} features",
            coefficients.len(),
            intercepts.len()
        )));
    }
    Ok(LinearMap {
        weights: coefficients.chunks(features).map(<[f64]>::to_vec).collect(),
        intercepts,
    })
}

impl Emitter<'_> {
    /// Input 0 as the argument of an estimator: one row of numbers.
    pub(in crate::lower) fn features(&self) -> Result<Operand, CompileError> {
        let input = self.input(0)?;
        if input.element == Element::Text {
            return Err(self.node.invalid("its input is text"));
        }
        if self.constant_value(&input).is_some() {
            return Err(self.node.invalid("its input is constant"));
        }
        if !matches!(input.shape.as_slice(), [_] | [1, _]) || input.len() == 0 {
            return Err(self.node.unsupported(
                format!("its input has shape {:?} for one row", input.shape),
                "[rows, features]",
            ));
        }
        Ok(input)
    }

    /// Results of an estimator as 64-bit floats of shape `[1, results]`.
    pub(in crate::lower) fn estimate(
        &mut self,
        features: &Operand,
        function: Function,
    ) -> Result<Operand, CompileError> {
        let name = &self.node.name.name;
        let id = self.ir.estimate(name, features.id, function)?;
        Ok(Operand {
            id,
            element: Element::F64,
            shape: vec![1, self.ir.program.tensor_type(id).len],
        })
    }

    /// The output of a regressor. ONNX Runtime transforms a single target by `PROBIT` alone.
    pub(in crate::lower) fn regression(
        &mut self,
        scores: &Operand,
        transform: Transform,
        element: Element,
    ) -> Result<Vec<Operand>, CompileError> {
        let transform = if scores.len() == 1 && transform != Transform::Probit {
            Transform::None
        } else {
            transform
        };
        Ok(vec![self.transformed(scores, transform, element)?])
    }
}
