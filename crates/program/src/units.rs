//! Amounts that are plain numbers in documents and must not be mixed up in programs.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::iter::Sum;
use std::ops::Add;

macro_rules! unit {
    ($($(#[$meta:meta])* $name:ident,)+) => {
        $(
            $(#[$meta])*
            #[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd, Serialize, Deserialize)]
            #[serde(transparent)]
            pub struct $name(f64);

            impl $name {
                /// So much.
                pub const fn new(amount: f64) -> Self {
                    Self(amount)
                }

                /// The number.
                pub const fn get(self) -> f64 {
                    self.0
                }
            }

            impl fmt::Display for $name {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    self.0.fmt(f)
                }
            }

            impl fmt::LowerExp for $name {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    fmt::LowerExp::fmt(&self.0, f)
                }
            }

            impl Add for $name {
                type Output = Self;

                fn add(self, other: Self) -> Self {
                    Self(self.0 + other.0)
                }
            }

            impl Sum for $name {
                fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
                    amounts.fold(Self::default(), Add::add)
                }
            }
        )+
    };
}

macro_rules! count {
    ($($(#[$meta:meta])* $name:ident,)+) => {
        $(
            $(#[$meta])*
            #[derive(
                Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
            )]
            #[serde(transparent)]
            pub struct $name(u32);

            impl $name {
                /// So many. What is read from outside may be any number.
                pub const fn new(count: u32) -> Self {
                    Self(count)
                }

                /// The number.
                pub const fn get(self) -> u32 {
                    self.0
                }
            }

            impl fmt::Display for $name {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    self.0.fmt(f)
                }
            }
        )+
    };
}

unit!(
    /// An amplitude or error in parts of the torus, which a scale turns into score units.
    TorusFraction,
    /// An amount in the units of a model's raw scores.
    ScoreUnits,
    /// A predicted time.
    Microseconds,
);

count!(
    /// How many of a torus word's 64 bits travel, the most significant first: see
    /// [`Self::is_valid`].
    Bits,
    /// log2 of a gadget's base: bits of a digit.
    BaseLog,
    /// Levels of a gadget: digits of a coefficient.
    Levels,
);

impl Bits {
    /// The whole word.
    pub const ALL: Self = Self(64);

    /// Whether a coefficient can have this width: 1 to 64.
    pub const fn is_valid(self) -> bool {
        1 <= self.0 && self.0 <= Self::ALL.0
    }
}

impl TorusFraction {
    /// In score units, of which the whole torus is `scale`.
    #[must_use]
    pub fn in_scores(self, scale: ScoreUnits) -> ScoreUnits {
        ScoreUnits(self.0 * scale.0)
    }
}
