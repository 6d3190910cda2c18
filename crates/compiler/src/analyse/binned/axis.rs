//! A number of the row, cut into the bins that comparisons tell apart.

use crate::error::CompileError;
use crate::ir::Ir;
use cipherfn_program::{
    BinaryFunction, EntryKind, Op, ProgramBuilder, ReduceFunction, Tensor, UnaryFunction, ValueId,
    round_down,
};
use std::hash::{Hash, Hasher};

/// Integers up to here are 32-bit floats.
const MAX_INTEGER: u64 = 1 << 24;

/// A number and where its bins end.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Axis {
    /// One 32-bit or 64-bit float, or an integer that stands for a category.
    pub(super) source: ValueId,
    /// Bin `i` ends with `splits[i]`; increasing, finite. The last bin has no end.
    pub(super) splits: Vec<f64>,
    /// Whether there is one more bin, of missing values.
    pub(super) has_missing: bool,
}

impl Eq for Axis {}

impl Hash for Axis {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.source.hash(state);
        let bits = self.splits.iter().map(|split| split.to_bits());
        bits.collect::<Vec<u64>>().hash(state);
    }
}

/// A comparison of a number with constants.
pub(super) struct EdgeComparison<'a> {
    /// The number, a single entry.
    pub(super) number: ValueId,
    function: BinaryFunction,
    constants: &'a Tensor,
}

impl<'a> EdgeComparison<'a> {
    /// The comparison that a step is, as one with the number on the left.
    pub(super) fn of(ir: &'a Ir, op: &Op) -> Option<Self> {
        use BinaryFunction as F;
        let Op::Binary {
            function,
            left,
            right,
        } = op
        else {
            return None;
        };
        let mirrored = match function {
            F::Less => F::Greater,
            F::LessOrEqual => F::GreaterOrEqual,
            F::Greater => F::Less,
            F::GreaterOrEqual => F::LessOrEqual,
            F::Equal | F::NotEqual => *function,
            _ => return None,
        };
        let constant = |id: &ValueId| ir.program.constant_value(*id);
        let (number, function, constants) = match (constant(left), constant(right)) {
            (None, Some(constants)) => (*left, *function, constants),
            (Some(constants), None) => (*right, mirrored, constants),
            _ => return None,
        };
        let found = ir.program.tensor_type(number);
        let is_number = found.len == 1 && matches!(found.kind, EntryKind::F32 | EntryKind::F64);
        is_number.then_some(Self {
            number,
            function,
            constants,
        })
    }

    /// Kind of the number.
    pub(super) fn kind(&self) -> EntryKind {
        self.constants.kind()
    }

    /// The largest numbers on one side of what it asks; `None` if negative infinity is a bin of its
    /// own, which no split is.
    pub(super) fn splits(&self) -> Option<Vec<f64>> {
        use BinaryFunction as F;
        let below = |constant: f64| match self.constants {
            Tensor::F32(_) => f64::from((constant as f32).next_down()),
            _ => constant.next_down(),
        };
        let constants = self.constants.to_f64()?.into_iter();
        let constants = constants.filter(|constant| !constant.is_nan());
        // Zeros of both signs are equal.
        let constants: Vec<f64> = constants.map(|constant| constant + 0.0).collect();
        let at = || constants.iter().copied();
        let splits: Vec<f64> = match self.function {
            F::Less | F::GreaterOrEqual => at().map(below).collect(),
            F::LessOrEqual | F::Greater => at().collect(),
            _ => at().chain(at().map(below)).collect(),
        };
        let is_cut = |split: f64| split == f64::NEG_INFINITY;
        let asks_for_infinity = match self.function {
            F::Less | F::GreaterOrEqual => false,
            _ => splits.iter().copied().any(is_cut),
        };
        (!asks_for_infinity).then(|| splits.into_iter().filter(|own| own.is_finite()).collect())
    }
}

impl Axis {
    /// Of a float, with splits in any order.
    pub(super) fn of_number(source: ValueId, mut splits: Vec<f64>) -> Self {
        splits.sort_by(f64::total_cmp);
        splits.dedup();
        Self {
            source,
            splits,
            has_missing: true,
        }
    }

    /// Of an integer that is one of these. Floats of 32 bits must hold them.
    pub(super) fn of_category(source: ValueId, mut values: Vec<i64>) -> Option<Self> {
        values.sort_unstable();
        values.dedup();
        let fits = values.iter().all(|own| own.unsigned_abs() <= MAX_INTEGER);
        let splits = values.iter().map(|own| *own as f64);
        fits.then(|| Self {
            source,
            splits: splits.take(values.len().saturating_sub(1)).collect(),
            has_missing: false,
        })
    }

    /// A number of each bin, the missing one last; `last` is one of the last bin.
    pub(super) fn representatives(&self, kind: EntryKind, last: f64) -> Vec<Tensor> {
        let number = |x: f64| match kind {
            EntryKind::F32 => Tensor::F32(vec![x as f32]),
            EntryKind::F64 => Tensor::F64(vec![x]),
            _ => Tensor::I64(vec![x as i64]),
        };
        let missing = self.has_missing.then_some(f64::NAN);
        let numbers = self.splits.iter().copied().chain([last]).chain(missing);
        numbers.map(number).collect()
    }

    /// The 32-bit feature that trees ask, from the number `source`, and the splits of it.
    pub(super) fn feature(
        &self,
        program: &mut ProgramBuilder,
        node: &str,
        source: ValueId,
    ) -> Result<(ValueId, Vec<f32>), CompileError> {
        let kind = program.tensor_type(source).kind;
        let rounded: Vec<f32> = self.splits.iter().map(|split| round_down(*split)).collect();
        if kind != EntryKind::F64 {
            return Ok((program.cast(node, source, EntryKind::F32)?, rounded));
        }
        let is_distinct = rounded.iter().all(|split| split.is_finite())
            && rounded.windows(2).all(|pair| pair[0] < pair[1]);
        if is_distinct {
            let narrow = Op::Narrow {
                argument: source,
                splits: vec![self.splits.clone()],
            };
            return Ok((program.push(node, narrow)?, rounded));
        }
        // What 32 bits cannot tell apart: how many splits the number exceeds.
        let ranks = (0..self.splits.len()).map(|rank| rank as f32).collect();
        Ok((self.rank(program, node, source)?, ranks))
    }

    fn rank(
        &self,
        program: &mut ProgramBuilder,
        node: &str,
        source: ValueId,
    ) -> Result<ValueId, CompileError> {
        let exceeds = Op::Binary {
            function: BinaryFunction::Greater,
            left: source,
            right: program.constant(node, Tensor::F64(self.splits.clone()))?,
        };
        let count = Op::Reduce {
            function: ReduceFunction::Sum,
            argument: program.push(node, exceeds)?,
            group: self.splits.len(),
        };
        let count = program.push(node, count)?;
        let count = program.cast(node, count, EntryKind::F32)?;
        let is_missing = Op::Unary {
            function: UnaryFunction::IsNan,
            argument: source,
        };
        let choose = Op::Where {
            condition: program.push(node, is_missing)?,
            yes: program.constant(node, Tensor::F32(vec![f32::NAN]))?,
            no: count,
        };
        Ok(program.push(node, choose)?)
    }
}
