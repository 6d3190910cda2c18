//! Functions of one linear form each, of the row or of such functions: the layers of a network, the
//! kernels of a support vector machine.
//!
//! Operations that work entry by entry keep an entry a function of the one form that its arguments
//! are functions of. Where such a value is multiplied with a matrix, its entries become results of
//! an estimator, which the server looks up by the encrypted form; until then they are what the
//! client could compute of a decrypted form (the link of a linear model).

mod extraction;

use super::place::Place;
use crate::error::CompileError;
use crate::ir::{Atom, AtomKind, Combination, EstimatorCall, Function, Ir, Lookups};
use cipherfn_program::{EntryKind, Op, ValueId};
use extraction::Extraction;
use std::collections::HashMap;
use std::rc::Rc;

/// Most terms of forms that are compared, over all values.
const MAX_WORK: usize = 1 << 25;

/// A form's direction: forms that differ by factor and offset have one.
type Direction = u32;

/// The directions of a value's entries; none of a constant one.
type Directions = Rc<[Option<Direction>]>;

/// Values whose entries are functions of one form each, as far as they were met.
pub(crate) struct FormwisePass<'a> {
    ir: &'a Ir,
    values: HashMap<ValueId, Directions>,
    known: HashMap<Vec<(Atom, u32)>, Direction>,
    combinations: HashMap<ValueId, Rc<[Combination]>>,
    budget: usize,
}

/// A value's entries as functions of forms; nothing of it is evaluated yet.
pub(crate) struct Links {
    /// For each entry, the function that it is; none of a constant one.
    pub(crate) units: Vec<Option<u32>>,
    /// For each entry, what it is where it is constant.
    pub(crate) constants: Vec<f64>,
    pub(crate) lookups: Lookups,
}

impl<'a> FormwisePass<'a> {
    pub(crate) fn new(ir: &'a Ir) -> Self {
        Self {
            ir,
            values: HashMap::new(),
            known: HashMap::new(),
            combinations: HashMap::new(),
            budget: MAX_WORK,
        }
    }

    /// Notes a step whose entries are functions of one form each, and says whether they are.
    pub(crate) fn visit(&mut self, id: ValueId, op: &Op, places: &[Place]) -> bool {
        let directions = self.directions_of_step(id, op, places);
        let found = directions.is_some();
        self.values.extend(directions.map(|own| (id, own)));
        found
    }

    /// The value's entries as results of a new estimator, which is put behind those in `made`.
    pub(crate) fn combinations(
        &mut self,
        id: ValueId,
        places: &[Place],
        made: &mut Vec<EstimatorCall>,
    ) -> Result<Option<Rc<[Combination]>>, CompileError> {
        if let Some(known) = self.combinations.get(&id) {
            return Ok(Some(Rc::clone(known)));
        }
        let kind = self.ir.program.tensor_type(id).kind;
        let Some(directions) = self.values.get(&id).cloned() else {
            return Ok(None);
        };
        if !matches!(kind, EntryKind::F32 | EntryKind::F64) {
            return Ok(None);
        }
        if let Some(moved) = self.moved(id, places, made)? {
            self.combinations.insert(id, Rc::clone(&moved));
            return Ok(Some(moved));
        }
        let estimator = (self.ir.estimators.len() + made.len()) as u32;
        let extraction = Extraction::of(self, id, &directions, places);
        let constants = extraction.constants()?;
        let entry = |(place, direction): (usize, &Option<Direction>)| {
            if direction.is_none() {
                return Combination::of_constant(constants[place]);
            }
            let entry = extraction.unit_of[place];
            Combination::of_atom(Atom::LookUp { estimator, entry }, 1.0)
        };
        let found: Rc<[Combination]> = directions.iter().enumerate().map(entry).collect();
        made.push(EstimatorCall {
            argument: id,
            // No step reads its results.
            first: usize::MAX,
            function: Function::Lookups(extraction.lookups()?),
        });
        self.combinations.insert(id, Rc::clone(&found));
        Ok(Some(found))
    }

    /// A value's entries as functions of forms, as far as it was met as such.
    pub(crate) fn links(
        &self,
        id: ValueId,
        places: &[Place],
    ) -> Result<Option<Links>, CompileError> {
        let Some(directions) = self.values.get(&id).cloned() else {
            return Ok(None);
        };
        let extraction = Extraction::of(self, id, &directions, places);
        let units = directions.iter().zip(&extraction.unit_of);
        Ok(Some(Links {
            units: units.map(|(own, unit)| own.map(|_| *unit)).collect(),
            constants: extraction.constants()?,
            lookups: extraction.lookups()?,
        }))
    }

