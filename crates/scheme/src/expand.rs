//! Expansion of packed selectors into GGSW ciphertexts.
//!
//! m levels of automorphism key switching (`SealPIR`, <https://eprint.iacr.org/2017/1142>; Onion Ring ORAM, <https://eprint.iacr.org/2019/736>):
//! at level j a ciphertext c becomes
//!
//! ```text
//! t    = key switch of c(X^(N/2^j + 1))
//! even = c + t                   the coefficients at multiples of 2^(j+1), doubled
//! odd  = X^(-2^j) (c - t)        the same for the others
//! ```
//!
//! so that after m levels slot i is a GLWE encryption of its coefficient times 2^m: the body row of
//! a GGSW ciphertext. The mask row, an encryption of -s times the same, is `-s (b - a s) = -s b + a
//! s^2`: the ciphertext (b, 0) plus the product of a with the scheme-switching key.
//!
//! After fewer than log2 N levels a slot keeps the coefficients at multiples of 2^m: a query of m
//! levels can carry a polynomial in X^(2^m) a slot (digit selectors).
//!
//! Everything up to the slots is in *centred* form, see [`crate::centred`].

use crate::bits::{self, packed_len};
use crate::centred::{Centred, Work};
use crate::error::SchemeError;
use crate::fourier::{c64, multiply_add};
use crate::kernels;
use crate::keys::ExpandedEvaluationKey;
use crate::parameters::Depth;
use crate::polynomial::{self, expansion_exponent};
use crate::seeded::{MaskSeed, Masks};
use crate::selectors::FourierSelectors;

/// Subtrees of this many wanted slots or fewer stay on one thread: about 1.5 ms of work, against
/// some microseconds to hand it over.
const SEQUENTIAL_SLOTS: usize = 32;

/// Packed ciphertexts of a query.
#[derive(Clone, Copy)]
pub(crate) struct Packed<'a> {
    /// Seed of their masks.
    pub(crate) seed: MaskSeed,
    /// Their bodies, of the set's `query_body_bits`.
    pub(crate) bodies: &'a [u8],
    /// Levels of the expansion: 2^depth slots a ciphertext.
    pub(crate) depth: Depth,
}

/// Fills `out` with consecutive slots from slot `first` on, counted over all ciphertexts.
pub(crate) fn expand(
    key: &ExpandedEvaluationKey,
    packed: Packed<'_>,
    first: usize,
    out: &mut FourierSelectors,
) -> Result<(), SchemeError> {
    let expander = Expander::new(key, packed.depth);
    let body_bits = key.packing().query_body_bits;
    let parallel = rayon::current_num_threads() > 1;
    let slots = packed.depth.slots();
    let (skipped, mut first) = (first / slots, first % slots);
    let mut masks = Masks::new(packed.seed);
    masks.skip(skipped * expander.size);
    let bodies = packed
        .bodies
        .chunks_exact(packed_len(expander.size, body_bits))
        .skip(skipped);
    let mut rest = out.values_mut();
    rayon::in_place_scope(|scope| {
        for body in bodies {
            let len = rest.len().min((slots - first) * expander.slot_len());
            let (out, after) = std::mem::take(&mut rest).split_at_mut(len);
            if out.is_empty() {
                break;
            }
            let mut node = Centred::zero(expander.size);
            masks.fill(&mut node.mask);
            bits::unpack(&mut node.body, body, body_bits, "query row")?;
            polynomial::centre(&mut node.mask, &mut node.body);
            if parallel {
                scope.spawn(move |_| expander.fork(0, node, first, out));
            } else {
                expander.sequential(0, &mut node, first, out);
            }
            (rest, first) = (after, 0);
        }
        Ok(())
    })
}

#[derive(Clone, Copy)]
struct Expander<'a> {
    key: &'a ExpandedEvaluationKey,
    size: usize,
    depth: Depth,
}

impl<'a> Expander<'a> {
    fn new(key: &'a ExpandedEvaluationKey, depth: Depth) -> Self {
        Self {
            key,
            size: key.parameter_set().ring.polynomial_size,
            depth,
        }
    }

    /// Complex values of a slot: the mask row and the body row of one level.
    const fn slot_len(&self) -> usize {
        2 * self.size
    }

    /// Slots of each branch of a node of `level`.
    const fn half(&self, level: u32) -> usize {
        1 << (self.depth.levels() - 1 - level)
    }

