use super::*;
use crate::model::Tree;
use proptest::prelude::*;

fn ensemble(tests: &[(Test, bool)]) -> TreeEnsemble {
    let tree = |(test, missing): &(Test, bool)| Tree {
        nodes: vec![
            TreeNode::Split {
                feature: 1,
                test: *test,
                missing_goes_yes: *missing,
                yes: 1,
                no: 2,
            },
            TreeNode::Leaf(vec![(0, 1.0)]),
            TreeNode::Leaf(vec![]),
        ],
    };
    TreeEnsemble {
        scores: 1,
        base: vec![0.0],
        trees: tests.iter().map(tree).collect(),
    }
}

fn infos(missing: bool, values: &[f32]) -> Vec<FeatureInfo> {
    (0..2)
        .map(|index| FeatureInfo {
            name: format!("f{index}"),
            missing,
            decimals: None,
            values: values.to_vec(),
            mixed: None,
            set: None,
        })
        .collect()
}

fn fit(tests: &[(Test, bool)], missing: bool, mode: FeatureMode) -> Quantisation {
    let values: Vec<f32> = (0..100_u8).map(f32::from).collect();
    Quantisation::fit(
        &ensemble(tests),
        &infos(missing, &values),
        mode,
        Hash::of(b"m"),
    )
}

const EXACT: FeatureMode = FeatureMode::Exact { decoys: 0 };

/// The answer of the bins equals the test's on `value`.
fn check(quantisation: &Quantisation, test: Test, missing_goes_yes: bool, value: f32) {
    let set = quantisation.answer(0, test, missing_goes_yes);
    let bin = quantisation.quantisers[0].bin(value).unwrap();
    let expected = if value.is_nan() {
        missing_goes_yes
    } else {
        test.holds(value)
    };
    assert_eq!(set.contains(bin), expected, "{test:?} {value}");
}

#[test]
fn exact_bins_answer_every_test() {
    let tests = [
        (Test::Greater(1.5), false),
        (Test::Greater(-0.0), false),
        (Test::Equal(0.0), true),
        (Test::Equal(1.5), false),
        (Test::Equal(-f32::MAX), false),
        (Test::Greater(f32::MAX), true),
    ];
    let around = [0.0, 1.5, -f32::MAX, f32::MAX]
        .into_iter()
        .flat_map(|value: f32| [value.next_down(), value, value.next_up(), -value]);
    let values: Vec<f32> = around.filter(|value| value.is_finite()).collect();
    for missing in [false, true] {
        let quantisation = fit(&tests, missing, EXACT);
        assert_eq!(quantisation.quantisers.len(), 1);
        for (test, missing_goes_yes) in tests {
            for value in &values {
                check(&quantisation, test, missing_goes_yes, *value);
            }
            if missing {
                check(&quantisation, test, missing_goes_yes, f32::NAN);
            }
        }
    }
}

#[test]
fn missing_values_go_where_most_tests_send_them() {
    let missing = |yes: &[bool]| {
        let tests: Vec<_> = yes
            .iter()
            .zip(0_u8..)
            .map(|(yes, threshold)| (Test::Greater(f32::from(threshold)), *yes))
            .collect();
        fit(&tests, true, EXACT).quantisers[0].missing
    };
    assert_eq!(missing(&[true, true, false]), Some(MissingBin::Last));
    assert_eq!(missing(&[true, false, false]), Some(MissingBin::First));
    assert_eq!(
        fit(&[(Test::Greater(0.0), true)], false, EXACT).quantisers[0].missing,
        None
    );
}

#[test]
fn thresholds_snap_to_the_nearest_edge_of_a_grid() {
    let quantisation = fit(
        &[(Test::Greater(30.0), false)],
        false,
        FeatureMode::Grid { bits: 2 },
    );
    assert_eq!(quantisation.quantisers[0].splits, [24.5, 49.5, 74.5]);
    assert!(quantisation.hides_use);
    let start = |threshold| {
        quantisation
            .answer(0, Test::Greater(threshold), false)
            .ranges()[0]
            .0
    };
    assert_eq!(
        [0.0, 24.5, 36.9, 37.1, 74.0, 1e9].map(start),
        [1, 1, 1, 2, 3, 3]
    );
    assert_eq!(
        quantisation.answer(0, Test::Equal(30.0), false),
        BinSet::range(1, 2)
    );
}

