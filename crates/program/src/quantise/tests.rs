use super::*;
use crate::encoding::{Gadget, Selector, Transport};
use crate::{BaseLog, Bits, Levels, TorusFraction};

fn quantiser(splits: &[f32], missing: Option<MissingBin>) -> Quantiser {
    Quantiser {
        feature: 0,
        name: "age".into(),
        splits: splits.to_vec(),
        missing,
        decimals: None,
    }
}

#[test]
fn a_bin_counts_the_splits_exceeded() {
    let quantiser = quantiser(&[-1.0, 0.0, 2.5], None);
    let bins: Vec<u32> = [
        -2.0,
        -1.0,
        -0.5,
        -0.0,
        0.0,
        f32::from_bits(1),
        2.5,
        2.500_000_2,
        f32::MAX,
    ]
    .iter()
    .map(|value| quantiser.bin(*value).unwrap())
    .collect();
    assert_eq!(bins, [0, 0, 1, 1, 1, 2, 2, 3, 3]);
    assert_eq!((quantiser.bins(), quantiser.index_bits()), (4, 2));
}

#[test]
fn missing_values_have_a_bin_or_are_an_error() {
    assert_eq!(
        quantiser(&[1.0], None).bin(f32::NAN),
        Err(QuantiseError::Missing { name: "age".into() })
    );
    let first = quantiser(&[1.0], Some(MissingBin::First));
    assert_eq!(
        [f32::NAN, 0.0, 2.0].map(|value| first.bin(value).unwrap()),
        [0, 1, 2]
    );
    let last = quantiser(&[1.0], Some(MissingBin::Last));
    assert_eq!(
        [f32::NAN, 0.0, 2.0].map(|value| last.bin(value).unwrap()),
        [2, 0, 1]
    );
    assert_eq!(
        [f32::NEG_INFINITY, f32::INFINITY].map(|value| last.bin(value).unwrap()),
        [0, 1],
        "an infinite value is a side of every split"
    );
}

#[test]
fn more_decimals_than_declared_are_an_error() {
    let quantiser = Quantiser {
        decimals: Some(2),
        ..quantiser(&[1.005], Some(MissingBin::Last))
    };
    let bins = [1.0, 1.01, -0.5, f32::INFINITY, f32::NAN].map(|value| quantiser.bin(value));
    assert_eq!(bins, [0, 1, 0, 1, 2].map(Ok));
    let error = quantiser.bin(1.001).unwrap_err();
    assert!(error.to_string().contains("at most 2 decimals"), "{error}");
}

#[test]
fn selector_bits_are_index_bits_and_range_tests() {
    let selector = |predicate| Selector {
        quantiser: 0,
        predicate,
    };
    let encoding = SelectorEncoding {
        quantisers: vec![Quantiser {
            feature: 1,
            ..quantiser(&[0.0, 1.0, 2.0], None)
        }],
        selectors: vec![
            selector(Predicate::Bit(0)),
            selector(Predicate::Bit(1)),
            selector(Predicate::Within(vec![(0, 1), (2, 4)])),
        ],
        gadget: Gadget::new(BaseLog::new(6), Levels::new(4)),
        transport: Transport::Packed,
    };
    assert_eq!(encoding.bits(&[9.0, -1.0]).unwrap(), [false, false, true]);
    assert_eq!(encoding.bits(&[9.0, 0.5]).unwrap(), [true, false, false]);
    assert_eq!(encoding.bits(&[9.0, 2.5]).unwrap(), [true, true, true]);
    assert_eq!(
        encoding.bits(&[9.0]),
        Err(QuantiseError::Width {
            expected: 2,
            found: 1
        })
    );
}

#[test]
fn linear_messages_scale_the_range_to_delta() {
    let encoding = LinearEncoding {
        names: vec!["a".into(), "b".into()],
        centre: vec![10.0, 0.0],
        half_width: vec![2.0, 1.0],
        delta: TorusFraction::new(0.25),
        block: 2,
        form: crate::FeatureForm::Apart,
        stride: 1,
        body_bits: Bits::new(32),
    };
    assert_eq!(
        encoding.messages(&[12.0, -0.5]).unwrap(),
        [1 << 62, (-(1_i64 << 61)) as u64]
    );
    assert_eq!(
        encoding.messages(&[12.5, f32::NEG_INFINITY]).unwrap(),
        encoding.messages(&[12.0, -1.0]).unwrap(),
        "a value outside its range is limited to it"
    );
    assert_eq!(
        encoding.messages(&[12.0, -1.0, f32::NAN]).unwrap(),
        encoding.messages(&[12.0, -1.0]).unwrap(),
        "entries behind its own are others' business"
    );
    let limited = |features: [f32; 2]| encoding.limited(&features).collect::<Vec<_>>();
    assert_eq!(limited([12.5, f32::NEG_INFINITY]), [0, 1]);
    assert_eq!(limited([8.0, 1.0]), [0; 0]);
    assert!(matches!(
        encoding.messages(&[f32::NAN, 0.0]),
        Err(QuantiseError::Missing { .. })
    ));
    assert!(matches!(
        encoding.messages(&[0.0]),
        Err(QuantiseError::Width {
            expected: 2,
            found: 1
        })
    ));
}

#[test]
fn values_between_steps_are_told_where_steps_are_all_there_is() {
    let flag = |tolerance| IntegerFeature {
        feature: 0,
        name: "is red".into(),
        low: 0.0,
        step: 1.0,
        bits: 1,
        tolerance,
    };
    let own = flag(Some(0.01));
    let rounds = [0.0, 1.0, 0.995, 0.37, 0.5, 1.2].map(|value| own.rounds(value));
    assert_eq!(rounds, [false, false, false, true, true, true]);
    assert!(own.limits(1.6) && !own.rounds(1.6), "it is limited");
    assert!(!own.rounds(f32::NAN), "it is an error");
    assert!(!flag(None).rounds(0.37));
    for (value, nearest) in [(0.37, 0.0), (0.63, 1.0), (7.0, 1.0)] {
        assert!((own.nearest_value(value) - nearest).abs() < 1e-12);
    }
}
