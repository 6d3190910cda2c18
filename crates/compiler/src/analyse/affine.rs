//! Operations that keep values affine in features and targets.

use crate::error::CompileError;
use crate::ir::{Combination, Ir, LinearMap};
use cipherfn_program::{
    BinaryFunction, EntryKind, Op, ReduceFunction, Tensor, UnaryFunction, ValueId,
};
use std::borrow::Cow;
use std::rc::Rc;

/// Most terms of all combinations of one value.
const MAX_TERMS: usize = 1 << 21;
/// Most terms that are worked on, over all values.
const MAX_WORK: usize = 1 << 25;

/// An argument of an operation: one combination an entry, or a constant.
pub(crate) enum Argument<'a> {
    Affine(Rc<[Combination]>),
    Constant(&'a Tensor),
}

impl Argument<'_> {
    /// `None` for texts.
    fn entries(&self) -> Option<Cow<'_, [Combination]>> {
        match self {
            Self::Affine(entries) => Some(Cow::Borrowed(entries)),
            Self::Constant(value) => {
                let numbers = value.to_f64()?.into_iter();
                Some(numbers.map(Combination::of_constant).collect())
            }
        }
    }
}

/// The affine domain, within a bound on all work in it.
pub(crate) struct AffineDomain<'a> {
    ir: &'a Ir,
    budget: usize,
}

impl<'a> AffineDomain<'a> {
    pub(crate) fn new(ir: &'a Ir) -> Self {
        Self {
            ir,
            budget: MAX_WORK,
        }
    }

