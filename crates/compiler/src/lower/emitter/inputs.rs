//! A node's inputs, and what its attributes say of them.

use super::{Emitter, Operand};
use crate::error::CompileError;
use cipherfn_program::Tensor;

impl Emitter<'_> {
    /// Input `index`, if it is there.
    pub(crate) fn optional(&self, index: usize) -> Option<Operand> {
        self.inputs.get(index).cloned().flatten()
    }

    /// Input `index`, which must be there.
    pub(crate) fn input(&self, index: usize) -> Result<Operand, CompileError> {
        self.optional(index)
            .ok_or_else(|| self.node.invalid(format!("input {index} is missing")))
    }

    /// All inputs.
    pub(crate) fn all_inputs(&self) -> Result<Vec<Operand>, CompileError> {
        (0..self.inputs.len()).map(|k| self.input(k)).collect()
    }

    pub(crate) fn constant_value(&self, operand: &Operand) -> Option<&Tensor> {
        self.ir.program.constant_value(operand.id)
    }

    /// Integers from input `index` or, in old operator sets, from an attribute; `None` if neither
    /// is there.
    pub(crate) fn integers(
        &self,
        index: usize,
        attribute: &str,
    ) -> Result<Option<Vec<i64>>, CompileError> {
        if self.node.has(attribute) {
            return Ok(Some(self.node.ints(attribute)?));
        }
        let Some(input) = self.optional(index) else {
            return Ok(None);
        };
        match self.constant_value(&input) {
            Some(Tensor::I64(integers)) => Ok(Some(integers.clone())),
            _ => Err(self.node.unsupported(
                format!("its input {index} (\"{attribute}\") is computed from the row"),
                "constants there",
            )),
        }
    }

    /// The same, where one of them must be there.
    pub(crate) fn required_integers(
        &self,
        index: usize,
        attribute: &str,
    ) -> Result<Vec<i64>, CompileError> {
        self.integers(index, attribute)?
            .ok_or_else(|| self.node.invalid(format!("\"{attribute}\" is missing")))
    }

    /// An axis, counted from the end if it is negative.
    pub(crate) fn axis(&self, axis: i64, rank: usize) -> Result<usize, CompileError> {
        self.place(axis, rank)
            .ok_or_else(|| self.outside(axis, rank))
    }

    /// The same, or the end.
    pub(crate) fn axis_or_end(&self, axis: i64, rank: usize) -> Result<usize, CompileError> {
        if usize::try_from(axis) == Ok(rank) {
            return Ok(rank);
        }
        self.axis(axis, rank)
    }

    /// A place among `size`, counted from the end if it is negative.
    #[expect(clippy::unused_self, reason = "reads like the other look-ups")]
    pub(crate) fn place(&self, place: i64, size: usize) -> Option<usize> {
        let resolved = if place < 0 {
            place.saturating_add(size as i64)
        } else {
            place
        };
        usize::try_from(resolved).ok().filter(|&place| place < size)
    }

    fn outside(&self, axis: i64, rank: usize) -> CompileError {
        self.node
            .invalid(format!("axis {axis} is outside rank {rank}"))
    }
}
