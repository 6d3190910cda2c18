use super::{
    Batch, BatchShape, Residual, Watch, Weights, encrypt_batch, encrypt_batch_under,
    product_variance, public_product_variance, residual_variance, step, update_variance,
    watch_variance,
};
use crate::error::SchemeError;
use crate::keys::{EvaluationKey, ExpandedEvaluationKey, SecretKey};
use crate::noise::Variance;
use crate::parameters::ParameterSet;
use crate::public::PublicKey;
use crate::random::reproducible;
use crate::testing::check;

const PART: &str = "bootstrap-precise";
const FEATURES: usize = 5;
/// |z| on the table's half of the torus.
const RANGE: f64 = 16.0;
/// A residual of 1, as a fraction of the torus: a rate of 1 with 256 rows and features of unit 4.
const UNIT: f64 = 1.0 / (4.0 * RANGE * 4.0) / (256.0 * 4.0);

fn set() -> &'static ParameterSet {
    ParameterSet::by_name("cipherfn-128-n2048-m11-v1").unwrap()
}

fn keys() -> (SecretKey, ExpandedEvaluationKey) {
    let secret = SecretKey::generate(set()).unwrap();
    let mut key = EvaluationKey::generate(&secret).unwrap().expand().unwrap();
    for part in ["inverse", PART] {
        key.add(&EvaluationKey::generate_part(&secret, part).unwrap())
            .unwrap();
    }
    (secret, key)
}

/// The logistic function less one half, of z as a fraction of the torus.
fn sigmoid(z: f64) -> f64 {
    1.0 / (1.0 + (-4.0 * RANGE * z).exp()) - 0.5
}

