use super::ParameterSet;
use super::sets::SETS;
use crate::error::SchemeError;
use std::collections::HashSet;

/// log2 of the smallest standard deviation, as a fraction of the torus, that gives 128 bits of
/// security at a given key dimension with a 64-bit modulus: points of `tfhe`'s Gaussian curve,
/// linear between.
const SECURITY_CURVE: [(f64, f64); 3] = [(747.0, -15.94), (866.0, -18.90), (2048.0, -48.32)];

fn is_secure(dimension: usize, noise_bound_log2: u32) -> bool {
    let dimension = dimension as f64;
    let Some([(low, low_noise), (high, high_noise)]) = SECURITY_CURVE
        .array_windows()
        .find(|[low, high]| (low.0..=high.0).contains(&dimension))
    else {
        return false;
    };
    let least = low_noise + (high_noise - low_noise) * (dimension - low) / (high - low);
    // Standard deviation of TUniform(b): 2^b / 3^(1/2).
    f64::from(noise_bound_log2) - 64.0 - 3f64.log2() / 2.0 >= least
}

#[test]
fn every_set_is_on_the_secure_side_of_the_curve() {
    for set in ParameterSet::all() {
        assert!(
            is_secure(set.mask_len(), set.ring.noise_bound_log2),
            "{}",
            set.name
        );
        assert!(set.ring.security_bits >= 128.0);
        assert!(!set.ring.source.is_empty());
    }
}

#[test]
fn the_curve_refuses_insecure_pairs() {
    const INSECURE_PAIRS: [(usize, u32); 5] =
        [(2048, 15), (1024, 17), (1024, 40), (512, 17), (4096, 3)];
    for (dimension, noise) in INSECURE_PAIRS {
        assert!(
            !is_secure(dimension, noise),
            "{dimension}, TUniform({noise})"
        );
    }
    assert!(is_secure(1024, 42));
}

/// `tfhe`'s own formula for 132 bits with this distribution.
#[test]
fn tfhe_agrees() {
    use tfhe::core_crypto::commons::noise_formulas::secure_noise::minimal_lwe_bound_for_132_bits_security_tuniform;
    use tfhe::core_crypto::prelude::LweDimension;
    for set in ParameterSet::all() {
        let least = minimal_lwe_bound_for_132_bits_security_tuniform(
            LweDimension(set.mask_len()),
            2f64.powi(64),
        );
        assert!(set.ring.noise_bound_log2 >= least, "{}: {least}", set.name);
    }
}

#[test]
fn names_and_hashes_are_unique() {
    let names: HashSet<_> = SETS.iter().map(|set| set.name).collect();
    let hashes: HashSet<_> = SETS.iter().map(ParameterSet::hash).collect();
    assert_eq!((names.len(), hashes.len()), (SETS.len(), SETS.len()));
    for set in &SETS {
        assert_eq!(ParameterSet::by_name(set.name).unwrap(), set);
        assert!(set.name.ends_with(&format!("-v{}", set.version)));
    }
    let error = ParameterSet::by_name("cipherfn-12").unwrap_err();
    assert!(matches!(error, SchemeError::UnknownParameterSet { .. }));
    assert!(error.to_string().contains(SETS[0].name));
}

/// A change of any number changes the hash, and with it the tag of every key: old keys would be
/// refused, so the version must rise.
#[test]
fn numbers_stay_as_published() {
    let hashes = SETS.each_ref().map(|set| (set.name, set.hash().short()));
    let published = [
        ("cipherfn-128-n2048-m8-v1", "b85f5840"),
        ("cipherfn-128-n2048-m8-compact-v1", "1324bc39"),
        ("cipherfn-128-n512k4-v1", "09bfaeae"),
        ("cipherfn-128-n2048-m11-v1", "b928d048"),
    ];
    assert_eq!(
        hashes,
        published.map(|(name, hash)| (name, hash.to_owned()))
    );
}

#[test]
fn packings_are_whole() {
    for set in &SETS {
        let Some(packing) = set.packing() else {
            continue;
        };
        assert_eq!(set.ring.glwe_dimension, 1);
        assert!(packing.slots() <= set.ring.polynomial_size);
        assert_eq!(set.parts[0].name, "expansion");
        let names: HashSet<_> = set.parts.iter().map(|part| part.name).collect();
        assert_eq!(names.len(), set.parts.len());
        for gadget in set.parts.iter().flat_map(|part| part.contents.gadgets()) {
            assert!(gadget.bits() <= 64);
        }
    }
}
