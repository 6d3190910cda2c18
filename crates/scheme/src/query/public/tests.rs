use super::{bits_within, decode_linear_under, encrypt_rows_under};
use crate::error::SchemeError;
use crate::keys::SecretKey;
use crate::noise;
use crate::parameters::ParameterSet;
use crate::public::{PublicKey, variance_under};
use crate::query::{GroupForm, InputShape, InputValues, LinearQueryShape};
use crate::random::reproducible;
use crate::testing;
use cipherfn_protocol::specs::{Bits, FeatureForm};

fn set() -> &'static ParameterSet {
    ParameterSet::by_name("cipherfn-128-n2048-m8-v1").unwrap()
}

fn apart(features: usize, block: usize, stride: usize, bits: u32) -> LinearQueryShape {
    LinearQueryShape {
        set: set(),
        features,
        block,
        stride,
        form: FeatureForm::Apart,
        body_bits: Bits::new(bits),
    }
}

fn together(features: usize, stride: usize, bits: u32) -> LinearQueryShape {
    LinearQueryShape {
        form: FeatureForm::Together,
        ..apart(features, features, stride, bits)
    }
}

fn form(rows: usize) -> GroupForm {
    GroupForm {
        rows,
        ..GroupForm::single_under(set())
    }
}

/// Multiples of 2^-12 of the torus.
fn values(shape: &LinearQueryShape, row: usize) -> Vec<u64> {
    let value = |index: usize| ((row * 131 + index * 17 + 1) as u64 % 4096) << 52;
    (0..shape.features).map(value).collect()
}

fn encrypted(public: &PublicKey, shape: &LinearQueryShape, rows: usize) -> Vec<u8> {
    let rows: Vec<[InputValues; 1]> = (0..rows)
        .map(|row| [InputValues::Features(values(shape, row))])
        .collect();
    encrypt_rows_under(
        public,
        &[InputShape::Features(*shape)],
        form(rows.len()),
        &rows,
    )
    .unwrap()
}

/// Of each ciphertext of a row the phases of all coefficients.
fn phases(
    key: &SecretKey,
    shape: &LinearQueryShape,
    rows: usize,
    bytes: &[u8],
) -> Vec<Vec<Vec<u64>>> {
    let row = |row| {
        let ciphertexts = decode_linear_under(shape, form(rows), bytes, row).unwrap();
        let phases = ciphertexts.iter();
        phases
            .map(|glwe| testing::phases(key, &glwe.mask, &glwe.body))
            .collect()
    };
    (0..rows).map(row).collect()
}

/// Every row stands where a row alone does: its features, and zero between them, wherever a coefficient
/// reaches a result.
#[test]
fn rows_that_share_a_ciphertext_stand_apart() {
    let key = SecretKey::generate(set()).unwrap();
    let public = PublicKey::generate(&key).unwrap();
    for (shape, rows, ciphertexts) in [
        (apart(30, 30, 1, 28), 70, 2),  // 68 a ciphertext
        (apart(8, 8, 3, 28), 90, 2),    // 85
        (apart(64, 64, 10, 24), 3, 1),  // 640 coefficients each, and 9 more
        (apart(700, 700, 2, 20), 2, 2), // one each
        (apart(5, 2, 300, 20), 2, 6),   // three each
        (together(30, 512, 24), 18, 2), // 17
    ] {
        let bytes = encrypted(&public, &shape, rows);
        assert_eq!(bytes.len(), shape.bytes_under(rows), "{shape:?}");
        assert_eq!(shape.ciphertexts_under(rows), ciphertexts, "{shape:?}");
        let found = phases(&key, &shape, rows, &bytes);
        for (row, ciphertexts) in found.iter().enumerate() {
            let values = values(&shape, row);
            for (phases, own) in ciphertexts.iter().zip(values.chunks(shape.block)) {
                let positions: Vec<usize> = shape.body_positions(own.len()).collect();
                for position in positions {
                    let spacing = shape.feature_spacing();
                    let feature = position / spacing;
                    let expected = match own.get(feature) {
                        Some(value) if position % spacing == 0 => *value,
                        _ => 0,
                    };
                    let error = phases[position].wrapping_sub(expected) as i64;
                    assert!(error.abs() < 1 << 46, "{shape:?}: row {row}, {position}");
                }
            }
        }
    }
}

