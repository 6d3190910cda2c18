use super::{Cells, Codes, FeatureCollector, FeatureId, FeatureView, Members, Names};
use crate::read::library::Library;
use cipherfn_program::{EntryKind, Tensor};
use proptest::prelude::*;

fn one_column(kind: EntryKind, codes: Codes) -> FeatureCollector {
    let names = Names::Own(vec!["x".into()]);
    FeatureCollector::new(Library::LightGbm, names, kind, codes).unwrap()
}

fn doubles(codes: Codes) -> FeatureCollector {
    one_column(EntryKind::F64, codes)
}

/// The feature vector of a row.
fn vector(features: FeatureCollector, row: Vec<Tensor>) -> Vec<f32> {
    let (_, program, _) = features.finish().unwrap();
    match program.run(row).unwrap().as_slice() {
        [Tensor::F32(vector)] => vector.clone(),
        other => panic!("{other:?}"),
    }
}

/// Whether a 64-bit value lies above each threshold, by the 32-bit vector.
fn above(thresholds: &[f64], value: f64) -> Vec<bool> {
    let mut features = doubles(Codes::Truncate);
    let feature = features.feature(0, FeatureView::Plain);
    for &threshold in thresholds {
        features.compare(feature, threshold);
    }
    let (_, program, vector) = features.finish().unwrap();
    let found = program.run(vec![Tensor::F64(vec![value])]).unwrap();
    let [Tensor::F32(found)] = found.as_slice() else {
        panic!("{found:?}");
    };
    thresholds
        .iter()
        .map(|&threshold| found[0] > vector.place(feature, threshold).1)
        .collect()
}

#[test]
fn thresholds_that_32_bits_cannot_hold_are_ranked() {
    let second = 1_700_000_000.0;
    for thresholds in [
        // Far closer than the 128 between neighbouring 32-bit numbers there.
        vec![second, second + 1.0, second + 1.5],
        vec![-1e300, 0.0, 1e300],
        vec![f64::MIN, f64::MAX],
    ] {
        let near = thresholds
            .iter()
            .flat_map(|t| [t.next_down(), *t, t.next_up()]);
        for value in near.chain([f64::INFINITY, f64::NEG_INFINITY, 0.0]) {
            let expected: Vec<bool> = thresholds.iter().map(|&t| value > t).collect();
            let found = above(&thresholds, value);
            assert_eq!(found, expected, "{value} in {thresholds:?}");
        }
        let missing = above(&thresholds, f64::NAN);
        assert_eq!(missing, vec![false; thresholds.len()]);
    }
}

proptest! {
    #[test]
    fn every_value_stays_on_its_side(
        base in prop::sample::select(vec![0.0, 0.1, 1.0, 16_777_216.0, 1e30]),
        steps in prop::collection::vec(0..40i32, 1..8),
        at in 0..40i32,
        fine in any::<bool>(),
    ) {
        let step = if fine { f64::EPSILON } else { f64::from(f32::EPSILON) };
        let place = |count: i32| base * (1.0 + step * f64::from(count));
        let thresholds: Vec<f64> = steps.into_iter().map(place).collect();
        let value = place(at);
        let expected: Vec<bool> = thresholds.iter().map(|&t| value > t).collect();
        prop_assert_eq!(above(&thresholds, value), expected);
    }
}

#[test]
fn views_of_zero_and_missing_values() {
    let zero = f64::from(1e-35_f32);
    let of = |view, value: f64| {
        let mut features = doubles(Codes::Truncate);
        features.feature(0, view);
        vector(features, vec![Tensor::F64(vec![value])])[0]
    };
    let close = |found: f32, wanted: f32| assert!((found - wanted).abs() < 1e-9, "{found}");
    close(of(FeatureView::MissingIsZero, f64::NAN), 0.0);
    close(of(FeatureView::MissingIsZero, 2.0), 2.0);
    close(of(FeatureView::ZeroIsMissing, 2.0), 2.0);
    for value in [0.0, -0.0, zero, -zero, f64::NAN] {
        assert!(of(FeatureView::ZeroIsMissing, value).is_nan(), "{value}");
    }
    assert!(!of(FeatureView::ZeroIsMissing, zero.next_up()).is_nan());
    close(of(FeatureView::IsMissing, f64::NAN), 1.0);
    close(of(FeatureView::IsMissing, f64::NEG_INFINITY), 0.0);
}

fn with_sets(cells: Cells, codes: Codes) -> (FeatureCollector, [FeatureId; 2]) {
    let kind = match codes {
        Codes::Floor => EntryKind::F32,
        Codes::Truncate => EntryKind::F64,
    };
    let mut features = one_column(kind, codes);
    features.set_cells(0, cells).unwrap();
    let sets = [vec![0], vec![1, 2]].map(|codes| {
        let members = Members::Codes(codes);
        features.member("node", 0, members).unwrap()
    });
    (features, sets)
}

#[test]
fn membership_by_code_text_and_number() {
    let row = |value: f64| vec![Tensor::F64(vec![value])];
    let single = |value: f32| vec![Tensor::F32(vec![value])];
    let of = |cells: &Cells, codes, row| vector(with_sets(cells.clone(), codes).0, row);
    let numbers = Cells::Numbers;
    assert_eq!(of(&numbers, Codes::Truncate, row(-0.5)), [1.0, 0.0]);
    assert_eq!(of(&numbers, Codes::Floor, single(-0.5)), [0.0, 0.0]);
    assert_eq!(of(&numbers, Codes::Floor, single(2.9)), [0.0, 1.0]);
    assert_eq!(of(&numbers, Codes::Truncate, row(f64::NAN)), [0.0, 0.0]);
    assert!(of(&numbers, Codes::Floor, single(f32::NAN))[1].is_nan());
    assert_eq!(of(&numbers, Codes::Truncate, row(1e300)), [0.0, 0.0]);
    let listed = Cells::Listed(vec![10.0, 20.0, 30.0]);
    assert_eq!(of(&listed, Codes::Floor, row(30.0)), [0.0, 1.0]);
    assert_eq!(of(&listed, Codes::Truncate, row(15.0)), [0.0, 0.0]);
    let texts = Cells::Texts(["a", "b", "c"].map(str::to_owned).to_vec());
    let text = |text: &str| vec![Tensor::Text(vec![text.into()])];
    assert_eq!(of(&texts, Codes::Floor, text("a")), [1.0, 0.0]);
    assert_eq!(of(&texts, Codes::Truncate, text("never seen")), [0.0, 0.0]);
    assert_eq!(of(&texts, Codes::Truncate, text("")), [0.0, 0.0]);
    // A category that is not listed is an error where the library's own answer is arbitrary.
    let (_, program, _) = with_sets(texts, Codes::Floor).0.finish().unwrap();
    assert!(program.run(text("never seen")).is_err());
}

#[test]
fn equal_sets_are_one_feature() {
    let (mut features, [first, second]) = with_sets(Cells::Numbers, Codes::Floor);
    assert_ne!(first, second);
    let again = features.member("node", 0, Members::Codes(vec![1, 2]));
    assert_eq!(again.unwrap(), second);
}
