//! Intervals that values lie in by construction, over all leaves of the trees: they tell
//! probabilities from other scores.

use super::place::Place;
use crate::ir::{Atom, Combination, Function, Ir, Range};
use cipherfn_program::{
    BinaryFunction as B, Norm, Op, ReduceFunction, SoftmaxKind, Tensor, UnaryFunction as U, ValueId,
};
use std::collections::BTreeMap;

/// Most leaves that are looked at for one value.
const MAX_WORK: usize = 1 << 25;

/// The range of every value, by id. Those of affine values that lie on no `boundary` are left
/// open: nothing asks for them, and trees have many leaves.
pub(crate) fn ranges(ir: &Ir, places: &[Place], boundary: &[bool]) -> Vec<Range> {
    let mut pass = RangesPass {
        ir,
        ranges: Vec::with_capacity(places.len()),
        sums: Vec::with_capacity(places.len()),
    };
    for (index, place) in places.iter().enumerate() {
        let id = ValueId(index as u32);
        let range = match (place, ir.step(id)) {
            (Place::Constant, _) => pass.constant(id),
            (Place::Affine(entries), _) if boundary[index] => pass.leaves(entries),
            (Place::Behind { .. }, Some(step)) => pass.range(&step.op),
            _ => Range::ALL,
        };
        let sum = ir
            .step(id)
            .map_or(SumRelation::Other, |step| pass.sum(&step.op));
        pass.ranges.push(range);
        pass.sums.push(sum);
    }
    pass.ranges
}

/// How a value relates to the sum of another one. Exporters divide by a sum after adding an
/// indicator that the sum is zero, to the sum and sometimes to the parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SumRelation {
    Other,
    /// The sum of this value's entries, or that plus an indicator that the sum is zero.
    Of(ValueId),
    /// Whether the sum of this value's entries is not zero.
    NotZero(ValueId),
    /// Whether it is zero.
    Zero(ValueId),
    /// The logarithm of the sum of the exponentials of this value's entries, none of which exceeds
    /// it.
    Log(ValueId),
    /// This value plus an indicator that its sum is zero.
    Guarded(ValueId),
}

struct RangesPass<'a> {
    ir: &'a Ir,
    ranges: Vec<Range>,
    sums: Vec<SumRelation>,
}

