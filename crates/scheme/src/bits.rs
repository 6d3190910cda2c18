//! Torus words with their low bits rounded away, packed without gaps.
//!
//! A word keeps its `bits` most significant bits, rounded to nearest. The packed words form one
//! little-endian bit stream, padded with zero bits to a whole byte.

use crate::error::SchemeError;
use cipherfn_protocol::specs::Bits;

/// Most bits that fit 64 behind less than a byte, with a byte that is not whole after them.
const MOST: u32 = 56;

/// Bytes of `count` words of `bits` bits.
pub(crate) const fn packed_len(count: usize, bits: Bits) -> usize {
    count.saturating_mul(bits.get() as usize).div_ceil(8)
}

/// Rounds a torus word (units of 2^-64) to its `bits` most significant bits, modulo 1.
pub(crate) const fn round_to(word: u64, bits: Bits) -> u64 {
    let bits = bits.get();
    if bits >= 64 {
        return word;
    }
    (word.wrapping_add(1 << (63 - bits)) >> (64 - bits)) << (64 - bits)
}

/// Appends `words` to `out`, `bits` (1 to 64) bits each.
pub(crate) fn pack(
    out: &mut Vec<u8>,
    words: impl IntoIterator<IntoIter: ExactSizeIterator<Item = u64>>,
    bits: Bits,
) {
    let words = words.into_iter();
    let width = bits.get();
    let start = out.len();
    out.resize(start + packed_len(words.len(), bits), 0);
    let mut packed = &mut out[start..];
    // Less than a byte of what came before.
    let (mut pending, mut filled) = (0u64, 0);
    let mut push = |value: u64, width: u32| {
        pending |= value << filled;
        filled += width;
        let whole = filled as usize / 8;
        // All eight bytes, as what is not whole yet is written once more: a copy of some takes longer.
        if let Some(bytes) = packed.first_chunk_mut() {
            *bytes = pending.to_le_bytes();
        } else {
            let left = packed.len();
            packed.copy_from_slice(&pending.to_le_bytes()[..left]);
        }
        packed = &mut std::mem::take(&mut packed)[whole..];
        pending >>= 8 * whole;
        filled %= 8;
    };
    for word in words {
        let rounded = round_to(word, bits) >> (64 - width);
        if width > MOST {
            push(rounded & u64::from(u32::MAX), 32);
            push(rounded >> 32, width - 32);
        } else {
            push(rounded, width);
        }
    }
}

/// Reads `out.len()` words from `packed`, which must be exactly their bytes.
pub(crate) fn unpack(
    out: &mut [u64],
    packed: &[u8],
    bits: Bits,
    what: &'static str,
) -> Result<(), SchemeError> {
    let expected = packed_len(out.len(), bits);
    if packed.len() != expected {
        return Err(SchemeError::Length {
            what,
            expected,
            found: packed.len(),
        });
    }
    let bits = bits.get();
    let mut bytes = packed.chunks(4);
    let mut pending: u128 = 0;
    let mut filled = 0;
    for word in out {
        while filled < bits {
            let mut chunk = [0; 4];
            let next = bytes.next().unwrap_or_default();
            chunk[..next.len()].copy_from_slice(next);
            pending |= u128::from(u32::from_le_bytes(chunk)) << filled;
            filled += 32;
        }
        *word = (pending as u64) << (64 - bits);
        pending >>= bits;
        filled -= bits;
    }
    if pending == 0 {
        Ok(())
    } else {
        Err(SchemeError::Padding { what })
    }
}

#[cfg(test)]
mod tests {
    use super::{pack, packed_len, round_to, unpack};
    use crate::error::SchemeError;
    use cipherfn_protocol::specs::Bits;

    #[test]
    fn words_survive_at_every_width() {
        for bits in (1..=64).map(Bits::new) {
            for count in [0, 1, 2, 7, 33] {
                let words: Vec<u64> = (0..count as u64)
                    .map(|i| (i + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
                    .collect();
                let mut packed = Vec::new();
                pack(&mut packed, words.iter().copied(), bits);
                assert_eq!(packed.len(), packed_len(count, bits));
                let mut back = vec![0; count];
                unpack(&mut back, &packed, bits, "test").unwrap();
                assert!(
                    back.iter()
                        .zip(&words)
                        .all(|(back, word)| *back == round_to(*word, bits)),
                    "{bits} bits"
                );
            }
        }
    }

    #[test]
    fn rounding_is_to_nearest_modulo_one() {
        assert_eq!(round_to(0x0000_7fff, Bits::new(48)), 0);
        assert_eq!(round_to(0x0000_8000, Bits::new(48)), 0x1_0000);
        assert_eq!(round_to(u64::MAX, Bits::new(48)), 0);
        assert_eq!(round_to(u64::MAX, Bits::ALL), u64::MAX);
    }

    #[test]
    fn exact_bytes() {
        let mut packed = Vec::new();
        pack(
            &mut packed,
            [
                0x8000_0000_0000_0000,
                0xfff0_0000_0000_0000,
                0x1230_0000_0000_0000,
            ],
            Bits::new(12),
        );
        assert_eq!(packed, [0x00, 0xf8, 0xff, 0x23, 0x01]);
    }

    #[test]
    fn wrong_lengths_and_padding_are_refused() {
        let mut out = [0; 3];
        assert!(matches!(
            unpack(&mut out, &[0; 4], Bits::new(12), "test"),
            Err(SchemeError::Length {
                expected: 5,
                found: 4,
                ..
            })
        ));
        assert!(matches!(
            unpack(&mut out, &[0, 0, 0, 0, 0x10], Bits::new(12), "test"),
            Err(SchemeError::Padding { .. })
        ));
    }
}
