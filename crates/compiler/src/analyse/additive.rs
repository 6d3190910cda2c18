//! Scores that are sums of functions of one column each: naive Bayes.
//!
//! A graph may hold estimators that it does not state: Gaussian naive Bayes is a quadratic function of
//! every column, the categorical one a table of every column, summed up. Both are linear in what the
//! client can make of a row: its values, their squares, and an indicator a category. The sums
//! become a linear estimator over these, so that the server's side of them stays encrypted and
//! their coefficients stay out of the client specs.

use crate::error::CompileError;
use crate::ir::{Function, Ir, LinearMap};
use cipherfn_program::{BinaryFunction, EntryKind, Op, Tensor, ValueId};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use sums::{AdditiveSum, SumAtom, Sums, sums};

mod sums;

/// Makes sums of functions of one column each linear estimators: all of them in a graph that has no
/// other estimator, else those that meet its estimators' results (voting, stacking).
pub(crate) fn extract(ir: Ir) -> Result<Ir, CompileError> {
    let sums = sums(&ir);
    let scores = scores(&ir, &sums);
    if scores.is_empty() {
        return Ok(ir);
    }
    rebuilt(ir, &sums, &scores)
}

/// Sums that something else is computed from, or that are outputs.
fn scores(ir: &Ir, sums: &[Option<Sums>]) -> BTreeSet<ValueId> {
    let outputs: Vec<ValueId> = ir.outputs.iter().map(|output| output.value).collect();
    let needed = ir.ancestors(outputs.iter().copied());
    let others = estimated_elsewhere(ir);
    let is_alone = !others
        .iter()
        .zip(&needed)
        .any(|(own, needed)| *own && *needed);
    let met = if is_alone {
        Vec::new()
    } else {
        meeting(ir, sums, &needed, &others)
    };
    let is_score = |id: &ValueId| {
        let own = sums[id.index()].as_deref().unwrap_or_default();
        let is_finite = |sum: &AdditiveSum| {
            let mut factors = sum.terms.values().chain([&sum.constant]);
            factors.all(|factor| factor.is_finite())
        };
        own.iter().any(|sum| sum.terms.len() > 1)
            && own.iter().all(is_finite)
            && (is_alone || (met[id.index()] && own.iter().any(AdditiveSum::is_nonlinear)))
    };
    let read = (ir.first_step()..needed.len())
        .filter(|&index| needed[index] && sums[index].is_none())
        .flat_map(|index| ir.arguments(ValueId(index as u32)));
    outputs
        .iter()
        .copied()
        .chain(read)
        .filter(is_score)
        .collect()
}

/// Which values follow from an estimator that the file states, or from a matrix product, by id.
fn estimated_elsewhere(ir: &Ir) -> Vec<bool> {
    let is_one = |op: &Op| match op {
        Op::MatMul { .. } => true,
        Op::Select { source, .. } => *source == ir.results(),
        _ => false,
    };
    let steps = ir.program.steps().iter().zip(ir.first_step()..);
    let estimators = steps.filter(|(step, _)| is_one(&step.op));
    ir.descendants(estimators.map(|(_, index)| ValueId(index as u32)))
}

/// The values, by id, from which something follows that is no sum, and that a step takes beside what
/// follows from `others`: such a step could not be evaluated on either side.
fn meeting(ir: &Ir, sums: &[Option<Sums>], needed: &[bool], others: &[bool]) -> Vec<bool> {
    let follows = |id: &ValueId| others[id.index()];
    let steps = ir.program.steps().iter().zip(ir.first_step()..);
    let own = steps
        .filter(|(_, index)| needed[*index])
        .map(|(step, _)| step.op.arguments())
        .filter(|arguments| arguments.iter().any(follows))
        .flatten()
        .filter(|id| !follows(id) && sums[id.index()].is_none());
    ir.ancestors(own)
}

/// The same operations with estimators in place of the scores.
fn rebuilt(
    mut ir: Ir,
    sums: &[Option<Sums>],
    scores: &BTreeSet<ValueId>,
) -> Result<Ir, CompileError> {
    let mut made = ir.without_steps()?;
    let mut moved: Vec<ValueId> = (0..ir.first_step() as u32).map(ValueId).collect();
    // The results of those that are there keep their places.
    let stated = ir.estimators.len();
    made.estimators = std::mem::take(&mut ir.estimators);
    for (step, index) in ir.program.steps().iter().zip(ir.first_step()..) {
        let id = ValueId(index as u32);
        let value = match &sums[index] {
            Some(own) if scores.contains(&id) => {
                let value = estimated(&mut made, &step.node, own, &moved)?;
                let kind = ir.program.tensor_type(id).kind;
                match kind {
                    EntryKind::F64 => value,
                    _ => made.program.push(
                        &step.node,
                        Op::Cast {
                            source: value,
                            kind,
                        },
                    )?,
                }
            }
            _ => {
                let mut op = step.op.clone();
                op.rename(|id| moved[id.index()]);
                made.program.push(&step.node, op)?
            }
        };
        moved.push(value);
    }
    for estimator in &mut made.estimators[..stated] {
        estimator.argument = moved[estimator.argument.index()];
    }
    let mut made = ir.around(made, &moved);
    made.notes.push(
        "the scores are sums of functions of one column each: the client encrypts values, squares \
         and indicators of categories, and the server has the coefficients"
            .to_owned(),
    );
    Ok(made)
}

