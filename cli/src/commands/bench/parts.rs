//! A model in parts, as workers of a job share it: what each part takes, and how long one row takes
//! if threads that share nothing evaluate a part each.

use super::measure::{Subject, median};
use anyhow::{Context, Result};
use cipherfn_circuit::Bundle;
use cipherfn_engine::PreparedCircuit;
use cipherfn_scheme::ExpandedEvaluationKey;
use cipherfn_serving::Key;
use rayon::ThreadPool;
use serde::Serialize;
use std::time::Instant;

/// Seconds of one row, medians.
#[derive(Serialize)]
pub(super) struct InParts {
    /// Of each part, on one thread.
    pub(super) part_seconds: Vec<f64>,
    /// Selectors that each part expands.
    pub(super) part_selectors: Vec<usize>,
    /// What each part is of the whole, by the count of transforms that the cut goes by.
    pub(super) part_shares: Vec<f64>,
    /// All parts beside each other, each on a thread of its own.
    pub(super) beside_seconds: f64,
}

impl Subject {
    /// Measures `count` parts of the bundle.
    pub(super) fn in_parts(&self, bundle: &Bundle, count: u32) -> Result<InParts> {
        let cut = cipherfn_engine::cut(&bundle.circuit, count)?;
        let whole = cipherfn_engine::cut(&bundle.circuit, 1)?.costs()[0];
        let share = |cost: &u64| *cost as f64 / whole.max(1) as f64;
        let parts = (0..count).map(|part| PreparedCircuit::new(&cut.part(&bundle.circuit, part)));
        let parts: Vec<PreparedCircuit> = parts.collect::<Result<_, _>>()?;
        let pool = || {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build();
            pool.context("cannot start threads")
        };
        let pools: Vec<ThreadPool> = parts.iter().map(|_| pool()).collect::<Result<_>>()?;
        let key = self.load_key()?;
        let key = key.as_ref().map(Key::expanded);
        let mut apart = vec![Vec::new(); parts.len()];
        let mut beside = Vec::new();
        for row in &self.queries {
            for ((part, pool), times) in parts.iter().zip(&pools).zip(&mut apart) {
                let start = Instant::now();
                pool.install(|| evaluate(part, key, row))?;
                times.push(start.elapsed().as_secs_f64());
            }
            let start = Instant::now();
            std::thread::scope(|scope| {
                let all = parts.iter().zip(&pools);
                let all: Vec<_> = all
                    .map(|(part, pool)| scope.spawn(|| pool.install(|| evaluate(part, key, row))))
                    .collect();
                all.into_iter().try_for_each(|part| {
                    let done = part.join();
                    done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
                })
            })?;
            beside.push(start.elapsed().as_secs_f64());
        }
        Ok(InParts {
            part_seconds: apart.into_iter().map(median).collect(),
            part_selectors: parts
                .iter()
                .map(|part| part.statistics().expanded)
                .collect(),
            part_shares: cut.costs().iter().map(share).collect(),
            beside_seconds: median(beside),
        })
    }
}

fn evaluate(part: &PreparedCircuit, key: Option<&ExpandedEvaluationKey>, row: &[u8]) -> Result<()> {
    let results = part.results_of_rows(key, &[part.alone(row)]);
    results
        .into_iter()
        .try_for_each(|result| Ok(result.map(drop)?))
}
