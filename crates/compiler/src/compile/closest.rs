//! The try that misses its limits least, and what would help it.

use super::Compiled;
use crate::fit::{Demand, Excess, InParts, Limits};
use crate::report::LayerReport;
use cipherfn_protocol::api::job::WORKER_SECONDS;

/// Megabytes of functions that are tried: whole vCPUs, and the largest function.
const SIZES: [u64; 6] = [1769, 3538, 5307, 7076, 8845, 10_240];

/// The try that misses its limits least so far.
pub(super) struct Closest {
    /// Its place among the tries.
    pub(super) index: usize,
    /// How many times the limit it takes that it misses most.
    pub(super) excess: f64,
    compiled: Compiled,
    demand: Demand,
}

impl Closest {
    pub(super) fn new(index: usize, compiled: Compiled, demand: &Demand, limits: Limits) -> Self {
        Self {
            index,
            excess: Excess::of(demand, &limits).largest(),
            compiled,
            demand: *demand,
        }
    }

    /// What would help, with its predicted effect.
    pub(super) fn ways_out(&self, limits: Limits) -> Vec<String> {
        let mut ways = Vec::new();
        let demand = |megabytes: u64| {
            let predicted = self.compiled.report.work.predicted_microseconds.get() / 1e6;
            let memory = megabytes << 20;
            let demand = Demand::of(&self.compiled.bundle.circuit, predicted, memory).ok()?;
            let larger = Limits { memory, ..limits };
            demand.missed(&larger).is_empty().then_some(demand)
        };
        let larger = SIZES.into_iter().filter(|size| size << 20 > limits.memory);
        if let Some((size, demand)) = larger
            .map(|size| (size, demand(size)))
            .find_map(|(size, demand)| Some((size, demand?)))
        {
            ways.push(format!(
                "a function of {size} MB (InferMemory): {:.1} s a row",
                demand.seconds
            ));
        }
        let other = Limits {
            seconds: WORKER_SECONDS,
            ..limits
        };
        if limits.seconds < WORKER_SECONDS && self.demand.missed(&other).is_empty() {
            ways.push(format!(
                "more time: {:.1} s a row, as a job where that is more than 29 s (--fit with {:.0}s, predict --bulk)",
                self.demand.seconds,
                self.demand.seconds.ceil()
            ));
        }
        if self.demand.seconds > WORKER_SECONDS
            && let Ok(Some(InParts { parts, seconds })) =
                InParts::of(&self.compiled.bundle.circuit, self.demand.seconds)
        {
            ways.push(format!(
                "{parts} workers a row, a part of the model each: {seconds:.0} s for each (without --fit; predict --bulk)"
            ));
        }
        if let Some(trees) = self.compiled.report.model.trees {
            let fewer = (trees.trees as f64 / self.excess).floor();
            if fewer >= 1.0 {
                ways.push(format!(
                    "about {fewer} trees in place of {}, or smaller ones: time, memory and bytes fall \
                     with the number of questions",
                    trees.trees
                ));
            }
        }
        let layers = self.compiled.report.layers.iter();
        let functions: usize = layers.map(LayerReport::functions).sum();
        let fewer = (functions as f64 / self.excess).floor();
        if functions > 0 && fewer >= 1.0 {
            ways.push(format!(
                "about {fewer} functions (hidden values, support vectors) in place of {functions}: time \
                 falls with their number; memory and bytes with the number of features"
            ));
        }
        ways
    }
}
