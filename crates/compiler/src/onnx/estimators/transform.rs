//! Post-transforms.

use super::operand;
use crate::error::CompileError;
use crate::onnx::evaluate::Evaluator;
use crate::onnx::range::Range;
use crate::onnx::trees::Transform;
use crate::onnx::value::{Data, Facts, Value};
use crate::read::onnx::node::Node;
use crate::read::onnx::tensor::Element;
use cipherfn_program::{BinaryFunction, Op, SoftmaxKind, UnaryFunction};

impl Evaluator {
    /// The scores after a post-transform; they stay scores where there is none.
    pub(super) fn transformed(
        &mut self,
        node: &Node,
        value: Value,
        transform: Transform,
    ) -> Result<Value, CompileError> {
        if transform == Transform::None {
            return Ok(value);
        }
        let value = self.behind(node, &value)?;
        let scores = operand(node, &value)?;
        let mut emitter = self.after(node);
        // The transforms work in 32 bits.
        let scores = emitter.cast(&scores, Element::F32)?;
        let group = scores.shape.last().copied().unwrap_or(1);
        let unary = |function| Op::Unary {
            function,
            argument: scores.id,
        };
        let softmax = |variant| Op::Softmax {
            variant,
            argument: scores.id,
            group,
        };
        let op = match transform {
            Transform::Logistic => unary(UnaryFunction::Sigmoid),
            Transform::Probit => unary(UnaryFunction::Probit),
            Transform::Softmax => softmax(SoftmaxKind::Softmax),
            Transform::SoftmaxZero | Transform::None => softmax(SoftmaxKind::SkipZero),
        };
        let result = emitter.push(op, Element::F32, scores.shape.clone())?;
        let result = emitter.cast(&result, value.element)?;
        let probability = matches!(transform, Transform::Logistic | Transform::Softmax);
        let facts = Facts {
            range: if probability { Range::UNIT } else { Range::ALL },
            classes: value.facts.classes,
            nonlinear: Some(node.name.clone()),
            ..Facts::default()
        };
        Ok(Value {
            element: result.element,
            shape: result.shape,
            data: Data::After(result.id),
            facts,
        })
    }

    /// 1 where the value is positive, else -1.
    pub(super) fn one_class(&mut self, node: &Node, value: &Value) -> Result<Value, CompileError> {
        let value = self.behind(node, value)?;
        let scores = operand(node, &value)?;
        let mut emitter = self.after(node);
        let [zero, plus, minus] = [
            emitter.number(scores.element, 0.0)?,
            emitter.number(scores.element, 1.0)?,
            emitter.number(scores.element, -1.0)?,
        ];
        let positive = emitter.binary(BinaryFunction::Greater, &scores, &zero)?;
        let result = emitter.choose(&positive, &plus, &minus)?;
        let facts = Facts {
            nonlinear: Some(node.name.clone()),
            ..Facts::default()
        };
        Ok(Value {
            element: result.element,
            shape: result.shape,
            data: Data::After(result.id),
            facts,
        })
    }
}
