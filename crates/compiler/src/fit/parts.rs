//! A row that several workers share, a part of the model each.

use cipherfn_circuit::Circuit;
use cipherfn_engine::{EngineError, cut};
use cipherfn_protocol::api::job::{MAX_PARTS, WORKER_SECONDS};

/// In how many parts a model is evaluated, and what the longest takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InParts {
    /// Parts.
    pub parts: u32,
    /// Predicted seconds of the longest.
    pub seconds: f64,
}

impl InParts {
    /// The fewest parts of a circuit, of which a row takes `whole` seconds of a worker, that each
    /// take no more than half of what a worker has: what remains is for what is not predicted. `None`
    /// where it cannot be cut like that, as a single term of its result takes too long.
    pub fn of(circuit: &Circuit, whole: f64) -> Result<Option<Self>, EngineError> {
        let most = WORKER_SECONDS / 2.0;
        let total = cut(circuit, 1)?.costs()[0].max(1) as f64;
        let least = (whole / most).ceil().max(1.0);
        if least > f64::from(MAX_PARTS) {
            return Ok(None);
        }
        for parts in least as u32..=MAX_PARTS {
            let cut = cut(circuit, parts)?;
            let longest = cut.costs().iter().max().map_or(0.0, |cost| *cost as f64);
            let seconds = whole * longest / total;
            if seconds <= most {
                return Ok(Some(Self { parts, seconds }));
            }
        }
        Ok(None)
    }
}
