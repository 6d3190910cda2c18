//! Integer arithmetic modulo X^N + 1 and 2^64.

/// The automorphism of level `level` of the expansion: N / 2^level + 1.
pub(crate) const fn expansion_exponent(size: usize, level: u32) -> usize {
    (size >> level) + 1
}

/// The automorphism X -> X^-1, as a positive exponent.
pub(crate) const fn inverse_exponent(size: usize) -> usize {
    2 * size - 1
}

/// The inverse of an odd number modulo `modulus`, a power of two.
pub(crate) const fn inverse_of(odd: usize, modulus: usize) -> usize {
    // Each step doubles the bits that are right; x x = 1 modulo 8.
    let mut inverse = odd;
    let mut bits = 3;
    while bits < usize::BITS {
        inverse = inverse.wrapping_mul(2usize.wrapping_sub(odd.wrapping_mul(inverse)));
        bits *= 2;
    }
    inverse & (modulus - 1)
}

/// `out(X) = input(X^exponent)`, for an odd exponent.
pub(crate) fn automorphism(out: &mut [u64], input: &[u64], exponent: usize) {
    let size = input.len();
    let mut position = 0;
    for word in input {
        let (folded, negate) = (position & (size - 1), position & size != 0);
        out[folded] = if negate { word.wrapping_neg() } else { *word };
        position = (position + exponent) & (2 * size - 1);
    }
}

/// `out(X) += input(X^exponent)`, for an odd exponent.
pub(crate) fn add_automorphism(out: &mut [u64], input: &[u64], exponent: usize) {
    let size = input.len();
    let mut position = 0;
    for word in input {
        let sign = u64::from(position & size != 0).wrapping_neg();
        let out = &mut out[position & (size - 1)];
        *out = out.wrapping_add((word ^ sign).wrapping_sub(sign));
        position = (position + exponent) & (2 * size - 1);
    }
}

/// `(1 + X + ... + X^(N-1)) * input`: coefficient p is the sum of the input up to p minus the sum
/// after it.
pub(crate) fn times_all_ones(input: &[u64]) -> impl Iterator<Item = u64> {
    let total = input.iter().fold(0u64, |sum, word| sum.wrapping_add(*word));
    let mut until = 0u64;
    input.iter().map(move |word| {
        until = until.wrapping_add(*word);
        (until << 1).wrapping_sub(total)
    })
}

/// Brings a GLWE ciphertext under a binary key s into its centred form, in place: mask a/2 and body
/// b - a/2 (1 + X + ... + X^(N-1)), a ciphertext of the same message under z = 2 s - (1 + X + ... +
/// X^(N-1)). The mask loses its last bit, 2^-64.
pub(crate) fn centre(mask: &mut [u64], body: &mut [u64]) {
    for word in mask.iter_mut() {
        *word = (*word as i64 >> 1) as u64;
    }
    body.iter_mut()
        .zip(times_all_ones(mask))
        .for_each(|(body, product)| *body = body.wrapping_sub(product));
}

/// Divides by 2^`by`, words read as signed, rounding to nearest.
pub(crate) fn shift_right(words: &mut [u64], by: u32) {
    if by == 0 {
        return;
    }
    for word in words {
        let signed = *word as i64;
        *word = ((signed >> by) + (signed >> (by - 1) & 1)) as u64;
    }
}

/// `X^power input`, for a power below 2 N.
pub(crate) fn rotate(input: &[u64], power: usize) -> Vec<u64> {
    let size = input.len();
    let shift = power & (size - 1);
    let negated = |words: &[u64], negate: bool| {
        let sign = u64::from(negate).wrapping_neg();
        words
            .iter()
            .map(move |word| (word ^ sign).wrapping_sub(sign))
            .collect::<Vec<_>>()
    };
    let (kept, wrapped) = input.split_at(size - shift);
    let mut out = negated(wrapped, power < size);
    out.extend(negated(kept, power >= size));
    out
}

#[cfg(test)]
mod tests {
    use super::{
        add_automorphism, automorphism, centre, inverse_of, rotate, shift_right, times_all_ones,
    };

    #[test]
    fn automorphisms_permute_and_negate() {
        let mut out = [0; 4];
        automorphism(&mut out, &[1, 2, 3, 4], 3);
        // 1 + 2 X^3 + 3 X^6 + 4 X^9 with X^4 = -1.
        assert_eq!(out, [1, 4, 3u64.wrapping_neg(), 2]);
        automorphism(&mut out, &[1, 2, 3, 4], 5);
        assert_eq!(out, [1, 2u64.wrapping_neg(), 3, 4u64.wrapping_neg()]);
        add_automorphism(&mut out, &[1, 2, 3, 4], 5);
        assert_eq!(out, [2, 4u64.wrapping_neg(), 6, 8u64.wrapping_neg()]);
    }

    #[test]
    fn inverses_of_odd_numbers() {
        for odd in (1..4096).step_by(2) {
            assert_eq!(inverse_of(odd, 4096) * odd % 4096, 1);
        }
    }

    #[test]
    fn rotations_are_negacyclic() {
        let negative = u64::wrapping_neg;
        assert_eq!(rotate(&[1, 2, 3, 4], 0), [1, 2, 3, 4]);
        assert_eq!(rotate(&[1, 2, 3, 4], 1), [negative(4), 1, 2, 3]);
        assert_eq!(
            rotate(&[1, 2, 3, 4], 4),
            [negative(1), negative(2), negative(3), negative(4)]
        );
        assert_eq!(rotate(&[1, 2, 3, 4], 7), [2, 3, 4, negative(1)]);
    }

    #[test]
    fn shifts_round_to_nearest() {
        let minus = u64::wrapping_neg;
        let mut words = [0, 7, 8, minus(7), minus(9), 1 << 63];
        shift_right(&mut words, 4);
        assert_eq!(words, [0, 0, 1, 0, minus(1), minus(1 << 59)]);
        shift_right(&mut words, 0);
        assert_eq!(words[2], 1);
    }

    #[test]
    fn all_ones_is_a_difference_of_sums() {
        let product: Vec<u64> = times_all_ones(&[1, 2, 3, 4]).collect();
        assert_eq!(product, [8u64.wrapping_neg(), 4u64.wrapping_neg(), 2, 10]);
    }

    #[test]
    fn centring_keeps_the_phase() {
        // Key 1 + X^2, so z = 1 - X + X^2 - X^3.
        let (mask, body) = ([10, 20, 30, 40], [7, 7, 7, 7]);
        let (mut centred_mask, mut centred_body) = (mask, body);
        centre(&mut centred_mask, &mut centred_body);
        let product = |a: &[u64; 4], key: [i64; 4]| {
            let mut out = [0u64; 4];
            for (i, a) in a.iter().enumerate() {
                for (j, s) in key.iter().enumerate() {
                    let term = a.wrapping_mul(*s as u64);
                    out[(i + j) % 4] = out[(i + j) % 4].wrapping_add(if i + j < 4 {
                        term
                    } else {
                        term.wrapping_neg()
                    });
                }
            }
            out
        };
        let (plain, centred) = (
            product(&mask, [1, 0, 1, 0]),
            product(&centred_mask, [1, -1, 1, -1]),
        );
        for i in 0..4 {
            assert_eq!(
                body[i].wrapping_sub(plain[i]),
                centred_body[i].wrapping_sub(centred[i])
            );
        }
    }
}
