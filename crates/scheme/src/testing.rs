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
        let size = set.ring.polynomial_size;
        let mut masks = Masks::new((index as u128).to_le_bytes());
        let (mut mask, mut message) = (vec![0; set.mask_len()], vec![0; size]);
        masks.fill(&mut mask);
        masks.fill(&mut message);
        let positions: Vec<usize> = (0..size).collect();
        let products = key.mask_products(&mask, &positions);
        let body = message.iter().zip(products);
        let body = body.map(|(message, product)| message.wrapping_add(product));
        Self {
            glwe: Glwe {
                body: body.collect(),
                mask,
            },
            message,
        }
    }
}

/// The phases of all coefficients.
pub(crate) fn phases(key: &SecretKey, glwe: &Glwe) -> Vec<u64> {
    let positions: Vec<usize> = (0..glwe.body.len()).collect();
    let products = key.mask_products(&glwe.mask, &positions);
    let body = glwe.body.iter().zip(products);
    body.map(|(body, product)| body.wrapping_sub(product))
        .collect()
}
