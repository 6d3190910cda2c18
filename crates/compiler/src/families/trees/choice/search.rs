//! Which form each feature takes: a local search over circuits.

use super::Problem;
use super::precision::{Structure, assess, provisional_units};
use crate::cost::{Costs, Work, price};
use crate::families::trees::binned::BinnedNode;
use crate::families::trees::diagram::Diagram;
use crate::families::trees::expression::{Form, Selectors, index_bits};
use crate::families::trees::lower::{Shape, lower};
use cipherfn_protocol::specs::Gadget;
use std::collections::HashMap;

/// Expressions that the search may lower in all, a bound on its time.
const SEARCH_BUDGET: usize = 400_000;
/// Rounds of changing one feature's form.
const SEARCH_ROUNDS: usize = 3;
/// During the search, how much dearer a missing bit of precision makes a circuit.
const PENALTY: f64 = 8.0;

/// A circuit that may be chosen.
pub(super) struct Candidate {
    pub(super) shape: Shape,
    pub(super) gadget: Gadget,
    pub(super) price: f64,
    pub(super) bits: f64,
}

pub(super) struct Search<'a> {
    problem: &'a Problem<'a>,
    costs: Costs,
    units: Vec<f64>,
    cache: HashMap<Shape, Option<Structure>>,
    budget: usize,
}

impl<'a> Search<'a> {
    pub(super) fn new(problem: &'a Problem<'a>) -> Self {
        Self {
            problem,
            costs: Costs::of(problem.backend.set),
            units: provisional_units(problem.ensemble),
            cache: HashMap::new(),
            budget: SEARCH_BUDGET,
        }
    }

    /// Circuits worth a closer look with a gadget.
    pub(super) fn candidates(&mut self, gadget: Gadget) -> Vec<Candidate> {
        let shapes = self.shapes(gadget);
        shapes
            .into_iter()
            .filter_map(|shape| self.assess(&shape, gadget))
            .collect()
    }

    /// Shapes worth a closer look with a gadget.
    fn shapes(&mut self, gadget: Gadget) -> Vec<Shape> {
        let quantisers = self.problem.ensemble.bins.len();
        let thermometer = |feature: usize| {
            if self.available(feature) {
                Form::Thermometer
            } else {
                Form::Index
            }
        };
        let starts = [
            vec![Form::Index; quantisers],
            (0..quantisers).map(thermometer).collect(),
            self.guess(gadget),
        ];
        let any_table = self
            .problem
            .ensemble
            .trees
            .iter()
            .any(|tree| tree.symmetric.is_some());
        let uses_of_tables = if any_table {
            &[false, true][..]
        } else {
            &[false]
        };
        let mut shapes: Vec<Shape> = uses_of_tables
            .iter()
            .flat_map(|tables| {
                starts.iter().map(|forms| Shape {
                    forms: forms.clone(),
                    tables: *tables,
                })
            })
            .collect();
        let priced = shapes
            .iter()
            .filter_map(|shape| Some((self.assess(shape, gadget)?.price, shape.clone())));
        let Some((mut price, mut best)) = priced.min_by(|a, b| a.0.total_cmp(&b.0)) else {
            return shapes;
        };
        let mut improved = true;
        for _ in 0..SEARCH_ROUNDS {
            if !std::mem::replace(&mut improved, false) {
                break;
            }
            for feature in 0..quantisers {
                let mut other = best.clone();
                other.forms[feature] = if other.forms[feature] == Form::Index {
                    Form::Thermometer
                } else {
                    Form::Index
                };
                if let Some(cheaper) = self
                    .penalised(&other, gadget)
                    .filter(|other| *other < price)
                {
                    (price, best, improved) = (cheaper, other, true);
                }
            }
        }
        shapes.push(best);
        shapes
    }

    /// Whether a feature can be encrypted as a thermometer.
    fn available(&self, feature: usize) -> bool {
        let mut forms = vec![Form::Index; self.problem.ensemble.bins.len()];
        forms[feature] = Form::Thermometer;
        Selectors::new(self.problem.ensemble, &forms, self.problem.hides_use).is_some()
    }

