//! Matrix products: linear models, and layers of a network.

use super::{Place, PlacesPass};
use crate::analyse::affine::Argument;
use crate::error::CompileError;
use crate::ir::{AtomKind, Combination, SUPPORTED};
use cipherfn_program::{EntryKind, Op, ValueId};
use std::rc::Rc;

impl PlacesPass<'_> {
    /// The left factors of all matrix products that are layers.
    pub(super) fn factors(&self, needed: &[bool]) -> Vec<ValueId> {
        let ids = (0..needed.len()).filter(|&index| needed[index]);
        let factors = ids.filter_map(|index| self.factors_of(ValueId(index as u32)));
        factors.map(|[left, _]| left).collect()
    }

    /// The factors of a matrix product that does not prepare the row.
    pub(super) fn factors_of(&self, id: ValueId) -> Option<[ValueId; 2]> {
        let kind = self.ir.program.tensor_type(id).kind;
        match self.ir.step(id)?.op {
            Op::MatMul { left, right, .. }
                if !self.preparation[id.index()]
                    && matches!(kind, EntryKind::F32 | EntryKind::F64) =>
            {
                Some([left, right])
            }
            _ => None,
        }
    }

    /// A matrix product that no stated estimator depends on: a linear model, or a layer of a
    /// network.
    pub(super) fn product(
        &mut self,
        id: ValueId,
        op: &Op,
        left: ValueId,
        right: ValueId,
    ) -> Result<Place, CompileError> {
        let ir = self.ir;
        let looked_up = self
            .formwise
            .combinations(left, &self.places, &mut self.made)?;
        let nonlinear = || [left, right].into_iter().find_map(|id| self.nonlinear(id));
        if looked_up.is_none()
            && let Some(first) = nonlinear()
        {
            return Err(self.between_layers(id, first));
        }
        let Some(weights) = ir.program.constant_value(right) else {
            return Err(ir.unsupported(id, "its second factor is not constant", SUPPORTED));
        };
        let features = match (looked_up, self.of(left)) {
            (Some(entries), _) => entries,
            (None, Place::Before) => self.windowed(left),
            (None, Place::Affine(entries)) => Rc::clone(entries),
            _ => return Ok(Place::Behind { nonlinear: None }),
        };
        let arguments = [Argument::Affine(features), Argument::Constant(weights)];
        let product = self.affine.apply(id, op, &arguments)?;
        Ok(product.map_or(Place::Behind { nonlinear: None }, Place::Affine))
    }

    /// A nonlinear value before a layer that is no function of one linear form.
    fn between_layers(&self, layer: ValueId, first: ValueId) -> CompileError {
        let ir = self.ir;
        let next = ir.step(layer).map_or("", |step| &step.node);
        let is_look_up = |entry: &Combination| {
            let mut atoms = entry.terms.iter().map(|term| term.0.kind());
            atoms.any(|kind| kind == AtomKind::Lookups)
        };
        let arguments = ir.arguments(first);
        let mut own = arguments.iter().map(|id| self.of(*id));
        let is_second = own
            .any(|place| matches!(place, Place::Affine(entries) if entries.iter().any(is_look_up)));
        let problem = if is_second {
            format!("a second layer of nonlinear functions (the next layer is node \"{next}\")")
        } else {
            format!("a nonlinear function between two layers (the next one is node \"{next}\")")
        };
        ir.unsupported(first, problem, SUPPORTED)
    }
}
