//! Carriers: GLWE ciphertexts in the Fourier domain.

use crate::fourier::{Transform, c64};
use crate::glwe::Glwe;
use crate::pages::Pages;
use crate::parameters::Ring;

/// A list of GLWE ciphertexts in the Fourier domain, of k mask polynomials and a body each.
#[derive(Debug)]
pub struct FourierCarriers {
    len: usize,
    /// Complex values of one.
    row: usize,
    data: Pages,
}

impl FourierCarriers {
    /// `len` ciphertexts of zero.
    pub fn zeroed(ring: &Ring, len: usize) -> Self {
        let row = (ring.glwe_dimension + 1) * ring.polynomial_size / 2;
        Self {
            len,
            row,
            data: Pages::zeroed(row * len),
        }
    }

    /// Ciphertexts of the ring.
    ///
    /// # Panics
    /// If one has other dimensions.
    pub fn of(ring: &Ring, glwes: &[Glwe]) -> Self {
        Self::transformed(ring, glwes, &Transform::new(ring.polynomial_size))
    }

    /// The same with the ring's transform, where that is at hand.
    ///
    /// # Panics
    /// If one has other dimensions.
    pub fn transformed(ring: &Ring, glwes: &[Glwe], transform: &Transform) -> Self {
        let mut carriers = Self::zeroed(ring, glwes.len());
        let (size, half) = (ring.polynomial_size, ring.polynomial_size / 2);
        let mut scratch = transform.scratch();
        let polynomials = glwes.iter().flat_map(|glwe| {
            let polynomials = glwe.mask.chunks_exact(size);
            polynomials.chain([glwe.body.as_slice()])
        });
        for (out, polynomial) in carriers.data.chunks_exact_mut(half).zip(polynomials) {
            transform.forward_torus(out, polynomial, &mut scratch);
        }
        carriers
    }

    /// Number of ciphertexts.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// A ciphertext: mask, then body.
    pub fn get(&self, index: usize) -> &[c64] {
        &self.data[index * self.row..][..self.row]
    }

    /// All values, one ciphertext after the other.
    pub(crate) fn values_mut(&mut self) -> &mut [c64] {
        &mut self.data
    }
}
