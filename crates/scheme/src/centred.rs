//! Ciphertexts in centred form, and one level of automorphism key switching on them: the step that
//! expansion, isolation and packing repeat.
//!
//! In centred form a ciphertext has half the mask, under the key z = 2 s - (1 + X + ... + X^(N-1))
//! with coefficients -1 and 1. A floating-point error d of a mask costs d z there instead of d s,
//! and d z s instead of d s^2 after a scheme switch; s^2 is 2^3 times as long as z s because a
//! binary key has mean 1/2. It makes exact (split) arithmetic unnecessary.

use crate::fourier::{Transform, TransformScratch, c64};
use crate::glev::{Decomposer, FourierGlev, zeroed};
use crate::glwe::Glwe;
use crate::kernels;
use crate::keys::ExpandedEvaluationKey;
use crate::noise::{self, Variance};
use crate::parameters::Packing;
use crate::polynomial::{self, expansion_exponent};
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

/// Variance of what [`Centred::divided`] rounds off, after the trace: mask and body by half a unit
/// of 2^-64 at most, times N coefficients of -1 and 1.
pub(crate) fn shift_variance(size: usize, levels: u32) -> Variance {
    4f64.powi(levels as i32) * (size as f64 + 1.0) * noise::rounding(Bits::ALL)
}

/// Working memory of one thread.
pub(crate) struct Memory {
    /// The odd branches on the way to the current node of an expansion, by level.
    pub(crate) odd: Vec<Centred>,
    pub(crate) work: Work,
}

pub(crate) struct Work {
    pub(crate) decomposer: Decomposer,
    pub(crate) scratch: TransformScratch,
    pub(crate) words: Vec<u64>,
    pub(crate) mask: AVec<c64>,
    pub(crate) body: AVec<c64>,
    pub(crate) even: AVec<c64>,
    pub(crate) odd: AVec<c64>,
}

impl Memory {
    /// For products of at most `levels` digits.
    pub(crate) fn new(transform: &Transform, packing: &Packing, levels: u32) -> Self {
        let size = transform.polynomial_size();
        let fourier = || zeroed(transform.fourier_size());
        Self {
            odd: (0..packing.depth().levels())
                .map(|_| Centred::zero(size))
                .collect(),
            work: Work {
                decomposer: Decomposer::new(transform, levels as usize),
                scratch: transform.scratch(),
                words: vec![0; size],
                mask: fourier(),
                body: fourier(),
                even: fourier(),
                odd: fourier(),
            },
        }
    }
}

impl ExpandedEvaluationKey {
    /// Key switch of the mask of `c(X^exponent)` by `glev`, into `work.mask` and `work.body`; the
    /// body's image is still to be added.
    pub(crate) fn key_switch(
        &self,
        glev: &FourierGlev,
        exponent: usize,
        mask: &[u64],
        work: &mut Work,
    ) {
        let digits = work.decomposer.digits(
            mask,
            exponent,
            glev.gadget(),
            self.transform(),
            &mut work.scratch,
        );
        glev.product(&mut work.mask, &mut work.body, digits);
    }

    /// One level of an expansion: `node` becomes its even branch, `c + t` with t the key switch of
    /// c(X^(N/2^level + 1)), and `odd` X^(-2^level) (c - t).
    pub(crate) fn split(
        &self,
        level: u32,
        node: &mut Centred,
        odd: Option<&mut Centred>,
        work: &mut Work,
    ) {
        let transform = self.transform();
        let shift = 1 << level;
        let exponent = expansion_exponent(node.mask.len(), level);
        self.key_switch(self.automorphism(level), exponent, &node.mask, work);
        let (odd_mask, odd_body) = odd.map_or((None, None), |odd| {
            (Some(&mut odd.mask), Some(&mut odd.body))
        });
        transform.backward_torus_in_place(&mut work.words, &mut work.mask, &mut work.scratch);
        kernels::butterfly(&mut node.mask, &work.words, odd_mask, shift);
        transform.backward_torus_in_place(&mut work.words, &mut work.body, &mut work.scratch);
        polynomial::add_automorphism(&mut work.words, &node.body, exponent);
        kernels::butterfly(&mut node.body, &work.words, odd_body, shift);
    }

    /// The image of `node` under X -> X^exponent, with `glev` the key of that automorphism.
    pub(crate) fn automorphic_image(
        &self,
        glev: &FourierGlev,
        exponent: usize,
        node: &Centred,
        work: &mut Work,
    ) -> Centred {
        let transform = self.transform();
        let mut image = Centred::zero(node.mask.len());
        self.key_switch(glev, exponent, &node.mask, work);
        transform.backward_torus_in_place(&mut image.mask, &mut work.mask, &mut work.scratch);
        transform.backward_torus_in_place(&mut image.body, &mut work.body, &mut work.scratch);
        polynomial::add_automorphism(&mut image.body, &node.body, exponent);
        image
    }
}
