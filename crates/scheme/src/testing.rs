//! What the tests of several modules need.

use crate::fourier::Transform;
use crate::glwe::Glwe;
use crate::keys::SecretKey;
use crate::noise::Variance;
use crate::seeded::Masks;
use crate::selectors::FourierSelectors;
use dyn_stack::{PodBuffer, PodStack};
use tfhe::core_crypto::fft_impl::fft64::crypto::ggsw::FourierGgswCiphertext;
use tfhe::core_crypto::prelude::{
    CiphertextModulus, DecompositionBaseLog, DecompositionLevelCount, GlweCiphertext, GlweSize,
    PolynomialSize, cmux_assign_mem_optimized, cmux_assign_mem_optimized_requirement,
};

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

/// `tfhe`'s CMUX by one of our selectors.
pub(crate) fn tfhe_cmux(
    selectors: &FourierSelectors,
    index: usize,
    clear: &Glwe,
    set: &Glwe,
) -> Glwe {
    let shape = selectors.shape();
    let glwe_size = GlweSize(shape.glwe_dimension + 1);
    let size = PolynomialSize(shape.polynomial_size);
    let transform = Transform::new(size.0);
    let fft = transform.as_tfhe();
    let requirement = cmux_assign_mem_optimized_requirement::<u64>(glwe_size, size, fft);
    let ciphertext = |glwe: &Glwe| {
        GlweCiphertext::from_container(
            [glwe.mask.as_slice(), &glwe.body].concat(),
            size,
            CiphertextModulus::new_native(),
        )
    };
    let ggsw = FourierGgswCiphertext::from_container(
        selectors.ggsw(index),
        glwe_size,
        size,
        DecompositionBaseLog(shape.gadget.base_log.get() as usize),
        DecompositionLevelCount(shape.gadget.levels.get() as usize),
    );
    let mut result = ciphertext(clear);
    cmux_assign_mem_optimized(
        &mut result,
        &mut ciphertext(set),
        &ggsw,
        fft,
        PodStack::new(&mut PodBuffer::new(requirement)),
    );
    let (mask, body) = result.as_ref().split_at(clear.mask.len());
    Glwe {
        mask: mask.to_vec(),
        body: body.to_vec(),
    }
}

/// Holds errors to a variance: the standard deviation within `tolerance` bits.
pub(crate) fn check(what: &str, predicted: Variance, errors: &[f64], tolerance: f64) {
    let variance = errors.iter().map(|error| error * error).sum::<f64>() / errors.len() as f64;
    let (predicted, found) = (predicted.deviation().log2(), variance.log2() / 2.0);
    println!(
        "{what}: predicted 2^{predicted:.2}, measured 2^{found:.2}, {} samples",
        errors.len()
    );
    assert!(
        (found - predicted).abs() < tolerance,
        "{what}: predicted 2^{predicted:.2}, measured 2^{found:.2}"
    );
}