    /// The entries of a value that only moves those of others: what several steps read of a layer is
    /// evaluated once.
    fn moved(
        &mut self,
        id: ValueId,
        places: &[Place],
        made: &mut Vec<EstimatorCall>,
    ) -> Result<Option<Rc<[Combination]>>, CompileError> {
        let ir = self.ir;
        let Some(Op::Select { .. } | Op::Concat(_)) = ir.step(id).map(|step| &step.op) else {
            return Ok(None);
        };
        let mut parts = HashMap::new();
        for part in ir.arguments(id) {
            let entries = match (&places[part.index()], ir.program.constant_value(part)) {
                (Place::Affine(entries), _) => Some(Rc::clone(entries)),
                (_, Some(constant)) => constant
                    .to_f64()
                    .map(|own| own.into_iter().map(Combination::of_constant).collect()),
                (_, None) => self.combinations(part, places, made)?,
            };
            match entries {
                Some(entries) => parts.insert(part, entries),
                None => return Ok(None),
            };
        }
        let len = ir.program.tensor_type(id).len as u32;
        let entry = |entry| {
            let (part, entry) = ir.moved_from(id, entry)?;
            parts.get(&part)?.get(entry as usize).cloned()
        };
        Ok((0..len).map(entry).collect())
    }

    fn directions_of_step(&mut self, id: ValueId, op: &Op, places: &[Place]) -> Option<Directions> {
        let program = &self.ir.program;
        if program.tensor_type(id).kind == EntryKind::Text || !works_by_entry(op) {
            return None;
        }
        let arguments = op.arguments();
        let own = arguments
            .iter()
            .map(|argument| self.directions(*argument, &places[argument.index()]));
        let own: Vec<Directions> = own.collect::<Option<_>>()?;
        let len = program.tensor_type(id).len;
        self.budget = self.budget.checked_sub(len)?;
        match op {
            Op::Select { entries, .. } => {
                let own = own.first()?;
                Some(entries.iter().map(|&entry| own[entry as usize]).collect())
            }
            Op::Concat(_) => Some(own.iter().flat_map(|part| part.iter().copied()).collect()),
            _ => (0..len)
                .map(|entry| {
                    let at = |own: &Directions| own[if own.len() == 1 { 0 } else { entry }];
                    let mut all = own.iter().filter_map(at);
                    let first = all.next();
                    all.all(|other| Some(other) == first).then_some(first)
                })
                .collect(),
        }
    }

    fn directions(&mut self, id: ValueId, place: &Place) -> Option<Directions> {
        match place {
            Place::Constant => Some(vec![None; self.ir.program.tensor_type(id).len].into()),
            Place::Affine(entries) => {
                let directions = entries.iter().map(|entry| self.direction(entry));
                directions.collect()
            }
            Place::Behind { .. } => self.values.get(&id).cloned(),
            Place::Before | Place::Joined | Place::Unused => None,
        }
    }

    /// `Some(None)` for a constant, `None` for what is no form in the row and functions of it.
    #[expect(clippy::option_option, reason = "no form at all is neither")]
    fn direction(&mut self, combination: &Combination) -> Option<Option<Direction>> {
        if combination.as_constant().is_some() {
            return Some(None);
        }
        let is_term = |(atom, _): &(Atom, f64)| {
            !matches!(
                atom.kind(),
                AtomKind::Trees | AtomKind::Votes | AtomKind::Choices
            )
        };
        if !combination.terms.iter().all(is_term) {
            return None;
        }
        self.budget = self.budget.checked_sub(combination.size())?;
        let next = self.known.len() as u32;
        Some(Some(*self.known.entry(ratios(combination)).or_insert(next)))
    }

    fn known_direction(&self, combination: &Combination) -> Option<Direction> {
        self.known.get(&ratios(combination)).copied()
    }

    /// Where an entry of such a value was computed.
    fn origin(&self, mut id: ValueId, mut entry: u32) -> (ValueId, u32) {
        while self.values.contains_key(&id)
            && let Some(source) = self.ir.moved_from(id, entry)
        {
            (id, entry) = source;
        }
        (id, entry)
    }
}

/// The factors of a form by its first one, as exact as models are: factors of one form that were
/// computed in two ways are equal.
fn ratios(combination: &Combination) -> Vec<(Atom, u32)> {
    let first = first_factor(combination);
    let ratio = |&(atom, factor): &(Atom, f64)| (atom, ((factor / first) as f32).to_bits());
    combination.terms.iter().map(ratio).collect()
}

/// The factor that the others are compared with.
fn first_factor(combination: &Combination) -> f64 {
    combination.terms.first().map_or(1.0, |term| term.1)
}

/// Whether each entry of the result follows from one entry of each argument.
const fn works_by_entry(op: &Op) -> bool {
    matches!(
        op,
        Op::Concat(_)
            | Op::Select { .. }
            | Op::Cast { .. }
            | Op::Unary { .. }
            | Op::Binary { .. }
            | Op::Where { .. }
    )
}
