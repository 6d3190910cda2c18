//! Variances and standard deviations, which are both numbers and must not be mixed up.

use std::iter::Sum;
use std::ops::{Add, Mul};

/// Variance of an error, in units of the torus squared. Independent errors add.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct Variance(f64);

/// Standard deviation of an error, as a fraction of the torus.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct Deviation(f64);

impl Variance {
    /// From torus squared.
    pub const fn new(torus_squared: f64) -> Self {
        Self(torus_squared)
    }

    /// In torus squared.
    pub const fn get(self) -> f64 {
        self.0
    }

    /// Its square root.
    pub fn deviation(self) -> Deviation {
        Deviation(self.0.sqrt())
    }
}

impl Deviation {
    /// As a fraction of the torus.
    pub const fn get(self) -> f64 {
        self.0
    }

    /// The larger one.
    #[must_use]
    pub const fn max(self, other: Self) -> Self {
        Self(self.0.max(other.0))
    }

    /// Bits below the torus, negative.
    pub fn log2(self) -> f64 {
        self.0.log2()
    }
}

impl Add for Variance {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl Sum for Variance {
    fn sum<I: Iterator<Item = Self>>(variances: I) -> Self {
        variances.fold(Self::default(), Add::add)
    }
}

/// A sum of so many errors, or one whose square is so many times as large.
impl Mul<Variance> for f64 {
    type Output = Variance;

    fn mul(self, variance: Variance) -> Variance {
        Variance(self * variance.0)
    }
}

/// A margin on a deviation.
impl Mul<Deviation> for f64 {
    type Output = Deviation;

    fn mul(self, deviation: Deviation) -> Deviation {
        Deviation(self * deviation.0)
    }
}
