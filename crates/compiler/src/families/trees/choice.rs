//! The cheapest circuit that is precise enough.

use crate::backend::{Backend, Budget};
use crate::families::trees::binned::{BinnedEnsemble, BinnedNode};
use crate::families::trees::cost::{Costs, Work};
use crate::families::trees::diagram::Diagram;
use crate::families::trees::expression::{Form, Selectors, index_bits};
use crate::families::trees::lower::{Lowered, Shape, lower};
use crate::families::trees::noise::{self, Paths};
use crate::options::Profile;
use cipherfn_protocol::specs::Gadget;
use std::collections::HashMap;

#[cfg(test)]
mod tests;

/// What to choose for.
pub(crate) struct Problem<'a> {
    /// The trees.
    pub ensemble: &'a BinnedEnsemble,
    /// Whether selectors must not tell which split points are used.
    pub hides_use: bool,
    /// What is scarce.
    pub profile: Profile,
    /// Guaranteed bits wanted.
    pub target: f64,
}

/// A choice.
pub(crate) struct Plan {
    /// Parameter set and transport.
    pub backend: Backend,
    /// Forms of the features.
    pub shape: Shape,
    /// Gadget of the selectors.
    pub gadget: Gadget,
    /// The circuit; its constants are in units of the gadget's resolution.
    pub lowered: Lowered,
    /// Score units a unit, one a coefficient.
    pub units: Vec<f64>,
    /// Bound on the error of each coefficient.
    pub budget: Budget,
    /// Guaranteed bits of the worst coefficient.
    pub bits: f64,
    /// Work for one row.
    pub work: Work,
    /// Predicted microseconds for it.
    pub microseconds: f64,
    /// Bytes of a query row.
    pub query_bytes: usize,
}

/// Resolution of leaf values while the range is still unknown, in bits of a rough range.
const PROVISIONAL_BITS: i32 = 40;
/// Expressions that the search may lower in all, a bound on its time.
const SEARCH_BUDGET: usize = 400_000;
/// Rounds of changing one feature's form.
const SEARCH_ROUNDS: usize = 3;
/// During the search, how much dearer a missing bit of precision makes a circuit.
const PENALTY: f64 = 8.0;
/// Candidates that are looked at in their final units: the leaves' rounding makes more subtrees
/// equal, and equal ones share their errors.
const MAX_PLANS: usize = 8;
/// Price of a query byte in microseconds: 1 ms for a packed ciphertext.
const MICROSECONDS_A_BYTE: f64 = 1000.0 / 12_300.0;

/// The cheapest plan that reaches the target, or the most precise one.
pub(crate) fn choose(problem: &Problem<'_>, backends: &[Backend]) -> Plan {
    let mut candidates: Vec<Candidate> = Vec::new();
    let mut budget = SEARCH_BUDGET;
    for &backend in backends {
        let mut search = Search {
            problem,
            backend,
            units: provisional_units(problem.ensemble),
            cache: HashMap::new(),
            budget: &mut budget,
        };
        for gadget in backend.gadgets() {
            let shapes = search.shapes(*gadget);
            candidates.extend(
                shapes
                    .into_iter()
                    .filter_map(|shape| search.assess(&shape, *gadget)),
            );
        }
    }
    // Those that reach the target first, cheapest first, then the others, most precise first.
    let rank = |candidate: &Candidate| {
        let missed = candidate.bits < problem.target;
        (
            missed,
            if missed {
                -candidate.bits
            } else {
                candidate.price
            },
        )
    };
    let order = |a: &Candidate, b: &Candidate| {
        let (a, b) = (rank(a), rank(b));
        a.0.cmp(&b.0).then(a.1.total_cmp(&b.1))
    };
    candidates.sort_by(order);
    candidates.dedup_by(|a, b| {
        (a.backend.set.name, &a.shape, a.gadget) == (b.backend.set.name, &b.shape, b.gadget)
    });
    let mut best: Option<Plan> = None;
    for Candidate {
        backend,
        shape,
        gadget,
        ..
    } in candidates.iter().take(MAX_PLANS)
    {
        let plan = plan(problem, *backend, shape, *gadget);
        let reached = plan.bits >= problem.target;
        if best.as_ref().is_none_or(|best| plan.bits > best.bits) {
            best = Some(plan);
        }
        if reached {
            break;
        }
    }
    best.expect("the index form is always available")
}

struct Candidate {
    backend: Backend,
    shape: Shape,
    gadget: Gadget,
    price: f64,
    bits: f64,
}

