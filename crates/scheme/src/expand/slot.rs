//! From a slot, a centred ciphertext, to the mask row and the body row of a GGSW ciphertext, or to
//! the slot as a ciphertext under the binary key.

use crate::centred::Node;
use crate::fourier::{Transform, TransformScratch, c64, multiply_add};
use crate::glev::{FourierGlev, vectors, vectors_mut};
use pulp::{Arch, Simd, WithSimd};

/// A slot on its way.
pub(super) struct Slot<'a> {
    /// Transformed digits of its mask, by the scheme switch's gadget.
    digits: &'a [c64],
    /// Its body, in the Fourier domain.
    body: &'a [c64],
    /// The mask row and the body row, mask and body of each.
    out: &'a mut [c64],
}

impl<'a> Slot<'a> {
    pub(super) fn new(digits: &'a [c64], body: &'a [c64], out: &'a mut [c64]) -> Self {
        Self { digits, body, out }
    }
}

/// Writes (2 a, b + h a) in the Fourier domain, mask and body, with (a, b) the centred ciphertext and h
/// = 1 + X + ... .
pub(super) fn carrier(
    node: &Node,
    all_ones: &[c64],
    out: &mut [c64],
    transform: &Transform,
    scratch: &mut TransformScratch,
) {
    let (mask, body) = out.split_at_mut(all_ones.len());
    mask.copy_from_slice(&node.mask);
    for (value, twist) in mask.iter_mut().zip(transform.twist()) {
        *value *= twist;
    }
    transform.forward_twisted(mask, scratch);
    body.copy_from_slice(&node.body);
    multiply_add(body, mask, all_ones);
    for value in mask {
        *value += *value;
    }
}

/// Writes the rows of `COUNT` slots: with (a, b) the centred ciphertext, under z, and h = 1 + X +
/// ..., the body row is (2 a, b + h a) under the binary key, and the mask row its body as a mask
/// plus the product of a with the scheme-switching key. The key is read once for all slots; each
/// slot's values do not depend on the others.
pub(super) fn complete<const COUNT: usize>(
    scheme_switch: &FourierGlev,
    all_ones: &[c64],
    slots: [Slot<'_>; COUNT],
) {
    let size = all_ones.len();
    let levels = scheme_switch.gadget().levels.get() as usize;
    assert!(levels <= MAX_LEVELS, "parameter sets have few levels here");
    for slot in &slots {
        assert!(
            slot.digits.len() == levels * size
                && slot.body.len() == size
                && slot.out.len() == 4 * size,
            "one digit a level, two rows"
        );
    }
    Arch::new().dispatch(Complete {
        scheme_switch,
        all_ones,
        slots,
    });
}

struct Complete<'a, const COUNT: usize> {
    scheme_switch: &'a FourierGlev,
    all_ones: &'a [c64],
    slots: [Slot<'a>; COUNT],
}

/// Most levels of a scheme switch.
const MAX_LEVELS: usize = 8;
/// Vectors that are handled at a time: three sums of each for every slot stay in registers.
const UNROLL: usize = 2;

impl<const COUNT: usize> WithSimd for Complete<'_, COUNT> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let size = self.all_ones.len();
        let ones = vectors::<S, UNROLL>(self.all_ones);
        let base = f64::from(self.scheme_switch.gadget().base_log.get()).exp2();
        let zero = [simd.splat_c64s(c64::new(0.0, 0.0)); UNROLL];
        let digits = self.slots.each_ref().map(|slot| slot.digits);
        let bodies = self
            .slots
            .each_ref()
            .map(|slot| vectors::<S, UNROLL>(slot.body));
        let mut outs = self.slots.map(|slot| {
            let (mask_row, body_row) = slot.out.split_at_mut(2 * size);
            let rows = [mask_row.split_at_mut(size), body_row.split_at_mut(size)];
            rows.map(|(mask, body)| {
                [
                    vectors_mut::<S, UNROLL>(mask),
                    vectors_mut::<S, UNROLL>(body),
                ]
            })
        });
        let mut scale = 1.0;
        // By level: digits of each slot, the key's row, B^-level.
        let mut operands = [None; MAX_LEVELS];
        let rows = self.scheme_switch.rows().chunks_exact(2 * size);
        for (level, (operand, row)) in operands.iter_mut().zip(rows).enumerate() {
            scale /= base;
            let (mask, body) = row.split_at(size);
            *operand = Some((
                digits.map(|digits| vectors::<S, UNROLL>(&digits[level * size..][..size])),
                [mask, body].map(|values| vectors::<S, UNROLL>(values)),
                simd.splat_c64s(c64::new(scale, 0.0)),
            ));
        }
        for (index, ones) in ones.iter().enumerate() {
            let (mut product_mask, mut product_body) = ([zero; COUNT], [zero; COUNT]);
            let mut mask = [zero; COUNT];
            for (digits, [row_mask, row_body], scale) in operands.iter().flatten() {
                let (row_mask, row_body) = (&row_mask[index], &row_body[index]);
                for slot in 0..COUNT {
                    let digit = &digits[slot][index];
                    for i in 0..UNROLL {
                        product_mask[slot][i] =
                            simd.mul_add_c64s(digit[i], row_mask[i], product_mask[slot][i]);
                        product_body[slot][i] =
                            simd.mul_add_c64s(digit[i], row_body[i], product_body[slot][i]);
                        mask[slot][i] = simd.mul_add_c64s(digit[i], *scale, mask[slot][i]);
                    }
                }
            }
            for slot in 0..COUNT {
                let [mask_row, body_row] = &mut outs[slot];
                let [mask_row_mask, mask_row_body] = mask_row.each_mut().map(|row| &mut row[index]);
                let [body_row_mask, body_row_body] = body_row.each_mut().map(|row| &mut row[index]);
                for i in 0..UNROLL {
                    let mask = mask[slot][i];
                    let body = simd.mul_add_c64s(ones[i], mask, bodies[slot][index][i]);
                    mask_row_mask[i] = simd.add_c64s(product_mask[slot][i], body);
                    mask_row_body[i] = product_body[slot][i];
                    body_row_mask[i] = simd.add_c64s(mask, mask);
                    body_row_body[i] = body;
                }
            }
        }
    }
}