impl RangesPass<'_> {
    fn of(&self, id: ValueId) -> Range {
        self.ranges[id.index()]
    }

    fn sum_of(&self, id: ValueId) -> SumRelation {
        self.sums[id.index()]
    }

    fn constant(&self, id: ValueId) -> Range {
        let entries = self.ir.program.constant_value(id).and_then(Tensor::to_f64);
        let range = entries.and_then(|entries| Range::around(&entries));
        range.unwrap_or(Range::ALL)
    }

    fn range(&self, op: &Op) -> Range {
        let union = |ids: &[ValueId]| {
            let ranges = ids.iter().map(|id| self.of(*id));
            ranges.reduce(Range::or).unwrap_or(Range::ALL)
        };
        match op {
            Op::Concat(parts) => union(parts),
            Op::Select { source, .. } if *source == self.ir.results() => Range::ALL,
            Op::Select { source, .. } | Op::Cast { source, .. } => self.of(*source),
            Op::Where { yes, no, .. } => union(&[*yes, *no]),
            Op::Pick { table, .. } => self.of(*table),
            Op::Unary { function, argument } => unary(*function, self.of(*argument)),
            Op::Binary {
                function: B::Div,
                left,
                right,
            } if self.is_share(*left, *right) => Range::UNIT,
            Op::Binary {
                function: B::Sub,
                left,
                right,
            } if self.sum_of(*right) == SumRelation::Log(*left) => Range::NONPOSITIVE,
            Op::Binary {
                function,
                left,
                right,
            } => binary(*function, self.of(*left), self.of(*right)),
            Op::Reduce {
                function,
                argument,
                group,
            } => match function {
                ReduceFunction::L1 | ReduceFunction::L2 | ReduceFunction::SumSquare => {
                    Range::NONNEGATIVE
                }
                ReduceFunction::Mean | ReduceFunction::Max | ReduceFunction::Min => {
                    self.of(*argument)
                }
                ReduceFunction::Sum => self.of(*argument).times(*group as f64),
                ReduceFunction::Product | ReduceFunction::LogSumExp => Range::ALL,
            },
            Op::Softmax { variant, .. } if *variant == SoftmaxKind::Softmax => Range::UNIT,
            Op::Normalize { norm, argument, .. }
                if *norm != Norm::Max && self.of(*argument).low >= 0.0 =>
            {
                Range::UNIT
            }
            _ => Range::ALL,
        }
    }

    /// Whether `part` is not negative and `whole` is the sum of its entries.
    fn is_share(&self, part: ValueId, whole: ValueId) -> bool {
        let SumRelation::Of(parts) = self.sum_of(whole) else {
            return false;
        };
        self.of(part).low >= 0.0
            && (parts == part || self.sum_of(part) == SumRelation::Guarded(parts))
    }

    fn sum(&self, op: &Op) -> SumRelation {
        let zero = |id: &ValueId| self.constant(*id) == Range::of(0.0);
        match op {
            Op::Reduce {
                function: ReduceFunction::Sum | ReduceFunction::L1,
                argument,
                group,
            } if *group == self.ir.program.tensor_type(*argument).len => SumRelation::Of(*argument),
            Op::Reduce {
                function: ReduceFunction::LogSumExp,
                argument,
                group,
            } if *group == self.ir.program.tensor_type(*argument).len => {
                SumRelation::Log(*argument)
            }
            Op::Cast { source, .. } | Op::Select { source, .. } => self.sum_of(*source),
            Op::Unary {
                function: U::Not,
                argument,
            } => match self.sum_of(*argument) {
                SumRelation::NotZero(parts) => SumRelation::Zero(parts),
                _ => SumRelation::Other,
            },
            Op::Binary {
                function,
                left,
                right,
            } => match (function, self.sum_of(*left), self.sum_of(*right)) {
                (B::NotEqual, SumRelation::Of(parts), _) if zero(right) => {
                    SumRelation::NotZero(parts)
                }
                (B::Equal, SumRelation::Of(parts), _) if zero(right) => SumRelation::Zero(parts),
                (B::Mul, SumRelation::Zero(parts), _) if self.of(*right).low >= 0.0 => {
                    SumRelation::Zero(parts)
                }
                (B::Add, own, SumRelation::Zero(parts)) => guarded(own, *left, parts),
                (B::Add, SumRelation::Zero(parts), own) => guarded(own, *right, parts),
                _ => SumRelation::Other,
            },
            _ => SumRelation::Other,
        }
    }

    /// Range of sums of trees over all leaves, where it takes no longer than it is worth.
    fn leaves(&self, entries: &[Combination]) -> Range {
        let nodes: usize = self.ir.ensembles().map(crate::ir::Ensemble::nodes).sum();
        if nodes.saturating_mul(entries.len()) > MAX_WORK {
            return Range::ALL;
        }
        let ranges = entries.iter().map(|entry| self.bounds(entry));
        ranges.reduce(Range::or).unwrap_or(Range::ALL)
    }

    fn bounds(&self, combination: &Combination) -> Range {
        let mut range = Range::of(combination.constant);
        let mut factors: BTreeMap<u32, BTreeMap<u32, f64>> = BTreeMap::new();
        for &(atom, factor) in &combination.terms {
            let Atom::Target { estimator, target } = atom else {
                return Range::ALL;
            };
            factors.entry(estimator).or_default().insert(target, factor);
        }
        for (estimator, factors) in factors {
            let Function::Trees(ensemble) = &self.ir.estimators[estimator as usize].function else {
                return Range::ALL;
            };
            let weigh = |leaf: &[(u32, f64)]| {
                let own = |&(target, x): &(u32, f64)| {
                    factors.get(&target).map_or(0.0, |factor| factor * x)
                };
                leaf.iter().map(own).sum()
            };
            range = range.add(ensemble.bounds(weigh));
        }
        range
    }
}

/// A value plus an indicator that the sum of `parts` is zero.
fn guarded(own: SumRelation, value: ValueId, parts: ValueId) -> SumRelation {
    if value == parts {
        SumRelation::Guarded(parts)
    } else if own == SumRelation::Of(parts) {
        own
    } else {
        SumRelation::Other
    }
}