/// The sums as an estimator over a vector of all that they are linear in.
fn estimated(
    ir: &mut Ir,
    node: &str,
    sums: &[AdditiveSum],
    moved: &[ValueId],
) -> Result<ValueId, CompileError> {
    let centres = centres(sums);
    let mut parts = Vec::new();
    let mut places: HashMap<SumAtom, usize> = HashMap::new();
    let mut width = 0;
    for (&(value, entry), used) in &used(sums) {
        let source = moved[value.index()];
        let entries = vec![entry];
        let own = ir.program.push(node, Op::Select { source, entries })?;
        if let Some(&categories) = used.categories.last() {
            let one_hot = Op::OneHot {
                argument: own,
                categories: Tensor::I64((0..=i64::from(categories)).collect()),
                unknown: false,
            };
            parts.push(ir.program.push(node, one_hot)?);
            for category in 0..=categories {
                places.insert(SumAtom::Is(value, entry, category), width);
                width += 1;
            }
            continue;
        }
        // Around the middle of the classes the squares are small: 32 bits of them suffice.
        let kind = EntryKind::F64;
        let mut own = ir.program.push(node, Op::Cast { source: own, kind })?;
        if let Some(centre) = centres.get(&(value, entry)) {
            let right = ir.program.constant(node, Tensor::F64(vec![*centre]))?;
            let function = BinaryFunction::Sub;
            own = ir.program.push(
                node,
                Op::Binary {
                    function,
                    left: own,
                    right,
                },
            )?;
        }
        let mut add = |ir: &mut Ir, atom: SumAtom, source: ValueId| -> Result<(), CompileError> {
            let kind = EntryKind::F32;
            parts.push(ir.program.push(node, Op::Cast { source, kind })?);
            places.insert(atom, width);
            width += 1;
            Ok(())
        };
        add(ir, SumAtom::Entry(value, entry), own)?;
        if used.squared {
            let function = BinaryFunction::Mul;
            let square = Op::Binary {
                function,
                left: own,
                right: own,
            };
            let square = ir.program.push(node, square)?;
            add(ir, SumAtom::Square(value, entry), square)?;
        }
    }
    let argument = ir.program.push(node, Op::Concat(parts))?;
    let mut map = LinearMap {
        weights: Vec::with_capacity(sums.len()),
        intercepts: Vec::with_capacity(sums.len()),
    };
    for sum in sums {
        let (mut row, mut intercept) = (vec![0.0; width], sum.constant);
        for (atom, factor) in &sum.terms {
            row[places[atom]] += factor;
            let centre = |value, entry| centres.get(&(value, entry)).copied().unwrap_or(0.0);
            match *atom {
                SumAtom::Entry(value, entry) => intercept += factor * centre(value, entry),
                // x = z + m: x^2 = z^2 + 2 m z + m^2.
                SumAtom::Square(value, entry) => {
                    let middle = centre(value, entry);
                    row[places[&SumAtom::Entry(value, entry)]] += 2.0 * factor * middle;
                    intercept += factor * middle * middle;
                }
                SumAtom::Is(..) => {}
            }
        }
        map.weights.push(row);
        map.intercepts.push(intercept);
    }
    ir.estimate(node, argument, Function::Linear(map))
}

/// How an entry is used.
#[derive(Default)]
struct Used {
    squared: bool,
    /// Numbers that it is compared with, increasing.
    categories: BTreeSet<u32>,
}

fn used(sums: &[AdditiveSum]) -> BTreeMap<(ValueId, u32), Used> {
    let mut all: BTreeMap<(ValueId, u32), Used> = BTreeMap::new();
    for atom in sums.iter().flat_map(|sum| sum.terms.keys()) {
        match *atom {
            SumAtom::Entry(value, entry) => {
                all.entry((value, entry)).or_default();
            }
            SumAtom::Square(value, entry) => all.entry((value, entry)).or_default().squared = true,
            SumAtom::Is(value, entry, number) => {
                all.entry((value, entry))
                    .or_default()
                    .categories
                    .insert(number);
            }
        }
    }
    all
}

