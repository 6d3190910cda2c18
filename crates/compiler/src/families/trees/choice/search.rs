//! Which form each feature takes: the direct rule, and for small circuits a local search from
//! there.

use super::Problem;
use super::precision::{Structure, assess, most_bits, provisional_units};
use super::queue::{Candidate, Queue};
use crate::cost::{Costs, Takes, Work};
use crate::families::trees::additive;
use crate::families::trees::forms::{Form, Prices, Rule};
use crate::families::trees::lower::{Shape, lower};
use crate::families::trees::pairs;
use crate::options::{Prefer, Profile};
use crate::report::Alternative;
use cipherfn_program::Microseconds;
use cipherfn_protocol::specs::Gadget;
use std::collections::HashMap;

/// Multiplexers up to which a circuit is lowered again and again to find better forms.
const SMALL: u64 = 6_000;
/// Nodes that the local search may lower in all, a bound on its time.
const SEARCH_BUDGET: usize = 400_000;
/// Rounds of changing one feature's form.
const SEARCH_ROUNDS: usize = 3;
/// During the local search, how much dearer a missing bit of precision makes a circuit.
const PENALTY: f64 = 8.0;

pub(super) struct Search<'a> {
    problem: &'a Problem<'a>,
    /// By what measure circuits are compared at the moment.
    prefer: Option<Prefer>,
    costs: Costs,
    units: Vec<f64>,
    rule: Rule<'a>,
    lowered: HashMap<Shape, Known>,
    /// Whether all trees are over one feature each.
    is_additive: bool,
    budget: usize,
}

/// A circuit in provisional units.
struct Known {
    structure: Structure,
    /// The bits that it reaches with gadgets that were asked for.
    bits: HashMap<Gadget, f64>,
}

impl<'a> Search<'a> {
    pub(super) fn new(problem: &'a Problem<'a>) -> Self {
        Self {
            problem,
            prefer: None,
            costs: Costs::of(problem.backend.set),
            units: provisional_units(problem.ensemble),
            rule: Rule::new(problem.ensemble, problem.hides_use),
            lowered: HashMap::new(),
            is_additive: additive::is_additive(problem.ensemble),
            budget: SEARCH_BUDGET,
        }
    }

    /// Circuits worth a closer look. They are the same whatever is preferred, found by each measure
    /// in turn, as no search is exhaustive and what spares most time may be found while bytes are
    /// spared: so none of them is better by the measure that was asked for than the one that is
    /// taken.
    pub(super) fn candidates(&mut self) -> Queue {
        let Problem {
            ensemble, backend, ..
        } = self.problem;
        if pairs::is_tabular(ensemble, backend.set.ring.polynomial_size as u32) {
            // Trees of thousands of leaves are evaluated as tables or not at all.
            self.prefer = self.problem.prefer;
            return self.queue(&[Shape {
                forms: vec![Form::Index; ensemble.bins.len()],
                tables: true,
            }]);
        }
        let gadgets = backend.gadgets();
        let usual = gadgets[(gadgets.len() - 1) / 2];
        let forms = cheapest(&self.rule.forms(self.prices(usual, Takes::default())));
        let shapes = if self.rule.multiplexers(&forms) > SMALL {
            self.direct(&forms)
        } else {
            self.improved()
        };
        self.prefer = self.problem.prefer;
        self.queue(&shapes)
    }

