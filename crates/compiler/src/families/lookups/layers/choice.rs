//! A network in integers: one candidate, with what it costs and gives.

use super::super::choice::limited;
use super::super::circuit::packing_variance;
use super::super::curve::Curve;
use super::super::fidelity::{Fidelity, SimulatedModel};
use super::super::grid::grids;
use super::super::layer::{BitColumns, units};
use super::super::outputs::OutputSums;
use super::composite::{Composite, composites};
use super::integers::{Fitting, FormSum, Integers, TableArgument};
use super::lines::FormLines;
use super::problem::{FirstLayer, LayersProblem};
use super::search::LayersCandidate;
use super::simulate::{Noise, SimulatedRows, WorstRow};
use crate::backend::Budget;
use crate::cost::{Costs, Work};
use crate::error::CompileError;
use crate::families::Setting;
use crate::model::LinearForm;
use cipherfn_program::Microseconds;
use cipherfn_protocol::specs::{Gadget, IntegerFeature};
use cipherfn_scheme::bootstrap::{lookup_variance, module_switch, rotation_variance};
use cipherfn_scheme::noise::{self, Deviation, Variance};
use cipherfn_scheme::parameters::{Bootstrap, KeyPart, KeyPartContents};

/// A part of the key that bootstraps.
#[derive(Clone, Copy)]
pub(in crate::families::lookups) struct BootstrapPart {
    pub(in crate::families::lookups) part: &'static KeyPart,
    pub(in crate::families::lookups) bootstrap: &'static Bootstrap,
}

/// The parts that may bootstrap.
pub(in crate::families::lookups) fn bootstrap_parts(setting: &Setting<'_>) -> Vec<BootstrapPart> {
    let parts = setting.backend.set.parts.iter();
    let may = |part: &&KeyPart| setting.bootstrap.is_none_or(|own| own.name == part.name);
    parts
        .filter(may)
        .filter_map(|part| match &part.contents {
            KeyPartContents::Bootstrap(bootstrap) => Some(BootstrapPart { part, bootstrap }),
            _ => None,
        })
        .collect()
}

/// What comes of a candidate.
pub(super) enum Tried {
    Choice(Box<LayersChoice>),
    /// Noise fills the range of the scores, most of it that of this layer.
    Noisy {
        layer: usize,
    },
}

/// A network in integers, with what it costs and gives.
pub(super) struct LayersChoice {
    pub(super) of: BootstrapPart,
    pub(super) first: FirstLayer,
    pub(super) gadget: Gadget,
    pub(super) grid: Vec<IntegerFeature>,
    pub(super) integers: Integers,
    pub(super) lines: Option<FormLines>,
    pub(super) noise: Noise,
    pub(super) worst: WorstRow,
    pub(super) budget: Budget,
    pub(super) fidelity: Fidelity,
    pub(super) sums: OutputSums,
    pub(super) work: Work,
    pub(super) stages: Vec<(&'static str, Microseconds)>,
}

/// Tables and forms that candidates of one key part and form of the first layer share.
#[derive(Clone)]
pub(super) struct Tables {
    pub(super) curves: Vec<Curve>,
    composites: Vec<Composite>,
}

impl LayersProblem<'_> {
    pub(super) fn tables(
        &self,
        first: FirstLayer,
        part: BootstrapPart,
    ) -> Result<Tables, CompileError> {
        let curves = self.curves(first, part.bootstrap)?;
        let composites = composites(self.model, self.spans.len(), &curves)?;
        Ok(Tables { curves, composites })
    }

    /// The network as a candidate has it.
    pub(super) fn choice(
        &self,
        candidate: LayersCandidate,
        of: BootstrapPart,
        tables: &Tables,
        gradients: &[f64],
    ) -> Result<Tried, CompileError> {
        let backend = self.setting.backend;
        let looks_up = candidate.first == FirstLayer::Lookups;
        let grid = grids(&self.spans, gradients, candidate.error());
        let bits = BitColumns::of(&grid, &self.rows);
        let lookups = match self.first_forms(candidate.first) {
            (forms, values) if looks_up => {
                units(&forms, &tables.curves[..forms.len()], &bits, &values)
            }
            _ => Vec::new(),
        };
        let features = limited(&self.rows, &grid);
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
        let simulated = SimulatedRows::new(&tables.curves, &integers, noise.switch);
        let worst = simulated.worst(&noise, &self.starts);
        let inner = Variance::new(worst.total);
        let packing = packing_variance(self.scales.len(), backend);
        let budget = backend.budget(inner + packing, self.units() as f64, self.scales.len());
        if budget.error.get() >= 0.25 {
            return Ok(Tried::Noisy {
                layer: worst.noisiest(),
            });
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
            noisy: &|row, source| simulated.phases(row, &noise, source),
            products: integers.terms(),
            budget,
            wrapped: integers.wrapped.iter().sum(),
        })?;
        let work = self.work(candidate, &grid, &integers);
        let costs = Costs::of(backend.set).with_bootstrap(of.bootstrap);
        Ok(Tried::Choice(Box::new(LayersChoice {
            of,
            first: candidate.first,
            gadget: candidate.gadget,
            stages: costs.stages(&work, candidate.gadget).to_vec(),
            grid,
            integers,
            lines,
            noise,
            worst,
            budget,
            fidelity,
            sums,
            work,
        })))
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
}