/// The mean of the parabolas' vertices, for each entry that is squared.
fn centres(sums: &[AdditiveSum]) -> HashMap<(ValueId, u32), f64> {
    let mut vertices: HashMap<(ValueId, u32), Vec<f64>> = HashMap::new();
    for sum in sums {
        for (atom, factor) in &sum.terms {
            if let &SumAtom::Square(value, entry) = atom {
                let slope = sum.terms.get(&SumAtom::Entry(value, entry)).unwrap_or(&0.0);
                let vertex = -slope / (2.0 * factor);
                if vertex.is_finite() {
                    vertices.entry((value, entry)).or_default().push(vertex);
                }
            }
        }
    }
    let mean = |all: Vec<f64>| all.iter().sum::<f64>() / all.len() as f64;
    vertices
        .into_iter()
        .map(|(entry, all)| (entry, mean(all)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::extract;
    use crate::analyse::place::Place;
    use crate::analyse::places::places;
    use crate::ir::{Function, Ir};
    use cipherfn_program::{
        BinaryFunction, EntryKind, Op, ReduceFunction, Tensor, UnaryFunction, ValueId,
    };

    fn weights(ir: &Ir) -> (Vec<Vec<f64>>, Vec<f64>) {
        match &ir.estimators[0].function {
            Function::Linear(map) => (map.weights.clone(), map.intercepts.clone()),
            _ => panic!("linear"),
        }
    }

    /// `(x0 - 1)^2 + (x1 - 3)^2 / 2`.
    #[test]
    fn parabolas_are_linear_in_values_and_squares() {
        let mut ir = Ir::sample();
        let (means, two) = (ir.numbers(&[1.0, 3.0]), ir.numbers(&[2.0]));
        let spreads = ir.numbers(&[1.0, 2.0]);
        let away = ir.binary(BinaryFunction::Sub, ValueId(0), means);
        let square = ir.binary(BinaryFunction::Pow, away, two);
        let terms = ir.binary(BinaryFunction::Div, square, spreads);
        let score = ir.add(Op::Reduce {
            function: ReduceFunction::Sum,
            argument: terms,
            group: 2,
        });
        let made = extract(ir.giving(score)).unwrap();
        // Around their vertices the parabolas have no linear part and no constant.
        assert_eq!(weights(&made), (vec![vec![0.0, 1.0, 0.0, 0.5]], vec![0.0]));
        let found = places(&made).unwrap();
        let output = made.outputs[0].value;
        assert!(matches!(found.places[output.index()], Place::Affine(_)));
    }

    /// `exp(x0^2 + x1^2)` beside a tree's result: neither side could evaluate what joins them.
    #[test]
    fn sums_that_meet_an_estimator_are_one_beside_it() {
        for meets in [true, false] {
            let mut ir = Ir::sample();
            let square = ir.binary(BinaryFunction::Mul, ValueId(0), ValueId(0));
            let sum = ir.add(Op::Reduce {
                function: ReduceFunction::Sum,
                argument: square,
                group: 2,
            });
            let exponential = |ir: &mut Ir, argument| {
                let function = UnaryFunction::Exp;
                ir.add(Op::Unary { function, argument })
            };
            let row = exponential(&mut ir, sum);
            let tree = ir.stump(&[1.0], &[3.0]);
            let tree = exponential(&mut ir, tree);
            let joined = ir.binary(BinaryFunction::Mul, tree, if meets { row } else { tree });
            let made = extract(ir.giving(joined)).unwrap();
            let [stated, own @ ..] = made.estimators.as_slice() else {
                panic!("the tree stays")
            };
            assert!(matches!(stated.function, Function::Trees(_)));
            assert_eq!(own.len(), usize::from(meets));
            let found = places(&made).unwrap();
            let output = made.outputs[0].value;
            assert!(matches!(found.places[output.index()], Place::Behind { .. }));
        }
    }

    #[test]
    fn tables_are_linear_in_indicators() {
        let mut ir = Ir::sample();
        let kind = EntryKind::I64;
        let codes = ir.add(Op::Cast {
            source: ValueId(0),
            kind,
        });
        let looked_up = |ir: &mut Ir, entry: u32, values: [f32; 4]| {
            let (source, entries) = (codes, vec![entry]);
            let index = ir.add(Op::Select { source, entries });
            let table = ir.add(Op::Constant(Tensor::F32(values.to_vec())));
            ir.add(Op::Pick {
                table,
                index,
                inner: 2,
            })
        };
        let left = looked_up(&mut ir, 0, [1.0, 2.0, 3.0, 4.0]);
        let right = looked_up(&mut ir, 1, [5.0, 6.0, 7.0, 8.0]);
        let score = ir.binary(BinaryFunction::Add, left, right);
        let made = extract(ir.giving(score)).unwrap();
        let expected = vec![vec![1.0, 3.0, 5.0, 7.0], vec![2.0, 4.0, 6.0, 8.0]];
        assert_eq!(weights(&made), (expected, vec![0.0, 0.0]));
    }

    #[test]
    fn scaling_alone_is_no_score() {
        let mut ir = Ir::sample();
        let factors = ir.numbers(&[2.0, 3.0]);
        let scaled = ir.binary(BinaryFunction::Mul, ValueId(0), factors);
        assert!(extract(ir.giving(scaled)).unwrap().estimators.is_empty());
    }
}
