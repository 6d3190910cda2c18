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
//! A slot that stays what it is after m = log2 N levels, a GLWE ciphertext with the value as constant
//! coefficient and zero elsewhere, is a *carrier*: that takes no scheme switch.
//!
//! Everything up to the slots is in *centred* form, see [`crate::centred`].

use crate::bits::{self, packed_len};
#[cfg(not(target_family = "wasm"))]
use crate::centred::Centred;
use crate::centred::{Node, SwitchMemory};
use crate::cursor::{Branch, Cursor};
use crate::error::SchemeError;
use crate::fourier::{Transform, c64};
use crate::keys::ExpandedEvaluationKey;
use crate::parameters::Depth;
use crate::polynomial;
use crate::public::{CIPHERTEXT_BITS, Encryption};
use crate::seeded::{MaskSeed, Masks};
use slot::Slot;

mod slot;

/// Subtrees of this many wanted slots or fewer stay on one thread: about 1.5 ms of work, against
/// some microseconds to hand it over.
const SEQUENTIAL_SLOTS: usize = 32;

/// Packed ciphertexts of a query.
#[derive(Clone, Copy)]
pub(crate) struct Packed<'a> {
    /// Seed of their masks; where these travel, the first of their bytes, which tell ciphertexts apart as well.
    pub(crate) seed: MaskSeed,
    /// Their bodies, of the set's `query_body_bits`; under a public key masks and bodies, of
    /// [`CIPHERTEXT_BITS`].
    pub(crate) bodies: &'a [u8],
    /// What they are encrypted with.
    pub(crate) encryption: Encryption,
    /// Levels of the expansion: 2^depth slots a ciphertext.
    pub(crate) depth: Depth,
}

/// What becomes of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SlotForm {
    /// The mask row and the body row of a GGSW ciphertext's level.
    Rows,
    /// The slot as it is, a GLWE ciphertext.
    Carrier,
}

/// Fills `out` with consecutive slots from slot `first` on, counted over all ciphertexts, on all
/// threads of the current pool.
pub(crate) fn expand(
    key: &ExpandedEvaluationKey,
    packed: Packed<'_>,
    form: SlotForm,
    first: usize,
    out: &mut [c64],
) -> Result<(), SchemeError> {
    let expander = Expander::new(key, packed.depth, form);
    if rayon::current_num_threads() == 1 {
        return expander.walk(&mut Cursor::default(), packed, first, out);
    }
    let slots = packed.depth.slots();
    let (mut number, mut first) = (first / slots, first % slots);
    let mut rest = out;
    rayon::in_place_scope(|scope| {
        while !rest.is_empty() {
            let len = rest.len().min((slots - first) * expander.slot_len());
            let (out, after) = std::mem::take(&mut rest).split_at_mut(len);
            let root = expander.root(packed, number)?;
            scope.spawn(move |_| expander.fork(0, root, first, out));
            (rest, first, number) = (after, 0, number + 1);
        }
        Ok(())
    })
}

/// [`expand`] on one thread, going on where the cursor stands: bit for bit the same. Slots that
/// follow each other over several calls share the levels above them.
pub(crate) fn expand_on(
    key: &ExpandedEvaluationKey,
    cursor: &mut Cursor,
    packed: Packed<'_>,
    form: SlotForm,
    first: usize,
    out: &mut [c64],
) -> Result<(), SchemeError> {
    cursor.begin((packed.seed, packed.depth, packed.bodies.len()));
    Expander::new(key, packed.depth, form).walk(cursor, packed, first, out)
}

/// Writes the mask row and the body row of a GGSW ciphertext's level of which `slot` is the value,
/// scaled.
#[cfg(not(target_family = "wasm"))]
pub(crate) fn complete_rows(key: &ExpandedEvaluationKey, slot: &Centred, out: &mut [c64]) {
    let expander = Expander::new(key, key.packing().depth(), SlotForm::Rows);
    let mut node = Node::zero(expander.size);
    key.with_memory(|memory| {
        let work = &mut memory.work;
        Transform::fold_torus(&mut node.mask, &slot.mask);
        key.transform()
            .forward_torus(&mut node.body, &slot.body, &mut work.scratch);
        expander.complete([(&node, out)], work);
    });
}

#[derive(Clone, Copy)]
struct Expander<'a> {
    key: &'a ExpandedEvaluationKey,
    size: usize,
    depth: Depth,
    form: SlotForm,
}

impl<'a> Expander<'a> {
    fn new(key: &'a ExpandedEvaluationKey, depth: Depth, form: SlotForm) -> Self {
        Self {
            key,
            size: key.parameter_set().ring.polynomial_size,
            depth,
            form,
        }
    }

    /// Complex values of a slot.
    const fn slot_len(&self) -> usize {
        match self.form {
            SlotForm::Rows => 2 * self.size,
            SlotForm::Carrier => self.size,
        }
    }

    /// Slots of a node of `level`.
    const fn slots(&self, level: u32) -> usize {
        1 << (self.depth.levels() - level)
    }

