//! Automorphism key switching of centred ciphertexts: the step that expansion, isolation and packing
//! repeat.

use crate::centred::{Centred, SwitchMemory};
use crate::fourier::{Permutation, Transform, c64};
use crate::glev::{FourierGlev, zeroed};
use crate::polynomial;

/// The key of X -> X^e, ready for use. The image of a product is the product of the images, so the
/// key is kept under the inverse automorphism: the mask is decomposed as it lies, and what is
/// permuted are the two polynomials of the product, in the Fourier domain.
pub(crate) struct Automorphism {
    exponent: usize,
    /// Minus the key, centred, of X -> X^(1/e).
    glev: FourierGlev,
    pub(crate) permutation: Permutation,
}

impl Automorphism {
    /// From minus the key, centred, under the inverse automorphism.
    pub(crate) fn new(exponent: usize, glev: FourierGlev, transform: &Transform) -> Self {
        Self {
            exponent,
            glev,
            permutation: Permutation::new(transform, exponent),
        }
    }

    /// The key switch of a folded `mask(X^e)`, and the image of `work.body` added to its body; both
    /// in the Fourier domain: the mask into `work.image`, the body's inverse image into `work.body`.
    pub(crate) fn key_switch(&self, mask: &[c64], transform: &Transform, work: &mut SwitchMemory) {
        let levels = self.glev.gadget().levels.get() as usize;
        let digits = &mut work.digits[..levels * transform.fourier_size()];
        self.glev
            .decompose(digits, mask, transform, &mut work.scratch);
        self.glev.product(&mut work.mask, &mut work.body, digits);
        self.permutation.apply(&mut work.image, &work.mask);
    }

    /// The image of `node`.
    pub(crate) fn image(
        &self,
        node: &Centred,
        transform: &Transform,
        work: &mut SwitchMemory,
    ) -> Centred {
        let mut image = Centred::zero(node.mask.len());
        let mut folded = zeroed(transform.fourier_size());
        Transform::fold_torus(&mut folded, &node.mask);
        work.body.fill(c64::new(0.0, 0.0));
        self.key_switch(&folded, transform, work);
        transform.backward_torus_in_place(&mut image.mask, &mut work.image, &mut work.scratch);
        self.permutation.apply(&mut work.image, &work.body);
        transform.backward_torus_in_place(&mut image.body, &mut work.image, &mut work.scratch);
        polynomial::add_automorphism(&mut image.body, &node.body, self.exponent);
        image
    }
}
