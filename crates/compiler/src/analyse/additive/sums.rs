//! Values that are sums of functions of one entry each, and the operations that keep them so.

use crate::ir::Ir;
use cipherfn_program::{BinaryFunction, EntryKind, Op, ReduceFunction, UnaryFunction, ValueId};
use std::collections::BTreeMap;

/// Most terms of all sums.
const MAX_TERMS: usize = 1 << 20;

/// What a sum is linear in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum SumAtom {
    /// An entry of a value.
    Entry(ValueId, u32),
    /// Its square.
    Square(ValueId, u32),
    /// Whether an entry is this number.
    Is(ValueId, u32, u32),
}

/// `constant + sum of factor * atom`.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct AdditiveSum {
    pub(super) constant: f64,
    pub(super) terms: BTreeMap<SumAtom, f64>,
}

/// One sum an entry.
pub(super) type Sums = Vec<AdditiveSum>;

/// The sums of all values that are such.
pub(super) fn sums(ir: &Ir) -> Vec<Option<Sums>> {
    let mut sums: Vec<Option<Sums>> = Vec::new();
    let mut room = MAX_TERMS;
    for index in 0..ir.first_step() + ir.program.steps().len() {
        let id = ValueId(index as u32);
        let own = match ir.step(id) {
            _ if id == ir.results() => None,
            None => entries(ir, id),
            Some(step) => apply(ir, &step.op, &sums),
        };
        let size = |own: &Sums| own.iter().map(|sum| sum.terms.len() + 1).sum::<usize>();
        room = room.saturating_sub(own.as_ref().map_or(0, size));
        sums.push(own.filter(|_| room > 0));
    }
    sums
}

fn entries(ir: &Ir, id: ValueId) -> Option<Sums> {
    let value = ir.program.tensor_type(id);
    let entry = |entry| AdditiveSum::of(SumAtom::Entry(id, entry), 1.0);
    matches!(value.kind, EntryKind::F32 | EntryKind::F64)
        .then(|| (0..value.len as u32).map(entry).collect())
}

/// The sums that an operation gives; `None` where it gives others.
fn apply(ir: &Ir, op: &Op, sums: &[Option<Sums>]) -> Option<Sums> {
    let of = |id: &ValueId| sums[id.index()].as_ref();
    match op {
        Op::Constant(value) => Some(
            value
                .to_f64()?
                .into_iter()
                .map(AdditiveSum::constant)
                .collect(),
        ),
        Op::Concat(parts) => {
            let parts: Option<Vec<&Sums>> = parts.iter().map(of).collect();
            Some(parts?.into_iter().flatten().cloned().collect())
        }
        Op::Select { source, entries } => {
            let source = of(source)?;
            Some(
                entries
                    .iter()
                    .map(|&entry| source[entry as usize].clone())
                    .collect(),
            )
        }
        Op::Cast {
            source,
            kind: EntryKind::F32 | EntryKind::F64,
        } => of(source).cloned(),
        Op::Unary {
            function: UnaryFunction::Neg,
            argument,
        } => Some(of(argument)?.iter().map(|sum| sum.scaled(-1.0)).collect()),
        Op::Binary {
            function,
            left,
            right,
        } => {
            let (left, right) = (of(left)?, of(right)?);
            let len = left.len().max(right.len());
            let at = |sums: &Sums, place: usize| {
                sums.get(if sums.len() == 1 { 0 } else { place }).cloned()
            };
            (0..len)
                .map(|place| binary(*function, &at(left, place)?, &at(right, place)?))
                .collect()
        }
        Op::Reduce {
            function,
            argument,
            group,
        } => {
            let factor = match function {
                ReduceFunction::Sum => 1.0,
                ReduceFunction::Mean => 1.0 / *group as f64,
                _ => return None,
            };
            let group_sum = |group: &[AdditiveSum]| {
                let add = |sum: AdditiveSum, other: &AdditiveSum| sum.plus(other, factor);
                group.iter().fold(AdditiveSum::default(), add)
            };
            Some(of(argument)?.chunks(*group).map(group_sum).collect())
        }
        Op::Pick {
            table,
            index,
            inner,
        } => {
            let table = ir.program.constant_value(*table)?.to_f64()?;
            let index_type = ir.program.tensor_type(*index);
            let places = 0..index_type.len as u32;
            let is_row =
                index_type.kind == EntryKind::I64 && ir.program.constant_value(*index).is_none();
            let picked = |(place, own): (u32, usize)| {
                let values = table.chunks(*inner).map(|block| block[own]).zip(0..);
                let terms = values.map(|(value, block)| (SumAtom::Is(*index, place, block), value));
                AdditiveSum {
                    constant: 0.0,
                    terms: terms.collect(),
                }
            };
            is_row.then(|| {
                let entries = places.flat_map(|place| (0..*inner).map(move |own| (place, own)));
                entries.map(picked).collect()
            })
        }
        _ => None,
    }
}

fn binary(
    function: BinaryFunction,
    left: &AdditiveSum,
    right: &AdditiveSum,
) -> Option<AdditiveSum> {
    match function {
        BinaryFunction::Add => Some(left.clone().plus(right, 1.0)),
        BinaryFunction::Sub => Some(left.clone().plus(right, -1.0)),
        BinaryFunction::Mul if left == right && !left.terms.is_empty() => left.squared(),
        BinaryFunction::Mul => match (left.as_constant(), right.as_constant()) {
            (_, Some(factor)) => Some(left.scaled(factor)),
            (Some(factor), _) => Some(right.scaled(factor)),
            _ => None,
        },
        BinaryFunction::Div => Some(left.scaled(1.0 / right.as_constant()?)),
        BinaryFunction::Pow if right.as_constant()?.to_bits() == 2.0_f64.to_bits() => {
            left.squared()
        }
        _ => None,
    }
}

impl AdditiveSum {
    fn of(atom: SumAtom, factor: f64) -> Self {
        Self {
            constant: 0.0,
            terms: BTreeMap::from([(atom, factor)]),
        }
    }

    fn constant(constant: f64) -> Self {
        Self {
            constant,
            terms: BTreeMap::new(),
        }
    }

    fn as_constant(&self) -> Option<f64> {
        self.terms.is_empty().then_some(self.constant)
    }

    /// Whether it has a square or an indicator: it is more than a linear form of the row.
    pub(super) fn is_nonlinear(&self) -> bool {
        let mut atoms = self.terms.keys();
        atoms.any(|atom| !matches!(atom, SumAtom::Entry(..)))
    }

    fn scaled(&self, factor: f64) -> Self {
        Self::default().plus(self, factor)
    }

    fn plus(mut self, other: &Self, factor: f64) -> Self {
        self.constant += factor * other.constant;
        for (&atom, own) in &other.terms {
            *self.terms.entry(atom).or_default() += factor * own;
        }
        self
    }

    /// `(a + b x)^2`; `None` for more than one column.
    fn squared(&self) -> Option<Self> {
        let mut terms = self.terms.iter();
        let (&SumAtom::Entry(value, entry), &factor) = terms.next()? else {
            return None;
        };
        terms.next().is_none().then(|| Self {
            constant: self.constant * self.constant,
            terms: BTreeMap::from([
                (SumAtom::Entry(value, entry), 2.0 * self.constant * factor),
                (SumAtom::Square(value, entry), factor * factor),
            ]),
        })
    }
}
