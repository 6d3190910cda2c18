//! What the tests of several modules need.

use crate::glwe::Glwe;
use crate::keys::SecretKey;
use crate::seeded::Masks;

/// An encryption without noise of a random message.
pub(crate) struct Noiseless {
    pub(crate) glwe: Glwe,
    pub(crate) message: Vec<u64>,
}

impl Noiseless {
    pub(crate) fn random(key: &SecretKey, index: usize) -> Self {
        let set = key.parameter_set();
        let mut masks = Masks::new((index as u128).to_le_bytes());
        let mut mask = vec![0; set.mask_len()];
        let mut message = vec![0; set.ring.polynomial_size];
        masks.fill(&mut mask);
        masks.fill(&mut message);
        let mut multiplier = key.multiplier();
        let body = message.iter().zip(multiplier.product(&mask));
        let body = body
            .map(|(message, product)| message.wrapping_add(*product))
            .collect();
        Self {
            glwe: Glwe { mask, body },
            message,
        }
    }
}

/// The phases of all coefficients.
pub(crate) fn phases(key: &SecretKey, mask: &[u64], body: &[u64]) -> Vec<u64> {
    let mut multiplier = key.multiplier();
    let body = body.iter().zip(multiplier.product(mask));
    body.map(|(body, product)| body.wrapping_sub(*product))
        .collect()
}
