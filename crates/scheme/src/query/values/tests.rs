use super::{ValueShape, encrypt_values, expand_values};
use crate::carriers::FourierCarriers;
use crate::error::SchemeError;
use crate::fourier::Transform;
use crate::keys::{EvaluationKey, ExpandedEvaluationKey, SecretKey};
use crate::noise;
use crate::parameters::{Depth, ParameterSet};
use crate::query::{Cursor, Encryption, GroupForm};
use crate::random::reproducible;
use crate::testing::{check, phases};

const WIDE: &str = "cipherfn-128-n2048-m11-v1";

fn keys() -> (SecretKey, ExpandedEvaluationKey) {
    let secret = SecretKey::generate(ParameterSet::by_name(WIDE).unwrap()).unwrap();
    let key = EvaluationKey::generate(&secret).unwrap().expand().unwrap();
    (secret, key)
}

fn shape(values: usize) -> ValueShape {
    let set = ParameterSet::by_name(WIDE).unwrap();
    ValueShape { set, values }
}

fn form(rows: usize) -> GroupForm {
    let depth = Depth::new(11);
    GroupForm {
        depth,
        rows,
        encryption: Encryption::Secret,
    }
}

fn value(row: usize, index: usize) -> u64 {
    ((row * 31 + index + 1) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

fn rows(count: usize, values: usize) -> Vec<Vec<u64>> {
    (0..count)
        .map(|row| (0..values).map(|index| value(row, index)).collect())
        .collect()
}

/// The phases of a carrier's coefficients.
fn opened(secret: &SecretKey, carriers: &FourierCarriers, index: usize) -> Vec<u64> {
    let transform = Transform::new(2048);
    let mut scratch = transform.scratch();
    let (mask, body) = carriers.get(index).split_at(1024);
    let [mask, body] = [mask, body].map(|values| {
        let mut words = vec![0; 2048];
        transform.backward_torus(&mut words, values, &mut scratch);
        words
    });
    phases(secret, &mask, &body)
}

/// 600 values of rows that fill two ciphertexts, under each of two keys: the error at the constant
/// coefficient within 0.2 bit of the prediction, and nothing but a smaller one elsewhere.
#[test]
fn carriers_have_the_value_and_the_predicted_error() {
    reproducible::seeds("carriers");
    let (shape, form) = (shape(3), form(700));
    let packing = shape.set.packing().unwrap();
    let predicted = noise::carrier(shape.set, packing);
    let elsewhere = noise::expanded(shape.set, packing, packing.depth()).body;
    let (mut constants, mut others) = (Vec::new(), Vec::new());
    for _ in 0..2 {
        let (secret, key) = keys();
        let bytes = encrypt_values(&secret, &shape, form, &rows(700, 3)).unwrap();
        assert_eq!(bytes.len(), 16 + 2 * 2048 * 44 / 8);
        let mut out = FourierCarriers::zeroed(&shape.set.ring, 3);
        let mut cursor = Cursor::default();
        for row in (0..700).filter(|row| row % 7 < 2) {
            expand_values(&key, Some(&mut cursor), &shape, form, &bytes, row, &mut out).unwrap();
            for index in 0..3 {
                let phases = opened(&secret, &out, index);
                let error = |found: u64, expected: u64| {
                    found.wrapping_sub(expected) as i64 as f64 * 2f64.powi(-64)
                };
                constants.push(error(phases[0], value(row, index)));
                others.extend(
                    phases[1..]
                        .iter()
                        .step_by(100)
                        .map(|phase| error(*phase, 0)),
                );
            }
        }
    }
    check("carrier", predicted, &constants, 0.2);
    check("elsewhere", elsewhere, &others, 0.3);
}

/// A row alone, a row after the one before, and a row after a later one: bit for bit the same.
#[test]
fn cursors_change_nothing() {
    let (secret, key) = keys();
    let (shape, form) = (shape(5), form(450));
    let bytes = encrypt_values(&secret, &shape, form, &rows(450, 5)).unwrap();
    let expand = |cursor: Option<&mut Cursor>, row| {
        let mut out = FourierCarriers::zeroed(&shape.set.ring, 5);
        expand_values(&key, cursor, &shape, form, &bytes, row, &mut out).unwrap();
        (0..5)
            .flat_map(|index| out.get(index).to_vec())
            .collect::<Vec<_>>()
    };
    let mut cursor = Cursor::default();
    for row in [0, 1, 2, 6, 7, 3, 449, 408, 409, 410, 0] {
        assert!(
            expand(Some(&mut cursor), row) == expand(None, row),
            "row {row}"
        );
    }
    // Other values under the cursor of these.
    let other = encrypt_values(&secret, &shape, form, &rows(450, 5)).unwrap();
    let mut out = FourierCarriers::zeroed(&shape.set.ring, 5);
    expand_values(&key, Some(&mut cursor), &shape, form, &other, 1, &mut out).unwrap();
    let error = opened(&secret, &out, 0)[0].wrapping_sub(value(1, 0)) as i64;
    assert!(error.abs() < 1 << 40);
}

#[test]
fn what_does_not_fit_is_refused() {
    let (secret, key) = keys();
    let refused = |shape: ValueShape, form, rows: &[Vec<u64>]| {
        encrypt_values(&secret, &shape, form, rows)
            .unwrap_err()
            .to_string()
    };
    let found = refused(shape(2), form(1), &[vec![1]]);
    assert!(found.contains("values"), "{found}");
    let found = refused(shape(2), form(2), &rows(1, 2));
    assert!(found.contains("rows"), "{found}");
    let shallow = GroupForm {
        depth: Depth::new(8),
        rows: 1,
        encryption: Encryption::Secret,
    };
    let found = refused(shape(2), shallow, &rows(1, 2));
    assert!(found.contains("a depth of 8"), "{found}");
    let balanced = ValueShape {
        set: ParameterSet::by_name("cipherfn-128-n2048-m8-v1").unwrap(),
        values: 1,
    };
    assert!(matches!(
        balanced.check(shallow),
        Err(SchemeError::CannotClear { .. })
    ));
    let mut out = FourierCarriers::zeroed(&shape(2).set.ring, 2);
    let error = expand_values(&key, None, &shape(2), form(1), &[0; 20], 0, &mut out);
    assert!(matches!(error, Err(SchemeError::Length { .. })));
}
