//! Where each value lies with respect to the encrypted estimators.
//!
//! What is computed from the columns alone lies before them. What an estimator gives of such a
//! value, and everything affine in it, is in them: it costs the server no more than the estimator
//! itself. The rest lies behind. An estimator over a value behind others (stacking) lies behind,
//! too: the client evaluates it.

use super::affine::{AffineDomain, Argument, is_candidate};
use super::leafwise::Leafwise;
use super::lookups::FormwisePass;
use super::maxima::Maxima;
use crate::error::CompileError;
use crate::ir::{
    Atom, Combination, Ensemble, EstimatorCall, Function, Ir, LinearMap, SUPPORTED,
};
use cipherfn_program::{EntryKind, Op, Tensor, ValueId};
use std::collections::HashSet;
use std::rc::Rc;

/// Most nodes of trees that the client evaluates: each is a few steps of its program, and a part of
/// the model that the specs show.
const MAX_CLIENT_NODES: usize = 1024;

/// Where a value lies.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// No output depends on it.
    Unused,
    Constant,
    /// Computed from the columns.
    Before,
    /// One combination of features and targets an entry.
    Affine(Rc<[Combination]>),
    /// Computed from estimators' results.
    Behind {
        /// The first value on the way here that left the affine domain.
        nonlinear: Option<ValueId>,
    },
}

impl Place {
    const fn is_before(&self) -> bool {
        matches!(self, Self::Before)
    }

