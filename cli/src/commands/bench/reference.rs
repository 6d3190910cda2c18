//! What a circuit is compared with: `tfhe`'s own CMUX.

use cipherfn_scheme::fourier::Transform;
use cipherfn_scheme::selectors::FourierSelectors;
use dyn_stack::{PodBuffer, PodStack};
use std::time::{Duration, Instant};
use tfhe::core_crypto::fft_impl::fft64::crypto::ggsw::FourierGgswCiphertext;
use tfhe::core_crypto::prelude::{
    CiphertextModulus, DecompositionBaseLog, DecompositionLevelCount, GlweCiphertext,
    GlweDimension, PolynomialSize, cmux_assign_mem_optimized,
    cmux_assign_mem_optimized_requirement,
};

/// Time of `cmux_assign_mem_optimized` with each of the selectors `order` names, one after the
/// other, on one thread.
///
/// The GLWE operands stay in the cache, which favours `tfhe`: only the selectors travel, as in the
/// circuit.
pub(super) fn one_by_one(selectors: &FourierSelectors, order: &[u32]) -> Duration {
    let shape = selectors.shape();
    let glwe_size = GlweDimension(shape.glwe_dimension).to_glwe_size();
    let size = PolynomialSize(shape.polynomial_size);
    let (base, levels) = (
        shape.gadget.base_log.get() as usize,
        shape.gadget.levels.get() as usize,
    );
    let transform = Transform::new(shape.polynomial_size);
    let fft = transform.as_tfhe();
    let mut memory = PodBuffer::new(cmux_assign_mem_optimized_requirement::<u64>(
        glwe_size, size, fft,
    ));
    let glwe = |seed: u64| {
        let words = (0..(glwe_size.0 * size.0) as u64)
            .map(|word| (word + seed).wrapping_mul(0x9e37_79b9_7f4a_7c15))
            .collect::<Vec<_>>();
        GlweCiphertext::from_container(words, size, CiphertextModulus::new_native())
    };
    let (mut clear, mut set) = (glwe(1), glwe(2));
    let start = Instant::now();
    for selector in order {
        let ggsw = FourierGgswCiphertext::from_container(
            selectors.ggsw(*selector as usize),
            glwe_size,
            size,
            DecompositionBaseLog(base),
            DecompositionLevelCount(levels),
        );
        // The function overwrites both: the next CMUX works on what this one left.
        cmux_assign_mem_optimized(&mut clear, &mut set, &ggsw, fft, PodStack::new(&mut memory));
    }
    start.elapsed()
}