    /// A packed ciphertext.
    fn root(&self, packed: Packed<'_>, number: usize) -> Result<Node, SchemeError> {
        let (count, bits) = match packed.encryption {
            Encryption::Secret => (self.size, self.key.packing().query_body_bits),
            Encryption::Public => (2 * self.size, CIPHERTEXT_BITS),
        };
        let len = packed_len(count, bits);
        let own = packed.bodies.get(number * len..).unwrap_or_default();
        let own = own.get(..len).unwrap_or_default();
        let mut words = vec![0; count];
        bits::unpack(&mut words, own, bits, "query row")?;
        let (mut mask_words, mut body_words) = match packed.encryption {
            Encryption::Secret => {
                let mut mask = vec![0; self.size];
                let mut masks = Masks::new(packed.seed);
                masks.skip(number * self.size);
                masks.fill(&mut mask);
                (mask, words)
            }
            Encryption::Public => {
                let body = words.split_off(self.size);
                (words, body)
            }
        };
        polynomial::centre(&mut mask_words, &mut body_words);
        let mut node = Node::zero(self.size);
        let transform = self.key.transform();
        Transform::fold_torus(&mut node.mask, &mask_words);
        transform.forward_torus(&mut node.body, &body_words, &mut transform.scratch());
        Ok(node)
    }

    /// What of `out`, whose slots start `first` slots into a node of `level`, belongs to the even
    /// and to the odd branch.
    fn branches<'b>(
        &self,
        level: u32,
        first: usize,
        out: &'b mut [c64],
    ) -> (&'b mut [c64], &'b mut [c64]) {
        let even = self.slots(level + 1).saturating_sub(first) * self.slot_len();
        out.split_at_mut(even.min(out.len()))
    }

    /// Expands `node`, a ciphertext of level `level`, into as many slots as `out` holds from slot
    /// `first` on, on several threads.
    fn fork(&self, level: u32, mut node: Node, first: usize, out: &mut [c64]) {
        if out.len() <= SEQUENTIAL_SLOTS * self.slot_len() {
            let branch = Branch {
                level,
                first: 0,
                node,
            };
            return self.key.with_memory(|memory| {
                memory.cursor.clear();
                memory.cursor.pending.push(branch);
                self.descend(&mut memory.cursor, first, out, &mut memory.work);
            });
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
                let odd_first = first.saturating_sub(self.slots(level + 1));
                rayon::join(even, || self.fork(level + 1, odd, odd_first, odd_out));
            }
        }
    }

    /// Fills `out` from slot `first` on, beginning with what is pending.
    fn walk(
        &self,
        cursor: &mut Cursor,
        packed: Packed<'_>,
        mut first: usize,
        out: &mut [c64],
    ) -> Result<(), SchemeError> {
        let mut out = out;
        if matches!(cursor.pending.last(), Some(branch) if branch.first > first) {
            cursor.clear();
        }
        self.key.with_memory(|memory| {
            loop {
                let done = self.descend(cursor, first, &mut *out, &mut memory.work);
                first += done;
                out = &mut std::mem::take(&mut out)[done * self.slot_len()..];
                if out.is_empty() {
                    return Ok(());
                }
                let slots = self.slots(0);
                cursor.pending.push(Branch {
                    level: 0,
                    first: first / slots * slots,
                    node: self.root(packed, first / slots)?,
                });
            }
        })
    }

    /// Fills `out` from slot `first` on out of what is pending, depth first. Gives how many slots
    /// there were. Branches that end before `first` are left out.
    fn descend(
        &self,
        cursor: &mut Cursor,
        first: usize,
        mut out: &mut [c64],
        work: &mut SwitchMemory,
    ) -> usize {
        let len = self.slot_len();
        let mut next = first;
        while !out.is_empty()
            && let Some(Branch {
                level,
                first,
                mut node,
            }) = cursor.pending.pop()
        {
            let end = first + self.slots(level);
            if end <= next {
                cursor.spare.push(node);
                continue;
            }
            if level == self.depth.levels() {
                let slot = std::mem::take(&mut out).split_at_mut(len);
                self.complete([(&node, slot.0)], work);
                (out, next) = (slot.1, end);
                cursor.spare.push(node);
                continue;
            }
            let spare = cursor.spare.pop();
            let mut odd = spare.unwrap_or_else(|| Node::zero(self.size));
            self.key.split(level, &mut node, Some(&mut odd), work);
            if end == first + 2 && next == first && out.len() >= 2 * len {
                let (pair, rest) = std::mem::take(&mut out).split_at_mut(2 * len);
                let (even_out, odd_out) = pair.split_at_mut(len);
                self.complete([(&node, even_out), (&odd, odd_out)], work);
                (out, next) = (rest, end);
                cursor.spare.extend([node, odd]);
                continue;
            }
            for (first, node) in [(first.midpoint(end), odd), (first, node)] {
                let level = level + 1;
                cursor.pending.push(Branch { level, first, node });
            }
        }
        next - first
    }

    /// Finished slots.
    fn complete<const COUNT: usize>(
        &self,
        slots: [(&Node, &mut [c64]); COUNT],
        work: &mut SwitchMemory,
    ) {
        let transform = self.key.transform();
        let all_ones = self.key.all_ones();
        if self.form == SlotForm::Carrier {
            for (node, out) in slots {
                slot::carrier(node, all_ones, out, transform, &mut work.scratch);
            }
            return;
        }
        let glev = self.key.scheme_switch();
        let len = glev.gadget().levels.get() as usize * self.size / 2;
        let SwitchMemory {
            scratch, digits, ..
        } = work;
        let mut digits = digits.chunks_exact_mut(len);
        let slots = slots.map(|(node, out)| {
            let digits = digits.next().expect("memory is for two slots");
            glev.decompose(digits, &node.mask, transform, scratch);
            Slot::new(digits, &node.body, out)
        });
        slot::complete(glev, all_ones, slots);
    }
}