fn unary(function: U, argument: Range) -> Range {
    match function {
        U::Exp => argument.exp(),
        U::Softplus | U::Sqrt => Range::NONNEGATIVE,
        U::Abs => argument.abs(),
        U::Neg => Range::of(0.0).sub(argument),
        U::Reciprocal => Range::of(1.0).div(argument),
        U::Sigmoid | U::Not | U::IsNan | U::IsInf => Range::UNIT,
        _ => Range::ALL,
    }
}

fn binary(function: B, left: Range, right: Range) -> Range {
    match function {
        B::Add => left.add(right),
        B::Sub => left.sub(right),
        B::Mul => left.mul(right),
        B::Div => left.div(right),
        B::Max => left.max(right),
        B::Min => left.min(right),
        B::Pow | B::Mod => Range::ALL,
        B::Equal
        | B::NotEqual
        | B::Less
        | B::LessOrEqual
        | B::Greater
        | B::GreaterOrEqual
        | B::And
        | B::Or
        | B::Xor => Range::UNIT,
    }
}

#[cfg(test)]
mod tests {
    use super::ranges;
    use crate::analyse::places::places;
    use crate::ir::{Ir, Range};
    use cipherfn_program::{BinaryFunction, Op, ReduceFunction, UnaryFunction};

    /// The range of the model's output, whose affine values all lie on the boundary.
    fn range(ir: &Ir) -> Range {
        let places = places(ir).unwrap().places;
        ranges(ir, &places, &vec![true; places.len()])[ir.outputs[0].value.index()]
    }

    #[test]
    fn sums_of_trees_range_over_their_leaves() {
        let mut ir = Ir::sample();
        let tree = ir.stump(&[1.0], &[-3.0]);
        let offset = ir.numbers(&[0.5]);
        let sum = ir.binary(BinaryFunction::Add, tree, offset);
        let expected = Range {
            low: -2.5,
            high: 1.5,
        };
        assert_eq!(range(&ir.giving(sum)), expected);
    }

    #[test]
    fn links_and_shares_are_probabilities() {
        let mut ir = Ir::sample();
        let argument = ir.stump(&[1.0, 2.0], &[-3.0, 0.0]);
        let function = UnaryFunction::Exp;
        let parts = ir.add(Op::Unary { function, argument });
        let whole = ir.add(Op::Reduce {
            function: ReduceFunction::Sum,
            argument: parts,
            group: 2,
        });
        // The exporters' guard against a sum of zero.
        let zero = ir.numbers(&[0.0]);
        let is_zero = ir.binary(BinaryFunction::Equal, whole, zero);
        let kind = cipherfn_program::EntryKind::F32;
        let source = is_zero;
        let is_zero = ir.add(Op::Cast { source, kind });
        let whole = ir.binary(BinaryFunction::Add, whole, is_zero);
        let share = ir.binary(BinaryFunction::Div, parts, whole);
        let other = ir.binary(BinaryFunction::Div, whole, parts);
        let ir = ir.giving(share);
        assert_eq!(range(&ir), Range::UNIT);
        assert!(!range(&ir.giving(other)).is_probability());
    }

    #[test]
    fn exponentials_over_their_sum_are_probabilities_in_logarithms_too() {
        let mut ir = Ir::sample();
        let scores = ir.stump(&[1.0, 2.0], &[-3.0, 0.0]);
        let whole = ir.add(Op::Reduce {
            function: ReduceFunction::LogSumExp,
            argument: scores,
            group: 2,
        });
        let function = UnaryFunction::Exp;
        let argument = ir.binary(BinaryFunction::Sub, scores, whole);
        let share = ir.add(Op::Unary { function, argument });
        let argument = ir.binary(BinaryFunction::Sub, whole, scores);
        let other = ir.add(Op::Unary { function, argument });
        let ir = ir.giving(share);
        assert_eq!(range(&ir), Range::UNIT);
        assert!(!range(&ir.giving(other)).is_probability());
    }

    #[test]
    fn what_is_picked_ranges_over_the_table() {
        let mut ir = Ir::sample();
        let scores = ir.stump(&[1.0, 0.0], &[0.0, 1.0]);
        let index = ir.add(Op::ArgMax {
            argument: scores,
            group: 2,
            last: false,
        });
        let table = ir.numbers(&[0.25, 0.75]);
        let inner = 1;
        let picked = ir.add(Op::Pick {
            table,
            index,
            inner,
        });
        let expected = Range {
            low: 0.25,
            high: 0.75,
        };
        assert_eq!(range(&ir.giving(picked)), expected);
    }
}
