//! The largest of several values between two layers: `max(a, b) = (a + b + |a - b|) / 2`, pair by
//! pair and round by round, so that it takes functions of one form each.

use crate::error::CompileError;
use crate::ir::{Atom, AtomKind, Combination, EstimatorCall, Function, Ir, Lookups};
use cipherfn_program::{
    BinaryFunction, EntryKind, Op, ProgramBuilder, ReduceFunction, RowProgram, TensorType,
    UnaryFunction, ValueId,
};
use std::collections::HashMap;
use std::rc::Rc;

/// Largest or smallest values.
pub(super) struct Maxima {
    /// 1 for the largest, -1 for the smallest.
    sign: f64,
    /// Number of consecutive entries of the one argument; `None` for entries of two arguments.
    group: Option<usize>,
}

impl Maxima {
    /// `None` for any other operation.
    pub(super) const fn of(op: &Op) -> Option<Self> {
        let (sign, group) = match op {
            Op::Binary { function, .. } => match function {
                BinaryFunction::Max => (1.0, None),
                BinaryFunction::Min => (-1.0, None),
                _ => return None,
            },
            Op::Reduce {
                function, group, ..
            } => match function {
                ReduceFunction::Max => (1.0, Some(*group)),
                ReduceFunction::Min => (-1.0, Some(*group)),
                _ => return None,
            },
            _ => return None,
        };
        Some(Self { sign, group })
    }

    /// The results of step `id`, over absolute values that are put behind the estimators in `made`.
    pub(super) fn combinations(
        &self,
        ir: &Ir,
        id: ValueId,
        arguments: &[Rc<[Combination]>],
        made: &mut Vec<EstimatorCall>,
    ) -> Result<Option<Rc<[Combination]>>, CompileError> {
        let atoms = arguments.iter().flat_map(|own| own.iter());
        let mut atoms = atoms.flat_map(|own| &own.terms);
        if atoms.any(|(atom, _)| {
            matches!(
                atom.kind(),
                AtomKind::Trees | AtomKind::Votes | AtomKind::Choices
            )
        }) {
            return Ok(None);
        }
        let len = ir.program.tensor_type(id).len;
        let mut groups: Vec<Vec<Combination>> = match (self.group, arguments) {
            (Some(group), [own]) if group > 0 => own.chunks(group).map(<[_]>::to_vec).collect(),
            (None, [left, right]) => {
                let entries = left.iter().cycle().zip(right.iter().cycle()).take(len);
                entries.map(|(l, r)| vec![l.clone(), r.clone()]).collect()
            }
            _ => return Ok(None),
        };
        let functions: usize = groups
            .iter()
            .map(|group| group.len().saturating_sub(1))
            .sum();
        let before = made.iter().map(|call| match &call.function {
            Function::Lookups(own) => own.forms.len(),
            Function::Trees(_)
            | Function::Linear(_)
            | Function::Nearest(_)
            | Function::Stacked(_) => 0,
        });
        let node = ir.step(id).map_or("", |step| &step.node);
        CompileError::check_functions(node, before.sum::<usize>() + functions)?;
        while groups.iter().any(|group| group.len() > 1) {
            self.round(ir, id, &mut groups, made)?;
        }
        Ok(Some(groups.into_iter().flatten().collect()))
    }

    /// Halves the groups.
    fn round(
        &self,
        ir: &Ir,
        id: ValueId,
        groups: &mut [Vec<Combination>],
        made: &mut Vec<EstimatorCall>,
    ) -> Result<(), CompileError> {
        let estimator = (ir.estimators.len() + made.len()) as u32;
        let mut forms: Vec<Combination> = Vec::new();
        let mut known: HashMap<Vec<(Option<Atom>, u64)>, usize> = HashMap::new();
        for group in groups.iter_mut() {
            let mut larger = |pair: &[Combination]| {
                let [a, b] = pair else {
                    return pair[0].clone();
                };
                let difference = Combination::sum([(a, 1.0), (b, -1.0)]);
                if let Some(difference) = difference.as_constant() {
                    let chosen = if self.sign * difference >= 0.0 { a } else { b };
                    return chosen.clone();
                }
                let entry = *known.entry(bits(&difference)).or_insert_with(|| {
                    forms.push(difference);
                    forms.len() - 1
                });
                let size = Combination::of_look_up(estimator, entry as u32);
                Combination::sum([(a, 0.5), (b, 0.5), (&size, 0.5 * self.sign)])
            };
            *group = group.chunks(2).map(&mut larger).collect();
        }
        if forms.is_empty() {
            return Ok(());
        }
        let node = ir.step(id).map_or("", |step| &step.node);
        let functions = absolute(node, forms.len())?;
        made.push(EstimatorCall {
            argument: id,
            // No step reads its results.
            first: usize::MAX,
            function: Function::Lookups(Lookups {
                node: node.to_owned(),
                distances: vec![None; forms.len()],
                forms,
                functions,
            }),
        });
        Ok(())
    }
}

/// What tells combinations apart.
fn bits(combination: &Combination) -> Vec<(Option<Atom>, u64)> {
    let terms = combination.terms.iter();
    let terms = terms.map(|(atom, factor)| (Some(*atom), factor.to_bits()));
    let constant = (None, combination.constant.to_bits());
    std::iter::once(constant).chain(terms).collect()
}

/// Absolute values of so many numbers.
fn absolute(node: &str, len: usize) -> Result<RowProgram, CompileError> {
    let kind = EntryKind::F64;
    let mut builder = ProgramBuilder::new(vec![TensorType { kind, len }])?;
    let (function, argument) = (UnaryFunction::Abs, builder.input(0));
    let value = builder.push(node, Op::Unary { function, argument })?;
    Ok(builder.finish(&[value])?)
}

#[cfg(test)]
mod tests {
    use crate::analyse::place::Place;
    use crate::analyse::places::places;
    use crate::ir::{Function, Ir};
    use cipherfn_program::{Op, ReduceFunction, ValueId};

    /// Of five numbers: two, one and one absolute values.
    #[test]
    fn the_largest_of_a_group_takes_rounds_of_absolute_values() {
        let mut ir = Ir::sample();
        let product = |ir: &mut Ir, left, weights: &[f32], inner, columns| {
            let right = ir.numbers(weights);
            ir.add(Op::MatMul {
                left,
                right,
                rows: 1,
                inner,
                columns,
            })
        };
        let weights = [1.0, 2.0, 3.0, 4.0, 5.0, 1.0, 3.0, 2.0, 7.0, 4.0];
        let five = product(&mut ir, ValueId(0), &weights, 2, 5);
        let largest = ir.add(Op::Reduce {
            function: ReduceFunction::Max,
            argument: five,
            group: 5,
        });
        let next = product(&mut ir, largest, &[2.0], 1, 1);
        let ir = ir.giving(next);
        let found = places(&ir).unwrap();
        assert!(matches!(found.places[largest.index()], Place::Affine(_)));
        let forms = found.made.iter().map(|own| match &own.function {
            Function::Lookups(lookups) => lookups.forms.len(),
            _ => 0,
        });
        assert_eq!(forms.collect::<Vec<_>>(), [2, 1, 1]);
    }
}
