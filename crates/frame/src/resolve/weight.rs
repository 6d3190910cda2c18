//! What atoms are multiplied with: integers of the plan, or of a model that whoever evaluates keeps to
//! itself. Of the latter everybody knows how large they can be; form and exactness of an answer follow from
//! that alone.

/// Largest weight of the plan's: exact in torus words with room for limbs.
const MAX_KNOWN: u64 = 1 << 30;
/// Largest weight of a model's, which is split into digits.
pub(super) const MAX_HIDDEN: i64 = 1 << 48;

/// What an atom is multiplied with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weight {
    /// An integer that everybody knows.
    Known(i64),
    /// One that only whoever evaluates knows.
    Hidden {
        /// Largest size that it can have.
        bound: i64,
        /// The integer, where it is at hand.
        value: Option<i64>,
    },
}

impl Weight {
    /// Largest size that it can have.
    pub(crate) const fn size(self) -> i64 {
        match self {
            Self::Known(own) => own.saturating_abs(),
            Self::Hidden { bound, .. } => bound,
        }
    }

    /// Whether only whoever evaluates knows it.
    pub(crate) const fn is_hidden(self) -> bool {
        matches!(self, Self::Hidden { .. })
    }

    /// Whether it is zero for everybody.
    pub(crate) const fn is_nothing(self) -> bool {
        self.size() == 0
    }

    /// The integer, or one that is as unfavourable as any, and whether it was made up.
    pub(crate) fn integer(self) -> (i64, bool) {
        match self {
            Self::Known(own) => (own, false),
            Self::Hidden { bound, value } => (value.unwrap_or(bound), value.is_none()),
        }
    }

    /// Least and largest product with a number of a range.
    pub(crate) fn range_of(self, (min, max): (i128, i128)) -> (i128, i128) {
        match self {
            Self::Known(own) => {
                let ends = [
                    min.saturating_mul(own.into()),
                    max.saturating_mul(own.into()),
                ];
                (ends[0].min(ends[1]), ends[0].max(ends[1]))
            }
            Self::Hidden { bound, .. } => {
                let most = i128::from(bound).saturating_mul(min.saturating_abs().max(max));
                (-most, most)
            }
        }
    }

    /// The sum: hidden, where one of them is.
    pub(super) fn plus(self, other: Self) -> Self {
        if let (Self::Known(one), Self::Known(other)) = (self, other) {
            return Self::Known(one.saturating_add(other));
        }
        let known = |own: Self| match own {
            Self::Known(own) => Some(own),
            Self::Hidden { value, .. } => value,
        };
        let both = known(self).zip(known(other));
        Self::Hidden {
            bound: self.size().saturating_add(other.size()),
            value: both.map(|(one, other)| one.saturating_add(other)),
        }
    }

    /// Nothing if it becomes too large.
    pub(super) fn times(self, factor: i64) -> Option<Self> {
        match self {
            Self::Known(own) => {
                let times = own.checked_mul(factor);
                times
                    .filter(|times| times.unsigned_abs() <= MAX_KNOWN)
                    .map(Self::Known)
            }
            Self::Hidden { bound, value } => {
                let bound = bound.checked_mul(factor.checked_abs()?)?;
                let times = value.map(|own| own.saturating_mul(factor));
                (bound <= MAX_HIDDEN).then_some(Self::Hidden {
                    bound,
                    value: times,
                })
            }
        }
    }

    /// In units of `2^grain` of what it makes of `2^shift`, rounded; nothing if it becomes too large.
    pub(crate) fn at_grain(self, shift: u32, grain: u32) -> Option<Self> {
        let scaled = |own: i64| match grain.checked_sub(shift) {
            Some(0) => Some(own),
            Some(down) => own.checked_add(1 << (down - 1)).map(|own| own >> down),
            None => own
                .checked_mul(1i64.checked_shl(shift - grain)?)
                .filter(|own| own.unsigned_abs() < 1 << 61),
        };
        Some(match self {
            Self::Known(own) => Self::Known(scaled(own)?),
            Self::Hidden { bound, value } => Self::Hidden {
                bound: scaled(bound)?,
                value: match value {
                    Some(own) => Some(scaled(own)?),
                    None => None,
                },
            },
        })
    }

