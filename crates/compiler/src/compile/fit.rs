//! A model for a function of a given size: compiled more and more frugally until it fits.
//!
//! Tries go from the most faithful to the least: as it was asked for; fewer guaranteed bits, down to
//! those that the labels need; grids of fewer and fewer bins. On each of these levels, where a limit
//! is missed, what may help is tried as well: another weight of bytes beside time, and deeper
//! packing. The first that fits is taken.

use super::closest::Closest;
use super::{Compilation, Compiled};
use crate::error::CompileError;
use crate::fit::{Demand, Excess, FitOptions, Limits};
use crate::model::Estimator;
use crate::options::{FeatureMode, Options, Prefer, Profile};
use crate::report::{FitReport, Try, TryFacts};
use std::collections::VecDeque;
use std::ops::RangeInclusive;

/// Fewest bits that are tried where no labels say how many are needed.
const LEAST_BITS: f64 = 7.0;
/// The same of functions of linear forms: whatever is faithful enough.
const LEAST_BITS_OF_LOOKUPS: f64 = 1.0;
/// Bits of the grids that are tried.
const GRIDS: RangeInclusive<u32> = 4..=8;
/// How many times a limit may be missed for another weight of bytes to be tried: it moves time and
/// bytes by less.
const MOVED_BY_WEIGHT: f64 = 2.0;

/// The most faithful circuit that fits; an error that says what comes closest where none does.
pub(super) fn compile(
    compilation: &Compilation<'_>,
    fit: FitOptions,
) -> Result<Compiled, CompileError> {
    let limits = fit.limits;
    let mut tries = Vec::new();
    let mut closest: Option<Closest> = None;
    for level in levels(compilation)? {
        let mut waiting = VecDeque::from([level]);
        let mut is_first = true;
        while let Some(options) = waiting.pop_front() {
            let (attempt, compiled) = attempt(compilation, &options, limits)?;
            let fits = attempt.fits();
            tries.push(attempt);
            let Some((mut compiled, demand)) = compiled else {
                continue;
            };
            if fits {
                compiled.report.fit = Some(FitReport { limits, tries });
                compiled.write_report();
                return Ok(compiled);
            }
            if std::mem::take(&mut is_first) {
                waiting.extend(variants(&options, &demand, fit));
            }
            let other = Closest::new(tries.len() - 1, compiled, &demand, limits);
            if closest.as_ref().is_none_or(|own| other.excess < own.excess) {
                closest = Some(other);
            }
        }
    }
    let (closest, ways_out) = match &closest {
        Some(closest) => (Some(closest.index), closest.ways_out(limits)),
        None => (None, Vec::new()),
    };
    Err(CompileError::DoesNotFit {
        tried: FitReport { limits, tries }.to_string(),
        closest,
        ways_out,
    })
}

/// The options of each level, the most faithful first.
fn levels(compilation: &Compilation<'_>) -> Result<Vec<Options>, CompileError> {
    let asked = compilation.options;
    let estimators = &compilation.model.estimators;
    let has = |kind: fn(&Estimator) -> bool| estimators.iter().any(kind);
    let looks_up = has(Estimator::looks_up);
    let has_trees = has(|own| matches!(own, Estimator::Trees(_) | Estimator::LinearTrees(_)));
    let usual = asked.profile.usual_precision();
    let (highest, lowest) = match (asked.precision, compilation.bits_for_labels(usual)?) {
        (Some(asked), needed) => (asked, needed.unwrap_or(LEAST_BITS).min(asked)),
        // Without a precision these are made better than they have to be.
        _ if looks_up => (LEAST_BITS_OF_LOOKUPS + 1.0, LEAST_BITS_OF_LOOKUPS),
        // Without a precision labels get no more bits than they need.
        (None, Some(needed)) => (needed, needed),
        (None, None) => (usual, LEAST_BITS),
    };
    let with = |features, precision| Options {
        features,
        precision,
        ..asked.clone()
    };
    let mut levels = vec![asked.clone()];
    let mut bits = highest;
    while bits > lowest {
        bits = (bits - 1.0).max(lowest);
        levels.push(with(asked.features, Some(bits)));
    }
    let precision = levels.last().and_then(|level| level.precision);
    let is_coarser = |bits: &u32| match asked.features {
        _ if !has_trees => false,
        FeatureMode::Exact { .. } => true,
        FeatureMode::Grid { bits: own } => *bits < own,
    };
    let grids = GRIDS.rev().filter(is_coarser);
    levels.extend(grids.map(|bits| with(FeatureMode::Grid { bits }, precision)));
    Ok(levels)
}

/// Compiles with these options. What another try may do better is no error.
fn attempt(
    compilation: &Compilation<'_>,
    options: &Options,
    limits: Limits,
) -> Result<(Try, Option<(Compiled, Demand)>), CompileError> {
    let named = |facts, problem| Try {
        features: options.features.to_string(),
        precision: options.precision,
        profile: options.profile,
        prefer: options.prefer,
        facts,
        problem,
    };
    let compiled = match compilation.run(options) {
        Ok(compiled) => compiled,
        Err(
            error @ (CompileError::Agreement { .. }
            | CompileError::Precision { .. }
            | CompileError::Constant
            | CompileError::Unfaithful { .. }
            | CompileError::NoisyLayer { .. }
            | CompileError::Engine(_)),
        ) => return Ok((named(None, Some(error.to_string())), None)),
        Err(error) => return Err(error),
    };
    let report = &compiled.report;
    let predicted = report.work.predicted_microseconds.get() / 1e6;
    let demand = match Demand::of(&compiled.bundle.circuit, predicted, limits.memory) {
        Ok(demand) => demand,
        // Larger than any server takes.
        Err(error) => return Ok((named(None, Some(error.to_string())), None)),
    };
    let facts = TryFacts {
        guaranteed_bits: report.precision.guaranteed_bits,
        agreement: report.agreement,
        demand,
        missed: demand.missed(&limits),
    };
    Ok((named(Some(facts), None), Some((compiled, demand))))
}

/// What may help where `options` need too much.
fn variants(options: &Options, demand: &Demand, fit: FitOptions) -> Vec<Options> {
    let excess = Excess::of(demand, &fit.limits);
    let mut variants = Vec::new();
    if excess.bytes > 1.0 && !fit.keeps_profile && options.profile == Profile::Balanced {
        variants.push(Options {
            profile: Profile::Wide,
            ..options.clone()
        });
    }
    if options.prefer.is_some() || options.profile == Profile::Compact {
        return variants;
    }
    let is_near = |excess: f64| 1.0 < excess && excess <= MOVED_BY_WEIGHT;
    let preferences = [
        (Prefer::Time, is_near(excess.seconds)),
        (
            Prefer::Size,
            is_near(excess.bytes) || is_near(excess.memory),
        ),
    ];
    let helps = preferences.into_iter().filter(|(_, helps)| *helps);
    variants.extend(helps.map(|(prefer, _)| Options {
        prefer: Some(prefer),
        ..options.clone()
    }));
    variants
}
