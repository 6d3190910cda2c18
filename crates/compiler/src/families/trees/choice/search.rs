//! Which form each feature takes: the direct rule, and for small circuits a local search from
//! there.

use super::Problem;
use super::precision::{Structure, assess, provisional_units};
use crate::cost::{Costs, Takes, Work};
use crate::families::trees::forms::{Form, Prices, Rule};
use crate::families::trees::lower::{Shape, lower};
use crate::options::Prefer;
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

/// A circuit that may be chosen.
pub(super) struct Candidate {
    pub(super) shape: Shape,
    pub(super) gadget: Gadget,
    pub(super) price: f64,
    pub(super) bits: f64,
    work: Work,
}

pub(super) struct Search<'a> {
    problem: &'a Problem<'a>,
    /// What the search is for at the moment.
    prefer: Option<Prefer>,
    costs: Costs,
    units: Vec<f64>,
    rule: Rule<'a>,
    lowered: HashMap<Shape, Structure>,
    budget: usize,
}

impl<'a> Search<'a> {
    pub(super) fn new(problem: &'a Problem<'a>) -> Self {
        Self {
            problem,
            prefer: problem.prefer,
            costs: Costs::of(problem.backend.set),
            units: provisional_units(problem.ensemble),
            rule: Rule::new(problem.ensemble, problem.hides_use),
            lowered: HashMap::new(),
            budget: SEARCH_BUDGET,
        }
    }

    /// Circuits worth a closer look. A preference that was asked for looks at those of the others,
    /// too: no search is exhaustive, and what spares most time may be found while bytes are spared.
    pub(super) fn candidates(&mut self) -> Vec<Candidate> {
        let own = self.prefer;
        let mut candidates = self.preferred();
        if own.is_some() {
            for other in [None, Some(Prefer::Time), Some(Prefer::Size)] {
                if other != own {
                    (self.prefer, self.budget) = (other, SEARCH_BUDGET);
                    candidates.extend(self.preferred());
                }
            }
            self.prefer = own;
            for candidate in &mut candidates {
                candidate.price = self.price_of(&candidate.work, candidate.gadget);
            }
        }
        candidates
    }

    /// Circuits that are worth a closer look by what is preferred.
    fn preferred(&mut self) -> Vec<Candidate> {
        let gadgets = self.problem.backend.gadgets();
        let usual = gadgets[(gadgets.len() - 1) / 2];
        let forms = cheapest(&self.rule.forms(self.prices(usual, Takes::default())));
        if self.rule.multiplexers(&forms) > SMALL {
            return self.direct(usual);
        }
        gadgets
            .iter()
            .flat_map(|gadget| self.improved(*gadget))
            .collect()
    }

    /// What a shape gives with each gadget; `candidates` are those that are known already.
    pub(super) fn alternatives(
        &mut self,
        shape: &Shape,
        candidates: &[Candidate],
    ) -> Vec<Alternative> {
        let backend = self.problem.backend;
        let gadgets = backend.gadgets().iter();
        gadgets
            .map(|gadget| {
                let known = candidates
                    .iter()
                    .find(|known| known.gadget == *gadget && known.shape == *shape)
                    .map(|known| (known.bits, known.work));
                let (bits, work) = known.unwrap_or_else(|| {
                    let candidate = self.assess(shape, *gadget);
                    (candidate.bits, candidate.work)
                });
                Alternative {
                    gadget: *gadget,
                    bits,
                    microseconds: self.costs.time(&work, *gadget),
                    query_row: backend.query_bytes(work.selectors, *gadget),
                }
            })
            .collect()
    }