/// Rows of a class each: the first two features tell it.
fn rows(count: usize) -> Vec<Vec<i32>> {
    let feature = |row: usize, column: usize| {
        let random = (row * FEATURES + column + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 59;
        let noise = random as i32 % 13 - 6;
        if column < 2 { noise / 2 + 3 } else { noise }
    };
    let row = |row| (0..FEATURES).map(|column| feature(row, column)).collect();
    (0..count).map(row).collect()
}

fn fraction(word: u64) -> f64 {
    word as i64 as f64 * 2f64.powi(-64)
}

/// Three steps on 48 rows, the second on a part of them, under each of two keys, for the second one with rows at
/// odd places negated, against the same steps in the clear from the decrypted weights: 30 errors in units
/// of their predicted deviation, of which the 96 residuals of a key's steps are shared by its weights: within
/// 0.5 bits. The residuals' errors are the look-up's for the most part.
#[test]
fn steps_are_those_in_the_clear() {
    reproducible::seeds("descent");
    let shape = BatchShape::new(set(), FEATURES).unwrap();
    assert_eq!((shape.samples(), shape.bytes()), (256, 49_168));
    let rows = rows(48);
    let negated = |row: &Vec<i32>| row.iter().map(|x| -x).collect();
    let others: Vec<Vec<i32>> = rows.iter().map(negated).collect();
    // Rows at odd places may be negated; what comes of them is the same.
    let slices = |alternates: bool| -> Vec<&[i32]> {
        let place = |place: usize| {
            if alternates && place % 2 == 1 {
                &others
            } else {
                &rows
            }
        };
        (0..rows.len()).map(|row| &place(row)[row][..]).collect()
    };
    let squares: f64 = rows.iter().flatten().map(|x| f64::from(x * x)).sum();
    let mut errors = Vec::new();
    for alternates in [false, true] {
        let (secret, key) = keys();
        let bootstrap = key.bootstrap(PART).unwrap();
        let parameters = bootstrap.parameters();
        let batch = encrypt_batch(&secret, &shape, &slices(alternates)).unwrap();
        let batch = Batch::read(&shape, &batch).unwrap();
        let residual =
            Residual::new(parameters, |z| UNIT * sigmoid(z), -0.5 * UNIT, alternates).unwrap();
        let mut weights = Weights::zero(&shape);
        let (mut watch, mut within, mut watched) = (Watch::none(set()), 0.0, (0, 0));
        for range in [0..48, 8..48, 0..48] {
            let rows = &rows[range.clone()];
            let before = weights.decrypt(&secret, &shape).unwrap();
            let before: Vec<f64> = before.into_iter().map(fraction).collect();
            let changed = (&mut weights, Some(&mut watch));
            step(&key, bootstrap, &batch, range, &residual, changed).unwrap();
            let after = weights.decrypt(&secret, &shape).unwrap();
            let form = |row: &Vec<i32>| -> f64 {
                row.iter()
                    .zip(&before)
                    .map(|(x, w)| f64::from(*x) * w)
                    .sum()
            };
            let forms: Vec<f64> = rows.iter().map(form).collect();
            // The tables a quarter of the torus further, where they are flat.
            within += forms
                .iter()
                .map(|z| UNIT * sigmoid(0.25 - z.abs()))
                .sum::<f64>();
            watched = (watched.0 + rows.len(), watched.1 + 1);
            let bytes = watch.to_bytes();
            let read = Watch::read_sets(set(), 1, &bytes).unwrap();
            let error = fraction(read[0].decrypt(&secret).unwrap()) - within;
            let predicted = watch_variance(set(), parameters, watched).deviation().get();
            assert!(error.abs() < 6.0 * predicted, "{error} {predicted}");
            assert!(within > 20.0 * predicted, "{within} {predicted}");
            assert!(Watch::read_sets(set(), 2, &bytes).is_err());
            for (j, (after, before)) in after.into_iter().zip(&before).enumerate() {
                let own = rows.iter().zip(&forms);
                let expected: f64 = own
                    .clone()
                    .map(|(row, z)| f64::from(row[j]) * UNIT * (sigmoid(*z) - 0.5))
                    .sum();
                let residuals: Variance = own
                    .map(|(row, z)| {
                        let slope = UNIT * 4.0 * RANGE * (0.25 - sigmoid(*z).powi(2));
                        let of_z = product_variance(set(), squares);
                        let square = f64::from(row[j] * row[j]);
                        square * residual_variance(set(), parameters, slope, of_z)
                    })
                    .sum();
                let product = product_variance(set(), squares);
                let predicted = update_variance(&shape, residuals, product)
                    .deviation()
                    .get();
                errors.push((fraction(after) - before + expected) / predicted);
                // The step is far above its error.
                assert!(
                    j >= 2 || expected.abs() > 5.0 * predicted,
                    "{expected} {predicted}"
                );
            }
        }
    }
    check("updates", Variance::new(1.0), &errors, 0.5);
}

/// Products of batches of owners with weights, under two keys and four batches each: of two rows, so that the
/// error is the public key's for the most part, and not what the gadget leaves of rows that are alike. 16,384
/// errors, of which those of a key share its public key's: within 0.2 bits.
#[test]
fn rows_under_a_public_key_weigh_as_the_key_holder_s_do() {
    reproducible::seeds("owners");
    let shape = BatchShape::new(set(), FEATURES).unwrap();
    assert_eq!(shape.public_bytes(), 96_256);
    let rows: [[i32; FEATURES]; 2] = [[1, -1, 1, 1, -1], [-1, 1, 1, -1, 1]];
    let slices: Vec<&[i32]> = rows.iter().map(|row| &row[..]).collect();
    let squares: f64 = rows.iter().flatten().map(|x| f64::from(x * x)).sum();
    let mut errors = Vec::new();
    for _ in 0..2 {
        let secret = SecretKey::generate(set()).unwrap();
        let public = PublicKey::generate(&secret).unwrap();
        for number in 0..4u64 {
            let words: Vec<u64> = (1..=FEATURES as u64)
                .map(|j| (j + number).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 6)
                .collect();
            let weights = Weights::encrypt(&secret, &shape, &words).unwrap();
            let batch = encrypt_batch_under(&public, &shape, &slices).unwrap();
            assert_eq!(batch.len(), shape.public_bytes());
            let product = Batch::read_public(&shape, &batch)
                .unwrap()
                .times(&weights.0);
            let mut multiplier = secret.multiplier();
            let under_key = multiplier.product(&product.mask).to_vec();
            let expected = products(&shape, &slices, &words);
            let phases = product.body.iter().zip(under_key);
            errors.extend(phases.zip(expected).map(|((body, own), expected)| {
                fraction(body.wrapping_sub(own).wrapping_sub(expected))
            }));
        }
    }
    let predicted = public_product_variance(set(), squares);
    check("products", predicted, &errors, 0.2);
    let holder = product_variance(set(), squares);
    println!(
        "deviations 2^{:.2} under the public key, 2^{:.2} under the secret one",
        predicted.deviation().get().log2(),
        holder.deviation().get().log2()
    );
}

/// Rows times weights as words, without any error.
fn products(shape: &BatchShape, rows: &[&[i32]], weights: &[u64]) -> Vec<u64> {
    let size = set().ring.polynomial_size;
    let p = shape.polynomial(rows).unwrap();
    let mut out = vec![0u64; size];
    for (feature, weight) in weights.iter().enumerate() {
        let (place, negated) = shape.weight(feature);
        let weight = if negated {
            weight.wrapping_neg()
        } else {
            *weight
        };
        for (at, word) in p.iter().enumerate() {
            let product = word.wrapping_mul(weight);
            let to = at + place;
            let own = &mut out[to % size];
            *own = if to < size {
                own.wrapping_add(product)
            } else {
                own.wrapping_sub(product)
            };
        }
    }
    out
}

#[test]
fn what_does_not_fit_is_refused() {
    assert!(BatchShape::new(set(), 0).is_err());
    assert!(BatchShape::new(set(), 2049).is_err());
    let several = ParameterSet::by_name("cipherfn-128-n512k4-v1").unwrap();
    assert!(BatchShape::new(several, 5).is_err());
    let shape = BatchShape::new(set(), 1000).unwrap();
    let secret = SecretKey::generate(set()).unwrap();
    let row = vec![1; 1000];
    assert!(matches!(
        encrypt_batch(&secret, &shape, &[&row, &row, &row]),
        Err(SchemeError::Count { .. })
    ));
    assert!(matches!(
        encrypt_batch(&secret, &shape, &[&row[1..]]),
        Err(SchemeError::Count { .. })
    ));
    let mut large = row.clone();
    large[7] = 1 << 16;
    assert!(matches!(
        encrypt_batch(&secret, &shape, &[&large]),
        Err(SchemeError::Shape { .. })
    ));
    let batch = encrypt_batch(&secret, &shape, &[&row]).unwrap();
    assert!(matches!(
        Batch::read(&shape, &batch[1..]),
        Err(SchemeError::Length { .. })
    ));
    let public = PublicKey::generate(&secret).unwrap();
    assert!(matches!(
        encrypt_batch_under(&public, &shape, &[&large]),
        Err(SchemeError::Shape { .. })
    ));
    let own = encrypt_batch_under(&public, &shape, &[&row]).unwrap();
    for bytes in [&batch[..], &own[1..]] {
        assert!(matches!(
            Batch::read_public(&shape, bytes),
            Err(SchemeError::Length { .. })
        ));
    }
}
