use super::{PublicCiphertext, PublicKey, signed_product, variance};
use crate::error::SchemeError;
use crate::keys::{RingKey, SecretKey};
use crate::noise::{DEVIATIONS_40, KEY_MARGIN};
use crate::parameters::ParameterSet;
use crate::random::reproducible;
use crate::testing;
use cipherfn_protocol::frame::FrameError;

fn set() -> &'static ParameterSet {
    ParameterSet::by_name("cipherfn-128-n2048-m11-v1").unwrap()
}

#[test]
fn products_with_signs() {
    // The first bit and the fourth one are set: 1 - X - X^2 + X^3 - X^4 - ...
    let mut bits = [0; 64];
    bits[0] = 0b1001;
    let u = RingKey::new(&bits, 512);
    let mut input = [0; 512];
    input[1] = 5;
    let product = signed_product(&u, &input);
    // Times 5 X; the last coefficient, -1, wraps to the front as 1.
    let minus = 5u64.wrapping_neg();
    assert_eq!(product[..6], [5, 5, minus, minus, 5, minus]);
    assert!(product[6..].iter().all(|word| *word == minus));
}

/// Two public keys of one secret key, 32 ciphertexts of one owner and 4 sums of 64 under each: 2^17
/// and 2^14 errors, standard deviation within 0.05 and 0.1 bits. Sums of 64 have 64 times the
/// variance and no more: what all of them share, the public key's error, does not add up.
#[test]
fn errors_have_the_variance() {
    reproducible::seeds("public key noise");
    let key = SecretKey::generate(set()).unwrap();
    let size = set().ring.polynomial_size;
    let message: Vec<u64> = (0..size as u64).map(|i| i << 52).collect();
    let errors = |words: &[u64], times: u64| -> Vec<f64> {
        let expected = message.iter().map(|word| word.wrapping_mul(times));
        let errors = words.iter().zip(expected);
        errors
            .map(|(word, expected)| word.wrapping_sub(expected) as i64 as f64 / 2f64.powi(64))
            .collect()
    };
    let (mut single, mut sums) = (Vec::new(), Vec::new());
    for _ in 0..2 {
        let public = PublicKey::generate(&key).unwrap();
        for _ in 0..4 {
            let mut sum = public.encrypt(&message).unwrap();
            for owner in 1..64 {
                let own = public.encrypt(&message).unwrap();
                if owner <= 8 {
                    single.extend(errors(&own.decrypt(&key).unwrap(), 1));
                }
                sum.add(&own).unwrap();
            }
            sums.extend(errors(&sum.decrypt(&key).unwrap(), 64));
        }
    }
    testing::check("one owner", variance(set()), &single, 0.05);
    testing::check("64 owners", 64.0 * variance(set()), &sums, 0.1);
}

/// 30 bits and more are left of a number after 10,000 owners, with the failure probability and the
/// margin that all guarantees have.
#[test]
fn ten_thousand_owners_leave_thirty_bits() {
    let deviation = (1e4 * variance(set())).deviation();
    let bits = -1.0 - (DEVIATIONS_40 * KEY_MARGIN * deviation.get()).log2();
    assert!((30.5..32.0).contains(&bits), "{bits}");
}

#[test]
fn files_and_ciphertexts_survive() {
    let key = SecretKey::generate(set()).unwrap();
    let public = PublicKey::generate(&key).unwrap();
    let bytes = public.to_file_bytes();
    assert_eq!(bytes.len(), PublicKey::file_bytes(set()));
    let again = PublicKey::from_file_bytes(&bytes).unwrap();
    assert_eq!(again.to_file_bytes(), bytes);
    assert_eq!(again.id(), key.id());
    for count in [1, 7, 2048, 2049] {
        let words: Vec<u64> = (0..count as u64).map(|i| i << 54).collect();
        let own = again.encrypt(&words).unwrap();
        let bytes = own.to_bytes();
        assert_eq!(bytes.len(), PublicCiphertext::bytes(set(), count));
        let read = PublicCiphertext::from_bytes(set(), count, &bytes).unwrap();
        assert_eq!(read, own);
        let decrypted = read.decrypt(&key).unwrap();
        assert_eq!(decrypted.len(), count);
        for (word, i) in decrypted.into_iter().zip(0u64..) {
            assert_eq!(word.wrapping_add(1 << 53) >> 54, i % 1024);
        }
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let public = PublicKey::generate(&SecretKey::generate(set()).unwrap()).unwrap();
    let mut one = public.encrypt(&[1]).unwrap();
    let two = public.encrypt(&[1, 2]).unwrap();
    assert!(matches!(one.add(&two), Err(SchemeError::Length { .. })));
    let many = public.encrypt(&vec![0; 2049]).unwrap();
    assert!(matches!(one.add(&many), Err(SchemeError::Count { .. })));
    assert!(matches!(
        PublicCiphertext::from_bytes(set(), 2, &one.to_bytes()),
        Err(SchemeError::Length { .. })
    ));
    let other = ParameterSet::by_name("cipherfn-128-n2048-m8-v1").unwrap();
    let other = SecretKey::generate(other).unwrap();
    assert!(matches!(
        one.decrypt(&other),
        Err(SchemeError::ParameterSetMismatch { .. })
    ));
    let several = ParameterSet::by_name("cipherfn-128-n512k4-v1").unwrap();
    let several = SecretKey::generate(several).unwrap();
    assert!(matches!(
        PublicKey::generate(&several),
        Err(SchemeError::Shape { .. })
    ));
    let mut bytes = public.to_file_bytes();
    bytes.pop();
    assert!(matches!(
        PublicKey::from_file_bytes(&bytes),
        Err(SchemeError::Frame(FrameError::Truncated { .. }))
    ));
}
