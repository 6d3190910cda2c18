use super::*;
use proptest::prelude::*;

const BINS: u32 = 16;

fn set(mask: u32) -> BinSet {
    let bins = (0..BINS).filter(|bin| mask >> bin & 1 == 1);
    bins.fold(BinSet::default(), |set, bin| {
        set.union(&BinSet::range(bin, bin + 1))
    })
}

fn answer(diagram: &Diagram, bits: &[BinSet], bin: u32) -> bool {
    match diagram {
        Diagram::Answer(answer) => *answer,
        Diagram::Bit { bit, clear, set } => answer(
            if bits[*bit as usize].contains(bin) {
                set
            } else {
                clear
            },
            bits,
            bin,
        ),
    }
}

fn blocks() -> impl Strategy<Value = Blocks> {
    let saved = proptest::collection::vec(0.0..4.0, BINS as usize + 1);
    let missing = prop_oneof![Just(None), Just(Some(0)), Just(Some(BINS - 1))];
    prop_oneof![
        (2..=BINS, saved, 0.0..4.0)
            .prop_map(|(longest, saved, price)| Blocks::weighted(BINS, longest, &saved, price)),
        (1..=BINS, missing).prop_map(|(length, missing)| Blocks::uniform(BINS, length, missing)),
    ]
}

proptest! {
    #[test]
    fn answers_are_right_on_allowed_bins(
        blocks in blocks(),
        inside in 0_u32..1 << BINS,
        allowed in 0_u32..1 << BINS,
        at_leaves: bool,
    ) {
        let bits = blocks.sets();
        prop_assert_eq!(bits.len() as u32, blocks.bits());
        let diagram = blocks.decision(&set(inside), &set(allowed), at_leaves);
        for bin in (0..BINS).filter(|bin| allowed >> bin & 1 == 1) {
            prop_assert_eq!(answer(&diagram, &bits, bin), inside >> bin & 1 == 1, "bin {}", bin);
        }
    }

    #[test]
    fn a_split_point_takes_three_tests_at_most(blocks in blocks(), at in 1..BINS) {
        let all = BinSet::range(0, BINS);
        let (last, others) = blocks.decision(&BinSet::range(at, BINS), &all, false).tests();
        prop_assert!(last + others <= 3);
        if blocks.starts.contains(&at) {
            prop_assert_eq!((last, others), (1, 0));
        }
        // With constants on both sides, at most one test is a CMUX between ciphertexts.
        let (_, others) = blocks.decision(&BinSet::range(at, BINS), &all, true).tests();
        prop_assert!(others <= 1);
    }

    #[test]
    fn equal_sets_are_one_bit(blocks in blocks()) {
        let mut sets = blocks.sets();
        sets.sort();
        sets.dedup();
        prop_assert_eq!(sets.len() as u32, blocks.bits());
    }
}

#[test]
fn blocks_start_where_it_saves_most() {
    let mut saved = vec![0.0; 17];
    (saved[3], saved[9]) = (5.0, 2.0);
    let blocks = Blocks::weighted(16, 16, &saved, 3.0);
    assert_eq!(blocks.starts, [0, 3]);
    // A block of at most seven bins has to start between.
    let blocks = Blocks::weighted(16, 7, &saved, 3.0);
    assert_eq!(blocks.starts, [0, 3, 9]);
    assert_eq!(blocks.bits(), 2 + 6);
}

#[test]
fn the_bin_of_missing_values_is_a_block_of_its_own() {
    let starts = |missing| Blocks::uniform(8, 3, missing).starts;
    assert_eq!(starts(None), [0, 3, 6]);
    assert_eq!(starts(Some(0)), [0, 1, 4, 7]);
    assert_eq!(starts(Some(7)), [0, 3, 6, 7]);
    assert!(Blocks::uniform(8, 1, Some(7)).is_thermometer());
}
