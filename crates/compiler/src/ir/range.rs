//! Intervals of values.

/// All numbers from `low` to `high`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Range {
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Default for Range {
    fn default() -> Self {
        Self::ALL
    }
}

impl Range {
    pub(crate) const ALL: Self = Self {
        low: f64::NEG_INFINITY,
        high: f64::INFINITY,
    };
    pub(crate) const NONNEGATIVE: Self = Self {
        low: 0.0,
        high: f64::INFINITY,
    };
    pub(crate) const NONPOSITIVE: Self = Self {
        low: f64::NEG_INFINITY,
        high: 0.0,
    };
    pub(crate) const UNIT: Self = Self {
        low: 0.0,
        high: 1.0,
    };

    pub(crate) const fn of(x: f64) -> Self {
        Self { low: x, high: x }
    }

    /// The smallest range that holds all entries; `None` without entries or with NaN.
    pub(crate) fn around(entries: &[f64]) -> Option<Self> {
        if entries.iter().any(|x| x.is_nan()) {
            return None;
        }
        entries.iter().map(|&x| Self::of(x)).reduce(Self::or)
    }

    /// Between 0 and 1, up to the rounding of 32-bit leaves and their averages.
    pub(crate) fn is_probability(self) -> bool {
        const SLACK: f64 = 1e-4;
        self.low >= -SLACK && self.high <= 1.0 + SLACK
    }

    pub(crate) fn or(self, other: Self) -> Self {
        Self {
            low: self.low.min(other.low),
            high: self.high.max(other.high),
        }
    }

    pub(crate) fn max(self, other: Self) -> Self {
        Self {
            low: self.low.max(other.low),
            high: self.high.max(other.high),
        }
    }

    pub(crate) fn min(self, other: Self) -> Self {
        Self {
            low: self.low.min(other.low),
            high: self.high.min(other.high),
        }
    }

    pub(crate) fn exp(self) -> Self {
        Self {
            low: self.low.exp(),
            high: self.high.exp(),
        }
    }

    pub(crate) fn abs(self) -> Self {
        let low = if self.low <= 0.0 && self.high >= 0.0 {
            0.0
        } else {
            self.low.abs().min(self.high.abs())
        };
        Self {
            low,
            high: self.low.abs().max(self.high.abs()),
        }
    }

    pub(crate) fn add(self, other: Self) -> Self {
        Self {
            low: self.low + other.low,
            high: self.high + other.high,
        }
    }

    pub(crate) fn sub(self, other: Self) -> Self {
        Self {
            low: self.low - other.high,
            high: self.high - other.low,
        }
    }

    /// Sum of `count` values of this range.
    pub(crate) fn times(self, count: f64) -> Self {
        self.mul(Self::of(count))
    }

    pub(crate) fn mul(self, other: Self) -> Self {
        // 0 times infinity bounds nothing but 0 itself.
        let product = |x: f64, y: f64| if x == 0.0 || y == 0.0 { 0.0 } else { x * y };
        let products = [
            product(self.low, other.low),
            product(self.low, other.high),
            product(self.high, other.low),
            product(self.high, other.high),
        ];
        Self::around(&products).unwrap_or(Self::ALL)
    }

    pub(crate) fn div(self, other: Self) -> Self {
        if other.low > 0.0 || other.high < 0.0 {
            self.mul(Self {
                low: 1.0 / other.high,
                high: 1.0 / other.low,
            })
        } else {
            Self::ALL
        }
    }
}