#[test]
fn thresholds_move_to_the_edge_that_fewest_rows_lie_before() {
    // 0.5 is nearer to 1.1, but the 1 between them would change sides.
    let values = [0.0, 1.0, 100.0];
    assert_eq!(nearest(&[0.5, 50.5], &values, 1.1), 1);
    // Ten values lie between the near edge and the threshold, none before the far one.
    let crowded: Vec<f32> = (10..20_u8).map(f32::from).chain([95.0]).collect();
    assert_eq!(nearest(&[9.0, 90.0], &crowded, 19.5), 1);
    // As many to either side: the nearer one, or the lower.
    let even = [0.0, 2.0, 4.0, 6.0];
    assert_eq!(nearest(&[1.0, 5.5], &even, 3.5), 1);
    assert_eq!(nearest(&[1.0, 5.0], &even, 3.0), 0);
    assert_eq!(nearest(&[0.0], &[], 7.0), 0);
}

#[test]
fn grids_of_few_or_no_values_have_an_edge() {
    assert_eq!(quantile_splits(&[], 4), [0.0]);
    assert_eq!(quantile_splits(&[3.0, 3.0], 4), [3.0]);
    assert_eq!(quantile_splits(&[1.0, 1.0, 2.0, 5.0], 4), [1.5, 3.5]);
    let many: Vec<f32> = (0..1000_u16).map(f32::from).collect();
    assert_eq!(quantile_splits(&many, 6).len(), 63);
}

#[test]
fn columns_of_whole_numbers_keep_their_edges() {
    // 2,000 values of 0 to 99, crowded at the lower end as ages, counts and amounts are.
    let mut values: Vec<f32> = (0..2000_u32).map(|i| ((i * i) / 40_404) as f32).collect();
    values.sort_unstable_by(f32::total_cmp);
    assert_eq!(quantile_splits(&values, 4).len(), 15);
    // A third of the rows is 0: one bin holds them, the others share the rest.
    let heavy: Vec<f32> = (0..900_u16)
        .map(|i| f32::from(i.saturating_sub(300)))
        .collect();
    let splits = quantile_splits(&heavy, 3);
    assert_eq!((splits.len(), splits[0]), (7, 0.5));
}

proptest! {
    /// A grid with an edge between all values keeps every one of them on its side of any threshold.
    #[test]
    fn a_fine_grid_keeps_all_values_on_their_sides(
        mut values in prop::collection::vec(-100.0_f32..100.0, 2..30),
        place in 0_usize..30,
        above in prop::bool::ANY,
    ) {
        values.sort_unstable_by(f32::total_cmp);
        let splits = quantile_splits(&values, 5);
        let threshold = values[place % values.len()];
        let threshold = if above { threshold.next_up() } else { threshold.next_down() };
        let edge = splits[nearest(&splits, &values, threshold) as usize];
        let sides = |cut: f32| values.iter().filter(|value| **value > cut).count();
        let room = sides(threshold) > 0 && sides(threshold) < values.len();
        prop_assert!(!room || sides(threshold) == sides(edge));
    }

    /// With ties of any kind: as many edges as there is room or values for, none inside a run, and
    /// no bin that could have been halved holds more than two quantiles and two runs.
    #[test]
    fn grids_of_tied_values_use_all_their_edges(
        mut values in prop::collection::vec((0_u8..40).prop_map(|v| f32::from(v) - 9.0), 1..300),
        bits in 1_u32..5,
    ) {
        values.sort_unstable_by(f32::total_cmp);
        let splits = quantile_splits(&values, bits);
        let mut distinct = values.clone();
        distinct.dedup();
        let room = (1_usize << bits) - 1;
        prop_assert_eq!(splits.len(), room.min(distinct.len() - 1).max(1));
        prop_assert!(splits.windows(2).all(|pair| pair[0] < pair[1]));
        let longest = values.chunk_by(|a, b| a.total_cmp(b).is_eq()).map(<[f32]>::len).max();
        let bin = |value: &f32| splits.partition_point(|split| value > split);
        let mut counts = vec![0; splits.len() + 1];
        for value in &values {
            counts[bin(value)] += 1;
        }
        let quantile = values.len().div_ceil(room + 1);
        prop_assert!(counts.iter().all(|n| *n <= 2 * quantile + 2 * longest.unwrap_or(0)));
    }
}

