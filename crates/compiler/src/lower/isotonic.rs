//! Isotonic calibration as the library has it.
//!
//! skl2onnx writes the table of an isotonic regression as "the point nearest to x, and its y": the
//! place of the smallest distance, looked up. scikit-learn interpolates between the points, and so
//! does the model. The table has the points, so nothing is lost but the way between them.

use super::emitter::{Emitter, Operand};
use crate::error::CompileError;
use crate::ir::Range;
use crate::read::onnx::tensor::Element;
use cipherfn_program::{
    BinaryFunction, EntryKind, Op, ReduceFunction, Tensor, UnaryFunction, ValueId,
};

impl Emitter<'_> {
    /// The value between the nearest points, if `index` is the place of the nearest one and
    /// `table` holds the points' values.
    pub(super) fn interpolated(
        &mut self,
        table: &Operand,
        index: &Operand,
    ) -> Result<Option<Operand>, CompileError> {
        let Some((argument, points)) = self.nearest(index.id) else {
            return Ok(None);
        };
        let values = self.constant_value(table).and_then(Tensor::to_f64);
        let Some(values) = values.filter(|values| values.len() == points.len()) else {
            return Ok(None);
        };
        let steps = |all: &[f64]| {
            all.windows(2)
                .map(|pair| pair[1] - pair[0])
                .collect::<Vec<_>>()
        };
        let widths = steps(&points);
        let first = values.first().copied().unwrap_or(0.0);
        if widths.is_empty() || !widths.iter().all(|width| *width > 0.0) {
            return Ok(None);
        }
        // y_0 + sum over the intervals of the part of each that lies below x, times its slope.
        let argument = self.cast(&argument, Element::F64)?;
        let [low, high, widths, rises] = [
            points[..points.len() - 1].to_vec(),
            points[1..].to_vec(),
            widths,
            steps(&values),
        ]
        .map(Tensor::F64);
        let [low, high] = [self.vector(low)?, self.vector(high)?];
        let [widths, rises] = [self.vector(widths)?, self.vector(rises)?];
        let above = self.binary(BinaryFunction::Max, &argument, &low)?;
        let inside = self.binary(BinaryFunction::Min, &above, &high)?;
        let inside = self.binary(BinaryFunction::Sub, &inside, &low)?;
        let part = self.binary(BinaryFunction::Div, &inside, &widths)?;
        let terms = self.binary(BinaryFunction::Mul, &part, &rises)?;
        let sum = self.reduce(ReduceFunction::Sum, &terms, &[], false)?;
        let first = self.number(Element::F64, first)?;
        let value = self.binary(BinaryFunction::Add, &sum, &first)?;
        // No value lies beyond the points', which tells probabilities from other numbers, and what
        // rounding adds to the sum from both.
        let limits = Range::around(&values).unwrap_or(Range::ALL);
        let [least, most] = [limits.low, limits.high].map(|end| self.number(Element::F64, end));
        let value = self.binary(BinaryFunction::Max, &value, &least?)?;
        let value = self.binary(BinaryFunction::Min, &value, &most?)?;
        self.ir.notes.push(format!(
            "{}: values between the points of an isotonic calibration are interpolated, as in the \
             library; ONNX Runtime takes the nearest point's",
            self.node.name
        ));
        Ok(Some(self.cast(&value, table.element)?))
    }

    /// The number and the points among which this is the place of the nearest one.
    fn nearest(&self, index: ValueId) -> Option<(Operand, Vec<f64>)> {
        let op = |id: ValueId| self.ir.step(id).map(|step| &step.op);
        let Op::ArgMax {
            argument, group, ..
        } = op(index)?
        else {
            return None;
        };
        let Op::Unary {
            function: UnaryFunction::Neg,
            argument: distance,
        } = op(*argument)?
        else {
            return None;
        };
        let Op::Unary {
            function: UnaryFunction::Abs,
            argument: difference,
        } = op(*distance)?
        else {
            return None;
        };
        let Op::Binary {
            function: BinaryFunction::Sub,
            left,
            right,
        } = op(*difference)?
        else {
            return None;
        };
        let points = self.ir.program.constant_value(*right)?.to_f64()?;
        let argument = self.ir.program.tensor_type(*left);
        (argument.len == 1 && points.len() == *group).then(|| {
            let element = match argument.kind {
                EntryKind::F64 => Element::F64,
                _ => Element::F32,
            };
            let operand = Operand {
                id: *left,
                element,
                shape: vec![1],
            };
            (operand, points)
        })
    }
}
