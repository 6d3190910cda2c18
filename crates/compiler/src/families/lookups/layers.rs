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
//!   choice     key part, form of the first layer, steps, gadget: the cheapest that is faithful enough
//!   circuit    look-ups, forms, bootstraps, and all scores in one ciphertext
//! ```

mod choice;
mod circuit;
mod composite;
mod integers;
mod lines;
mod problem;
mod simulate;

use super::{check, curve, feature_report, fidelity};
use crate::cost::{Costs, Work};
use crate::error::CompileError;
use crate::families::{Facts, Family, Plan, Reading, Setting};
use crate::model::LayeredModel;
use crate::report::{DeepReport, LayerReport, WorkReport};
use crate::simulate::Gaussian;
use choice::{LayersChoice, Tables};
use cipherfn_engine::noise;
use cipherfn_protocol::specs::{Encoding, IntegerEncoding};
use cipherfn_scheme::noise::Variance;
use cipherfn_scheme::query::InputShape;
use circuit::LayersCircuit;
use integers::{FormSum, TableArgument, whole};
use problem::{FirstLayer, LayersProblem};
use simulate::{Noise, SimulatedRows};

impl Family for LayeredModel {
    fn name(&self) -> &'static str {
        "layers of functions"
    }

    fn plan(&self, setting: &Setting<'_>) -> Result<Plan, CompileError> {
        let backend = setting.backend;
        let problem = LayersProblem::of(self, setting)?;
        let (mut choice, tables) = problem.choose()?;
        let found = FoundLayers::of(&problem, &choice, &tables);
        let least = setting.options.min_agreement;
        check(&choice.fidelity, least, || {
            format!("it is limited by {}", found.limit(self, &choice))
        })?;
        let parts = LayersCircuit {
            curves: &tables.curves,
            choice: &choice,
            backend,
        };
        let mut circuit = parts.circuit();
        // What is not of bootstraps is the circuit's own noise.
        if let [noise] = noise::of_outputs(&circuit)?[..] {
            let own = backend.budget(noise.value, noise.rows, problem.scales.len());
            if own.error.get() > choice.budget.error.get() {
                choice.budget = own;
                circuit.outputs[0].reply_bits = own.reply_bits;
            }
        }
        let (sums, fidelity) = (&choice.sums, &choice.fidelity);
        let scores = fidelity::decodings(sums, choice.budget, &fidelity.largest);
        let bits = fidelity.bits(sums, choice.budget);
        let mut encodings = Vec::new();
        if choice.first == FirstLayer::Lookups {
            encodings.push(Encoding::Integers(IntegerEncoding {
                features: choice.grid.clone(),
                gadget: choice.gadget,
                transport: backend.transport(),
            }));
        }
        let lines = choice.lines.as_ref();
        encodings.extend(lines.map(|lines| Encoding::Linear(lines.encoding.clone())));
        let shapes = encodings
            .iter()
            .map(|encoding| InputShape::of(backend.set, encoding));
        let shapes: Vec<InputShape> = shapes.collect();
        let coefficients = problem.scales.len();
        let expansion = backend.expansion().iter();
        Ok(Plan {
            reading: Reading {
                scores,
                deviation: choice.budget.deviation,
            },
            facts: Facts {
                target_bits: setting.options.precision.unwrap_or(bits),
                bits,
                range_of: "the calibration rows",
                features: feature_report(&choice.grid, choice.first == FirstLayer::Lookups),
                work: WorkReport::of(
                    Some(choice.gadget),
                    Some(choice.work),
                    &choice.stages,
                    Vec::new(),
                ),
                trees: None,
                layers: found.reports(&problem, &choice, &tables),
                query_bytes: shapes.iter().map(InputShape::row_bytes).sum(),
                reply_bytes: backend.reply_bytes(coefficients, choice.budget.reply_bits),
                shared: backend.shared(&shapes, [coefficients], choice.budget.reply_bits),
                key_parts: expansion.chain([choice.of.part]).collect(),
                warnings: Vec::new(),
            },
            encodings,
            circuit,
        })
    }
}

/// What each layer's noise does to the scores.
struct FoundLayers {
    /// Variance of the worst score's phase by layer.
    variances: Vec<f64>,
    /// The same of everything that is off without noise.
    exact: f64,
}

impl FoundLayers {
    fn of(problem: &LayersProblem<'_>, choice: &LayersChoice, tables: &Tables) -> Self {
        let simulated = SimulatedRows {
            curves: &tables.curves,
            integers: &choice.integers,
            features: &choice.features,
            bits: &choice.bits,
        };
        let mut source = Gaussian::new(problem.setting.seed);
        let of_layer = |layer: usize| {
            let own = problem.starts[layer]..problem.starts[layer + 1];
            let noise = choice.noise.of_layer(own.clone());
            simulated.variance(&noise, &own, &mut source)
        };
        // Of a score's range; its phase has more room.
        let widest = choice.fidelity.ranges.iter().zip(&problem.scales);
        let widest = widest
            .map(|(range, scale)| range / scale)
            .fold(0.0, f64::max);
        Self {
            variances: (0..problem.model.layers.len()).map(of_layer).collect(),
            exact: (choice.fidelity.exact_error * widest).powi(2),
        }
    }

