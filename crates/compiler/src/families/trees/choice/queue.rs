//! Circuits in the order in which they are worth a closer look.

use super::search::Search;
use crate::families::trees::lower::Shape;
use cipherfn_protocol::specs::Gadget;

/// A circuit that may be chosen.
pub(super) struct Candidate {
    pub(super) shape: Shape,
    pub(super) gadget: Gadget,
    pub(super) price: f64,
}

/// Candidates: those that reach the target, cheapest first, then the others, most precise first. Their
/// precision costs more to know than their price, so it is asked for only as far as they are taken.
pub(super) struct Queue {
    /// Not looked at yet, the dearest first.
    open: Vec<Candidate>,
    /// Those that miss the target.
    missed: Vec<Candidate>,
}

impl Queue {
    /// Of candidates in any order, some of them more than once.
    pub(super) fn new(mut candidates: Vec<Candidate>) -> Self {
        candidates.sort_by(|a, b| b.price.total_cmp(&a.price));
        candidates.dedup_by(|a, b| (&a.shape, a.gadget) == (&b.shape, b.gadget));
        Self {
            open: candidates,
            missed: Vec::new(),
        }
    }

    /// The next one.
    pub(super) fn next(&mut self, search: &mut Search<'_>) -> Option<Candidate> {
        while let Some(candidate) = self.open.pop() {
            if search.reaches(&candidate.shape, candidate.gadget) {
                return Some(candidate);
            }
            self.missed.push(candidate);
        }
        let mut bits = |candidate: &Candidate| search.bits(&candidate.shape, candidate.gadget);
        let bits = self.missed.iter().map(&mut bits).enumerate();
        let (most, _) = bits.max_by(|a, b| a.1.total_cmp(&b.1))?;
        Some(self.missed.swap_remove(most))
    }
}