    /// What of `out`, whose slots start `first` slots into a node of `level`, belongs to the even
    /// and to the odd branch.
    fn branches<'b>(
        &self,
        level: u32,
        first: usize,
        out: &'b mut [c64],
    ) -> (&'b mut [c64], &'b mut [c64]) {
        let even = self.half(level).saturating_sub(first) * self.slot_len();
        out.split_at_mut(even.min(out.len()))
    }

    fn sequential(&self, level: u32, node: &mut Centred, first: usize, out: &mut [c64]) {
        self.key.with_memory(|memory| {
            self.subtree(level, node, first, out, &mut memory.odd, &mut memory.work);
        });
    }

    /// [`Self::subtree`] on several threads.
    fn fork(&self, level: u32, mut node: Centred, first: usize, out: &mut [c64]) {
        if out.len() <= SEQUENTIAL_SLOTS * self.slot_len() {
            return self.sequential(level, &mut node, first, out);
        }
        let (even_out, odd_out) = self.branches(level, first, out);
        let mut odd = (!odd_out.is_empty()).then(|| Centred::zero(self.size));
        self.key.with_memory(|memory| {
            self.key
                .split(level, &mut node, odd.as_mut(), &mut memory.work);
        });
        let even = || {
            if !even_out.is_empty() {
                self.fork(level + 1, node, first, even_out);
            }
        };
        match odd {
            None => even(),
            Some(odd) => {
                let odd_first = first.saturating_sub(self.half(level));
                rayon::join(even, || self.fork(level + 1, odd, odd_first, odd_out));
            }
        }
    }

    /// Expands `node`, a ciphertext of level `level`, into as many slots as `out` holds from slot
    /// `first` on, depth first. `node` is used up.
    fn subtree(
        &self,
        level: u32,
        node: &mut Centred,
        first: usize,
        out: &mut [c64],
        odds: &mut [Centred],
        work: &mut Work,
    ) {
        let Some((odd, rest)) = odds.split_first_mut() else {
            return;
        };
        if level + 1 == self.depth.levels() {
            return self.leaves(level, node, odd, first, out, work);
        }
        let (even_out, odd_out) = self.branches(level, first, out);
        let wanted = (!odd_out.is_empty()).then_some(&mut *odd);
        self.key.split(level, node, wanted, work);
        if !even_out.is_empty() {
            self.subtree(level + 1, node, first, even_out, rest, work);
        }
        if !odd_out.is_empty() {
            let first = first.saturating_sub(self.half(level));
            self.subtree(level + 1, odd, first, odd_out, rest, work);
        }
    }

    /// The last level, whose branches are slots. Their bodies are needed in the Fourier domain
    /// only.
    fn leaves(
        &self,
        level: u32,
        node: &mut Centred,
        odd: &mut Centred,
        first: usize,
        out: &mut [c64],
        work: &mut Work,
    ) {
        let transform = self.key.transform();
        let shift = 1 << level;
        let exponent = expansion_exponent(self.size, level);
        let automorphism = self.key.automorphism(level);
        self.key
            .key_switch(automorphism, exponent, &node.mask, work);
        polynomial::automorphism(&mut work.words, &node.body, exponent);
        kernels::butterfly(&mut node.body, &work.words, Some(&mut odd.body), shift);
        let (even_out, odd_out) = self.branches(level, first, out);
        if !even_out.is_empty() {
            transform.forward_torus(&mut work.even, &node.body, &mut work.scratch);
            kernels::add(&mut work.even, &work.body);
        }
        if !odd_out.is_empty() {
            transform.forward_torus(&mut work.odd, &odd.body, &mut work.scratch);
            multiply_add(&mut work.odd, &work.body, self.key.minus_monomial(level));
        }
        transform.backward_torus_in_place(&mut work.words, &mut work.mask, &mut work.scratch);
        kernels::butterfly(&mut node.mask, &work.words, Some(&mut odd.mask), shift);
        if !even_out.is_empty() {
            self.slot(&node.mask, Branch::Even, even_out, work);
        }
        if !odd_out.is_empty() {
            self.slot(&odd.mask, Branch::Odd, odd_out, work);
        }
    }

    /// Writes the mask row and the body row of a slot with centred mask `mask` and the centred body
    /// of `branch` in the Fourier domain.
    fn slot(&self, mask: &[u64], branch: Branch, out: &mut [c64], work: &mut Work) {
        let body = match branch {
            Branch::Even => &work.even,
            Branch::Odd => &work.odd,
        };
        let glev = self.key.scheme_switch();
        let digits = work.decomposer.digits(
            mask,
            1,
            glev.gadget(),
            self.key.transform(),
            &mut work.scratch,
        );
        let (mask_row, body_row) = out.split_at_mut(self.size);
        let (mask_row_mask, mask_row_body) = mask_row.split_at_mut(self.size / 2);
        let (body_row_mask, body_row_body) = body_row.split_at_mut(self.size / 2);
        glev.product(mask_row_mask, mask_row_body, digits);
        kernels::recompose(body_row_mask, digits, glev.gadget().base_log.get());
        kernels::uncentre(
            body_row_mask,
            body_row_body,
            mask_row_mask,
            body,
            self.key.all_ones(),
        );
    }
}

#[derive(Clone, Copy)]
enum Branch {
    Even,
    Odd,
}
