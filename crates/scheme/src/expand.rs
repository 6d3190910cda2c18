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
//! Everything up to the slots is in *centred* form: half the mask, under the key z = 2 s - (1 + X +
//! ...) with coefficients -1 and 1. A floating-point error d of a mask costs d z there instead of d
//! s, and d z s instead of d s^2 after the second product; s^2 is 2^3 times as long as z s because
//! a binary key has mean 1/2. It makes exact (split) arithmetic unnecessary.

use crate::bits::{self, packed_len};
use crate::error::SchemeError;
use crate::fourier::{Transform, TransformScratch, c64, multiply_add};
use crate::glev::{Decomposer, zeroed};
use crate::keys::ExpandedEvaluationKey;
use crate::parameters::Packing;
use crate::polynomial::{self, expansion_exponent};
use crate::seeded::Masks;
use crate::selectors::FourierSelectors;
use aligned_vec::AVec;

mod kernels;

/// Levels whose two halves may run on different threads.
const PARALLEL_LEVELS: u32 = 3;

/// Fills `out` with the slots of consecutive ciphertexts.
pub(crate) fn expand(
    key: &ExpandedEvaluationKey,
    mut masks: Masks,
    bodies: &[u8],
    out: &mut FourierSelectors,
) -> Result<(), SchemeError> {
    let expander = Expander::new(key);
    let body_bits = key.packing().query_body_bits;
    let parallel = rayon::current_num_threads() > 1;
    let chunks = out
        .values_mut()
        .chunks_mut(expander.slot_len() * key.packing().slots());
    let packed = bodies.chunks_exact(packed_len(expander.size, body_bits));
    rayon::in_place_scope(|scope| {
        for (out, packed) in chunks.zip(packed) {
            let mut node = Node::new(expander.size);
            masks.fill(&mut node.mask);
            bits::unpack(&mut node.body, packed, body_bits, "query row")?;
            polynomial::centre(&mut node.mask, &mut node.body);
            if parallel {
                scope.spawn(move |_| expander.fork(0, node, out));
            } else {
                key.with_memory(|memory| {
                    expander.subtree(0, &mut node, out, &mut memory.odd, &mut memory.work);
                });
            }
        }
        Ok(())
    })
}

/// A centred ciphertext.
struct Node {
    mask: Vec<u64>,
    body: Vec<u64>,
}

impl Node {
    fn new(size: usize) -> Self {
        Self {
            mask: vec![0; size],
            body: vec![0; size],
        }
    }
}

/// Working memory of one thread.
pub(crate) struct Memory {
    /// The odd branches on the way to the current node, by level.
    odd: Vec<Node>,
    work: Work,
}

struct Work {
    decomposer: Decomposer,
    scratch: TransformScratch,
    words: Vec<u64>,
    mask: AVec<c64>,
    body: AVec<c64>,
    even: AVec<c64>,
    odd: AVec<c64>,
}

