//! The evaluators against each other, against values worked out by hand, and against strangers.

mod backends;
mod bootstraps;
mod bundles;
mod carriers;
mod choices;
mod circuits;
mod groups;
mod lookups;
mod noise;
mod products;
mod rows;
mod suite;

pub(crate) use circuits::{Builder, operand};

use cipherfn_protocol::specs::{BaseLog, Gadget, Levels, Transport};

/// Parameter set, transport and gadget of a circuit's bits.
pub(crate) type Set = (&'static str, Transport, Gadget);

pub(crate) const SETS: [Set; 2] = [
    (
        "cipherfn-128-n2048-m8-v1",
        Transport::Packed,
        Gadget::new(BaseLog::new(6), Levels::new(4)),
    ),
    (
        "cipherfn-128-n512k4-v1",
        Transport::Ggsw,
        Gadget::new(BaseLog::new(12), Levels::new(2)),
    ),
];

/// `value` in 64ths of the torus.
pub(crate) fn part(value: i64) -> u64 {
    (value << 58) as u64
}
