//! Decision diagrams over the encrypted bits of one feature.

use crate::families::trees::bins::BinSet;

/// Tests bits until the answer is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Diagram {
    /// The answer.
    Answer(bool),
    /// A test of one bit.
    Bit {
        /// Which.
        bit: u32,
        /// Where it is 0.
        clear: Box<Diagram>,
        /// Where it is 1.
        set: Box<Diagram>,
    },
}

impl Diagram {
    /// The answer is a bit.
    pub(crate) fn test(bit: u32) -> Self {
        Self::choice(bit, Self::Answer(false), Self::Answer(true))
    }

    fn choice(bit: u32, clear: Self, set: Self) -> Self {
        Self::Bit {
            bit,
            clear: Box::new(clear),
            set: Box::new(set),
        }
    }

    /// Adds to the numbers of all bits.
    pub(crate) fn shift(&mut self, by: u32) {
        if let Self::Bit { bit, clear, set } = self {
            *bit += by;
            clear.shift(by);
            set.shift(by);
        }
    }

    /// `lower ? (upper ? yes : fine) : no` as `fine ? lower : upper`, where `fine` is one test and
    /// `upper` implies `lower`: two tests next to the answers and one above them instead of the
    /// other way around.
    pub(crate) fn inside_out(self) -> Self {
        if let Self::Bit {
            bit: lower,
            clear,
            set,
        } = &self
            && let (
                Self::Answer(no),
                Self::Bit {
                    bit: upper,
                    clear: middle,
                    set,
                },
            ) = (&**clear, &**set)
            && let (
                Self::Bit {
                    bit: fine,
                    clear,
                    set: fine_set,
                },
                Self::Answer(yes),
            ) = (&**middle, &**set)
            && (&**clear, &**fine_set) == (&Self::Answer(*no), &Self::Answer(*yes))
        {
            let test = |bit| Self::choice(bit, Self::Answer(*no), Self::Answer(*yes));
            return Self::choice(*fine, test(*upper), test(*lower));
        }
        self
    }

    /// Numbers of tests: those with an answer on both sides, and the others.
    pub(crate) fn tests(&self) -> (u32, u32) {
        match self {
            Self::Answer(_) => (0, 0),
            Self::Bit { clear, set, .. } => {
                let ((last, inner), (other_last, other_inner)) = (clear.tests(), set.tests());
                match (&**clear, &**set) {
                    (Self::Answer(_), Self::Answer(_)) => (1, 0),
                    _ => (last + other_last, inner + other_inner + 1),
                }
            }
        }
    }

    /// Over the bits of a bin index, the most significant first: whether a bin is in `set`, for
    /// bins in `allowed`; other bins may be answered either way, which removes tests. Bit 0 is the
    /// least significant.
    pub(crate) fn new(set: &BinSet, allowed: &BinSet, index_bits: u32) -> Self {
        build(&allowed.intersection(set), allowed, index_bits, 0).unwrap_or(Self::Answer(false))
    }
}

/// The diagram for the block of `2^bits` bins from `start`; `None` where no bin of it is allowed.
fn build(inside: &BinSet, allowed: &BinSet, bits: u32, start: u32) -> Option<Diagram> {
    let block = BinSet::range(start, start + (1 << bits));
    let (inside, allowed) = (inside.intersection(&block), allowed.intersection(&block));
    if allowed.is_empty() {
        return None;
    }
    if inside.is_empty() || inside == allowed {
        return Some(Diagram::Answer(!inside.is_empty()));
    }
    let bit = bits - 1;
    let clear = build(&inside, &allowed, bit, start);
    let set = build(&inside, &allowed, bit, start + (1 << bit));
    match (clear, set) {
        (Some(clear), Some(set)) if clear == set => Some(clear),
        (Some(clear), Some(set)) => Some(Diagram::Bit {
            bit,
            clear: Box::new(clear),
            set: Box::new(set),
        }),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn answer(diagram: &Diagram, bin: u32) -> bool {
        match diagram {
            Diagram::Answer(answer) => *answer,
            Diagram::Bit { bit, clear, set } => {
                answer(if bin >> bit & 1 == 1 { set } else { clear }, bin)
            }
        }
    }

    fn tests(diagram: &Diagram) -> u32 {
        let (last, others) = diagram.tests();
        last + others
    }

    fn set(mask: u32) -> BinSet {
        (0..16)
            .filter(|bin| mask >> bin & 1 == 1)
            .fold(BinSet::default(), |set, bin| {
                set.union(&BinSet::range(bin, bin + 1))
            })
    }

    proptest! {
        #[test]
        fn answers_are_right_on_allowed_bins(inside in 0_u32..1 << 16, allowed in 0_u32..1 << 16) {
            let diagram = Diagram::new(&set(inside), &set(allowed), 4);
            for bin in (0..16).filter(|bin| allowed >> bin & 1 == 1) {
                prop_assert_eq!(answer(&diagram, bin), inside >> bin & 1 == 1);
            }
        }
    }

    #[test]
    fn a_threshold_needs_no_test_of_its_trailing_zeros() {
        let all = BinSet::range(0, 16);
        for (threshold, expected) in [(8, 1), (4, 2), (12, 2), (6, 3), (5, 4)] {
            assert_eq!(
                tests(&Diagram::new(&BinSet::range(threshold, 16), &all, 4)),
                expected,
                "{threshold}"
            );
        }
    }

    #[test]
    fn bins_that_cannot_occur_save_tests() {
        assert_eq!(
            tests(&Diagram::new(
                &BinSet::range(5, 16),
                &BinSet::range(4, 6),
                4
            )),
            1
        );
        // Nine bins need four bits; the last one is alone above 8.
        assert_eq!(
            tests(&Diagram::new(&BinSet::range(8, 9), &BinSet::range(0, 9), 4)),
            1
        );
    }
}
