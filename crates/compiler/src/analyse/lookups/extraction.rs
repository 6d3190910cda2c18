//! A value whose entries are functions of one form each, as forms and a program over them.

use super::{Direction, Directions, FormwisePass, first_factor};
use crate::analyse::place::Place;
use crate::error::CompileError;
use crate::ir::{Combination, Lookups};
use crate::model::PointDistance;
use cipherfn_program::{
    BinaryFunction, EntryKind, Op, ProgramBuilder, Tensor, TensorType, ValueId,
};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

/// Part of a number that sums and quotients lose, at most.
const ROUNDED: f64 = 1e-12;

/// A value's entries as functions of forms.
pub(super) struct Extraction<'p, 'a> {
    pass: &'p FormwisePass<'a>,
    places: &'p [Place],
    value: ValueId,
    directions: Directions,
    /// For each entry of the value, its unit; entries that were computed once are one.
    pub(super) unit_of: Vec<u32>,
    /// For each unit, an entry that it is.
    representatives: Vec<u32>,
    /// The steps that the value is computed by, and the affine values before them, by id.
    steps: Vec<ValueId>,
    /// The form of each direction: the first affine value's.
    forms: BTreeMap<Direction, Combination>,
    /// The squared distances among these directions.
    distances: BTreeMap<Direction, Combination>,
}

impl<'p, 'a> Extraction<'p, 'a> {
    pub(super) fn of(
        pass: &'p FormwisePass<'a>,
        value: ValueId,
        directions: &Directions,
        places: &'p [Place],
    ) -> Self {
        let mut steps = BTreeSet::new();
        let mut open = vec![value];
        while let Some(id) = open.pop() {
            if steps.insert(id) && pass.values.contains_key(&id) {
                open.extend(pass.ir.arguments(id));
            }
        }
        let mut forms = BTreeMap::new();
        for &id in &steps {
            if let Place::Affine(entries) = &places[id.index()] {
                for entry in entries.iter() {
                    if let Some(direction) = pass.known_direction(entry) {
                        forms.entry(direction).or_insert_with(|| entry.clone());
                    }
                }
            }
        }
        let mut distances = BTreeMap::new();
        for own in &pass.ir.distances {
            if let Some(Place::Affine(entries)) = places.get(own.value.index()) {
                let known = entries.iter();
                let known = known.filter_map(|own| Some((pass.known_direction(own)?, own.clone())));
                distances.extend(known.filter(|(direction, _)| forms.contains_key(direction)));
            }
        }
        let mut units: HashMap<(ValueId, u32), u32> = HashMap::new();
        let mut representatives = Vec::new();
        let mut unit_of = Vec::with_capacity(directions.len());
        for (entry, direction) in directions.iter().enumerate() {
            if direction.is_none() {
                unit_of.push(0);
                continue;
            }
            let next = representatives.len() as u32;
            let unit = units
                .entry(pass.origin(value, entry as u32))
                .or_insert(next);
            if *unit == next {
                representatives.push(entry as u32);
            }
            unit_of.push(*unit);
        }
        Self {
            pass,
            places,
            value,
            directions: Rc::clone(directions),
            unit_of,
            representatives,
            steps: steps.into_iter().collect(),
            forms,
            distances,
        }
    }

    /// Forms and functions.
    pub(super) fn lookups(&self) -> Result<Lookups, CompileError> {
        let form = |&entry: &u32| {
            let direction = self.directions[entry as usize];
            direction
                .and_then(|direction| self.forms.get(&direction))
                .cloned()
                .unwrap_or_default()
        };
        let mut builder = self.builder()?;
        let value = self.computed(&mut builder)?;
        let entries = self.representatives.clone();
        let node = self.pass.ir.step(self.value).map_or("", |step| &step.node);
        let value = builder.push(
            node,
            Op::Select {
                source: value,
                entries,
            },
        )?;
        let value = builder.cast(node, value, EntryKind::F64)?;
        let forms: Vec<Combination> = self.representatives.iter().map(form).collect();
        Ok(Lookups {
            node: node.to_owned(),
            distances: forms.iter().map(|form| self.distance(form)).collect(),
            forms,
            functions: builder.finish(&[value])?,
        })
    }

    /// The value's entries where all forms are zero: right for those that are constant.
    pub(super) fn constants(&self) -> Result<Vec<f64>, CompileError> {
        if self.directions.iter().all(Option::is_some) {
            return Ok(vec![0.0; self.directions.len()]);
        }
        let mut builder = self.builder()?;
        let value = self.computed(&mut builder)?;
        let program = builder.finish(&[value])?;
        let zeros = vec![0.0; self.representatives.len().max(1)];
        let outputs = program.run(vec![Tensor::F64(zeros)])?;
        Ok(outputs.first().and_then(Tensor::to_f64).unwrap_or_default())
    }

