//! What a network takes of the server: predicted before its weights are rounded, and counted after.

use super::super::circuit::key_switches;
use super::choice::BootstrapPart;
use super::integers::{FormSum, Integers, TableArgument};
use super::problem::{FirstLayer, LayersProblem};
use super::search::LayersCandidate;
use crate::cost::{Costs, Takes, Work};
use crate::model::{FunctionLayer, LinearForm};
use cipherfn_protocol::specs::{Gadget, IntegerFeature};

impl LayersProblem<'_> {
    /// CMUXes of looked up layers, at most.
    pub(super) fn turns(&self, grid: &[IntegerFeature]) -> u64 {
        let layers = self.model.layers.iter();
        let layers = layers.filter(|layer| LayersProblem::is_first(layer));
        layers.map(|layer| turns(layer, grid)).sum()
    }

    /// Work but for what follows from the weights.
    pub(super) fn least_work(
        &self,
        first: FirstLayer,
        grid: &[IntegerFeature],
        gadget: Gadget,
    ) -> Work {
        let selectors: u32 = grid.iter().map(|own| own.bits).sum();
        let (looked_up, others): (Vec<_>, Vec<_>) = self
            .model
            .layers
            .iter()
            .partition(|layer| Self::looks_up(layer, first));
        Work {
            selectors,
            slots: self.setting.backend.slots(selectors, gadget),
            cmuxes: looked_up
                .iter()
                .map(|layer| turns(layer, grid))
                .sum::<u64>() as u32,
            lookups: looked_up.iter().map(|layer| layer.forms.len() as u32).sum(),
            bootstraps: others.iter().map(|layer| layer.forms.len() as u32).sum(),
            key_switches: key_switches(self.scales.len() as u32, self.setting.backend),
            ..Work::default()
        }
    }

    pub(super) fn price(&self, work: &Work, gadget: Gadget, of: BootstrapPart) -> f64 {
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

    /// Of a network in integers.
    pub(super) fn work(
        &self,
        candidate: LayersCandidate,
        grid: &[IntegerFeature],
        integers: &Integers,
    ) -> Work {
        let grid = match candidate.first {
            FirstLayer::Lookups => grid,
            FirstLayer::Bootstraps => &[],
        };
        let mut work = Work {
            cmuxes: 0,
            lookups: 0,
            bootstraps: 0,
            ..self.least_work(candidate.first, grid, candidate.gadget)
        };
        add_tables(&mut work, integers, 0..self.units());
        for sum in &integers.scores {
            add(&mut work, sum);
        }
        if work.lookups == 0 {
            (work.selectors, work.slots) = (0, 0);
        }
        work
    }
}

/// CMUXes of a layer that is looked up, at most.
fn turns(layer: &FunctionLayer, grid: &[IntegerFeature]) -> u64 {
    let of_form = |form: &LinearForm| -> u64 {
        let features = form.weights.iter();
        features
            .map(|(feature, _)| u64::from(grid[*feature as usize].bits))
            .sum()
    };
    layer.forms.iter().map(of_form).sum()
}

/// Counts those of these tables that are used, with their forms.
pub(super) fn add_tables(work: &mut Work, integers: &Integers, units: std::ops::Range<usize>) {
    for unit in units.filter(|unit| integers.used[*unit]) {
        match &integers.arguments[unit] {
            TableArgument::Bits(own) => {
                work.lookups += 1;
                work.cmuxes += own.turns.len() as u32;
            }
            TableArgument::Phase(sum) => {
                work.bootstraps += 1;
                add(work, sum);
            }
        }
    }
}

fn add(work: &mut Work, sum: &FormSum) {
    work.terms += sum.terms.len() as u32;
    work.products += u32::from(!sum.slopes.is_empty());
}
