//! Key part, form of the first layer, steps of the features, gadget: the cheapest that keep the
//! labels, and the scores within a hundredth of their range, when the calibration rows are simulated.

use super::super::choice::{gadget, limited};
use super::super::circuit::key_switches;
use super::super::curve::Curve;
use super::super::fidelity::{Fidelity, MOST_ERROR, SimulatedModel};
use super::super::layer::{BitColumns, units};
use super::super::outputs::OutputSums;
use super::composite::{Composite, composites};
use super::integers::{Fitting, FormSum, Integers, TableArgument};
use super::lines::FormLines;
use super::problem::{FirstLayer, LayersProblem};
use super::simulate::{Noise, SimulatedRows};
use crate::backend::Budget;
use crate::cost::{Costs, Takes, Work};
use crate::error::CompileError;
use crate::model::LinearForm;
use crate::simulate::Gaussian;
use cipherfn_program::Microseconds;
use cipherfn_protocol::specs::{Gadget, IntegerFeature};
use cipherfn_scheme::bootstrap::{lookup_variance, module_switch, rotation_variance};
use cipherfn_scheme::noise::{self, Deviation, Variance};
use cipherfn_scheme::operations::pack;
use cipherfn_scheme::parameters::{Bootstrap, KeyPart, KeyPartContents};

/// Gadgets of look-ups that are tried, from the cheapest and noisiest on.
const GADGETS: [Gadget; 3] = [gadget(9, 2), gadget(8, 3), gadget(6, 4)];
/// log2 of the errors that quantised features may bring into the scores, in parts of the torus.
const ERRORS: [f64; 6] = [-6.0, -7.0, -8.0, -9.0, -10.0, -11.0];
/// Part of the labels that may differ of those that the option allows: other rows differ more.
const STRICTER: f64 = 0.25;
/// The same of the scores' error.
const AIM: f64 = 0.65;

/// What is decided.
#[derive(Clone, Copy)]
struct LayersCandidate {
    /// Which of the bootstraps.
    bootstrap: usize,
    first: FirstLayer,
    /// Of look-ups: the error of quantised features, as an index of [`ERRORS`], and the gadget.
    steps: usize,
    gadget: Gadget,
    price: f64,
}

/// A part of the key that bootstraps.
#[derive(Clone, Copy)]
pub(super) struct BootstrapPart {
    pub(super) part: &'static KeyPart,
    pub(super) bootstrap: &'static Bootstrap,
}

/// A network in integers, with what it costs and gives.
pub(super) struct LayersChoice {
    pub(super) of: BootstrapPart,
    pub(super) first: FirstLayer,
    pub(super) gadget: Gadget,
    pub(super) grid: Vec<IntegerFeature>,
    pub(super) bits: Vec<Vec<bool>>,
    pub(super) features: Vec<Vec<f64>>,
    pub(super) integers: Integers,
    pub(super) lines: Option<FormLines>,
    pub(super) noise: Noise,
    pub(super) budget: Budget,
    pub(super) fidelity: Fidelity,
    pub(super) sums: OutputSums,
    pub(super) work: Work,
    pub(super) stages: Vec<(&'static str, Microseconds)>,
}

/// Tables and forms that candidates of one key part and form of the first layer share.
pub(super) struct Tables {
    pub(super) curves: Vec<Curve>,
    composites: Vec<Composite>,
}

/// How faithful a choice is: the first is best.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Tier {
    /// With room for other rows.
    Ample,
    /// As is asked for.
    Enough,
    Short,
}