    /// Of a program over one number a unit.
    fn builder(&self) -> Result<ProgramBuilder, CompileError> {
        Ok(ProgramBuilder::new(vec![TensorType {
            kind: EntryKind::F64,
            len: self.representatives.len().max(1),
        }])?)
    }

    fn computed(&self, builder: &mut ProgramBuilder) -> Result<ValueId, CompileError> {
        let ir = self.pass.ir;
        let mut unit_of_direction: BTreeMap<Direction, u32> = BTreeMap::new();
        for (&entry, unit) in self.representatives.iter().zip(0..) {
            if let Some(direction) = self.directions[entry as usize] {
                unit_of_direction.entry(direction).or_insert(unit);
            }
        }
        let mut values: HashMap<ValueId, ValueId> = HashMap::new();
        for &id in &self.steps {
            let node = ir.step(id).map_or("", |step| &step.node);
            let value = if let Some(constant) = ir.program.constant_value(id) {
                builder.constant(node, constant.clone())?
            } else if let Place::Affine(entries) = &self.places[id.index()] {
                let kind = ir.program.tensor_type(id).kind;
                let value = self.affine(builder, node, entries, &unit_of_direction)?;
                builder.cast(node, value, kind)?
            } else if let Some(step) = ir.step(id) {
                let mut op = step.op.clone();
                op.rename(|id| values.get(&id).copied().unwrap_or(id));
                builder.push(node, op)?
            } else {
                continue;
            };
            values.insert(id, value);
        }
        values
            .get(&self.value)
            .copied()
            .ok_or_else(|| ir.invalid(self.value, "its functions are not known"))
    }

    /// Affine values as factors and offsets of the forms.
    fn affine(
        &self,
        builder: &mut ProgramBuilder,
        node: &str,
        combinations: &[Combination],
        units: &BTreeMap<Direction, u32>,
    ) -> Result<ValueId, CompileError> {
        let (mut places, mut factors, mut offsets) = (Vec::new(), Vec::new(), Vec::new());
        for entry in combinations {
            let direction = self.pass.known_direction(entry);
            let own = direction
                .and_then(|direction| Some((units.get(&direction)?, self.forms.get(&direction)?)));
            let (place, factor, offset) = match own {
                Some((&unit, form)) => {
                    let factor = first_factor(entry) / first_factor(form);
                    (unit, factor, entry.constant - factor * form.constant)
                }
                None => (0, 0.0, entry.constant),
            };
            places.push(place);
            factors.push(factor);
            offsets.push(offset);
        }
        let source = builder.input(0);
        let entries = places;
        let mut value = builder.push(node, Op::Select { source, entries })?;
        for (function, numbers) in [
            (BinaryFunction::Mul, factors),
            (BinaryFunction::Add, offsets),
        ] {
            value = with_numbers((builder, node), value, function, numbers)?;
        }
        self.no_further_than_zero(builder, node, combinations, value)
    }

    /// The squared distance that an affine entry is of.
    fn distance(&self, entry: &Combination) -> Option<PointDistance> {
        let distance = self.distances.get(&self.pass.known_direction(entry)?)?;
        let factor = first_factor(entry) / first_factor(distance);
        let zero = entry.constant - factor * distance.constant;
        // Of a multiple of the distance it is zero, whatever the quotient lost.
        let is_multiple = zero.abs() <= ROUNDED * entry.constant.abs();
        let zero = if is_multiple { 0.0 } else { zero };
        Some(PointDistance { zero, factor })
    }

    /// Entries that are functions of a squared distance, no further than where it is zero.
    fn no_further_than_zero(
        &self,
        builder: &mut ProgramBuilder,
        node: &str,
        entries: &[Combination],
        mut value: ValueId,
    ) -> Result<ValueId, CompileError> {
        if self.distances.is_empty() {
            return Ok(value);
        }
        let mut least = vec![f64::NEG_INFINITY; entries.len()];
        let mut most = vec![f64::INFINITY; entries.len()];
        for (place, entry) in entries.iter().enumerate() {
            let Some(PointDistance { zero, factor }) = self.distance(entry) else {
                continue;
            };
            let ends = if factor > 0.0 { &mut least } else { &mut most };
            ends[place] = zero;
        }
        for (function, ends) in [(BinaryFunction::Max, least), (BinaryFunction::Min, most)] {
            value = with_numbers((builder, node), value, function, ends)?;
        }
        Ok(value)
    }
}

/// A function of a value and of a number for each of its entries.
fn with_numbers(
    (builder, node): (&mut ProgramBuilder, &str),
    left: ValueId,
    function: BinaryFunction,
    numbers: Vec<f64>,
) -> Result<ValueId, CompileError> {
    let right = builder.constant(node, Tensor::F64(numbers))?;
    let op = Op::Binary {
        function,
        left,
        right,
    };
    Ok(builder.push(node, op)?)
}
