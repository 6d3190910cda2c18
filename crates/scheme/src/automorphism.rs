//! Automorphism key switching of centred ciphertexts: the step that expansion, isolation and packing
//! repeat.

use crate::centred::{Centred, Work};
use crate::glev::FourierGlev;
use crate::kernels;
use crate::keys::ExpandedEvaluationKey;
use crate::polynomial::{self, expansion_exponent};

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
