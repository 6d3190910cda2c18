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
use crate::centred::{Node, SwitchMemory};
use crate::error::SchemeError;
use crate::fourier::{Transform, c64};
use crate::keys::ExpandedEvaluationKey;
use crate::parameters::Depth;
use crate::polynomial;
use crate::seeded::{MaskSeed, Masks};
use crate::selectors::FourierSelectors;
use slot::Slot;

mod slot;

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
    let (mut mask_words, mut body_words) = (vec![0; expander.size], vec![0; expander.size]);
    let mut scratch = key.transform().scratch();
    let mut rest = out.values_mut();
    rayon::in_place_scope(|scope| {
        for body in bodies {
            let len = rest.len().min((slots - first) * expander.slot_len());
            let (out, after) = std::mem::take(&mut rest).split_at_mut(len);
            if out.is_empty() {
                break;
            }
            let mut node = Node::zero(expander.size);
            masks.fill(&mut mask_words);
            bits::unpack(&mut body_words, body, body_bits, "query row")?;
            polynomial::centre(&mut mask_words, &mut body_words);
            let transform = key.transform();
            Transform::fold_torus(&mut node.mask, &mask_words);
            transform.forward_torus(&mut node.body, &body_words, &mut scratch);
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

    fn sequential(&self, level: u32, node: &mut Node, first: usize, out: &mut [c64]) {
        self.key.with_memory(|memory| {
            self.subtree(level, node, first, out, &mut memory.odd, &mut memory.work);
        });
    }

    /// [`Self::subtree`] on several threads.
    fn fork(&self, level: u32, mut node: Node, first: usize, out: &mut [c64]) {
        if out.len() <= SEQUENTIAL_SLOTS * self.slot_len() {
            return self.sequential(level, &mut node, first, out);
        }
        let (even_out, odd_out) = self.branches(level, first, out);
        let mut odd = (!odd_out.is_empty()).then(|| Node::zero(self.size));
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
        node: &mut Node,
        first: usize,
        out: &mut [c64],
        odds: &mut [Node],
        work: &mut SwitchMemory,
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

    /// The last level, whose branches are slots.
    fn leaves(
        &self,
        level: u32,
        node: &mut Node,
        odd: &mut Node,
        first: usize,
        out: &mut [c64],
        work: &mut SwitchMemory,
    ) {
        let (even_out, odd_out) = self.branches(level, first, out);
        let wanted = (!odd_out.is_empty()).then_some(&mut *odd);
        self.key.split(level, node, wanted, work);
        let glev = self.key.scheme_switch();
        let all_ones = self.key.all_ones();
        let SwitchMemory {
            scratch, digits, ..
        } = work;
        let len = glev.gadget().levels.get() as usize * self.size / 2;
        let (even_digits, rest) = digits.split_at_mut(len);
        let odd_digits = &mut rest[..len];
        let mut decompose = |digits: &mut [c64], node: &Node| {
            glev.decompose(digits, &node.mask, self.key.transform(), scratch);
        };
        let even = (!even_out.is_empty()).then(|| {
            decompose(even_digits, node);
            Slot::new(even_digits, &node.body, even_out)
        });
        let odd = (!odd_out.is_empty()).then(|| {
            decompose(odd_digits, odd);
            Slot::new(odd_digits, &odd.body, odd_out)
        });
        match (even, odd) {
            (Some(even), Some(odd)) => slot::complete(glev, all_ones, [even, odd]),
            (Some(one), None) | (None, Some(one)) => slot::complete(glev, all_ones, [one]),
            (None, None) => {}
        }
    }
}