    /// Whether it is known before any estimator is evaluated.
    const fn is_known(&self) -> bool {
        matches!(self, Self::Before | Self::Constant)
    }
}

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
        preparation: ir.ancestors(ir.estimators.iter().map(|estimator| estimator.argument)),
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

    /// The left factors of all matrix products that are layers.
    fn factors(&self, needed: &[bool]) -> Vec<ValueId> {
        let ids = (0..needed.len()).filter(|&index| needed[index]);
        let factors = ids.filter_map(|index| self.factors_of(ValueId(index as u32)));
        factors.map(|[left, _]| left).collect()
    }

    /// The factors of a matrix product that does not prepare the row.
    fn factors_of(&self, id: ValueId) -> Option<[ValueId; 2]> {
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
        let joins = arguments.iter().map(lies).any(Place::is_before);
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
        if joins {
            return Err(ir.unsupported(
                id,
                "it joins the row's own values with the estimator's result",
                "outputs that depend on the row through the estimator alone, or by sums",
            ));
        }
        let moves = matches!(step.op, Op::Select { .. } | Op::Concat(_) | Op::Cast { .. });
        let nonlinear = arguments.iter().find_map(|id| self.nonlinear(*id));
        Ok(Place::Behind {
            nonlinear: nonlinear.or((!moves).then_some(id)),
        })
    }

    /// A matrix product that no stated estimator depends on: a linear model, or a layer of a
    /// network.
    fn product(
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
        let problem =
            format!("a nonlinear function between two layers (the next one is node \"{next}\")");
        ir.unsupported(first, problem, SUPPORTED)
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

    /// The largest or smallest of several values each, as combinations.
    fn maxima(
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

    /// Results of an estimator.
    fn results(&mut self, id: ValueId, entries: &[u32]) -> Result<Place, CompileError> {
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
                let factor = if ensemble.average {
                    1.0 / ensemble.trees.len() as f64
                } else {
                    1.0
                };
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
            // Made on the way: no step reads its results.
            Function::Lookups(_) => Ok(Place::Behind { nonlinear: None }),
        }
    }

    /// Trees over other estimators' results: the client evaluates them, if they are few.
    fn trees_behind(
        &self,
        id: ValueId,
        argument: ValueId,
        ensemble: &Ensemble,
    ) -> Result<Place, CompileError> {
        if ensemble.nodes() <= MAX_CLIENT_NODES {
            let nonlinear = Some(id);
            return Ok(Place::Behind { nonlinear });
        }
        let through = self.nonlinear(argument).and_then(|id| self.ir.step(id));
        let through = through.and_then(|step| self.ir.nodes.get(&step.node));
        let through = through.map_or_else(String::new, |node| format!(" through {node}"));
        Err(self.ir.unsupported(
            id,
            format!("its input comes from another estimator{through}, and its trees are large"),
            "over other estimators: linear models, and trees of at most 1,024 nodes, which the \
             client evaluates",
        ))
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
            _ => {
                let nonlinear = Some(id);
                return Ok(Place::Behind { nonlinear });
            }
        };
        Ok(Place::Affine(self.affine.map(id, &features, map)?))
    }

    /// The entries of a value before the estimators.
    fn features(&self, mut value: ValueId) -> Rc<[Combination]> {
        let program = &self.ir.program;
        // What was widened is encrypted as it was.
        while let Some(Op::Cast {
            source,
            kind: EntryKind::F64,
        }) = self.ir.step(value).map(|step| &step.op)
            && program.tensor_type(*source).kind != EntryKind::Text
        {
            value = *source;
        }
        let feature = |entry| Combination::of_atom(Atom::Feature { value, entry }, 1.0);
        (0..program.tensor_type(value).len as u32)
            .map(feature)
            .collect()
    }

    /// The same of a value that may hold entries of another one several times, and zeros: the
    /// windows of a convolution.
    fn windowed(&self, value: ValueId) -> Rc<[Combination]> {
        let plain = self.features(value);
        let program = &self.ir.program;
        let entries = 0..program.tensor_type(value).len as u32;
        let sources: Vec<(ValueId, u32)> =
            entries.map(|entry| self.ir.source(value, entry)).collect();
        let is_constant = |source: &(ValueId, u32)| program.constant_value(source.0).is_some();
        let distinct: HashSet<&(ValueId, u32)> = sources.iter().collect();
        if distinct.len() == plain.len() && !sources.iter().any(is_constant) {
            return plain;
        }
        let entry = |&(value, entry): &(ValueId, u32)| match program.constant_value(value) {
            Some(constant) => {
                let numbers = constant.to_f64().unwrap_or_default();
                Combination::of_constant(numbers.get(entry as usize).copied().unwrap_or(0.0))
            }
            None => Combination::of_atom(Atom::Feature { value, entry }, 1.0),
        };
        sources.iter().map(entry).collect()
    }

    fn nonlinear(&self, id: ValueId) -> Option<ValueId> {
        match self.of(id) {
            Place::Behind { nonlinear } => *nonlinear,
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Place, places};
    use crate::ir::{Atom, Combination, Function, Ir, LinearMap};
    use cipherfn_program::{BinaryFunction, Op, ReduceFunction, Tensor, UnaryFunction, ValueId};

    fn product(ir: &mut Ir, left: ValueId, weights: &[f32]) -> ValueId {
        let right = ir.numbers(weights);
        ir.add(Op::MatMul {
            left,
            right,
            rows: 1,
            inner: weights.len(),
            columns: 1,
        })
    }

    fn sigmoid(ir: &mut Ir, argument: ValueId) -> ValueId {
        let function = UnaryFunction::Sigmoid;
        ir.add(Op::Unary { function, argument })
    }

    fn linear(ir: &mut Ir, argument: ValueId) -> ValueId {
        let map = LinearMap {
            weights: vec![vec![1.0]],
            intercepts: vec![0.0],
        };
        let map = Function::Linear(map);
        ir.estimate("linear", argument, map).unwrap()
    }

    #[test]
    fn a_product_prepares_a_stated_estimator_or_is_one() {
        let mut ir = Ir::sample();
        let prepared = product(&mut ir, ValueId(0), &[1.0, 2.0]);
        let score = linear(&mut ir, prepared);
        let ir = ir.giving(score);
        let found = places(&ir).unwrap().places;
        assert!(matches!(found[prepared.index()], Place::Before));
        assert!(matches!(found[score.index()], Place::Affine(_)));
        let mut ir = Ir::sample();
        let score = product(&mut ir, ValueId(0), &[1.0, 2.0]);
        let unused = sigmoid(&mut ir, score);
        let found = places(&ir.giving(score)).unwrap().places;
        assert!(matches!(found[score.index()], Place::Affine(_)));
        assert!(matches!(found[unused.index()], Place::Unused));
    }

    #[test]
    fn an_estimator_over_another_one_lies_behind_it() {
        let mut ir = Ir::sample();
        let tree = ir.stump(&[1.0], &[3.0]);
        let link = sigmoid(&mut ir, tree);
        let of_link = linear(&mut ir, link);
        let of_tree = linear(&mut ir, tree);
        let ir = ir.giving(of_link);
        let found = places(&ir).unwrap().places;
        assert!(matches!(found[of_link.index()], Place::Behind { .. }));
        let found = places(&ir.giving(of_tree)).unwrap().places;
        assert!(matches!(found[of_tree.index()], Place::Affine(_)));
    }

    #[test]
    fn functions_between_two_products_are_look_ups() {
        let mut ir = Ir::sample();
        let first = product(&mut ir, ValueId(0), &[1.0, 2.0]);
        let hidden = sigmoid(&mut ir, first);
        let second = product(&mut ir, hidden, &[3.0]);
        let link = sigmoid(&mut ir, second);
        let ir = ir.giving(link);
        let found = places(&ir).unwrap();
        assert!(matches!(found.places[hidden.index()], Place::Unused));
        assert!(matches!(found.places[link.index()], Place::Behind { .. }));
        let Place::Affine(entries) = &found.places[second.index()] else {
            panic!("it is a sum of look-ups")
        };
        let (estimator, entry) = (0, 0);
        let unit = Combination::of_atom(Atom::LookUp { estimator, entry }, 3.0);
        assert_eq!(entries.to_vec(), [unit]);
        let [made] = found.made.as_slice() else {
            panic!("one estimator")
        };
        let Function::Lookups(lookups) = &made.function else {
            panic!("look-ups")
        };
        assert_eq!(lookups.forms[0].terms.len(), 2);
        let values = lookups.functions.run(vec![Tensor::F64(vec![0.0])]);
        assert_eq!(values.unwrap(), [Tensor::F64(vec![0.5])]);
    }

    #[test]
    fn several_steps_may_make_a_function() {
        let mut ir = Ir::sample();
        let first = product(&mut ir, ValueId(0), &[1.0, 2.0]);
        // x / (1 + |x|)
        let size = ir.add(Op::Unary {
            function: UnaryFunction::Abs,
            argument: first,
        });
        let one = ir.numbers(&[1.0]);
        let size = ir.binary(BinaryFunction::Add, size, one);
        let hidden = ir.binary(BinaryFunction::Div, first, size);
        let second = product(&mut ir, hidden, &[3.0]);
        let ir = ir.giving(second);
        let found = places(&ir).unwrap();
        let Function::Lookups(lookups) = &found.made[0].function else {
            panic!("look-ups")
        };
        let values = lookups.functions.run(vec![Tensor::F64(vec![-3.0])]);
        assert_eq!(values.unwrap(), [Tensor::F64(vec![-0.75])]);
    }

    /// A layer over a layer, and what is read of a layer in two ways is one function.
    #[test]
    fn functions_of_functions_are_layers() {
        let mut ir = Ir::sample();
        let first = product(&mut ir, ValueId(0), &[1.0, 2.0]);
        let hidden = sigmoid(&mut ir, first);
        let second = product(&mut ir, hidden, &[3.0]);
        let deep = sigmoid(&mut ir, second);
        let moved = ir.add(Op::Select {
            source: hidden,
            entries: vec![0],
        });
        let residual = ir.binary(BinaryFunction::Add, deep, moved);
        let third = product(&mut ir, residual, &[5.0]);
        let ir = ir.giving(third);
        let found = places(&ir).unwrap();
        let Place::Affine(entries) = &found.places[third.index()] else {
            panic!("a sum of functions")
        };
        let unit = |estimator| Atom::LookUp {
            estimator,
            entry: 0,
        };
        let sum = Combination::of_terms(0.0, vec![(unit(0), 5.0), (unit(1), 5.0)]);
        assert_eq!(entries.to_vec(), [sum]);
        let Function::Lookups(lookups) = &found.made[1].function else {
            panic!("look-ups")
        };
        assert_eq!(lookups.forms, [Combination::of_atom(unit(0), 3.0)]);
    }

    #[test]
    fn what_no_layer_computes_is_named() {
        let mut ir = Ir::sample();
        let first = product(&mut ir, ValueId(0), &[1.0, 2.0]);
        let square = ir.add(Op::Reduce {
            function: ReduceFunction::L2,
            argument: ValueId(0),
            group: 2,
        });
        let hidden = ir.binary(BinaryFunction::Mul, first, square);
        let second = product(&mut ir, hidden, &[3.0]);
        let error = places(&ir.giving(second)).err().unwrap().to_string();
        assert!(error.contains("node"), "{error}");
    }

    /// Features of a feature-wise sum behind the estimator: a squared distance.
    #[test]
    fn sums_with_the_rows_own_values_are_affine() {
        let mut ir = Ir::sample();
        let squares = ir.add(Op::Reduce {
            function: ReduceFunction::SumSquare,
            argument: ValueId(0),
            group: 2,
        });
        let first = product(&mut ir, ValueId(0), &[-2.0, -4.0]);
        let distance = ir.binary(BinaryFunction::Add, first, squares);
        let ir = ir.giving(distance);
        let found = places(&ir).unwrap();
        let Place::Affine(entries) = &found.places[distance.index()] else {
            panic!("affine in the row and its square")
        };
        assert_eq!(entries[0].terms.len(), 3);
    }
}