/// Errors of coefficients have the variance of the formula, and the error of a sum by equal weights, which
/// correlation makes larger than any, stays within what a row under the secret key has: 2^16 coefficients
/// and 544 sums of 30 under each of four keys.
#[test]
fn errors_are_within_those_under_the_secret_key() {
    reproducible::seeds("rows under public keys");
    let shape = apart(30, 30, 1, 30);
    let bits = shape.bits_under().unwrap();
    let allowed = noise::fresh(set()) + noise::rounding(shape.body_bits);
    let (mut errors, mut sums) = (Vec::new(), Vec::new());
    for _ in 0..4 {
        let key = SecretKey::generate(set()).unwrap();
        let public = PublicKey::generate(&key).unwrap();
        for _ in 0..8 {
            let bytes = encrypted(&public, &shape, 68);
            for (row, ciphertexts) in phases(&key, &shape, 68, &bytes).iter().enumerate() {
                let own = ciphertexts[0].iter().zip(values(&shape, row));
                let own: Vec<f64> = own
                    .map(|(phase, value)| phase.wrapping_sub(value) as i64 as f64 * 2f64.powi(-64))
                    .collect();
                sums.push(own.iter().sum::<f64>());
                errors.extend(own);
            }
        }
    }
    let ones = set().ring.polynomial_size as f64 / 2.0;
    let one = variance_under(set(), bits, ones);
    // Errors of one ciphertext hang together, so that there are far fewer independent ones than coefficients.
    testing::check("a coefficient", one, &errors, 0.5);
    let mean = |errors: &[f64]| {
        errors.iter().map(|error| error * error).sum::<f64>() / errors.len() as f64
    };
    let correlation = mean(&sums) / (30.0 * one.get());
    let share = mean(&sums) / (30.0 * allowed.get());
    println!(
        "{bits} bits; sums have {correlation:.1} times the variance of independent errors, {share:.2} of what is allowed"
    );
    assert!((5.0..30.0).contains(&correlation), "{correlation}");
    assert!((0.05..0.7).contains(&share), "{share}");
}

/// Bits that travel, by those of rows under the secret key; none where the public key's own error is larger.
#[test]
fn bits_are_the_fewest_that_are_enough() {
    for (shape, expected) in [
        (apart(1, 1, 1, 28), Some(34)),
        (apart(30, 30, 1, 28), Some(36)),
        (apart(64, 64, 10, 24), Some(35)),
        (apart(30, 30, 1, 36), Some(45)),
        (apart(30, 30, 1, 40), None),
        (apart(1, 1, 1, 48), None),
    ] {
        let found = shape.bits_under().map(Bits::get);
        assert_eq!(found, expected, "{shape:?}");
        let checked = InputShape::Features(shape).check_public();
        assert_eq!(checked.is_ok(), expected.is_some(), "{shape:?}");
    }
    let allowed = noise::fresh(set()) + noise::rounding(Bits::new(28));
    let bits = bits_within(set(), 30, allowed).unwrap();
    let ones = set().ring.polynomial_size as f64;
    let of = |bits| 30.0 * variance_under(set(), bits, ones);
    assert!(of(bits) <= allowed && of(Bits::new(bits.get() - 1)) > allowed);
}

#[test]
fn what_is_no_such_row_is_refused() {
    let public = PublicKey::generate(&SecretKey::generate(set()).unwrap()).unwrap();
    let shape = apart(30, 30, 1, 28);
    let bytes = encrypted(&public, &shape, 3);
    let decode = |bytes: &[u8], rows, row| decode_linear_under(&shape, form(rows), bytes, row);
    for (bytes, rows) in [
        (&bytes[1..], 3),
        (&bytes, 4),
        (&bytes, usize::MAX),
        (&[], 3),
    ] {
        assert!(matches!(
            decode(bytes, rows, 0),
            Err(SchemeError::Length { .. })
        ));
    }
    assert!(matches!(
        decode(&bytes, 3, 3),
        Err(SchemeError::Count { what: "rows", .. })
    ));
    assert!(matches!(
        decode_linear_under(
            &shape,
            GroupForm::single(set()),
            &bytes[..shape.bytes_under(1)],
            0
        ),
        Err(SchemeError::Length { .. })
    ));
    let refused = |shape: InputShape, values: InputValues| {
        encrypt_rows_under(&public, &[shape], form(1), &[[values]]).unwrap_err()
    };
    let other = ParameterSet::by_name("cipherfn-128-n2048-m11-v1").unwrap();
    let of_other = InputShape::Features(LinearQueryShape {
        set: other,
        ..shape
    });
    assert!(matches!(
        refused(of_other, InputValues::Features(values(&shape, 0))),
        SchemeError::ParameterSetMismatch { .. }
    ));
    assert!(matches!(
        refused(InputShape::Features(shape), InputValues::Bits(vec![true])),
        SchemeError::OtherInput { .. }
    ));
    let several = ParameterSet::by_name("cipherfn-128-n512k4-v1").unwrap();
    for shape in [
        InputShape::Features(LinearQueryShape {
            set: several,
            ..shape
        }),
        InputShape::Features(apart(30, 30, 1, 44)),
    ] {
        let error = refused(shape, InputValues::Features(vec![0; 30]));
        assert!(matches!(error, SchemeError::NotPublic { .. }), "{error}");
    }
}