#[test]
fn a_split_between_neighbours_separates_them() {
    for (low, high) in [
        (1.0, 2.0),
        (1.0, 1.0_f32.next_up()),
        (-0.0, 0.0_f32.next_up()),
        (-f32::MAX, f32::MAX),
    ] {
        let split = between(low, high);
        assert!(low <= split && split < high, "{low} {split} {high}");
    }
}

fn mix(
    real: &[f64],
    values: &[f64],
    grain: Grain,
    style: Style,
    seed: &[u8],
    feature: u32,
) -> Vec<f64> {
    let draw = Draw {
        style,
        grain,
        told_by: Grain::Single,
        model: Hash::of(seed),
    };
    draw.mix_in(real, values, 20, feature)
}

#[test]
fn decoys_are_many_distinct_deterministic_and_alike() {
    let values: Vec<f64> = (0..50_u8).map(|value| f64::from(value) * 0.5).collect();
    let real = [0.25, 10.25];
    let mix = |seed, feature| {
        super::tests::mix(
            &real,
            &values,
            Grain::Single,
            Style::Midpoints,
            seed,
            feature,
        )
    };
    let mixed = mix(b"a", 0);
    assert_eq!(mixed.len(), 22);
    assert!(mixed.windows(2).all(|pair| pair[0] < pair[1]));
    assert!(real.iter().all(|split| mixed.contains(split)));
    assert!(
        mixed
            .iter()
            .all(|split| ((split / 0.5).fract() - 0.5).abs() < 1e-6),
        "midpoints like the real ones: {mixed:?}"
    );
    assert_eq!(mixed, mix(b"a", 0));
    assert!(mixed != mix(b"b", 0) && mixed != mix(b"a", 1));
    let style = |splits: &[f64]| {
        let pairs = [(splits, values.as_slice())];
        Style::of(pairs.into_iter(), Grain::Single)
    };
    assert_eq!(style(&values[3..6]), Style::Values);
    assert_eq!(style(&real), Style::Midpoints);
}

#[test]
fn there_are_as_many_decoys_as_asked_for_whatever_the_values() {
    // Few values, one float apart, none at all.
    let next = f64::from(1.0_f32.next_up());
    for values in [
        &[][..],
        &[1.0],
        &[0.0, 1.0],
        &[1.0, next],
        &[1.0, 1.0_f64.next_up()],
    ] {
        for grain in [Grain::Single, Grain::Double] {
            let mixed = mix(&[], values, grain, Style::Values, b"c", 3);
            assert_eq!(mixed.len(), 20, "{values:?}");
        }
    }
}

/// As LightGBM makes them: one float above the middle of two values, which 32 bits cannot hold.
#[test]
fn decoys_among_64_bit_split_points_are_64_bit_numbers_in_their_places() {
    let values: Vec<f64> = (0..50_u8).map(|value| f64::from(value) / 10.0).collect();
    let real: Vec<f64> = values[4..9]
        .windows(2)
        .map(|pair| f64::midpoint(pair[0], pair[1]).next_up())
        .collect();
    let grain = Grain::of(real.iter().copied());
    assert_eq!(grain, Grain::Double);
    let style = Style::of([(real.as_slice(), values.as_slice())].into_iter(), grain);
    assert_eq!(style, Style::AboveMidpoints);
    let mixed = mix(&real, &values, grain, style, b"a", 0);
    let made = |split: &f64| {
        let next = values.partition_point(|value| value < split);
        f64::midpoint(values[next - 1], values[next])
            .next_up()
            .to_bits()
            == split.to_bits()
    };
    assert!(mixed.iter().all(made), "{mixed:?}");
    let keys: Vec<f32> = mixed
        .iter()
        .copied()
        .map(cipherfn_program::round_down)
        .collect();
    assert!(keys.windows(2).all(|pair| pair[0] < pair[1]));
}
