//! Networks with several hidden layers: what lies behind the first is looked up by numbers that the
//! server computed, which takes a bootstrap each.
//!
//! ```text
//! LayeredModel + calibration rows
//!   problem    rows, what forms and functions are on them, tables (as of one hidden layer)
//!   composite  forms in the row's own values and in tables: lines are put into the forms behind
//!   integers   sizes of tables, whole weights, layer after layer
//!   lines      the row's own values in forms
//!   simulate   the rows with noise at every place where it arises
//!   choice     one key part, form of the first layer, steps, gadget
//!   work       what it takes
//!   search     the cheapest that is faithful enough
//!   circuit    look-ups, forms, bootstraps, and all scores in one ciphertext
//! ```

mod choice;
mod circuit;
mod composite;
mod integers;
mod lines;
mod problem;
mod search;
mod simulate;
mod work;

use super::check;
use super::curve::{self, Curve};
use super::numbers::{MOST_BITS, reach};
use super::plan::Planned;
use super::unlike::Unlike;
use crate::cost::{Costs, Work};
use crate::error::CompileError;
use crate::families::{Family, Plan, Setting};
use crate::model::LayeredModel;
use crate::report::{Bound, DeepReport, LayerReport};
use choice::LayersChoice;
pub(super) use choice::{BootstrapPart, bootstrap_parts};
use cipherfn_engine::noise;
use cipherfn_scheme::noise::Variance;
use circuit::LayersCircuit;
use integers::{FormSum, TableArgument, whole};
use problem::LayersProblem;
use simulate::Noise;

impl Family for LayeredModel {
    fn name(&self) -> &'static str {
        "layers of functions"
    }

    fn plan(&self, setting: &Setting<'_>) -> Result<Plan, CompileError> {
        let backend = setting.backend;
        let problem = LayersProblem::of(self, setting)?;
        let (mut choice, tables) = problem.choose()?;
        let curves = &tables.curves;
        let mut circuit = LayersCircuit {
            curves,
            choice: &choice,
            backend,
        }
        .circuit();
        // What is not of bootstraps is the circuit's own noise.
        if let [noise] = noise::of_outputs(&circuit)?[..] {
            let own = backend.budget(noise.value, noise.rows, problem.scales.len());
            if own.error.get() > choice.budget.error.get() {
                choice.budget = own;
                circuit.outputs[0].reply_bits = own.reply_bits;
            }
        }
        let found = FoundLayers {
            problem: &problem,
            choice: &choice,
            curves,
        };
        check(&choice.fidelity, setting.options, || {
            format!("it is limited by {}", found.limit())
        })?;
        let sums = &choice.sums;
        let values = |row: &[f32]| self.forms_and_scores(row);
        let unlike = Unlike::of(setting, &choice.grid, (curves, sums), values);
        let looks_up = choice.work.lookups > 0;
        let bootstraps = circuit.bootstrap.is_some().then_some(choice.of.part);
        let planned = Planned {
            setting,
            circuit,
            grid: &choice.grid,
            gadget: choice.gadget,
            looks_up,
            lines: choice.lines.as_ref().map(|lines| &lines.encoding),
            sums: &choice.sums,
            fidelity: &choice.fidelity,
            budget: choice.budget,
            bound: Bound::Estimate,
            work: choice.work,
            stages: &choice.stages,
            layers: found.reports(),
            key_parts: backend.expansion().iter().chain(bootstraps).collect(),
            unlike,
        };
        Ok(planned.plan())
    }
}

/// A network as it was chosen, for reports.
struct FoundLayers<'a> {
    problem: &'a LayersProblem<'a>,
    choice: &'a LayersChoice,
    curves: &'a [Curve],
}

