//! Carrying values behind the estimator.

use super::{Evaluator, MAX_WORK};
use crate::error::CompileError;
use crate::onnx::emitter::{Emitter, Operand};
use crate::onnx::estimator::materialise;
use crate::onnx::range::Range;
use crate::onnx::scores::Scores;
use crate::onnx::value::{Data, Value};
use crate::read::onnx::node::Node;
use crate::read::onnx::tensor::{Constant, Element};
use cipherfn_program::Tensor;

impl Evaluator {
    /// The value as one behind the estimator.
    pub(crate) fn behind(&mut self, node: &Node, value: &Value) -> Result<Value, CompileError> {
        match &value.data {
            Data::After(_) | Data::Map(_) => Ok(value.clone()),
            Data::Before(id) => {
                let Some(constant) = self.before.constant_value(*id).cloned() else {
                    let supported = "outputs that depend on the row through the estimator alone";
                    return Err(node.unsupported(
                        "it joins the row's own values with the estimator's result",
                        supported,
                    ));
                };
                let constant = Constant {
                    element: value.element,
                    shape: value.shape.clone(),
                    value: constant,
                };
                let operand = self.after(node).constant(constant)?;
                Ok(Value {
                    data: Data::After(operand.id),
                    ..value.clone()
                })
            }
            Data::Scores(scores) => {
                let mut facts = value.facts.clone();
                self.charge(node, scores.size())?;
                facts.range = self.range_of(scores);
                let mut emitter = Emitter {
                    builder: &mut self.after,
                    node,
                    opset: self.opset,
                };
                let result = match materialise(&mut self.collected, &mut emitter, &scores.entries)?
                {
                    Some(id) => Operand {
                        id,
                        element: Element::F64,
                        shape: scores.shape.clone(),
                    },
                    None => emitter.constant(Constant {
                        element: Element::F64,
                        shape: scores.shape.clone(),
                        value: Tensor::F64(Vec::new()),
                    })?,
                };
                let result = emitter.cast(&result, value.element)?;
                Ok(Value {
                    element: value.element,
                    shape: result.shape,
                    data: Data::After(result.id),
                    facts,
                })
            }
        }
    }

    /// Range of sums of trees over all leaves, where it takes no longer than it is worth.
    fn range_of(&self, scores: &Scores) -> Range {
        if self
            .collected
            .tree_nodes()
            .saturating_mul(scores.entries.len())
            > MAX_WORK
        {
            return Range::ALL;
        }
        let ranges = scores
            .entries
            .iter()
            .map(|entry| self.collected.bounds(entry))
            .collect::<Option<Vec<_>>>();
        ranges
            .and_then(|ranges| ranges.into_iter().reduce(Range::or))
            .unwrap_or(Range::ALL)
    }
}
