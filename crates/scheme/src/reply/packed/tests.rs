use super::{PackedShape, decrypt_packed, pack};
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
        let shape = PackedShape {
            row: row(WIDE, coefficients, stride),
            rows,
        };
        round_trip(&keys, &shape, &inputs, None);
        round_trip(&keys, &shape, &inputs, Some(rows - 1));
    }
}

#[test]
fn capacity() {
    let most = |set, coefficients, stride| PackedShape::most_rows(&row(set, coefficients, stride));
    assert_eq!(most(WIDE, 1, 1), 2048);
    assert_eq!(most(WIDE, 3, 1), 682);
    // Together: 512 rows. What stands at the fourth multiple of 512 must not come along.
    assert_eq!(most(WIDE, 4, 512), 512);
    assert_eq!(most(WIDE, 3, 512), 682);
    // Eight levels leave every 256th coefficient as it is.
    assert_eq!(most(BALANCED, 1, 1), 0);
    assert_eq!(most(KEYLESS, 1, 1), 0);
    // 64 results of 20 bits.
    let shape = PackedShape {
        row: ReplyShape {
            bits: Bits::new(20),
            ..row(WIDE, 1, 1)
        },
        rows: 64,
    };
    assert_eq!(shape.bytes(), (2048 + 64) * 20 / 8);
}

#[test]
fn misuse_is_named() {
    let (secret, key) = keys(WIDE);
    let shape = PackedShape {
        row: row(WIDE, 1, 1),
        rows: 2,
    };
    let short = PackedShape {
        row: row(BALANCED, 1, 1),
        rows: 2,
    };
    assert!(matches!(
        pack(&key, &short, &[None, None]),
        Err(SchemeError::CannotClear { kept: 256, .. })
    ));
    for rows in [0, 2049] {
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
    let foreign = keys(BALANCED).0;
    assert!(matches!(
        decrypt_packed(&foreign, &shape, &[0; 7]),
        Err(SchemeError::ParameterSetMismatch { .. })
    ));
}