impl Memory {
    pub(crate) fn new(transform: &Transform, packing: &Packing) -> Self {
        let size = transform.polynomial_size();
        let gadgets = packing.key_switch.iter().chain([&packing.scheme_switch]);
        let levels = gadgets
            .map(|gadget| gadget.levels)
            .max()
            .unwrap_or_default();
        let fourier = || zeroed(transform.fourier_size());
        Self {
            odd: (0..packing.depth).map(|_| Node::new(size)).collect(),
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

#[derive(Clone, Copy)]
struct Expander<'a> {
    key: &'a ExpandedEvaluationKey,
    size: usize,
    depth: u32,
}

impl<'a> Expander<'a> {
    fn new(key: &'a ExpandedEvaluationKey) -> Self {
        Self {
            key,
            size: key.parameter_set().polynomial_size,
            depth: key.packing().depth,
        }
    }

    /// Complex values of a slot: the mask row and the body row of one level.
    const fn slot_len(&self) -> usize {
        2 * self.size
    }

    /// Length of the even branch's output below a node of `level`.
    const fn even_len(&self, level: u32) -> usize {
        self.slot_len() << (self.depth - 1 - level)
    }

    /// [`Self::subtree`] on several threads.
    fn fork(&self, level: u32, mut node: Node, out: &mut [c64]) {
        if level >= PARALLEL_LEVELS.min(self.depth - 1) || out.len() <= self.even_len(level) {
            return self.key.with_memory(|memory| {
                self.subtree(level, &mut node, out, &mut memory.odd, &mut memory.work);
            });
        }
        let mut odd = Node::new(self.size);
        self.key
            .with_memory(|memory| self.split(level, &mut node, Some(&mut odd), &mut memory.work));
        let (even_out, odd_out) = out.split_at_mut(self.even_len(level));
        rayon::join(
            || self.fork(level + 1, node, even_out),
            || self.fork(level + 1, odd, odd_out),
        );
    }

    /// Expands `node`, a ciphertext of level `level`, into as many slots as `out` holds, depth
    /// first. `node` is used up.
    fn subtree(
        &self,
        level: u32,
        node: &mut Node,
        out: &mut [c64],
        odds: &mut [Node],
        work: &mut Work,
    ) {
        let Some((odd, rest)) = odds.split_first_mut() else {
            return;
        };
        if level + 1 == self.depth {
            return self.leaves(level, node, odd, out, work);
        }
        if out.len() <= self.even_len(level) {
            self.split(level, node, None, work);
            return self.subtree(level + 1, node, out, rest, work);
        }
        self.split(level, node, Some(odd), work);
        let (even_out, odd_out) = out.split_at_mut(self.even_len(level));
        self.subtree(level + 1, node, even_out, rest, work);
        self.subtree(level + 1, odd, odd_out, rest, work);
    }

    /// One level: `node` becomes its even branch.
    fn split(&self, level: u32, node: &mut Node, odd: Option<&mut Node>, work: &mut Work) {
        let transform = self.key.transform();
        let shift = 1 << level;
        let exponent = expansion_exponent(self.size, level);
        self.key_switch(level, &node.mask, work);
        let (odd_mask, odd_body) = odd.map_or((None, None), |odd| {
            (Some(&mut odd.mask), Some(&mut odd.body))
        });
        transform.backward_torus_in_place(&mut work.words, &mut work.mask, &mut work.scratch);
        kernels::butterfly(&mut node.mask, &work.words, odd_mask, shift);
        transform.backward_torus_in_place(&mut work.words, &mut work.body, &mut work.scratch);
        polynomial::add_automorphism(&mut work.words, &node.body, exponent);
        kernels::butterfly(&mut node.body, &work.words, odd_body, shift);
    }

    /// The last level, whose branches are slots. Their bodies are needed in the Fourier domain
    /// only.
    fn leaves(
        &self,
        level: u32,
        node: &mut Node,
        odd: &mut Node,
        out: &mut [c64],
        work: &mut Work,
    ) {
        let transform = self.key.transform();
        let shift = 1 << level;
        self.key_switch(level, &node.mask, work);
        polynomial::automorphism(
            &mut work.words,
            &node.body,
            expansion_exponent(self.size, level),
        );
        kernels::butterfly(&mut node.body, &work.words, Some(&mut odd.body), shift);
        transform.forward_torus(&mut work.even, &node.body, &mut work.scratch);
        kernels::add(&mut work.even, &work.body);
        let (even_out, odd_out) = out.split_at_mut(self.slot_len());
        if !odd_out.is_empty() {
            transform.forward_torus(&mut work.odd, &odd.body, &mut work.scratch);
            multiply_add(&mut work.odd, &work.body, self.key.minus_last_monomial());
        }
        transform.backward_torus_in_place(&mut work.words, &mut work.mask, &mut work.scratch);
        kernels::butterfly(&mut node.mask, &work.words, Some(&mut odd.mask), shift);
        self.slot(&node.mask, Branch::Even, even_out, work);
        if !odd_out.is_empty() {
            self.slot(&odd.mask, Branch::Odd, odd_out, work);
        }
    }

    /// Key switch of the mask of `c(X^(N/2^level + 1))`, into `work.mask` and `work.body`; the
    /// body's image is still to be added.
    fn key_switch(&self, level: u32, mask: &[u64], work: &mut Work) {
        let glev = self.key.automorphism(level);
        let exponent = expansion_exponent(self.size, level);
        let digits = work.decomposer.digits(
            mask,
            exponent,
            glev.gadget(),
            self.key.transform(),
            &mut work.scratch,
        );
        glev.product(&mut work.mask, &mut work.body, digits);
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
        kernels::recompose(body_row_mask, digits, glev.gadget().base_log);
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
