//! Balanced digits without bias, for gadgets of small bases.
//!
//! Digits in [-B/2, B/2) have mean -1/2, which is a fixed error under a given key: for B = 2 half of
//! the error's square. Here B/2 becomes -B/2 with a carry where the next digit is in its upper half
//! (for B = 2 the non-adjacent form), so digits have mean 0 and a mean square of `(B^2 - 1 + 3/(B +
//! 1)) / 12`, 1/3 for B = 2.

use cipherfn_protocol::specs::Gadget;
use pulp::Arch;

/// What is left of words to decompose, from the last level to the first.
pub(super) struct Digits {
    base_log: u32,
    /// The remaining levels of each word, as an integer.
    rest: Vec<u64>,
    /// Those of the current level, signed.
    current: Vec<u64>,
}

impl Digits {
    /// Rounds `words` to the gadget's levels.
    pub(super) fn new(words: impl IntoIterator<Item = u64>, gadget: Gadget) -> Self {
        let (used, base_log) = (gadget.bits(), gadget.base_log.get());
        // A random bit below the rounding stands for the half of the digit that follows the first.
        let round = |word: u64| {
            (word.wrapping_add(1 << (63 - used)) >> (64 - used))
                | (word & 1) << (used + base_log - 1)
        };
        let rest: Vec<u64> = words.into_iter().map(round).collect();
        Self {
            base_log,
            current: vec![0; rest.len()],
            rest,
        }
    }

    /// The digits of the next level, last level first.
    pub(super) fn next_level(&mut self) -> &[u64] {
        let base_log = self.base_log;
        Arch::new().dispatch(|| {
            let mask = (1u64 << base_log) - 1;
            for (digit, rest) in self.current.iter_mut().zip(&mut self.rest) {
                let low = *rest & mask;
                let next = *rest >> base_log;
                // Low is above B/2, or B/2 itself with the next one in its upper half.
                let carry = ((low.wrapping_sub(1) | next) & low) >> (base_log - 1);
                *digit = low.wrapping_sub(carry << base_log);
                *rest = next + carry;
            }
        });
        &self.current
    }
}

/// Mean of the squares of the l digits of a word, summed. (The last level has no carry from below and
/// a little more: of 16 levels of B = 2 it makes 2 %.)
pub(super) fn mean_square(gadget: Gadget) -> f64 {
    let base = 2f64.powi(gadget.base_log.get() as i32);
    f64::from(gadget.levels.get()) * (base * base - 1.0 + 3.0 / (base + 1.0)) / 12.0
}

#[cfg(test)]
mod tests {
    use super::{Digits, mean_square};
    use crate::seeded::Masks;
    use cipherfn_protocol::specs::{BaseLog, Gadget, Levels};

    /// 2^17 random words: digits are in range and recompose to the word up to half a unit of the last
    /// level; their mean is 0 within five deviations of a mean of numbers of up to B/2, their mean
    /// square what is said within 3 %.
    #[test]
    fn digits_are_balanced() {
        for (base_log, levels) in [(1, 16), (3, 5), (15, 2)] {
            let gadget = Gadget::new(BaseLog::new(base_log), Levels::new(levels));
            let mut words = vec![0; 1 << 17];
            Masks::new([3; 16]).fill(&mut words);
            let mut digits = Digits::new(words.iter().copied(), gadget);
            let mut sums = vec![0u64; words.len()];
            let (mut squares, half) = (0.0, 1i64 << (base_log - 1));
            for level in (1..=levels).rev() {
                let mut mean = 0.0;
                for (sum, digit) in sums.iter_mut().zip(digits.next_level()) {
                    assert!((-half..=half).contains(&(*digit as i64)));
                    *sum = sum.wrapping_add(digit << (64 - base_log * level));
                    squares += (*digit as i64 as f64).powi(2);
                    mean += *digit as i64 as f64;
                }
                let deviation = (words.len() as f64).sqrt() * half as f64;
                assert!(mean.abs() < 5.0 * deviation, "{base_log}, {level}: {mean}");
            }
            for (sum, word) in sums.iter().zip(&words) {
                let error = sum.wrapping_sub(*word) as i64;
                assert!(error.unsigned_abs() <= 1 << (63 - gadget.bits()));
            }
            let (found, expected) = (squares / words.len() as f64, mean_square(gadget));
            assert!(
                (found / expected - 1.0).abs() < 0.03,
                "{found}, not {expected}"
            );
        }
    }
}
