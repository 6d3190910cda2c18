//! Predicted work.

use crate::families::trees::graph::Graph;
use cipherfn_circuit::circuit::Operand;
use cipherfn_protocol::specs::{Gadget, Transport};
use cipherfn_scheme::parameters::{Packing, ParameterSet};
use serde::{Deserialize, Serialize};

/// What the server does for one row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Work {
    /// Encrypted bits.
    pub selectors: u32,
    /// Ciphertexts that the query expands to; 0 where selectors travel whole.
    pub slots: u32,
    /// CMUXes between ciphertexts.
    pub cmuxes: u32,
    /// Choices between two constants of one coefficient.
    pub scalar_selects: u32,
    /// Choices between two constants of several coefficients.
    pub polynomial_selects: u32,
    /// Sums that are kept.
    pub nodes: u32,
}

impl Work {
    /// Counts a graph's work.
    pub(crate) fn of(graph: &Graph, selectors: u32, gadget: Gadget, transport: Transport) -> Self {
        let slots = if transport == Transport::Packed {
            selectors * gadget.levels
        } else {
            0
        };
        let mut work = Self {
            selectors,
            slots,
            nodes: graph.nodes.len() as u32,
            ..Self::default()
        };
        for select in graph.nodes.iter().flat_map(|node| &node.selects) {
            match (select.clear, select.set) {
                (Operand::Zero, Operand::Constant(difference)) => {
                    match graph.constants[difference.index()].len() {
                        1 => work.scalar_selects += 1,
                        _ => work.polynomial_selects += 1,
                    }
                }
                _ => work.cmuxes += 1,
            }
        }
        work
    }
}

/// Microseconds of one thread, for a parameter set.
///
/// Source: the circuits of eight tree models in the three profiles (13 to 2,400 CMUXes, 12 to 363
/// selectors), release build, one thread of an AMD EPYC with AVX2 (512 KB of second-level cache a
/// core, 32 MB shared); the table gives each measured time within 30 %. Other machines
/// scale all entries about alike, and only their ratios decide.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Costs {
    /// One slot: its share of the expansion, both rows.
    slot: f64,
    /// One selector that travels whole, a level.
    whole_level: f64,
    /// A CMUX: what does not depend on the gadget, and a level.
    cmux: (f64, f64),
    /// A choice between constants of one coefficient, a level: it reads body rows from memory.
    scalar: f64,
    /// A choice between constants of several coefficients, a level.
    polynomial: f64,
    /// The reply.
    reply: f64,
}

/// A slot apart from its products with key rows.
const SLOT: f64 = 27.0;
/// A product with one level of a key.
const KEY_LEVEL: f64 = 3.2;
/// Up to this many bytes of selectors are met in a cache.
const CACHE: f64 = 16e6;
/// How much longer choices wait for memory, each time the selectors double beyond that.
const CACHE_MISS: f64 = 0.2;

/// N = 2048, k = 1.
const N2048: Costs = Costs {
    slot: 0.0,
    whole_level: 60.0,
    cmux: (8.0, 9.5),
    scalar: 3.5,
    polynomial: 7.0,
    reply: 12.0,
};
/// N = 512, k = 4.
const N512: Costs = Costs {
    slot: 0.0,
    whole_level: 50.0,
    cmux: (5.0, 8.5),
    scalar: 1.0,
    polynomial: 3.0,
    reply: 12.0,
};

impl Costs {
    /// The costs of a parameter set.
    pub(crate) fn of(set: &ParameterSet) -> Self {
        let slot = set
            .packing()
            .map_or(0.0, |packing| SLOT + KEY_LEVEL * levels_a_slot(packing));
        let table = if set.ring.glwe_dimension == 1 {
            N2048
        } else {
            N512
        };
        Self { slot, ..table }
    }

    /// Predicted microseconds of one row on one thread.
    pub(crate) fn microseconds(&self, work: &Work, gadget: Gadget, ggsw_bytes: usize) -> f64 {
        let levels = f64::from(gadget.levels);
        let memory = f64::from(work.selectors) * ggsw_bytes as f64;
        let slowdown = 1.0 + CACHE_MISS * (memory / CACHE).max(1.0).log2();
        let expansion = if work.slots > 0 {
            self.slot * f64::from(work.slots)
        } else {
            self.whole_level * levels * f64::from(work.selectors)
        };
        let choices = f64::from(work.cmuxes) * (self.cmux.0 + self.cmux.1 * levels)
            + f64::from(work.scalar_selects) * self.scalar * levels
            + f64::from(work.polynomial_selects) * self.polynomial * levels;
        expansion + choices * slowdown + self.reply
    }
}

/// Key levels that a slot of a full ciphertext is multiplied with: level j of the expansion has 2^j
/// key switches for 2^m slots.
fn levels_a_slot(packing: &Packing) -> f64 {
    let key_switches = packing
        .key_switch
        .iter()
        .rev()
        .zip(1..)
        .map(|(gadget, halvings)| f64::from(gadget.levels) * f64::from(-halvings).exp2());
    key_switches.sum::<f64>() + f64::from(packing.scheme_switch.levels)
}