    /// The circuit of a candidate, in provisional units.
    pub(super) fn structure(&mut self, shape: &Shape) -> &Structure {
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
            self.lowered.insert(
                shape.clone(),
                Structure::new(lowered, (&self.units, 1.0), &ensemble.bins),
            );
        }
        &self.lowered[shape]
    }

    /// What the rule gives for a gadget, then for the one that this circuit needs, and the circuit
    /// of the fewest multiplexers: no more than three are lowered.
    fn direct(&mut self, usual: Gadget) -> Vec<Candidate> {
        let target = self.problem.target;
        let mut candidates: Vec<Candidate> = Vec::new();
        // What memory costs depends on the time that it is taken for, so at first it costs nothing.
        let (mut gadget, mut takes) = (usual, Takes::default());
        for choose in [cheapest, cheapest, fewest] {
            let forms = choose(&self.rule.forms(self.prices(gadget, takes)));
            for shape in self.with_tables(&forms) {
                if candidates.iter().all(|other| other.shape != shape) {
                    let gadgets = self.problem.backend.gadgets().iter();
                    candidates.extend(gadgets.map(|gadget| self.assess(&shape, *gadget)));
                }
            }
            candidates.sort_by(|a, b| a.order(b, target));
            gadget = candidates[0].gadget;
            takes = self.takes(&candidates[0].work, gadget);
        }
        candidates
    }

    /// For a gadget, the rule's circuit, those of one form for all, and the cheapest of these with
    /// the forms of single features changed while that helps.
    fn improved(&mut self, gadget: Gadget) -> Vec<Candidate> {
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
        let mut shapes: Vec<Shape> = Vec::new();
        for shape in starts
            .into_iter()
            .flat_map(|forms| self.with_tables(&forms))
        {
            if !shapes.contains(&shape) {
                shapes.push(shape);
            }
        }
        let priced: Vec<(f64, Shape)> = shapes
            .iter()
            .map(|shape| (self.penalised(shape, gadget), shape.clone()))
            .collect();
        let cheapest = priced.into_iter().min_by(|a, b| a.0.total_cmp(&b.0));
        let (mut price, mut best) = cheapest.expect("there are starts");
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
                let cheaper = self.penalised(&other, gadget);
                if cheaper < price {
                    (price, best, improved) = (cheaper, other, true);
                }
            }
        }
        if !shapes.contains(&best) {
            shapes.push(best);
        }
        shapes
            .iter()
            .map(|shape| self.assess(shape, gadget))
            .collect()
    }

    /// Shapes of these forms: with symmetric trees as tables, too, where there are any.
    fn with_tables(&self, forms: &[Form]) -> Vec<Shape> {
        let mut trees = self.problem.ensemble.trees.iter();
        let any = trees.any(|tree| tree.symmetric.is_some());
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

    /// The price, raised where the precision is missed.
    fn penalised(&mut self, shape: &Shape, gadget: Gadget) -> f64 {
        let candidate = self.assess(shape, gadget);
        let missing = (self.problem.target - candidate.bits).max(0.0);
        candidate.price * (1.0 + PENALTY * missing)
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

    fn price_of(&self, work: &Work, gadget: Gadget) -> f64 {
        let Problem {
            profile, backend, ..
        } = self.problem;
        self.takes(work, gadget)
            .price((*profile, self.prefer), backend.key_bytes())
    }

    fn assess(&mut self, shape: &Shape, gadget: Gadget) -> Candidate {
        let (problem, units) = (self.problem, self.units.clone());
        let structure = self.structure(shape);
        let bits = assess(problem, gadget, structure, &units, None).bits;
        let work = structure.lowered.work(gadget, problem.backend);
        Candidate {
            shape: shape.clone(),
            gadget,
            price: self.price_of(&work, gadget),
            bits,
            work,
        }
    }
}

impl Candidate {
    /// Those that reach the target first, cheapest first, then the others, most precise first.
    pub(super) fn order(&self, other: &Self, target: f64) -> std::cmp::Ordering {
        let missed = |candidate: &Self| candidate.bits < target;
        missed(self).cmp(&missed(other)).then_with(|| {
            if missed(self) {
                other.bits.total_cmp(&self.bits)
            } else {
                self.price.total_cmp(&other.price)
            }
        })
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
