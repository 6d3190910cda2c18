//! Results of stated estimators.

use super::PlacesPass;
use crate::analyse::place::Place;
use crate::error::CompileError;
use crate::ir::{Atom, Combination, Ensemble, Function, LinearMap};
use crate::options::Combiner;
use cipherfn_program::ValueId;
use std::rc::Rc;

/// Most nodes of trees that the client evaluates: each is a few steps of its program, and a part of
/// the model that the specs show.
const MAX_CLIENT_NODES: usize = 1024;

impl PlacesPass<'_> {
    /// Results of an estimator.
    pub(super) fn results(&mut self, id: ValueId, entries: &[u32]) -> Result<Place, CompileError> {
        let ir = self.ir;
        let Some(&first) = entries.first() else {
            return Ok(Place::Constant);
        };
        let (index, _) = ir.estimator(first);
        let estimator = &ir.estimators[index];
        let argument = estimator.argument;
        match &estimator.function {
            Function::Trees(ensemble) => {
                if !self.of(argument).is_before() {
                    return self.trees_behind(id, argument, ensemble);
                }
                let factor = ensemble.factor();
                let target = |&entry: &u32| {
                    let atom = Atom::Target {
                        estimator: index as u32,
                        target: ir.estimator(entry).1 as u32,
                    };
                    Combination::of_atom(atom, factor)
                };
                Ok(Place::Affine(entries.iter().map(target).collect()))
            }
            Function::Linear(map) => self.linear(id, argument, map),
            Function::Nearest(_) => {
                let vote = |&entry: &u32| {
                    let atom = Atom::Vote {
                        estimator: index as u32,
                        point: ir.estimator(entry).1 as u32,
                    };
                    Combination::of_atom(atom, 1.0)
                };
                Ok(Place::Affine(entries.iter().map(vote).collect()))
            }
            // Made on the way: no step reads its results.
            Function::Lookups(_) | Function::Stacked(_) => Ok(Place::Behind { nonlinear: None }),
        }
    }

    /// Trees over other estimators' results: evaluated by the client or by the server.
    fn trees_behind(
        &mut self,
        id: ValueId,
        argument: ValueId,
        ensemble: &Ensemble,
    ) -> Result<Place, CompileError> {
        let is_joined = matches!(self.of(argument), Place::Joined);
        let few = ensemble.nodes() <= MAX_CLIENT_NODES && !is_joined;
        match self.ir.combiner {
            Combiner::Auto | Combiner::Client if few => {
                let nonlinear = Some(id);
                return Ok(Place::Behind { nonlinear });
            }
            Combiner::Client if is_joined => return Err(self.joined_trees(id)),
            Combiner::Client => return Err(self.large_trees(id, argument)),
            Combiner::Auto | Combiner::Server => {}
        }
        Ok(Place::Affine(self.stacked(id, argument, ensemble)?))
    }

    /// Trees over the row's own values, which the client that has decrypted others has no more.
    fn joined_trees(&self, id: ValueId) -> CompileError {
        self.ir.unsupported(
            id,
            "its input joins the row's own values with other estimators' results (passthrough), which the \
             client does not combine",
            "trees that the server evaluates (--combiner server), or results alone (passthrough=False)",
        )
    }

    /// Trees that are too large for the client.
    fn large_trees(&self, id: ValueId, argument: ValueId) -> CompileError {
        let through = self.nonlinear(argument).and_then(|id| self.ir.step(id));
        let through = through.and_then(|step| self.ir.nodes.get(&step.node));
        let through = through.map_or_else(String::new, |node| format!(" through {node}"));
        self.ir.unsupported(
            id,
            format!("its input comes from another estimator{through}, and its trees are large"),
            "evaluated by the client, over other estimators: linear models, and trees of at most \
             1,024 nodes; --combiner server has the server evaluate trees",
        )
    }

    fn linear(
        &mut self,
        id: ValueId,
        argument: ValueId,
        map: &LinearMap,
    ) -> Result<Place, CompileError> {
        let features = match self.of(argument) {
            Place::Affine(entries) => Rc::clone(entries),
            Place::Before => self.features(argument),
            Place::Joined => return Err(self.joins(id)),
            _ => {
                let nonlinear = Some(id);
                return Ok(Place::Behind { nonlinear });
            }
        };
        Ok(Place::Affine(self.affine.map(id, &features, map)?))
    }
}
