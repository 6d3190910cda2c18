//! Seeded GLWE ciphertexts on their way into the Fourier domain.

use crate::bits::{self, packed_len};
use crate::error::SchemeError;
use crate::fourier::{Transform, c64};
use crate::seeded::{MaskSeed, Masks};
use cipherfn_protocol::specs::Bits;
use rayon::prelude::*;

/// Ciphertexts that one thread transforms at a time: some 0.1 ms of work.
const ROWS_A_JOB: usize = 4;

/// GLWE ciphertexts whose masks are a seed's stream and whose bodies are packed.
pub(crate) struct SeededRows<'a> {
    /// What they are of, for errors.
    pub(crate) what: &'static str,
    /// GLWE dimension.
    pub(crate) dimension: usize,
    /// Polynomial size.
    pub(crate) size: usize,
    /// Bits of a body coefficient.
    pub(crate) body_bits: Bits,
    /// Seed of the masks.
    pub(crate) seed: MaskSeed,
    /// Words of the stream before the first mask.
    pub(crate) masks_from: usize,
    /// The bodies, one after the other.
    pub(crate) bodies: &'a [u8],
}

impl SeededRows<'_> {
    /// Fills `out` with as many ciphertexts as it has room for, mask polynomials before the body, on
    /// all threads of the current pool.
    pub(crate) fn transform(&self, out: &mut [c64]) -> Result<(), SchemeError> {
        let transform = Transform::new(self.size);
        let mask_len = self.dimension * self.size;
        let row_len = (self.dimension + 1) * transform.fourier_size();
        let body_len = packed_len(self.size, self.body_bits);
        let bodies = self.bodies.par_chunks(ROWS_A_JOB * body_len);
        let memory = || (transform.scratch(), vec![0; mask_len], vec![0; self.size]);
        out.par_chunks_mut(ROWS_A_JOB * row_len)
            .zip(bodies)
            .enumerate()
            .try_for_each_init(memory, |(scratch, mask, body), (job, (out, bodies))| {
                let mut masks = Masks::new(self.seed);
                masks.skip(self.masks_from + job * ROWS_A_JOB * mask_len);
                let rows = out.chunks_exact_mut(row_len);
                for (row, packed) in rows.zip(bodies.chunks_exact(body_len)) {
                    masks.fill(mask);
                    bits::unpack(body, packed, self.body_bits, self.what)?;
                    let polynomials = mask.chunks_exact(self.size).chain([&**body]);
                    for (out, polynomial) in row
                        .chunks_exact_mut(transform.fourier_size())
                        .zip(polynomials)
                    {
                        transform.forward_torus(out, polynomial, scratch);
                    }
                }
                Ok(())
            })
    }
}