    /// The result of an operation on at least one affine argument; `None` where it is not affine.
    pub(crate) fn apply(
        &mut self,
        id: ValueId,
        op: &Op,
        arguments: &[Argument<'_>],
    ) -> Result<Option<Rc<[Combination]>>, CompileError> {
        // Conversions between floats round less than encryption does.
        if let (Op::Cast { kind, .. }, [Argument::Affine(entries)]) = (op, arguments) {
            let float = matches!(kind, EntryKind::F32 | EntryKind::F64);
            return Ok(float.then(|| Rc::clone(entries)));
        }
        if !is_candidate(op) {
            return Ok(None);
        }
        let parts = arguments.iter().map(Argument::entries);
        let Some(parts) = parts.collect::<Option<Vec<_>>>() else {
            return Ok(None);
        };
        self.charge(id, parts.iter().map(|part| size(part)).sum())?;
        let result = match (op, parts.as_slice()) {
            (Op::Concat(_), parts) => Some(parts.iter().flat_map(|part| part.to_vec()).collect()),
            (Op::Select { entries, .. }, [source]) => Some(self.select(id, source, entries)?),
            (Op::Unary { .. }, [argument]) => {
                Some(argument.iter().map(|own| own.scaled(-1.0)).collect())
            }
            (Op::Binary { function, .. }, [left, right]) => {
                self.binary(id, *function, left, right)?
            }
            (
                Op::MatMul {
                    rows,
                    inner,
                    columns,
                    ..
                },
                [left, right],
            ) => self.product(id, left, right, [*rows, *inner, *columns])?,
            (
                Op::Reduce {
                    function, group, ..
                },
                [argument],
            ) => {
                let factor = match function {
                    ReduceFunction::Mean => 1.0 / *group as f64,
                    _ => 1.0,
                };
                let groups = argument.chunks(*group);
                let sum = |own: &[Combination]| Combination::sum(own.iter().map(|x| (x, factor)));
                Some(groups.map(sum).collect())
            }
            _ => None,
        };
        if let Some(result) = &result {
            self.charge(id, size(result))?;
        }
        Ok(result.map(Rc::from))
    }

    /// Linear functions of combinations.
    pub(crate) fn map(
        &mut self,
        id: ValueId,
        features: &[Combination],
        map: &LinearMap,
    ) -> Result<Rc<[Combination]>, CompileError> {
        self.charge(id, size(features).saturating_mul(map.weights.len()))?;
        let function = |(weights, &intercept): (&Vec<f64>, &f64)| {
            let mut sum = Combination::sum(features.iter().zip(weights.iter().copied()));
            sum.constant += intercept;
            sum
        };
        Ok(map
            .weights
            .iter()
            .zip(&map.intercepts)
            .map(function)
            .collect())
    }

    fn select(
        &self,
        id: ValueId,
        source: &[Combination],
        entries: &[u32],
    ) -> Result<Vec<Combination>, CompileError> {
        let own = |&entry: &u32| &source[entry as usize];
        let terms: usize = entries.iter().map(|entry| own(entry).terms.len()).sum();
        self.bound(id, terms, "result")?;
        Ok(entries.iter().map(own).cloned().collect())
    }

    /// Sums, and products with constants.
    fn binary(
        &self,
        id: ValueId,
        function: BinaryFunction,
        left: &[Combination],
        right: &[Combination],
    ) -> Result<Option<Vec<Combination>>, CompileError> {
        let len = if left.len() == 1 {
            right.len()
        } else {
            left.len()
        };
        let repeated = [left, right].into_iter().filter(|side| side.len() == 1);
        self.bound(
            id,
            repeated.map(size).sum::<usize>().saturating_mul(len),
            "result",
        )?;
        let pairs = || left.iter().cycle().zip(right.iter().cycle()).take(len);
        let sum = |factor: f64| {
            let sums = pairs().map(|(l, r)| Combination::sum([(l, 1.0), (r, factor)]));
            Ok(Some(sums.collect()))
        };
        if matches!(function, BinaryFunction::Add | BinaryFunction::Sub) {
            let addends = [left, right].into_iter().filter_map(constants);
            for addends in addends {
                self.finite(id, "addend", &addends)?;
            }
        }
        let (scores, factors) = match (function, constants(right), constants(left)) {
            (BinaryFunction::Add, ..) => return sum(1.0),
            (BinaryFunction::Sub, ..) => return sum(-1.0),
            (BinaryFunction::Mul, Some(factors), _) => (left, factors),
            (BinaryFunction::Mul, None, Some(factors)) => (right, factors),
            (BinaryFunction::Div, Some(factors), _) => {
                (left, factors.into_iter().map(|x| 1.0 / x).collect())
            }
            _ => return Ok(None),
        };
        self.finite(id, "factor", &factors)?;
        let scaled = scores.iter().cycle().zip(factors.iter().cycle()).take(len);
        Ok(Some(scaled.map(|(own, &x)| own.scaled(x)).collect()))
    }

    /// Product with a constant matrix.
    fn product(
        &self,
        id: ValueId,
        left: &[Combination],
        right: &[Combination],
        [rows, inner, columns]: [usize; 3],
    ) -> Result<Option<Vec<Combination>>, CompileError> {
        let Some(weights) = constants(right) else {
            return Ok(None);
        };
        self.finite(id, "weights", &weights)?;
        self.bound(id, size(left).saturating_mul(columns), "product")?;
        let mut product = Vec::with_capacity(rows.saturating_mul(columns));
        for row in left.chunks(inner.max(1)).take(rows) {
            for column in 0..columns {
                let weight = |k: usize| weights[k * columns + column];
                let terms = row.iter().enumerate().map(|(k, x)| (x, weight(k)));
                product.push(Combination::sum(terms));
            }
        }
        Ok(Some(product))
    }

    fn bound(&self, id: ValueId, terms: usize, what: &str) -> Result<(), CompileError> {
        if terms > MAX_TERMS {
            let problem = format!("its {what} has more than {MAX_TERMS} weights");
            return Err(self.ir.invalid(id, problem));
        }
        Ok(())
    }

    fn finite(&self, id: ValueId, name: &str, numbers: &[f64]) -> Result<(), CompileError> {
        match numbers.iter().position(|x| !x.is_finite()) {
            None => Ok(()),
            Some(at) => {
                let problem = format!(
                    "entry {at} of \"{name}\" is {}, not a finite number",
                    numbers[at]
                );
                Err(self.ir.invalid(id, problem))
            }
        }
    }

    fn charge(&mut self, id: ValueId, work: usize) -> Result<(), CompileError> {
        let left = self.budget.checked_sub(work).ok_or_else(|| {
            let problem = "the graph works on scores too often, or on too many at once";
            self.ir.invalid(id, problem)
        })?;
        self.budget = left;
        Ok(())
    }
}

/// Whether the operation is affine in an argument for some values of the others.
pub(crate) fn is_candidate(op: &Op) -> bool {
    match op {
        Op::Concat(_) | Op::Select { .. } | Op::MatMul { .. } => true,
        Op::Unary { function, .. } => *function == UnaryFunction::Neg,
        Op::Binary { function, .. } => matches!(
            function,
            BinaryFunction::Add | BinaryFunction::Sub | BinaryFunction::Mul | BinaryFunction::Div
        ),
        Op::Reduce {
            function, group, ..
        } => *group > 0 && matches!(function, ReduceFunction::Sum | ReduceFunction::Mean),
        _ => false,
    }
}

fn size(entries: &[Combination]) -> usize {
    entries.iter().map(Combination::size).sum()
}

fn constants(entries: &[Combination]) -> Option<Vec<f64>> {
    entries.iter().map(Combination::as_constant).collect()
}

#[cfg(test)]
mod tests {
    use crate::analyse::place::Place;
    use crate::analyse::places::places;
    use crate::ir::{Atom, Combination, Ir};
    use cipherfn_program::{BinaryFunction, Op, ReduceFunction, UnaryFunction};

