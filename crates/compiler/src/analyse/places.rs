//! Where each value lies with respect to the encrypted estimators.
//!
//! What is computed from the columns alone lies before them. What an estimator gives of such a
//! value, and everything affine in it, is in them: it costs the server no more than the estimator
//! itself. The rest lies behind. A linear estimator over a value behind others (stacking) lies behind,
//! too: the client evaluates it. Trees over such a value lie behind or in them (`stacked`).

mod estimators;
mod features;
mod layers;
mod preparation;
mod stacked;
#[cfg(test)]
mod tests;

use super::affine::{AffineDomain, Argument, is_candidate};
use super::leafwise::Leafwise;
use super::lookups::FormwisePass;
use super::maxima::Maxima;
use super::place::Place;
use crate::error::CompileError;
use crate::ir::{Combination, EstimatorCall, Ir};
use cipherfn_program::{EntryKind, Op, ValueId};
use preparation::preparation;
use std::rc::Rc;

/// Where all values lie.
pub(crate) struct Places {
    /// By id.
    pub(crate) places: Vec<Place>,
    /// Estimators that combinations name beside the model's own, to come after them.
    pub(crate) made: Vec<EstimatorCall>,
}

/// The place of every value.
pub(crate) fn places(ir: &Ir) -> Result<Places, CompileError> {
    let needed = ir.ancestors(ir.outputs.iter().map(|output| output.value));
    let mut pass = PlacesPass {
        ir,
        // A matrix product on the way to a stated estimator prepares the row.
        preparation: preparation(ir),
        affine: AffineDomain::new(ir),
        leafwise: Leafwise::new(ir),
        formwise: FormwisePass::new(ir),
        feeds: Vec::new(),
        made: Vec::new(),
        places: Vec::with_capacity(needed.len()),
    };
    pass.feeds = ir.ancestors(pass.factors(&needed));
    for (index, needed) in needed.into_iter().enumerate() {
        let place = if needed {
            pass.place(ValueId(index as u32))?
        } else {
            Place::Unused
        };
        pass.places.push(place);
    }
    let mut places = pass.places;
    drop_passed_over(ir, &mut places);
    Ok(Places {
        places,
        made: pass.made,
    })
}

/// Values behind the estimators that only affine ones were computed from are of no use any more.
fn drop_passed_over(ir: &Ir, places: &mut [Place]) {
    let mut live = vec![false; places.len()];
    let mut open: Vec<ValueId> = ir.outputs.iter().map(|output| output.value).collect();
    while let Some(id) = open.pop() {
        if !std::mem::replace(&mut live[id.index()], true)
            && matches!(places[id.index()], Place::Behind { .. })
        {
            open.extend(ir.arguments(id));
        }
    }
    for (place, live) in places.iter_mut().zip(live) {
        if matches!(place, Place::Behind { .. }) && !live {
            *place = Place::Unused;
        }
    }
}

struct PlacesPass<'a> {
    ir: &'a Ir,
    preparation: Vec<bool>,
    affine: AffineDomain<'a>,
    leafwise: Leafwise<'a>,
    formwise: FormwisePass<'a>,
    /// Whether a matrix product's left factor follows from a value, by id: the functions before it
    /// are a layer of a network, and not a link.
    feeds: Vec<bool>,
    /// Estimators that were made on the way.
    made: Vec<EstimatorCall>,
    places: Vec<Place>,
}

impl PlacesPass<'_> {
    fn of(&self, id: ValueId) -> &Place {
        &self.places[id.index()]
    }

    fn place(&mut self, id: ValueId) -> Result<Place, CompileError> {
        let ir = self.ir;
        let Some(step) = ir.step(id) else {
            return Ok(Place::Before);
        };
        if let Op::Constant(_) = &step.op {
            return Ok(Place::Constant);
        }
        if let Op::Select { source, entries } = &step.op
            && *source == ir.results()
        {
            return self.results(id, entries);
        }
        if let Some([left, right]) = self.factors_of(id) {
            return self.product(id, &step.op, left, right);
        }
        let arguments = step.op.arguments();
        let lies = |id: &ValueId| self.of(*id);
        let is_own = |place: &Place| matches!(place, Place::Before | Place::Joined);
        let joins = arguments.iter().map(lies).any(is_own);
        if arguments.iter().map(lies).all(Place::is_known) {
            return Ok(Place::Before);
        }
        if let Some(place) = self.affine(id, &step.op, false)? {
            return Ok(place);
        }
        let follows = self.leafwise.visit(id, &step.op, &self.places)
            || self.formwise.visit(id, &step.op, &self.places);
        if !follows
            && is_candidate(&step.op)
            && let Some(place) = self.affine(id, &step.op, true)?
        {
            return Ok(place);
        }
        if !follows
            && self.feeds[id.index()]
            && let Some(maxima) = Maxima::of(&step.op)
            && let Some(place) = self.maxima(id, &maxima, &step.op)?
        {
            return Ok(place);
        }
        let moves = matches!(step.op, Op::Select { .. } | Op::Concat(_) | Op::Cast { .. });
        if joins && moves {
            return Ok(Place::Joined);
        }
        if joins {
            return Err(self.joins(id));
        }
        let nonlinear = arguments.iter().find_map(|id| self.nonlinear(*id));
        Ok(Place::Behind {
            nonlinear: nonlinear.or((!moves).then_some(id)),
        })
    }

    /// A step that computes with the row's own values and an estimator's result.
    fn joins(&self, id: ValueId) -> CompileError {
        self.ir.unsupported(
            id,
            "it joins the row's own values with the estimator's result",
            "outputs that depend on the row through the estimator alone, or by sums; of stacked models with \
             passthrough=True those with trees on top, which the server evaluates",
        )
    }

    /// The value as combinations, if it is affine in its arguments and these are known or
    /// combinations; or, with `made`, can be made combinations.
    fn affine(&mut self, id: ValueId, op: &Op, made: bool) -> Result<Option<Place>, CompileError> {
        let mut arguments = Vec::new();
        for argument in op.arguments() {
            let own = match &self.places[argument.index()] {
                Place::Affine(entries) => Some(Argument::Affine(Rc::clone(entries))),
                Place::Constant => {
                    let value = self.ir.program.constant_value(argument);
                    value.map(Argument::Constant)
                }
                Place::Before if is_candidate(op) && self.is_float(argument) => {
                    Some(Argument::Affine(self.features(argument)))
                }
                Place::Behind { .. } if made => self.made(id, argument)?.map(Argument::Affine),
                _ => None,
            };
            match own {
                Some(own) => arguments.push(own),
                None => return Ok(None),
            }
        }
        let result = self.affine.apply(id, op, &arguments)?;
        Ok(result.map(Place::Affine))
    }

    /// A nonlinear argument of a step as combinations of a new estimator's results.
    fn made(
        &mut self,
        step: ValueId,
        argument: ValueId,
    ) -> Result<Option<Rc<[Combination]>>, CompileError> {
        let of_leaves = self.leafwise.combinations(argument, &mut self.made);
        if of_leaves.is_some() || !self.feeds[step.index()] {
            return Ok(of_leaves);
        }
        let places = &self.places;
        self.formwise.combinations(argument, places, &mut self.made)
    }

    fn is_float(&self, id: ValueId) -> bool {
        let kind = self.ir.program.tensor_type(id).kind;
        matches!(kind, EntryKind::F32 | EntryKind::F64)
    }

    fn nonlinear(&self, id: ValueId) -> Option<ValueId> {
        match self.of(id) {
            Place::Behind { nonlinear } => *nonlinear,
            _ => None,
        }
    }
}