/// A shape with its circuit in provisional units.
struct Structure {
    lowered: Lowered,
    /// Half the range of each coefficient, in score units.
    half: Vec<f64>,
    paths: Paths,
}

impl Structure {
    fn new(lowered: Lowered, units: &[f64]) -> Self {
        Self {
            half: half_ranges(&lowered, units),
            paths: Paths::of(&lowered.graph),
            lowered,
        }
    }
}

struct Search<'a> {
    problem: &'a Problem<'a>,
    backend: Backend,
    units: Vec<f64>,
    cache: HashMap<Shape, Option<Structure>>,
    budget: &'a mut usize,
}

impl Search<'_> {
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
        let mut shapes: Vec<Shape> = Vec::new();
        for tables in if any_table {
            &[false, true][..]
        } else {
            &[false]
        } {
            shapes.extend(starts.iter().map(|forms| Shape {
                forms: forms.clone(),
                tables: *tables,
            }));
        }
        let mut found: Option<(f64, Shape)> = None;
        for shape in &shapes {
            if let Some(price) = self
                .price(shape, gadget)
                .filter(|price| found.as_ref().is_none_or(|(best, _)| price < best))
            {
                found = Some((price, shape.clone()));
            }
        }
        let Some((mut price, mut best)) = found else {
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
        let costs = Costs::of(self.backend.set);
        let price = |work: Work| self.price_of(&work, gadget, &costs);
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
            let slots = |selectors: u32| {
                if self.backend.is_packed() {
                    selectors * gadget.levels
                } else {
                    0
                }
            };
            let (bits, bins) = (index_bits(ensemble.bins[feature]), ensemble.bins[feature]);
            let index = Work {
                selectors: bits,
                slots: slots(bits),
                cmuxes: tests[feature],
                ..Work::default()
            };
            let selectors = if self.problem.hides_use {
                bins - 1
            } else {
                predicates[feature]
            };
            let thermometer = Work {
                selectors,
                slots: slots(selectors),
                cmuxes: nodes[feature],
                ..Work::default()
            };
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

    fn price(&mut self, shape: &Shape, gadget: Gadget) -> Option<f64> {
        let backend = self.backend;
        let lowered = &self.structure(shape)?.lowered;
        let work = Work::of(
            &lowered.graph,
            lowered.selectors.len() as u32,
            gadget,
            backend.transport(),
        );
        Some(self.price_of(&work, gadget, &Costs::of(backend.set)))
    }

    fn price_of(&self, work: &Work, gadget: Gadget, costs: &Costs) -> f64 {
        let microseconds = costs.microseconds(work, gadget, self.backend.ggsw_bytes(gadget));
        let query = self.backend.query_bytes(work.selectors, gadget) as f64;
        match self.problem.profile {
            Profile::Balanced | Profile::Keyless => microseconds + query * MICROSECONDS_A_BYTE,
            // Bytes first; time decides between equals.
            Profile::Compact => (query + self.backend.key_bytes() as f64) * 1e6 + microseconds,
        }
    }

    fn assess(&mut self, shape: &Shape, gadget: Gadget) -> Option<Candidate> {
        let price = self.price(shape, gadget)?;
        let (problem, backend, units) = (self.problem, self.backend, self.units.clone());
        let structure = self.structure(shape)?;
        let (_, bits) = assess(problem, backend, gadget, structure, &units);
        Some(Candidate {
            backend,
            shape: shape.clone(),
            gadget,
            price,
            bits,
        })
    }

    /// The shape's circuit, if its forms are available and the search may still lower circuits.
    fn structure(&mut self, shape: &Shape) -> Option<&Structure> {
        if !self.cache.contains_key(shape) {
            let plain = shape.forms.iter().all(|form| *form == Form::Index);
            if *self.budget == 0 && !plain {
                return None;
            }
            let n = self.backend.set.ring.polynomial_size as u32;
            let lowered = lower(
                self.problem.ensemble,
                shape,
                self.problem.hides_use,
                n,
                &self.units,
            );
            let structure = lowered.map(|lowered| Structure::new(lowered, &self.units));
            let size = structure
                .as_ref()
                .map_or(1, |structure| structure.lowered.graph.nodes.len() + 1);
            *self.budget = self.budget.saturating_sub(size);
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

/// Units that are fine enough for any use of the range, from the trees' ranges alone.
fn provisional_units(ensemble: &BinnedEnsemble) -> Vec<f64> {
    let mut total = vec![0.0; ensemble.coefficients];
    for tree in &ensemble.trees {
        let leaves = || {
            tree.nodes.iter().filter_map(|node| {
                if let BinnedNode::Leaf(values) = node {
                    Some(values)
                } else {
                    None
                }
            })
        };
        for (coefficient, total) in total.iter_mut().enumerate() {
            *total += leaves()
                .map(|leaf| leaf[coefficient].abs())
                .fold(0.0, f64::max);
        }
    }
    total
        .into_iter()
        .map(|total: f64| {
            if total > 0.0 {
                total * f64::from(-PROVISIONAL_BITS).exp2()
            } else {
                1.0
            }
        })
        .collect()
}

/// Half the range of each coefficient in score units; never zero.
fn half_ranges(lowered: &Lowered, units: &[f64]) -> Vec<f64> {
    let half = |((low, high), rounding): (&(i64, i64), &f64)| {
        (high.max(&-low).max(&1).to_owned() as f64) + rounding
    };
    lowered
        .graph
        .ranges
        .iter()
        .zip(&lowered.rounding)
        .map(half)
        .zip(units)
        .map(|(half, unit)| half * unit)
        .collect()
}

/// Error budget and guaranteed bits of a circuit whose constants are in `units`.
fn assess(
    problem: &Problem<'_>,
    backend: Backend,
    gadget: Gadget,
    structure: &Structure,
    units: &[f64],
) -> (Budget, f64) {
    let Structure {
        lowered,
        half,
        paths,
    } = structure;
    let resolution = (-f64::from(gadget.base_log * gadget.levels)).exp2();
    // All coefficients fill the torus, so one ratio of provisional to final units serves all; the
    // largest is the safe one.
    let scale = units
        .iter()
        .zip(half)
        .map(|(unit, half)| unit / half * 0.5 / resolution)
        .fold(0.0, f64::max);
    let variance = noise::variance(
        &lowered.graph,
        *paths,
        gadget,
        backend.variances(gadget),
        scale,
    );
    let rows = paths.selectors * f64::from(gadget.levels);
    let budget = backend.budget(variance, rows, problem.ensemble.coefficients);
    let rounding = problem.ensemble.trees.len() as f64 * 0.5 * resolution;
    let bits = (2.0 * amplitude(&budget, rounding) / (1.5 * budget.error + rounding)).log2();
    (budget, bits)
}

/// Half the part of the torus that scores may fill, so that errors cannot carry them around.
fn amplitude(budget: &Budget, rounding: f64) -> f64 {
    (0.5 - budget.error - 4.0 * rounding).max(1e-3)
}

fn plan(problem: &Problem<'_>, backend: Backend, shape: &Shape, gadget: Gadget) -> Plan {
    let n = backend.set.ring.polynomial_size as u32;
    let structure = |units: &[f64]| {
        let lowered = lower(problem.ensemble, shape, problem.hides_use, n, units)
            .expect("the search lowered this shape");
        Structure::new(lowered, units)
    };
    let provisional = provisional_units(problem.ensemble);
    let rough = structure(&provisional);
    let (budget, _) = assess(problem, backend, gadget, &rough, &provisional);
    let resolution = (-f64::from(gadget.base_log * gadget.levels)).exp2();
    let rounding = problem.ensemble.trees.len() as f64 * 0.5 * resolution;
    let units: Vec<f64> = rough
        .half
        .iter()
        .map(|half| half / amplitude(&budget, rounding) * resolution)
        .collect();
    let fine = structure(&units);
    let (budget, _) = assess(problem, backend, gadget, &fine, &units);
    let Structure { lowered, half, .. } = fine;
    let bits = half
        .iter()
        .zip(&units)
        .zip(&lowered.rounding)
        .map(|((half, unit), rounding)| {
            let precision = (1.5 * budget.error / resolution + rounding) * unit;
            (2.0 * half / precision).log2()
        });
    let bits = bits.fold(f64::INFINITY, f64::min);
    let work = Work::of(
        &lowered.graph,
        lowered.selectors.len() as u32,
        gadget,
        backend.transport(),
    );
    let costs = Costs::of(backend.set);
    let microseconds = costs.microseconds(&work, gadget, backend.ggsw_bytes(gadget));
    let query_bytes = backend.query_bytes(work.selectors, gadget);
    Plan {
        backend,
        shape: shape.clone(),
        gadget,
        lowered,
        units,
        budget,
        bits,
        work,
        microseconds,
        query_bytes,
    }
}
