//! Sparse plaintext polynomials modulo X^N + 1 over the torus.

/// Position and value in units of 2^-64.
pub(crate) type Coefficient = (u32, u64);

/// Coefficients: positions strictly increasing, no value zero.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Sparse(Vec<Coefficient>);

impl Sparse {
    /// The zero polynomial.
    pub(crate) const fn zero() -> Self {
        Self(Vec::new())
    }

    /// The sum of coefficients in any order.
    pub(crate) fn sum(mut coefficients: Vec<Coefficient>) -> Self {
        // Rotated polynomials are appended in runs, which this sort merges.
        coefficients.sort_by_key(|(position, _)| *position);
        coefficients.dedup_by(|(position, value), (kept, sum)| {
            let same = position == kept;
            if same {
                *sum = sum.wrapping_add(*value);
            }
            same
        });
        coefficients.retain(|(_, value)| *value != 0);
        Self(coefficients)
    }

    pub(crate) fn coefficients(&self) -> &[Coefficient] {
        &self.0
    }

    pub(crate) fn is_zero(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The coefficients of `X^rotation * polynomial`, for rotations below 2N: two increasing runs.
    pub(crate) fn rotated(
        coefficients: &[Coefficient],
        rotation: u32,
        polynomial_size: u32,
    ) -> impl Iterator<Item = Coefficient> {
        let (shift, negated) = (rotation % polynomial_size, rotation >= polynomial_size);
        coefficients.iter().map(move |(position, value)| {
            let (position, wraps) = match (position + shift).checked_sub(polynomial_size) {
                Some(position) => (position, true),
                None => (position + shift, false),
            };
            let value = if wraps == negated {
                *value
            } else {
                value.wrapping_neg()
            };
            (position, value)
        })
    }

    /// `X^rotation * self`, for rotations below 2N.
    pub(crate) fn turned(&self, rotation: u32, polynomial_size: u32) -> Self {
        let mut turned: Vec<Coefficient> =
            Self::rotated(&self.0, rotation, polynomial_size).collect();
        // What wraps around comes to the front.
        let wrapped = self.0.partition_point(|(position, _)| {
            position + rotation % polynomial_size < polynomial_size
        });
        turned.rotate_left(wrapped);
        Self(turned)
    }
}

/// The constant coefficient of `X^rotation` times coefficients in increasing positions, for rotations
/// below 2N.
pub(crate) fn constant_of_turned(
    coefficients: &[Coefficient],
    rotation: u32,
    polynomial_size: u32,
) -> u64 {
    let (shift, negated) = (rotation % polynomial_size, rotation >= polynomial_size);
    let value = match shift {
        0 => value_at(coefficients, 0),
        shift => value_at(coefficients, polynomial_size - shift).wrapping_neg(),
    };
    if negated { value.wrapping_neg() } else { value }
}

/// A table's entry at a number, in units of 2^-64 of the torus: of 2 `entries` steps the second half
/// has minus the first half's entries. The table has a power of two of them.
pub(crate) fn entry(table: &[Coefficient], entries: u32, number: u64) -> u64 {
    let step = (number >> (63 - entries.ilog2())) as u32;
    let value = value_at(table, step % entries);
    if step < entries {
        value
    } else {
        value.wrapping_neg()
    }
}

/// The value at a position of coefficients in increasing positions.
pub(crate) fn value_at(coefficients: &[Coefficient], position: u32) -> u64 {
    coefficients
        .binary_search_by_key(&position, |(position, _)| *position)
        .map_or(0, |index| coefficients[index].1)
}

#[cfg(test)]
mod tests {
    use super::{Sparse, entry, value_at};

    #[test]
    fn rotation_is_negacyclic() {
        let turned = Sparse::sum(vec![(2, 10), (6, 20)]).turned(3, 8);
        assert_eq!(turned.coefficients(), [(1, 20u64.wrapping_neg()), (5, 10)]);
        let sum = Sparse::sum([&[(5, 2), (0, 1)], turned.coefficients()].concat());
        assert_eq!(
            sum.coefficients(),
            [(0, 1), (1, 20u64.wrapping_neg()), (5, 12)]
        );
        assert_eq!([5, 4].map(|at| value_at(sum.coefficients(), at)), [12, 0]);
    }

    #[test]
    fn tables_have_minus_their_entries_on_the_second_half() {
        let table = [(0, 5), (3, 7)];
        let at = |eighths: f64| entry(&table, 4, (eighths * 2f64.powi(61)) as u64);
        assert_eq!([0.0, 0.9, 1.0, 3.0, 3.9].map(at), [5, 5, 0, 7, 7]);
        let minus = |value: u64| value.wrapping_neg();
        assert_eq!([4.0, 5.0, 7.9].map(at), [minus(5), 0, minus(7)]);
    }

    #[test]
    fn opposite_terms_vanish() {
        let value = Sparse::sum(vec![(7, 9), (1, 7), (3, 0)]);
        assert_eq!(value.len(), 2);
        let opposite = value.turned(8, 8);
        let both = [value.coefficients(), opposite.coefficients()].concat();
        assert!(Sparse::sum(both).is_zero());
        assert_eq!(
            opposite.turned(5, 8).coefficients(),
            [(4, 9), (6, 7u64.wrapping_neg())]
        );
    }
}