    fn total(&self) -> f64 {
        (self.variances.iter().sum::<f64>() + self.exact).max(f64::MIN_POSITIVE)
    }

    /// What most of the error comes from, and what to try.
    fn limit(&self, model: &LayeredModel, choice: &LayersChoice) -> String {
        let most = |values: &[f64]| {
            let larger = |best: usize, own: usize| {
                if values[own] > values[best] {
                    own
                } else {
                    best
                }
            };
            (0..values.len()).fold(0, larger)
        };
        let wrapped: Vec<f64> = choice
            .integers
            .wrapped
            .iter()
            .map(|own| *own as f64)
            .collect();
        let widest = most(&wrapped);
        if wrapped[widest] > 0.0 {
            return format!(
                "values beyond the ranges of the tables of node \"{}\"; give more calibration rows, or \
                 train with weight decay",
                model.layers[widest].node
            );
        }
        let noisiest = most(&self.variances);
        if self.exact > self.variances[noisiest] {
            return "rounded features, tables and weights; train with weight decay, or on fewer or \
                    scaled features"
                .into();
        }
        format!(
            "the noise of the numbers of node \"{}\"; train with weight decay or with fewer layers",
            model.layers[noisiest].node
        )
    }

    fn reports(
        &self,
        problem: &LayersProblem<'_>,
        choice: &LayersChoice,
        tables: &Tables,
    ) -> Vec<LayerReport> {
        let fidelity = &choice.fidelity;
        let limit = self.limit(problem.model, choice);
        let report = |layer: usize| {
            let own = &problem.model.layers[layer];
            let units = problem.starts[layer]..problem.starts[layer + 1];
            let looks_up = LayersProblem::looks_up(own, choice.first);
            let curves = &tables.curves[units.clone()];
            let arguments = &choice.integers.arguments[units.clone()];
            let whole_torus = curves.iter();
            let whole_torus = whole_torus.filter(|curve| curve.steps > curve.entries.len());
            let work = layer_work(arguments);
            let backend = problem.setting.backend;
            let costs = Costs::of(backend.set).with_bootstrap(choice.of.bootstrap);
            LayerReport {
                nodes: vec![own.node.clone()],
                lookups: if looks_up { curves.len() } else { 0 },
                on_whole_torus: whole_torus.count(),
                selectors: if looks_up { choice.work.selectors } else { 0 },
                cmuxes: work.cmuxes,
                margin: curve::MARGIN,
                wrapped: choice.integers.wrapped[layer] as u64,
                rows: fidelity.rows as u64,
                labels: fidelity.labels,
                error: fidelity.error,
                error_without_noise: fidelity.exact_error,
                limit: limit.clone(),
                deep: Some(DeepReport {
                    bootstraps: work.bootstraps as usize,
                    range: curves.iter().fold((0.0, 0.0), |(low, high), curve| {
                        let end = curve.low + curve.step * curve.steps as f64;
                        (curve.low.min(low), end.max(high))
                    }),
                    bits: bits(choice, tables, units),
                    share: self.variances[layer] / self.total(),
                    microseconds: costs.of_layer(&work, choice.gadget),
                    memory: costs.values(curves.len()),
                }),
            }
        };
        (0..problem.model.layers.len()).map(report).collect()
    }
}

/// Work of a layer's functions and their forms.
fn layer_work(arguments: &[TableArgument]) -> Work {
    let mut work = Work::default();
    for argument in arguments {
        match argument {
            TableArgument::Bits(own) => {
                work.lookups += 1;
                work.cmuxes += own.turns.len() as u32;
            }
            TableArgument::Phase(sum) => {
                work.bootstraps += 1;
                choice::add(&mut work, sum);
            }
        }
    }
    work
}

/// Bits of its range that the least exact number of these functions has when its table is read.
fn bits(choice: &LayersChoice, tables: &Tables, units: std::ops::Range<usize>) -> f64 {
    let Noise {
        switch,
        tables: of_tables,
        lines,
        ..
    } = &choice.noise;
    let of_unit = |unit: usize| {
        let curve = &tables.curves[unit];
        let range = curve.step * curve.steps as f64;
        let error = match &choice.integers.arguments[unit] {
            TableArgument::Bits(_) => curve.step / 12_f64.sqrt(),
            TableArgument::Phase(FormSum { terms, .. }) => {
                let terms = terms
                    .iter()
                    .map(|(table, weight)| (*weight as f64).powi(2) * of_tables[*table as usize]);
                let variance = *switch + lines[unit] + terms.sum::<Variance>();
                variance.deviation().get() * whole(curve)
            }
        };
        (range / error).log2()
    };
    units.map(of_unit).fold(f64::INFINITY, f64::min)
}