    /// What can be preferred where that makes a difference.
    fn measures(&self) -> &'static [Option<Prefer>] {
        match self.problem.profile {
            Profile::Compact => &[None],
            _ => &[None, Some(Prefer::Time), Some(Prefer::Size)],
        }
    }

    /// Shapes with all gadgets, by what is preferred.
    fn queue(&mut self, shapes: &[Shape]) -> Queue {
        let mut candidates = Vec::new();
        for shape in shapes {
            for gadget in self.problem.backend.gadgets() {
                candidates.push(Candidate {
                    shape: shape.clone(),
                    gadget: *gadget,
                    price: self.price(shape, *gadget),
                });
            }
        }
        Queue::new(candidates)
    }

    /// What a shape gives with each gadget.
    pub(super) fn alternatives(&mut self, shape: &Shape) -> Vec<Alternative> {
        let backend = self.problem.backend;
        let gadgets = backend.gadgets().iter();
        gadgets
            .map(|gadget| {
                let work = self.work(shape, *gadget);
                Alternative {
                    gadget: *gadget,
                    bits: self.bits(shape, *gadget),
                    microseconds: self.costs.time(&work, *gadget),
                    query_row: backend.query_bytes(work.selectors, *gadget),
                }
            })
            .collect()
    }

    /// The circuit of a shape, in provisional units.
    pub(super) fn structure(&mut self, shape: &Shape) -> &Structure {
        &self.known(shape).structure
    }

    fn known(&mut self, shape: &Shape) -> &mut Known {
        if !self.lowered.contains_key(shape) {
            let n = self.problem.backend.set.ring.polynomial_size as u32;
            let Problem {
                ensemble,
                hides_use,
                ..
            } = *self.problem;
            let slots = ensemble.layout.units(&self.units, 1.0);
            let lowered = lower(ensemble, shape, hides_use, n, &slots);
            self.budget = self.budget.saturating_sub(lowered.graph.nodes.len() + 1);
            let known = Known {
                structure: Structure::new(lowered, (&self.units, 1.0)),
                bits: HashMap::new(),
            };
            self.lowered.insert(shape.clone(), known);
        }
        self.lowered.get_mut(shape).expect("it is there by now")
    }

    /// Whether a circuit reaches the bits that are wanted.
    pub(super) fn reaches(&mut self, shape: &Shape, gadget: Gadget) -> bool {
        self.most_bits(shape, gadget) >= self.problem.target
            && self.bits(shape, gadget) >= self.problem.target
    }

    /// No fewer than the bits that a circuit reaches.
    fn most_bits(&mut self, shape: &Shape, gadget: Gadget) -> f64 {
        let (problem, units) = (self.problem, self.units.clone());
        let Known { structure, bits } = self.known(shape);
        let known = bits.get(&gadget).copied();
        known.unwrap_or_else(|| most_bits(problem, gadget, structure, &units))
    }

    /// The bits that a circuit reaches.
    pub(super) fn bits(&mut self, shape: &Shape, gadget: Gadget) -> f64 {
        let (problem, units) = (self.problem, self.units.clone());
        let Known { structure, bits } = self.known(shape);
        *bits
            .entry(gadget)
            .or_insert_with(|| assess(problem, gadget, structure, &units, None).bits)
    }

    fn work(&mut self, shape: &Shape, gadget: Gadget) -> Work {
        let backend = self.problem.backend;
        self.structure(shape).lowered.work(gadget, backend)
    }

    fn price(&mut self, shape: &Shape, gadget: Gadget) -> f64 {
        let work = self.work(shape, gadget);
        let Problem {
            profile, backend, ..
        } = self.problem;
        self.takes(&work, gadget)
            .price((*profile, self.prefer), backend.key_bytes())
    }

    /// What the rule gives at the usual gadget, then by each measure for the gadget that this circuit
    /// needs, and the circuit of the fewest multiplexers where none of these is precise enough: no
    /// more than five are lowered.
    fn direct(&mut self, usual: &[Form]) -> Vec<Shape> {
        let mut first = self.with_tables(usual);
        if self.is_additive {
            // The rule counts trees one by one, of which a table knows nothing.
            let forms = vec![Form::Index; usual.len()];
            add(
                &mut first,
                Shape {
                    forms,
                    tables: true,
                },
            );
        }
        let mut shapes = first.clone();
        let mut thermometers = Vec::new();
        for prefer in self.measures() {
            self.prefer = *prefer;
            let best = self.queue(&first).next(self);
            let Candidate { shape, gadget, .. } = best.expect("there are gadgets");
            // What memory costs depends on the time that it is taken for: that of the first circuit.
            let work = self.work(&shape, gadget);
            let takes = self.takes(&work, gadget);
            let forms = self.rule.forms(self.prices(gadget, takes));
            for shape in self.with_tables(&cheapest(&forms)) {
                add(&mut shapes, shape);
            }
            thermometers = fewest(&forms);
        }
        let best = self.queue(&shapes).next(self);
        if best.is_none_or(|best| !self.reaches(&best.shape, best.gadget)) {
            for shape in self.with_tables(&thermometers) {
                add(&mut shapes, shape);
            }
        }
        shapes
    }

    /// By each measure and for each gadget the rule's circuit, those of one form for all, and the
    /// cheapest of these with the forms of single features changed while that helps.
    fn improved(&mut self) -> Vec<Shape> {
        let mut shapes = Vec::new();
        for prefer in self.measures() {
            (self.prefer, self.budget) = (*prefer, SEARCH_BUDGET);
            for gadget in self.problem.backend.gadgets() {
                self.improve(*gadget, &mut shapes);
            }
        }
        shapes
    }

    fn improve(&mut self, gadget: Gadget, shapes: &mut Vec<Shape>) {
        let forms = self.rule.forms(self.prices(gadget, Takes::default()));
        let all = |is_wanted: fn(&Form) -> bool| {
            let of = |forms: &Vec<Form>| forms.iter().find(|form| is_wanted(form)).cloned();
            forms.iter().filter_map(of).collect::<Vec<_>>()
        };
        let starts = [
            cheapest(&forms),
            fewest(&forms),
            all(|form| *form == Form::Index),
        ];
        let starts = starts.iter().flat_map(|forms| self.with_tables(forms));
        let starts: Vec<Shape> = starts.collect();
        let mut best: Option<(f64, Shape)> = None;
        for shape in starts {
            let most = best.as_ref().map_or(f64::INFINITY, |best| best.0);
            if let Some(price) = self.cheaper(&shape, gadget, most) {
                best = Some((price, shape.clone()));
            }
            add(shapes, shape);
        }
        let (mut price, mut best) = best.expect("there are starts");
        let mut improved = true;
        for _ in 0..SEARCH_ROUNDS {
            if !std::mem::replace(&mut improved, false) {
                break;
            }
            for (feature, form) in (0..)
                .zip(&forms)
                .flat_map(|(feature, forms)| forms.iter().map(move |form| (feature, form)))
            {
                let mut other = best.clone();
                other.forms[feature as usize] = form.clone();
                if other == best || (self.budget == 0 && !self.lowered.contains_key(&other)) {
                    continue;
                }
                if let Some(cheaper) = self.cheaper(&other, gadget, price) {
                    (price, best, improved) = (cheaper, other, true);
                }
            }
        }
        add(shapes, best);
    }

    /// Shapes of these forms: with symmetric trees, or those of single features, as tables, too, where
    /// there are any.
    fn with_tables(&self, forms: &[Form]) -> Vec<Shape> {
        let mut trees = self.problem.ensemble.trees.iter();
        let any = self.is_additive || trees.any(|tree| tree.symmetric.is_some());
        let shape = |tables| Shape {
            forms: forms.to_vec(),
            tables,
        };
        if any {
            vec![shape(false), shape(true)]
        } else {
            vec![shape(false)]
        }
    }

    /// The price, raised where the precision is missed, if it is below `most`.
    fn cheaper(&mut self, shape: &Shape, gadget: Gadget, most: f64) -> Option<f64> {
        let (price, target) = (self.price(shape, gadget), self.problem.target);
        let raised = |bits: f64| price * (1.0 + PENALTY * (target - bits).max(0.0));
        // What takes longest to know comes last.
        if price >= most || raised(self.most_bits(shape, gadget)) >= most {
            return None;
        }
        let price = raised(self.bits(shape, gadget));
        (price < most).then_some(price)
    }

    /// What the rule counts with: prices of parts of a large circuit that takes about as much as
    /// `takes`.
    fn prices(&self, gadget: Gadget, takes: Takes) -> Prices {
        const MANY: u32 = 1 << 12;
        let nothing = self.takes(&Work::default(), gadget);
        let each = |work: Work| {
            let many = self.takes(&work, gadget);
            let more = Takes {
                time: Microseconds::new(many.time.get() - nothing.time.get()),
                memory: many.memory,
                query: many.query - nothing.query,
            };
            takes.rise((self.problem.profile, self.prefer), more) / f64::from(MANY)
        };
        Prices {
            selector: each(Work {
                selectors: MANY,
                slots: self.problem.backend.slots(MANY, gadget),
                ..Work::default()
            }),
            cmux: each(Work {
                cmuxes: MANY,
                ..Work::default()
            }),
            scalar: each(Work {
                scalar_selects: MANY,
                ..Work::default()
            }),
        }
    }

    fn takes(&self, work: &Work, gadget: Gadget) -> Takes {
        let Problem {
            profile, backend, ..
        } = self.problem;
        Takes {
            time: self.costs.time(work, gadget),
            memory: self.costs.memory(work, gadget),
            query: backend.priced_query_bytes(work, gadget, *profile),
        }
    }
}

/// Adds a shape that is not there yet.
fn add(shapes: &mut Vec<Shape>, shape: Shape) {
    if !shapes.contains(&shape) {
        shapes.push(shape);
    }
}

/// Each feature's cheapest form.
fn cheapest(forms: &[Vec<Form>]) -> Vec<Form> {
    let first = |forms: &Vec<Form>| forms[0].clone();
    forms.iter().map(first).collect()
}

/// Each feature's form of the fewest multiplexers, a thermometer.
fn fewest(forms: &[Vec<Form>]) -> Vec<Form> {
    let thermometer = |form: &&Form| match form {
        Form::Index => false,
        Form::Thermometer => true,
        Form::Blocks(blocks) => blocks.is_thermometer(),
    };
    let of = |forms: &Vec<Form>| forms.iter().find(thermometer).cloned();
    forms.iter().filter_map(of).collect()
}
