//! Sparse plaintext polynomials modulo X^N + 1 over the torus.

use cipherfn_circuit::circuit::Constant;

/// Coefficients as (position, value in units of 2^-64): positions strictly increasing, no value
/// zero.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Sparse(Vec<(u32, u64)>);

impl Sparse {
    pub(crate) fn coefficients(&self) -> &[(u32, u64)] {
        &self.0
    }

    pub(crate) fn is_zero(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Adds `X^rotation * other`, for rotations below 2N.
    pub(crate) fn add_rotated(&mut self, other: &Self, rotation: u32, polynomial_size: u32) {
        if other.is_zero() {
            return;
        }
        let (shift, negated) = (rotation % polynomial_size, rotation >= polynomial_size);
        // Positions from `polynomial_size - shift` on wrap around to the front, negated; both parts
        // stay sorted.
        let wrapped = other
            .0
            .partition_point(|(position, _)| *position < polynomial_size - shift);
        let turned = |(position, value): &(u32, u64)| {
            let (position, wraps) = match (position + shift).checked_sub(polynomial_size) {
                Some(position) => (position, true),
                None => (position + shift, false),
            };
            (
                position,
                if wraps == negated {
                    *value
                } else {
                    value.wrapping_neg()
                },
            )
        };
        let other = other.0[wrapped..]
            .iter()
            .chain(&other.0[..wrapped])
            .map(turned);
        self.0 = merge(&self.0, other);
    }

    /// The value at a position.
    pub(crate) fn at(&self, position: u32) -> u64 {
        self.0
            .binary_search_by_key(&position, |(position, _)| *position)
            .map_or(0, |index| self.0[index].1)
    }
}

impl From<&Constant> for Sparse {
    fn from(constant: &Constant) -> Self {
        Self(
            constant
                .0
                .iter()
                .copied()
                .filter(|(_, value)| *value != 0)
                .collect(),
        )
    }
}

/// Sum of two sorted lists.
fn merge(lhs: &[(u32, u64)], rhs: impl Iterator<Item = (u32, u64)>) -> Vec<(u32, u64)> {
    let mut out = Vec::with_capacity(lhs.len() + rhs.size_hint().0);
    let mut lhs = lhs.iter().copied().peekable();
    for (position, value) in rhs {
        while let Some(before) = lhs.next_if(|(other, _)| *other < position) {
            out.push(before);
        }
        let sum = lhs
            .next_if(|(other, _)| *other == position)
            .map_or(value, |(_, other)| other.wrapping_add(value));
        if sum != 0 {
            out.push((position, sum));
        }
    }
    out.extend(lhs);
    out
}

#[cfg(test)]
mod tests {
    use super::Sparse;
    use cipherfn_circuit::circuit::Constant;

    fn sparse(coefficients: &[(u32, u64)]) -> Sparse {
        Sparse::from(&Constant(coefficients.to_vec()))
    }

    #[test]
    fn rotation_is_negacyclic() {
        let mut sum = sparse(&[(0, 1), (5, 2)]);
        sum.add_rotated(&sparse(&[(2, 10), (6, 20)]), 3, 8);
        assert_eq!(sum, sparse(&[(0, 1), (1, 20u64.wrapping_neg()), (5, 12)]));
        assert_eq!((sum.at(5), sum.at(4)), (12, 0));
    }

    #[test]
    fn opposite_terms_vanish() {
        let value = sparse(&[(1, 7), (7, 9)]);
        let mut sum = value.clone();
        sum.add_rotated(&value, 8, 8);
        assert!(sum.is_zero());
        sum.add_rotated(&value, 13, 8);
        assert_eq!(sum, sparse(&[(4, 9), (6, 7u64.wrapping_neg())]));
    }
}
