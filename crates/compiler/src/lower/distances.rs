//! Squared distances of the row from fixed points, as `|x|^2 - 2 p x + |p|^2`: linear in the row
//! and one more number that the client computes.
//!
//! The sum cancels: of a point itself it may come out below zero by what its terms were rounded by,
//! the more as the client's number has 32 bits. Functions of distances (a root, an exponential) are
//! therefore evaluated at zero there, as of the distances that libraries sum up.

use super::emitter::{Emitter, Operand, reshaped};
use crate::error::CompileError;
use crate::ir::SquaredDistances;
use crate::read::onnx::tensor::{Constant, Element};
use cipherfn_program::{BinaryFunction, ReduceFunction, Tensor};

impl Emitter<'_> {
    /// Whether an operand follows from the distances of rows.
    pub(super) fn follows_from_distances(&self, operand: &Operand) -> bool {
        let ir = &self.ir;
        let ancestors = ir.ancestors([operand.id]);
        let mut steps = ir.program.steps().iter().zip(&ancestors[ir.first_step()..]);
        steps.any(|(step, is_ancestor)| {
            let node = ir.nodes.get(&step.node);
            *is_ancestor && node.is_some_and(|node| node.operator == "Scan")
        })
    }

    /// One squared distance a point, of shape `[1, points]` in 64 bits.
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
        let distances = self.binary(BinaryFunction::Add, &sum, &own)?;
        self.ir.distances.push(SquaredDistances {
            value: distances.id,
            row: row.id,
        });
        Ok(distances)
    }
}