impl LayersProblem<'_> {
    fn parts(&self) -> Vec<BootstrapPart> {
        let parts = self.setting.backend.set.parts.iter();
        parts
            .filter_map(|part| match &part.contents {
                KeyPartContents::Bootstrap(bootstrap) => Some(BootstrapPart { part, bootstrap }),
                _ => None,
            })
            .collect()
    }

    /// The cheapest choice that is faithful enough, or the most faithful one.
    pub(super) fn choose(&self) -> Result<(LayersChoice, Tables), CompileError> {
        let parts = self.parts();
        let mut best: Option<(Tier, LayersChoice, Tables)> = None;
        // Whether look-ups are of use with each part, once it is known.
        let mut of_use: Vec<Option<bool>> = vec![None; parts.len()];
        let gradients = match parts.first() {
            Some(part) => self.gradients(&self.curves(FirstLayer::Bootstraps, part.bootstrap)?),
            None => return Err(CompileError::Constant),
        };
        let mut made: Vec<((usize, FirstLayer), Tables)> = Vec::new();
        for candidate in self.candidates(&parts, &gradients) {
            let key = (candidate.bootstrap, candidate.first);
            let is_lookup = candidate.first == FirstLayer::Lookups;
            if is_lookup && of_use[candidate.bootstrap] == Some(false) {
                continue;
            }
            if made.iter().all(|(own, _)| *own != key) {
                let own = self.tables(candidate.first, parts[candidate.bootstrap])?;
                made.push((key, own));
            }
            let Some(tables) = made.iter().position(|(own, _)| *own == key) else {
                continue;
            };
            let Some(choice) = self.choice(
                candidate,
                parts[candidate.bootstrap],
                &made[tables].1,
                &gradients,
            )?
            else {
                continue;
            };
            let tier = self.tier(&choice);
            let is_better = best.as_ref().is_none_or(|(own, best, _)| {
                tier < *own || tier == Tier::Short && choice.fidelity.exceeds(&best.fidelity)
            });
            if is_better {
                let tables = Tables {
                    curves: made[tables].1.curves.clone(),
                    composites: Vec::new(),
                };
                best = Some((tier, choice, tables));
            }
            if tier == Tier::Ample {
                break;
            }
            // Where noise alone is too much, finer steps of the features are of no use.
            if is_lookup && tier == Tier::Short && of_use[candidate.bootstrap].is_none() {
                let finest = LayersCandidate {
                    steps: ERRORS.len() - 1,
                    gadget: GADGETS[GADGETS.len() - 1],
                    ..candidate
                };
                let tables = &made[tables].1;
                let finest = self.choice(finest, parts[candidate.bootstrap], tables, &gradients)?;
                of_use[candidate.bootstrap] =
                    Some(finest.is_some_and(|own| self.tier(&own) != Tier::Short));
            }
        }
        let (_, choice, tables) = best.ok_or(CompileError::Constant)?;
        Ok((choice, tables))
    }

    fn tables(&self, first: FirstLayer, part: BootstrapPart) -> Result<Tables, CompileError> {
        let curves = self.curves(first, part.bootstrap)?;
        let composites = composites(self.model, self.spans.len(), &curves)?;
        Ok(Tables { curves, composites })
    }

    fn tier(&self, choice: &LayersChoice) -> Tier {
        let (options, fidelity) = (self.setting.options, &choice.fidelity);
        let bits = fidelity.bits(&choice.sums, choice.budget);
        let is_precise = options.precision.is_none_or(|precision| bits >= precision);
        let stricter = 1.0 - STRICTER * (1.0 - options.min_agreement);
        match is_precise {
            true if fidelity.is_within(stricter, AIM * MOST_ERROR) => Tier::Ample,
            true if fidelity.is_within(options.min_agreement, MOST_ERROR) => Tier::Enough,
            _ => Tier::Short,
        }
    }

    /// From the cheapest on.
    fn candidates(&self, parts: &[BootstrapPart], gradients: &[f64]) -> Vec<LayersCandidate> {
        let mut all = Vec::new();
        let grids: Vec<Vec<IntegerFeature>> = ERRORS
            .iter()
            .map(|error| self.grid(error.exp2(), gradients))
            .collect();
        for (bootstrap, part) in parts.iter().enumerate() {
            let mut push = |first, steps: usize, gadget, grid: &[IntegerFeature]| {
                let work = self.least_work(first, grid, gadget);
                all.push(LayersCandidate {
                    bootstrap,
                    first,
                    steps,
                    gadget,
                    price: self.price(&work, gadget, *part),
                });
            };
            push(FirstLayer::Bootstraps, 0, GADGETS[0], &[]);
            for (steps, grid) in grids.iter().enumerate() {
                if grid.iter().any(|own| own.bits > 0) {
                    for gadget in GADGETS {
                        push(FirstLayer::Lookups, steps, gadget, grid);
                    }
                }
            }
        }
        all.sort_by(|a, b| a.price.total_cmp(&b.price));
        all
    }

    /// Grids that together bring this error into the scores.
    fn grid(&self, error: f64, gradients: &[f64]) -> Vec<IntegerFeature> {
        let own = error / (self.spans.len() as f64).sqrt();
        let grids = self.spans.iter().zip(gradients);
        grids
            .map(|(span, gradient)| {
                // Uniform in a step.
                span.with_step(own * 12_f64.sqrt() / gradient.max(f64::MIN_POSITIVE))
            })
            .collect()
    }

    /// Work but for what follows from the weights.
    fn least_work(&self, first: FirstLayer, grid: &[IntegerFeature], gadget: Gadget) -> Work {
        let selectors: u32 = grid.iter().map(|own| own.bits).sum();
        let (looked_up, others): (Vec<_>, Vec<_>) = self
            .model
            .layers
            .iter()
            .partition(|layer| Self::looks_up(layer, first));
        let bits = |form: &LinearForm| -> u32 {
            let features = form.weights.iter();
            features
                .map(|(feature, _)| grid[*feature as usize].bits)
                .sum()
        };
        let forms = || looked_up.iter().flat_map(|layer| &layer.forms);
        Work {
            selectors,
            slots: self.setting.backend.slots(selectors, gadget),
            cmuxes: forms().map(bits).sum(),
            lookups: forms().count() as u32,
            bootstraps: others.iter().map(|layer| layer.forms.len() as u32).sum(),
            key_switches: key_switches(self.scales.len() as u32, self.setting.backend),
            ..Work::default()
        }
    }

    fn price(&self, work: &Work, gadget: Gadget, of: BootstrapPart) -> f64 {
        let (backend, options) = (self.setting.backend, self.setting.options);
        let costs = Costs::of(backend.set).with_bootstrap(of.bootstrap);
        let takes = Takes {
            time: costs.time(work, gadget),
            memory: costs.memory(work, gadget),
            query: backend.priced_query_bytes(work, gadget, options.profile),
        };
        let key = backend.file_bytes(backend.expansion().iter().chain([of.part]));
        takes.price((options.profile, options.prefer), key)
    }

    fn choice(
        &self,
        candidate: LayersCandidate,
        of: BootstrapPart,
        tables: &Tables,
        gradients: &[f64],
    ) -> Result<Option<LayersChoice>, CompileError> {
        let backend = self.setting.backend;
        let looks_up = candidate.first == FirstLayer::Lookups;
        // Without look-ups no feature travels as bits.
        let error = if looks_up {
            ERRORS[candidate.steps].exp2()
        } else {
            f64::INFINITY
        };
        let grid = self.grid(error, gradients);
        let bits = BitColumns::of(&grid, &self.rows);
        let lookups = match self.first_forms(candidate.first) {
            (forms, values) if looks_up => {
                units(&forms, &tables.curves[..forms.len()], &bits, &values)
            }
            _ => Vec::new(),
        };
        let features: Vec<Vec<f64>> = self
            .rows
            .iter()
            .map(|row| {
                row.iter()
                    .zip(&grid)
                    .map(|(x, own)| limited(*x, own))
                    .collect()
            })
            .collect();
        let selector = noise::selector(backend.set, backend.transport());
        let cmux = noise::cmux(backend.set, candidate.gadget, &selector);
        let bootstrapped = rotation_variance(of.bootstrap)
            + module_switch::variance_to_levelled(backend.set, of.bootstrap);
        let of_tables: Vec<Variance> = (0..self.units())
            .map(|unit| match lookups.get(unit) {
                Some(own) => own.turns.len() as f64 * cmux,
                None => bootstrapped,
            })
            .collect();
        let variances: Vec<f64> = of_tables.iter().map(|own| own.get()).collect();
        let integers = Fitting {
            problem: self,
            curves: &tables.curves,
            composites: &tables.composites,
            first: candidate.first,
            lookups: &lookups,
            bits: &bits.rows,
            features: &features,
            variances: &variances,
        }
        .integers();
        let lines = FormLines::of(&integers, &grid, &self.setting.features.names, backend);
        let of_lines = |sum: Option<&FormSum>| match (&lines, sum) {
            (Some(lines), Some(sum)) => lines.variance(sum, backend),
            _ => Variance::default(),
        };
        let arguments = integers.arguments.iter().map(|own| match own {
            TableArgument::Phase(sum) => Some(sum),
            TableArgument::Bits(_) => None,
        });
        let sums = arguments.chain(integers.scores.iter().map(Some));
        let mut noise = Noise {
            switch: lookup_variance(backend.set, of.bootstrap),
            tables: of_tables,
            lines: sums.map(of_lines).collect(),
            reply: Deviation::default(),
        };
        let simulated = SimulatedRows {
            curves: &tables.curves,
            integers: &integers,
            features: &features,
            bits: &bits.rows,
        };
        let all = 0..self.units();
        let mut source = Gaussian::new(self.setting.seed);
        let inner = Variance::new(simulated.variance(&noise, &all, &mut source));
        let packing = match (self.scales.len(), backend.set.packing()) {
            (1, _) | (_, None) => Variance::default(),
            (_, Some(packing)) => pack::variance(backend.set, packing),
        };
        let budget = backend.budget(inner + packing, self.units() as f64, self.scales.len());
        if budget.error.get() >= 0.25 {
            return Ok(None);
        }
        let rest = budget.deviation.get().powi(2) - inner.get();
        noise.reply = Variance::new(rest.max(0.0)).deviation();
        let sums = self.sums();
        let fidelity = Fidelity::of(&SimulatedModel {
            setting: self.setting,
            indices: &self.indices,
            scores: &self.scores,
            sums: &sums,
            phases: &integers.phases,
            noisy: &|row, source| simulated.phases(row, &noise, &all, source),
            budget,
            wrapped: integers.wrapped.iter().sum(),
        })?;
        let work = self.work(candidate, &grid, &integers);
        let costs = Costs::of(backend.set).with_bootstrap(of.bootstrap);
        Ok(Some(LayersChoice {
            of,
            first: candidate.first,
            gadget: candidate.gadget,
            stages: costs.stages(&work, candidate.gadget).to_vec(),
            bits: bits.rows.clone(),
            grid,
            features,
            integers,
            lines,
            noise,
            budget,
            fidelity,
            sums,
            work,
        }))
    }

    /// The forms that are looked up, which come first, and their values on the rows.
    fn first_forms(&self, first: FirstLayer) -> (Vec<LinearForm>, Vec<Vec<f64>>) {
        let layers = self.model.layers.iter();
        let layers = layers.take_while(|layer| Self::looks_up(layer, first));
        let forms: Vec<LinearForm> = layers.flat_map(|layer| layer.forms.clone()).collect();
        let values = self.forms.iter().map(|row| row[..forms.len()].to_vec());
        let values = values.collect();
        (forms, values)
    }

    /// How the scores are read.
    fn sums(&self) -> OutputSums {
        OutputSums {
            amplitudes: Vec::new(),
            weights: Vec::new(),
            scales: self.scales.clone(),
            centres: self.centres.clone(),
            constants: Vec::new(),
            slopes: Vec::new(),
        }
    }

    fn work(
        &self,
        candidate: LayersCandidate,
        grid: &[IntegerFeature],
        integers: &Integers,
    ) -> Work {
        let mut work = if candidate.first == FirstLayer::Lookups {
            self.least_work(candidate.first, grid, candidate.gadget)
        } else {
            self.least_work(candidate.first, &[], candidate.gadget)
        };
        work.cmuxes = 0;
        for argument in &integers.arguments {
            match argument {
                TableArgument::Bits(own) => work.cmuxes += own.turns.len() as u32,
                TableArgument::Phase(sum) => add(&mut work, sum),
            }
        }
        for sum in &integers.scores {
            add(&mut work, sum);
        }
        work
    }
}

/// Counts a form.
pub(super) fn add(work: &mut Work, sum: &FormSum) {
    work.terms += sum.terms.len() as u32;
    work.products += u32::from(!sum.slopes.is_empty());
}
