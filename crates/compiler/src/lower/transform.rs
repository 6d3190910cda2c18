//! Post-transforms of estimators.

use super::emitter::{Emitter, Operand};
use crate::error::CompileError;
use crate::read::onnx::node::Node;
use crate::read::onnx::tensor::Element;
use cipherfn_program::{Op, SoftmaxKind, UnaryFunction};

/// What is applied to the scores at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transform {
    None,
    Logistic,
    Softmax,
    SoftmaxZero,
    Probit,
}

impl Transform {
    pub(crate) fn of(node: &Node) -> Result<Self, CompileError> {
        match node.text("post_transform", "NONE")?.as_str() {
            "NONE" => Ok(Self::None),
            "LOGISTIC" => Ok(Self::Logistic),
            "SOFTMAX" => Ok(Self::Softmax),
            "SOFTMAX_ZERO" => Ok(Self::SoftmaxZero),
            "PROBIT" => Ok(Self::Probit),
            other => Err(node.invalid(format!(
                "post_transform \"{other}\" is none of NONE, LOGISTIC, SOFTMAX, SOFTMAX_ZERO, PROBIT"
            ))),
        }
    }
}

impl Emitter<'_> {
    /// Scores after a post-transform, which works in 32 bits, as floats of `element`'s kind.
    pub(super) fn transformed(
        &mut self,
        scores: &Operand,
        transform: Transform,
        element: Element,
    ) -> Result<Operand, CompileError> {
        if transform == Transform::None {
            return self.cast(scores, element);
        }
        let scores = self.cast(scores, Element::F32)?;
        let unary = |function| Op::Unary {
            function,
            argument: scores.id,
        };
        let softmax = |variant| Op::Softmax {
            variant,
            argument: scores.id,
            group: scores.columns(),
        };
        let op = match transform {
            Transform::Logistic => unary(UnaryFunction::Sigmoid),
            Transform::Probit => unary(UnaryFunction::Probit),
            Transform::Softmax => softmax(SoftmaxKind::Softmax),
            Transform::SoftmaxZero | Transform::None => softmax(SoftmaxKind::SkipZero),
        };
        let result = self.push(op, Element::F32, scores.shape.clone())?;
        self.cast(&result, element)
    }
}
