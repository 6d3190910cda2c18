//! Key part, form of the first layer, steps of the features, gadget: the cheapest that keep the
//! labels, and the scores within the error that they may have, when the calibration rows are simulated.

use super::super::choice::{GADGETS_BEFORE_BOOTSTRAPS as GADGETS, MAX_TURNS};
use super::super::fidelity::{AIM, STRICTER};
use super::super::grid::grids;
use super::choice::{BootstrapPart, LayersChoice, Tables, Tried, bootstrap_parts};
use super::problem::{FirstLayer, LayersProblem};
use crate::error::CompileError;
use cipherfn_protocol::specs::{Gadget, IntegerFeature};

/// log2 of the errors that quantised features may bring into the scores, in parts of the torus.
const ERRORS: [f64; 6] = [-6.0, -7.0, -8.0, -9.0, -10.0, -11.0];

/// What is decided.
#[derive(Clone, Copy)]
pub(super) struct LayersCandidate {
    /// Which of the bootstraps.
    bootstrap: usize,
    pub(super) first: FirstLayer,
    /// Of look-ups: the error of quantised features, as an index of [`ERRORS`], and the gadget.
    steps: usize,
    pub(super) gadget: Gadget,
    price: f64,
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

impl LayersCandidate {
    /// What quantised features may be off by; without look-ups no feature travels as bits.
    pub(super) fn error(&self) -> f64 {
        match self.first {
            FirstLayer::Lookups => ERRORS[self.steps].exp2(),
            FirstLayer::Bootstraps => f64::INFINITY,
        }
    }
}

impl LayersProblem<'_> {
    /// The cheapest choice that is faithful enough, or the most faithful one.
    pub(super) fn choose(&self) -> Result<(LayersChoice, Tables), CompileError> {
        let parts = bootstrap_parts(self.setting);
        let mut best: Option<(Tier, LayersChoice, Tables)> = None;
        // The layer whose noise is too much for any score, where that is so.
        let mut noisiest = 0;
        // Whether look-ups are of use with each part, once it is known.
        let mut of_use: Vec<Option<bool>> = vec![None; parts.len()];
        let gradients = match parts.first() {
            Some(part) => self.gradients(&self.curves(FirstLayer::Bootstraps, part.bootstrap)?),
            None => Vec::new(),
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
            let tried = |candidate: LayersCandidate| {
                let part = parts[candidate.bootstrap];
                self.choice(candidate, part, &made[tables].1, &gradients)
            };
            let choice = match tried(candidate)? {
                Tried::Choice(choice) => *choice,
                Tried::Noisy { layer } => {
                    noisiest = layer;
                    continue;
                }
            };
            let tier = self.tier(&choice);
            let is_better = best.as_ref().is_none_or(|(own, best, _)| {
                tier < *own || tier == Tier::Short && choice.fidelity.exceeds(&best.fidelity)
            });
            if is_better {
                best = Some((tier, choice, made[tables].1.clone()));
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
                of_use[candidate.bootstrap] = Some(match tried(finest)? {
                    Tried::Choice(own) => self.tier(&own) != Tier::Short,
                    Tried::Noisy { .. } => false,
                });
            }
        }
        let (_, choice, tables) = best.ok_or_else(|| CompileError::NoisyLayer {
            node: self.model.layers[noisiest].node.clone(),
        })?;
        Ok((choice, tables))
    }

    fn tier(&self, choice: &LayersChoice) -> Tier {
        let (options, fidelity) = (self.setting.options, &choice.fidelity);
        let bits = fidelity.bits(&choice.sums, choice.budget);
        let is_precise = options.precision.is_none_or(|precision| bits >= precision);
        let most = options.most_error();
        let aim = if options.says_how_good() {
            most
        } else {
            AIM * most
        };
        let stricter = 1.0 - STRICTER * (1.0 - options.min_agreement);
        match is_precise {
            true if fidelity.is_within(stricter, aim) => Tier::Ample,
            true if fidelity.is_within(options.min_agreement, most) => Tier::Enough,
            _ => Tier::Short,
        }
    }

    /// From the cheapest on.
    fn candidates(&self, parts: &[BootstrapPart], gradients: &[f64]) -> Vec<LayersCandidate> {
        let mut all = Vec::new();
        let of_error = |error: &f64| grids(&self.spans, gradients, error.exp2());
        let steps: Vec<Vec<IntegerFeature>> = ERRORS.iter().map(of_error).collect();
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
            for (steps, grid) in steps.iter().enumerate() {
                let has_bits = grid.iter().any(|own| own.bits > 0);
                if has_bits && self.turns(grid) <= MAX_TURNS {
                    for gadget in GADGETS {
                        push(FirstLayer::Lookups, steps, gadget, grid);
                    }
                }
            }
        }
        all.sort_by(|a, b| a.price.total_cmp(&b.price));
        all
    }
}