    fn combinations(ir: &Ir) -> Option<Vec<Combination>> {
        let places = places(ir).unwrap().places;
        match &places[ir.outputs[0].value.index()] {
            Place::Affine(entries) => Some(entries.to_vec()),
            _ => None,
        }
    }

    const fn target(target: u32) -> Atom {
        let estimator = 0;
        Atom::Target { estimator, target }
    }

    #[test]
    fn sums_scales_and_reductions_are_combinations() {
        let mut ir = Ir::sample();
        let tree = ir.stump(&[1.0, 2.0], &[3.0, 4.0]);
        let (factors, offset) = (ir.numbers(&[2.0, -1.0]), ir.numbers(&[0.5]));
        let scaled = ir.binary(BinaryFunction::Mul, factors, tree);
        let moved = ir.binary(BinaryFunction::Sub, offset, scaled);
        let mean = ir.add(Op::Reduce {
            function: ReduceFunction::Mean,
            argument: moved,
            group: 2,
        });
        let expected = Combination::of_terms(0.5, vec![(target(0), -1.0), (target(1), 0.5)]);
        assert_eq!(combinations(&ir.giving(mean)), Some(vec![expected]));
    }

    #[test]
    fn products_of_scores_and_links_are_not_affine() {
        let mut ir = Ir::sample();
        let tree = ir.stump(&[1.0], &[3.0]);
        let square = ir.binary(BinaryFunction::Mul, tree, tree);
        let link = ir.add(Op::Unary {
            function: UnaryFunction::Exp,
            argument: tree,
        });
        let ir = ir.giving(square);
        assert_eq!(combinations(&ir), None);
        assert_eq!(combinations(&ir.giving(link)), None);
    }

    #[test]
    fn factors_must_be_finite() {
        let mut ir = Ir::sample();
        let (tree, zero) = (ir.stump(&[1.0], &[3.0]), ir.numbers(&[0.0]));
        let quotient = ir.binary(BinaryFunction::Div, tree, zero);
        let error = places(&ir.giving(quotient)).err().unwrap().to_string();
        assert!(error.contains("entry 0 of \"factor\" is inf"), "{error}");
    }
}
