use super::{PackedShape, Remainder, decrypt_packed, pack};
use crate::error::SchemeError;
use crate::glwe::Glwe;
use crate::keys::{EvaluationKey, ExpandedEvaluationKey, SecretKey};
use crate::parameters::ParameterSet;
use crate::random::reproducible;
use crate::reply::ReplyShape;
use crate::testing::Noiseless;
use cipherfn_protocol::specs::Bits;

const WIDE: &str = "cipherfn-128-n2048-m11-v1";
const BALANCED: &str = "cipherfn-128-n2048-m8-v1";
const KEYLESS: &str = "cipherfn-128-n512k4-v1";

fn row(set: &str, coefficients: usize, stride: usize) -> ReplyShape {
    ReplyShape {
        set: ParameterSet::by_name(set).unwrap(),
        coefficients,
        stride,
        bits: Bits::new(24),
    }
}

fn keys(set: &str) -> (SecretKey, ExpandedEvaluationKey) {
    let secret = SecretKey::generate(ParameterSet::by_name(set).unwrap()).unwrap();
    let key = EvaluationKey::generate(&secret).unwrap().expand().unwrap();
    (secret, key)
}

/// The results of all rows, within 2^-18 of the torus: 24 bits of reply leave 2^-21.3.
fn round_trip(
    (secret, key): &(SecretKey, ExpandedEvaluationKey),
    shape: &PackedShape,
    inputs: &[Noiseless],
    missing: Option<usize>,
) {
    let results: Vec<Option<Glwe>> = (0..shape.rows)
        .map(|row| (missing != Some(row)).then(|| inputs[row % inputs.len()].glwe.clone()))
        .collect();
    let reply = pack(key, shape, &results).unwrap();
    assert_eq!(reply.len(), shape.bytes());
    let phases = decrypt_packed(secret, shape, &reply).unwrap();
    let rows = phases.chunks_exact(shape.row.coefficients);
    assert_eq!(rows.len(), shape.rows);
    for (row, phases) in rows.enumerate() {
        for (index, phase) in phases.iter().enumerate() {
            let expected = match missing {
                Some(missing) if missing == row => 0,
                _ => inputs[row % inputs.len()].message[index * shape.row.stride],
            };
            let error = phase.wrapping_sub(expected as i64);
            assert!(
                error.unsigned_abs() < 1 << 46,
                "{shape:?}: row {row}, coefficient {index}: {error}"
            );
        }
    }
}

/// One score, several side by side, several at a stride that keeps them together; full and not; and
/// a row without result reads as zero without harm to the others.
#[test]
fn results_come_back() {
    reproducible::seeds("results_come_back");
    let keys = keys(WIDE);
    let inputs: Vec<Noiseless> = (0..8)
        .map(|index| Noiseless::random(&keys.0, index))
        .collect();
    for (coefficients, stride, rows) in [(1, 1, 1), (1, 1, 33), (3, 1, 5), (4, 512, 9), (3, 512, 9)]
    {
        for remainder in [Remainder::Noise, Remainder::Data] {
            let shape = PackedShape {
                row: row(WIDE, coefficients, stride),
                rows,
                remainder,
            };
            round_trip(&keys, &shape, &inputs, None);
            round_trip(&keys, &shape, &inputs, Some(rows - 1));
        }
    }
}

/// The key of eight levels packs results beside noise: here zero in place of it.
#[test]
fn the_short_key_packs_results_beside_noise() {
    reproducible::seeds("the_short_key_packs_results_beside_noise");
    let keys = keys(BALANCED);
    let inputs: Vec<Noiseless> = (0..8)
        .map(|index| {
            let mut input = Noiseless::random(&keys.0, index);
            // Takes the message off again, but for coefficient 0.
            for (body, message) in input.glwe.body.iter_mut().zip(&input.message).skip(1) {
                *body = body.wrapping_sub(*message);
            }
            input
        })
        .collect();
    for rows in [1, 10, 256] {
        let shape = PackedShape {
            row: row(BALANCED, 1, 1),
            rows,
            remainder: Remainder::Noise,
        };
        round_trip(&keys, &shape, &inputs, None);
    }
}

#[test]
fn capacity() {
    let most = |set, coefficients, stride, remainder| {
        PackedShape::most_rows(&row(set, coefficients, stride), remainder)
    };
    assert_eq!(most(WIDE, 1, 1, Remainder::Data), 2048);
    assert_eq!(most(WIDE, 3, 1, Remainder::Data), 682);
    // Together: 512 rows. Data at the fourth multiple of 512 must not come along.
    assert_eq!(most(WIDE, 3, 512, Remainder::Noise), 512);
    assert_eq!(most(WIDE, 3, 512, Remainder::Data), 682);
    assert_eq!(most(WIDE, 4, 512, Remainder::Data), 512);
    assert_eq!(most(BALANCED, 1, 1, Remainder::Noise), 256);
    assert_eq!(most(KEYLESS, 1, 1, Remainder::Noise), 0);
    // 64 results of 20 bits.
    let shape = PackedShape {
        row: ReplyShape {
            bits: Bits::new(20),
            ..row(WIDE, 1, 1)
        },
        rows: 64,
        remainder: Remainder::Noise,
    };
    assert_eq!(shape.bytes(), (2048 + 64) * 20 / 8);
}

#[test]
fn misuse_is_named() {
    let (secret, key) = keys(BALANCED);
    let shape = PackedShape {
        row: row(BALANCED, 1, 1),
        rows: 2,
        remainder: Remainder::Noise,
    };
    let data = PackedShape {
        remainder: Remainder::Data,
        ..shape
    };
    assert!(matches!(
        pack(&key, &data, &[None, None]),
        Err(SchemeError::CannotClear { kept: 256, .. })
    ));
    for rows in [0, 257] {
        assert!(matches!(
            decrypt_packed(&secret, &PackedShape { rows, ..shape }, &[]),
            Err(SchemeError::Shape { .. })
        ));
    }
    assert!(matches!(
        pack(&key, &shape, &[None]),
        Err(SchemeError::Count {
            expected: 2,
            found: 1,
            ..
        })
    ));
    assert!(matches!(
        decrypt_packed(&secret, &shape, &[0; 7]),
        Err(SchemeError::Length { .. })
    ));
    let foreign = keys(WIDE).0;
    assert!(matches!(
        decrypt_packed(&foreign, &shape, &[0; 7]),
        Err(SchemeError::ParameterSetMismatch { .. })
    ));
}