    /// For each feature the form that looks cheaper on its own.
    fn guess(&self, gadget: Gadget) -> Vec<Form> {
        let ensemble = self.problem.ensemble;
        let price = |work: Work| self.price_of(&work, gadget);
        let mut predicates = vec![0_u32; ensemble.bins.len()];
        ensemble
            .predicates
            .iter()
            .for_each(|predicate| predicates[predicate.quantiser as usize] += 1);
        let mut tests = vec![0_u32; ensemble.bins.len()];
        let mut nodes = vec![0_u32; ensemble.bins.len()];
        for node in ensemble.trees.iter().flat_map(|tree| &tree.nodes) {
            let BinnedNode::Split {
                predicate, allowed, ..
            } = node
            else {
                continue;
            };
            let predicate = &ensemble.predicates[*predicate as usize];
            let feature = predicate.quantiser as usize;
            tests[feature] += count(&Diagram::new(
                &predicate.set,
                allowed,
                index_bits(ensemble.bins[feature]),
            ));
            nodes[feature] += 1;
        }
        let form = |feature: usize| {
            let (bits, bins) = (index_bits(ensemble.bins[feature]), ensemble.bins[feature]);
            let work = |selectors: u32, cmuxes: u32| Work {
                selectors,
                slots: self.problem.backend.slots(selectors, gadget),
                cmuxes,
                ..Work::default()
            };
            let selectors = if self.problem.hides_use {
                bins - 1
            } else {
                predicates[feature]
            };
            let (index, thermometer) =
                (work(bits, tests[feature]), work(selectors, nodes[feature]));
            if self.available(feature) && price(thermometer) < price(index) {
                Form::Thermometer
            } else {
                Form::Index
            }
        };
        (0..ensemble.bins.len()).map(form).collect()
    }

    /// The price, raised where the precision is missed.
    fn penalised(&mut self, shape: &Shape, gadget: Gadget) -> Option<f64> {
        let target = self.problem.target;
        self.assess(shape, gadget)
            .map(|candidate| candidate.price * (1.0 + PENALTY * (target - candidate.bits).max(0.0)))
    }

    fn price_of(&self, work: &Work, gadget: Gadget) -> f64 {
        let Problem {
            profile, backend, ..
        } = self.problem;
        price(
            *profile,
            self.costs.microseconds(work, gadget),
            backend.priced_query_bytes(work, gadget, *profile),
            backend.key_bytes(),
        )
    }

    fn assess(&mut self, shape: &Shape, gadget: Gadget) -> Option<Candidate> {
        let (problem, units) = (self.problem, self.units.clone());
        let structure = self.structure(shape)?;
        let bits = assess(problem, gadget, structure, &units, None).bits;
        let work = structure.lowered.work(gadget, problem.backend);
        Some(Candidate {
            shape: shape.clone(),
            gadget,
            price: self.price_of(&work, gadget),
            bits,
        })
    }

    /// The shape's circuit, if its forms are available and the search may still lower circuits.
    fn structure(&mut self, shape: &Shape) -> Option<&Structure> {
        if !self.cache.contains_key(shape) {
            let plain = shape.forms.iter().all(|form| *form == Form::Index);
            if self.budget == 0 && !plain {
                return None;
            }
            let n = self.problem.backend.set.ring.polynomial_size as u32;
            let lowered = lower(
                self.problem.ensemble,
                shape,
                self.problem.hides_use,
                n,
                &self.problem.ensemble.layout.units(&self.units, 1.0),
            );
            let structure = lowered.map(|lowered| Structure::new(lowered, &self.units, 1.0));
            let size = structure
                .as_ref()
                .map_or(1, |structure| structure.lowered.graph.nodes.len() + 1);
            self.budget = self.budget.saturating_sub(size);
            self.cache.insert(shape.clone(), structure);
        }
        self.cache[shape].as_ref()
    }
}

fn count(diagram: &Diagram) -> u32 {
    match diagram {
        Diagram::Answer(_) => 0,
        Diagram::Bit { clear, set, .. } => 1 + count(clear) + count(set),
    }
}
