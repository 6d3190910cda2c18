//! Ciphertexts in centred form, on which automorphism key switching works, and the memory that it
//! takes.
//!
//! In centred form a ciphertext has half the mask, under the key z = 2 s - (1 + X + ... + X^(N-1))
//! with coefficients -1 and 1. A floating-point error d of a mask costs d z there instead of d s,
//! and d z s instead of d s^2 after a scheme switch; s^2 is 2^3 times as long as z s because a
//! binary key has mean 1/2. It makes exact (split) arithmetic unnecessary.

use crate::fourier::{Transform, TransformScratch, c64};
use crate::glev::zeroed;
use crate::glwe::Glwe;
use crate::noise::{self, Variance};
use crate::parameters::Packing;
use crate::polynomial;
use aligned_vec::AVec;
use cipherfn_protocol::specs::Bits;

/// A centred ciphertext.
#[derive(Clone)]
pub(crate) struct Centred {
    pub(crate) mask: Vec<u64>,
    pub(crate) body: Vec<u64>,
}

impl Centred {
    /// Zero, without noise.
    pub(crate) fn zero(size: usize) -> Self {
        Self {
            mask: vec![0; size],
            body: vec![0; size],
        }
    }

    /// `glwe` divided by 2^`levels`, which as many levels of a trace multiply it with again.
    ///
    /// Nothing is lost by it, noise included: over the integers `b - a s = m + e + k 2^64`, and of
    /// the shifted `(m + e) / 2^t + k 2^(64 - t)` the trace makes `m + e` again modulo 2^64. Only
    /// the shift's own rounding is added, see [`shift_variance`].
    pub(crate) fn divided(glwe: &Glwe, levels: u32) -> Self {
        let mut centred = Self {
            mask: glwe.mask.clone(),
            body: glwe.body.clone(),
        };
        polynomial::centre(&mut centred.mask, &mut centred.body);
        polynomial::shift_right(&mut centred.mask, levels);
        polynomial::shift_right(&mut centred.body, levels);
        centred
    }

    /// Adds `other`.
    pub(crate) fn add(&mut self, other: &Self) {
        for (sum, other) in [(&mut self.mask, &other.mask), (&mut self.body, &other.body)] {
            for (sum, other) in sum.iter_mut().zip(other) {
                *sum = sum.wrapping_add(*other);
            }
        }
    }

    /// Back under the binary key.
    pub(crate) fn into_glwe(self) -> Glwe {
        let Self { mut mask, mut body } = self;
        body.iter_mut()
            .zip(polynomial::times_all_ones(&mask))
            .for_each(|(body, product)| *body = body.wrapping_add(product));
        for word in &mut mask {
            *word <<= 1;
        }
        Glwe { mask, body }
    }
}

/// A node of an expansion: a centred ciphertext of torus fractions.
///
/// Masks are decomposed at every level, so they are folded coefficients, reduced modulo 1: 53 bits,
/// which adds 2^-50 to a body's error where a level adds 2^-36. Bodies are only added and permuted:
/// they stay in the Fourier domain until the slots, and are not reduced. They grow to some 2^12, and
/// their error to 2^-41, where a body row's is 2^-35 or more.
pub(crate) struct Node {
    pub(crate) mask: AVec<c64>,
    pub(crate) body: AVec<c64>,
}

impl Node {
    /// Zero, without noise.
    pub(crate) fn zero(size: usize) -> Self {
        Self {
            mask: zeroed(size / 2),
            body: zeroed(size / 2),
        }
    }
}

/// Variance of what [`Centred::divided`] rounds off, after the trace: mask and body by half a unit
/// of 2^-64 at most, times N coefficients of -1 and 1.
pub(crate) fn shift_variance(size: usize, levels: u32) -> Variance {
    4f64.powi(levels as i32) * (size as f64 + 1.0) * noise::rounding(Bits::ALL)
}

/// Working memory of a key switch.
pub(crate) struct SwitchMemory {
    pub(crate) scratch: TransformScratch,
    pub(crate) digits: AVec<c64>,
    pub(crate) mask: AVec<c64>,
    pub(crate) body: AVec<c64>,
    pub(crate) image: AVec<c64>,
}

impl SwitchMemory {
    /// For products of at most `levels` digits.
    pub(crate) fn new(transform: &Transform, packing: &Packing, levels: u32) -> Self {
        let fourier = || zeroed(transform.fourier_size());
        // The slots of a last level's two branches are decomposed together.
        let levels = levels.max(2 * packing.scheme_switch.levels.get()) as usize;
        Self {
            scratch: transform.scratch(),
            digits: zeroed(levels * transform.fourier_size()),
            mask: fourier(),
            body: fourier(),
            image: fourier(),
        }
    }
}
