//! The width of a coefficient that travels.

use serde::{Deserialize, Serialize};
use std::fmt;

/// How many of a torus word's 64 bits travel, the most significant first. A number of its own kind,
/// as it stands beside levels, depths and counts of coefficients, which are small integers too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Bits(u32);

impl Bits {
    /// The whole word.
    pub const ALL: Self = Self(64);

    /// So many bits. What is read from outside may be none or more than a word has: see
    /// [`Self::is_valid`].
    pub const fn new(bits: u32) -> Self {
        Self(bits)
    }

    /// The number.
    pub const fn get(self) -> u32 {
        self.0
    }

    /// Whether a coefficient can have this width: 1 to 64.
    pub const fn is_valid(self) -> bool {
        1 <= self.0 && self.0 <= Self::ALL.0
    }
}

impl fmt::Display for Bits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