    /// Its lowest digit of so many bits, with a sign, and what is left in units of the next one.
    pub(crate) fn cut(self, bits: u32) -> (Self, Self) {
        let half = 1i64 << (bits - 1);
        // From -half to half - 1, so that what is left is smaller.
        let cut = |own: i64| {
            let digit = ((own + half) & ((1 << bits) - 1)) - half;
            (digit, (own - digit) >> bits)
        };
        match self {
            Self::Known(own) => {
                let (digit, rest) = cut(own);
                (Self::Known(digit), Self::Known(rest))
            }
            Self::Hidden { bound, value } => {
                let parts = value.map(cut);
                let hidden = |bound, value| Self::Hidden { bound, value };
                (
                    hidden(bound.min(half), parts.map(|parts| parts.0)),
                    hidden((bound + half) >> bits, parts.map(|parts| parts.1)),
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Digits add up, none is beyond its bound, and there are as many whatever the integer is.
    #[test]
    fn digits_of_hidden_weights_depend_on_their_bound_alone() {
        for bits in 2..=10 {
            for bound in [1i64, 2, 31, 32, 33, 500, 70_000, MAX_HIDDEN] {
                let mut counts = Vec::new();
                for value in [Some(0), Some(bound), Some(-bound), Some(bound / 3), None] {
                    let mut rest = Weight::Hidden { bound, value };
                    let (mut sum, mut shift) = (0i128, 0);
                    let mut bounds = Vec::new();
                    while !rest.is_nothing() {
                        let digit;
                        (digit, rest) = rest.cut(bits);
                        let (integer, is_made_up) = digit.integer();
                        assert_eq!(is_made_up, value.is_none());
                        assert!(integer.abs() <= digit.size(), "{bits} {bound} {value:?}");
                        sum += i128::from(integer) << shift;
                        shift += bits;
                        bounds.push(digit.size());
                    }
                    if let Some(value) = value {
                        assert_eq!(sum, value.into(), "{bits} {bound}");
                    }
                    counts.push(bounds);
                }
                assert!(counts.windows(2).all(|own| own[0] == own[1]));
            }
        }
    }

    /// What is rounded is within half of a grain, and within its bound.
    #[test]
    fn weights_are_rounded_to_a_grain() {
        for value in [-1_000_003i64, -8, -1, 0, 5, 8, 777_777] {
            let weight = Weight::Hidden {
                bound: 1_000_003,
                value: Some(value),
            };
            for (shift, grain) in [(0, 0), (0, 4), (8, 3), (3, 8)] {
                let own = weight.at_grain(shift, grain).expect("it has room");
                let (integer, _) = own.integer();
                assert!(integer.abs() <= own.size());
                let off = (integer << grain) - (value << shift);
                assert!(2 * off.abs() <= 1 << grain, "{value} {shift} {grain}");
            }
            assert_eq!(weight.at_grain(60, 0), None);
        }
    }

    #[test]
    fn sums_and_products_keep_what_is_hidden_hidden() {
        let hidden = Weight::Hidden {
            bound: 10,
            value: Some(-7),
        };
        let sum = hidden.plus(Weight::Known(4));
        assert_eq!(sum.integer(), (-3, false));
        assert_eq!(sum.size(), 14);
        let times = sum.times(-2).expect("it has room");
        assert_eq!((times.integer(), times.size()), ((6, false), 28));
        assert_eq!(times.range_of((-1, 5)), (-140, 140));
        assert_eq!(Weight::Known(-2).range_of((-1, 5)), (-10, 2));
        assert_eq!(Weight::Known(1 << 20).times(1 << 20), None);
        assert_eq!(hidden.times(i64::MAX), None);
    }
}
