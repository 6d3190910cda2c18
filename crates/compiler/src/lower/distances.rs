//! Squared distances of the row from fixed points, as `|x|^2 - 2 p x + |p|^2`: linear in the row
//! and one more number that the client computes.

use super::emitter::{Emitter, Operand, reshaped};
use crate::error::CompileError;
use crate::read::onnx::tensor::{Constant, Element};
use cipherfn_program::{BinaryFunction, ReduceFunction, Tensor};

impl Emitter<'_> {
    /// One squared distance a point, of shape `[1, points]` in 64 bits: the sum cancels.
    pub(super) fn squared_distances(
        &mut self,
        row: &Operand,
        points: &[f64],
    ) -> Result<Operand, CompileError> {
        let width = row.len();
        let count = points.len() / width.max(1);
        let row = self.cast(row, Element::F64)?;
        let row = reshaped(&row, vec![1, width]);
        let own = self.reduce(ReduceFunction::SumSquare, &row, &[1], true)?;
        let entry = |k: usize, point: usize| -2.0 * points[point * width + k];
        let entries = (0..width).flat_map(|k| (0..count).map(move |point| (k, point)));
        let products = self.constant(Constant {
            element: Element::F64,
            shape: vec![width, count],
            value: Tensor::F64(entries.map(|(k, point)| entry(k, point)).collect()),
        })?;
        let products = self.mat_mul(&row, &products)?;
        let squares = points.chunks(width.max(1));
        let squares = squares.map(|point| point.iter().map(|x| x * x).sum());
        let squares = self.vector(Tensor::F64(squares.collect()))?;
        let sum = self.binary(BinaryFunction::Add, &products, &squares)?;
        self.binary(BinaryFunction::Add, &sum, &own)
    }
}
