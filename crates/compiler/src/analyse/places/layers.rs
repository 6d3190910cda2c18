//! Matrix products: linear models, and layers of a network.

use super::PlacesPass;
use crate::analyse::affine::Argument;
use crate::analyse::maxima::Maxima;
use crate::analyse::place::Place;
use crate::error::CompileError;
use crate::ir::{Combination, SUPPORTED};
use cipherfn_program::{EntryKind, Op, Tensor, ValueId};
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
            (None, Place::Joined) => return Err(self.joins(id)),
            _ => return Ok(Place::Behind { nonlinear: None }),
        };
        let arguments = [Argument::Affine(features), Argument::Constant(weights)];
        let product = self.affine.apply(id, op, &arguments)?;
        Ok(product.map_or(Place::Behind { nonlinear: None }, Place::Affine))
    }

    /// A nonlinear value before a layer that is no function of one linear form.
    fn between_layers(&self, layer: ValueId, first: ValueId) -> CompileError {
        let ir = self.ir;
        let before = ir.ancestors([layer]);
        let mut distances = ir.distances.iter();
        let of_numbers =
            distances.find(|own| before[own.value.index()] && !self.of(own.row).is_known());
        if let Some(distances) = of_numbers {
            return ir.unsupported(
                distances.value,
                "it takes distances of what layers or other estimators give, and the server squares no \
                 number that it computed",
                "distances of what the client computes: columns, scaled or encoded, and linear maps of \
                 these such as principal components",
            );
        }
        let next = ir.step(layer).map_or("", |step| &step.node);
        let problem =
            format!("a nonlinear function between two layers (the next one is node \"{next}\")");
        ir.unsupported(first, problem, SUPPORTED)
    }

    /// The largest or smallest of several values each, as combinations.
    pub(super) fn maxima(
        &mut self,
        id: ValueId,
        maxima: &Maxima,
        op: &Op,
    ) -> Result<Option<Place>, CompileError> {
        let mut arguments = Vec::new();
        for argument in op.arguments() {
            let own = match self.of(argument) {
                Place::Affine(entries) => Some(Rc::clone(entries)),
                Place::Before if self.is_float(argument) => Some(self.features(argument)),
                Place::Constant => {
                    let value = self.ir.program.constant_value(argument);
                    let numbers = value.and_then(Tensor::to_f64);
                    numbers.map(|own| own.into_iter().map(Combination::of_constant).collect())
                }
                Place::Behind { .. } => self.made(id, argument)?,
                _ => None,
            };
            match own {
                Some(own) => arguments.push(own),
                None => return Ok(None),
            }
        }
        let entries = maxima.combinations(self.ir, id, &arguments, &mut self.made)?;
        Ok(entries.map(Place::Affine))
    }
}
