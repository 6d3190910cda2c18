//! A binary key of a ring, apart from what it is made from.

use super::product::{Factor, Multiplier};
use zeroize::Zeroizing;

/// A binary GLWE key. It is erased from memory when dropped.
pub(crate) struct RingKey {
    /// The k N coefficients, 0 or 1.
    coefficients: Zeroizing<Vec<u64>>,
    factor: Factor,
}

impl RingKey {
    /// From the coefficients, least significant bit of a byte first.
    pub(crate) fn new(bits: &[u8], polynomial_size: usize) -> Self {
        let mut coefficients = Zeroizing::new(Vec::with_capacity(8 * bits.len()));
        coefficients.extend(
            bits.iter()
                .flat_map(|byte| (0..8).map(move |i| u64::from(byte >> i & 1))),
        );
        let factor = Factor::new(&coefficients, polynomial_size);
        Self {
            coefficients,
            factor,
        }
    }

    /// The k N coefficients, 0 or 1.
    pub(crate) fn coefficients(&self) -> &[u64] {
        &self.coefficients
    }

    /// For products with masks.
    pub(crate) fn multiplier(&self) -> Multiplier<'_> {
        Multiplier::new(&self.factor)
    }
}