impl FoundLayers<'_> {
    /// Variance of everything that is off without noise, in the worst score's phase.
    fn exact(&self) -> f64 {
        let fidelity = &self.choice.fidelity;
        // Of a score's range; its phase has more room.
        let widest = fidelity.ranges.iter().zip(&self.problem.scales);
        let widest = widest
            .map(|(range, scale)| range / scale)
            .fold(0.0, f64::max);
        (fidelity.exact_error * widest).powi(2)
    }

    /// What most of the error comes from, and what to try.
    fn limit(&self) -> String {
        let layers = &self.problem.model.layers;
        let wrapped = self.choice.integers.wrapped.iter().enumerate();
        let widest = wrapped.max_by_key(|(_, count)| **count);
        if let Some((widest, 1..)) = widest {
            return format!(
                "values beyond the ranges of the tables of node \"{}\"; give more calibration rows, or \
                 train with weight decay",
                layers[widest].node
            );
        }
        let worst = &self.choice.worst;
        if self.exact() > worst.layers[worst.noisiest()] {
            return "rounded features, tables and weights; train with weight decay, or on fewer or \
                    scaled features"
                .into();
        }
        format!(
            "the noise of the numbers of node \"{}\"; train with weight decay or with fewer layers",
            layers[worst.noisiest()].node
        )
    }

    fn reports(&self) -> Vec<LayerReport> {
        let limit = self.limit();
        let total = (self.choice.worst.total + self.exact()).max(f64::MIN_POSITIVE);
        let layers = 0..self.problem.model.layers.len();
        layers
            .map(|layer| self.report(layer, total, limit.clone()))
            .collect()
    }

    fn report(&self, layer: usize, total: f64, limit: String) -> LayerReport {
        let (problem, choice) = (self.problem, self.choice);
        let fidelity = &choice.fidelity;
        let own = &problem.model.layers[layer];
        let units = problem.starts[layer]..problem.starts[layer + 1];
        let looks_up = LayersProblem::looks_up(own, choice.first);
        let used = || units.clone().filter(|unit| choice.integers.used[*unit]);
        let is_whole = |unit: &usize| {
            let curve = &self.curves[*unit];
            curve.steps > curve.entries.len()
        };
        let mut work = Work::default();
        work::add_tables(&mut work, &choice.integers, units.clone());
        let backend = problem.setting.backend;
        let costs = Costs::of(backend.set).with_bootstrap(choice.of.bootstrap);
        LayerReport {
            nodes: vec![own.node.clone()],
            lookups: work.lookups as usize,
            on_whole_torus: used().filter(is_whole).count(),
            selectors: if looks_up { choice.work.selectors } else { 0 },
            cmuxes: work.cmuxes,
            margin: curve::MARGIN,
            wrapped: choice.integers.wrapped[layer] as u64,
            rows: fidelity.rows as u64,
            labels: fidelity.labels,
            error: fidelity.error,
            error_without_noise: fidelity.exact_error,
            limit,
            deep: Some(DeepReport {
                choices: 0,
                bootstraps: work.bootstraps as usize,
                range: reach(&self.curves[units.clone()]),
                bits: used().map(|unit| self.bits(unit)).fold(MOST_BITS, f64::min),
                share: choice.worst.layers[layer] / total,
                microseconds: costs.of_layer(&work, choice.gadget),
                memory: costs.values(used().count()),
            }),
        }
    }

    /// Bits of its range that a number has when its table is read.
    fn bits(&self, unit: usize) -> f64 {
        let Noise {
            switch,
            tables,
            lines,
            ..
        } = &self.choice.noise;
        let curve = &self.curves[unit];
        let range = curve.step * curve.steps as f64;
        let error = match &self.choice.integers.arguments[unit] {
            TableArgument::Bits(_) => curve.step / 12_f64.sqrt(),
            TableArgument::Phase(FormSum { terms, .. }) => {
                let terms = terms
                    .iter()
                    .map(|(table, weight)| (*weight as f64).powi(2) * tables[*table as usize]);
                let variance = *switch + lines[unit] + terms.sum::<Variance>();
                variance.deviation().get() * whole(curve)
            }
        };
        (range / error).log2()
    }
}
