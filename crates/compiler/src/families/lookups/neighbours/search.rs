//! Key part, steps of the features, gadget: the cheapest that keep the labels, and predictions
//! within the error that they may have, when the calibration rows are simulated.

use super::super::answers::cheapest;
use super::super::choice::GADGETS_BEFORE_BOOTSTRAPS as GADGETS;
use super::choice::{NeighbourChoice, work};
use super::problem::{MARGIN, NeighbourProblem};
use crate::cost::{Costs, Takes};
use crate::error::CompileError;
use crate::families::lookups::layers::{BootstrapPart, bootstrap_parts};
use cipherfn_protocol::specs::Gadget;

/// Errors that quantised features may bring into a distance, in steps of it.
const ERRORS: [f64; 4] = [2.0, 1.0, 0.5, 0.25];
/// Deviations in half a step of rank below which more is tried for.
const ROOM: f64 = 4.0;

/// What is decided.
#[derive(Clone, Copy)]
pub(super) struct NeighbourCandidate {
    pub(super) of: BootstrapPart,
    pub(super) gadget: Gadget,
    /// What quantised features may be off by, in steps of a distance.
    pub(super) error: f64,
    /// Bits of the features, about.
    pub(super) most_turns: usize,
    price: f64,
}

impl NeighbourProblem<'_> {
    /// The cheapest choice that is faithful enough, or the most faithful one.
    pub(super) fn choose(&self) -> Result<NeighbourChoice, CompileError> {
        let choices = self.candidates().into_iter();
        let choices = choices.map(|candidate| self.choice(candidate));
        let has_room = |choice: &NeighbourChoice| choice.rounds.room() >= ROOM;
        let best = cheapest(
            choices,
            self.setting.options,
            NeighbourChoice::answers,
            has_room,
        )?;
        best.ok_or_else(|| CompileError::UnsupportedModel {
            problem: format!(
                "node \"{}\" ranks {} points for {} neighbours, more than the noise of a bootstrap \
                     tells apart",
                self.model.node,
                self.points(),
                self.model.kept
            ),
            supported: "fewer points (a condensed or sampled training set) or fewer neighbours"
                .into(),
        })
    }

    /// By price.
    fn candidates(&self) -> Vec<NeighbourCandidate> {
        let backend = self.setting.backend;
        let options = self.setting.options;
        let size = backend.set.ring.polynomial_size as f64;
        // Steps are as fine as twice the nearest points allow, about.
        let step = MARGIN * self.spread(4 * self.model.kept) / size;
        let mut candidates = Vec::new();
        for of in bootstrap_parts(self.setting) {
            let costs = Costs::of(backend.set).with_bootstrap(of.bootstrap);
            let key = backend.file_bytes(backend.expansion().iter().chain([of.part]));
            for gadget in GADGETS {
                for error in ERRORS {
                    let selectors: u32 = self.grid(step, error).iter().map(|own| own.bits).sum();
                    let cmuxes = 4 * self.points() as u32 * selectors;
                    let slots = backend.slots(selectors, gadget);
                    let work = work(self, selectors, cmuxes, slots);
                    let takes = Takes {
                        time: costs.time(&work, gadget),
                        memory: costs.memory(&work, gadget),
                        query: backend.priced_query_bytes(&work, gadget, options.profile),
                    };
                    candidates.push(NeighbourCandidate {
                        of,
                        gadget,
                        error,
                        most_turns: selectors as usize,
                        price: takes.price((options.profile, options.prefer), key),
                    });
                }
            }
        }
        candidates.sort_by(|one, other| one.price.total_cmp(&other.price));
        candidates
    }
}
