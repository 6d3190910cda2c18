use super::sets::SETS;
use super::{Bootstrap, KeyPartContents, ParameterSet};
use crate::error::SchemeError;
use std::collections::HashSet;

/// log2 of the smallest standard deviation, as a fraction of the torus, that gives 128 bits of
/// security at a given key dimension with a 64-bit modulus: points of `tfhe`'s Gaussian curve,
/// linear between.
const SECURITY_CURVE: [(f64, f64); 3] = [(747.0, -15.94), (866.0, -18.90), (2048.0, -48.32)];

fn is_secure(dimension: usize, deviation_log2: f64) -> bool {
    let dimension = dimension as f64;
    let Some([(low, low_noise), (high, high_noise)]) = SECURITY_CURVE
        .array_windows()
        .find(|[low, high]| (low.0..=high.0).contains(&dimension))
    else {
        return false;
    };
    let least = low_noise + (high_noise - low_noise) * (dimension - low) / (high - low);
    deviation_log2 >= least
}

/// log2 of the standard deviation of TUniform(b): 2^b / 3^(1/2).
fn t_uniform(bound_log2: u32) -> f64 {
    f64::from(bound_log2) - 64.0 - 3f64.log2() / 2.0
}

/// Every bootstrap of every set.
fn bootstraps() -> impl Iterator<Item = (&'static ParameterSet, &'static str, &'static Bootstrap)> {
    SETS.iter().flat_map(|set| {
        set.parts
            .iter()
            .filter_map(move |part| match &part.contents {
                KeyPartContents::Bootstrap(bootstrap) => Some((set, part.name, bootstrap)),
                _ => None,
            })
    })
}

#[test]
fn every_set_is_on_the_secure_side_of_the_curve() {
    for set in ParameterSet::all() {
        assert!(
            is_secure(set.mask_len(), t_uniform(set.ring.noise_bound_log2)),
            "{}",
            set.name
        );
        assert!(set.ring.security_bits >= 128.0);
        assert!(!set.ring.source.is_empty());
    }
    for (_, name, Bootstrap { small, output, .. }) in bootstraps() {
        assert!(is_secure(small.mask_len(), small.deviation_log2), "{name}");
        let output_noise = t_uniform(output.noise_bound_log2);
        assert!(is_secure(output.mask_len(), output_noise), "{name}");
        assert!(small.security_bits >= 128.0 && output.security_bits >= 128.0);
        assert!(!small.source.is_empty() && !output.source.is_empty());
    }
}

#[test]
fn the_curve_refuses_insecure_pairs() {
    const INSECURE_GAUSSIAN_PAIRS: [(usize, f64); 3] =
        [(768, -16.47), (896, -19.65), (512, -16.45)];
    const INSECURE_PAIRS: [(usize, u32); 5] =
        [(2048, 15), (1024, 17), (1024, 40), (512, 17), (4096, 3)];
    for (dimension, noise) in INSECURE_PAIRS {
        assert!(
            !is_secure(dimension, t_uniform(noise)),
            "{dimension}, TUniform({noise})"
        );
    }
    assert!(is_secure(1024, t_uniform(42)));
    for (dimension, deviation_log2) in INSECURE_GAUSSIAN_PAIRS {
        assert!(
            !is_secure(dimension, deviation_log2),
            "{dimension}, Gaussian of 2^{deviation_log2}"
        );
    }
}

/// `tfhe`'s own formulas for 132 bits with these distributions.
#[test]
fn tfhe_agrees() {
    use tfhe::core_crypto::commons::noise_formulas::secure_noise::{
        minimal_lwe_bound_for_132_bits_security_tuniform,
        minimal_lwe_variance_for_132_bits_security_gaussian,
    };
    use tfhe::core_crypto::prelude::LweDimension;
    let modulus = 2f64.powi(64);
    let rings = SETS.iter().map(|set| (set.name, &set.ring));
    let outputs = bootstraps().map(|(_, name, bootstrap)| (name, &bootstrap.output));
    for (name, ring) in rings.chain(outputs) {
        let least = minimal_lwe_bound_for_132_bits_security_tuniform(
            LweDimension(ring.mask_len()),
            modulus,
        );
        assert!(ring.noise_bound_log2 >= least, "{name}: {least}");
    }
    for (_, name, Bootstrap { small, .. }) in bootstraps() {
        let dimension = LweDimension(small.mask_len());
        let least = minimal_lwe_variance_for_132_bits_security_gaussian(dimension, modulus);
        assert!(
            2.0 * small.deviation_log2 >= least.0.log2(),
            "{name}: {least:?}"
        );
    }
}

/// Keys can be read as polynomials of one another's sizes, bodies are whole bytes, and what does not
/// travel of them lies well below their noise.
#[test]
fn bootstraps_are_whole() {
    for (set, name, bootstrap) in bootstraps() {
        let (small, output) = (&bootstrap.small, &bootstrap.output);
        assert_eq!(output.mask_len(), set.mask_len(), "{name}");
        assert_eq!(set.mask_len() % small.polynomial_size, 0, "{name}");
        assert_eq!(output.mask_len() % set.ring.polynomial_size, 0, "{name}");
        let kept = f64::from(small.body_bits.get()) + small.deviation_log2;
        assert!(kept > 4.0, "{name}: {kept} bits of noise");
        for section in bootstrap.sections(set).all() {
            assert_eq!(section.size * section.body_bits.get() as usize % 8, 0);
        }
        for gadget in [bootstrap.rotation, bootstrap.key_switch, bootstrap.back] {
            assert!(gadget.bits() < 48, "{name}");
        }
    }
}

/// As for the sets: a change of any number turns old keys away.
#[test]
fn numbers_of_parts_stay_as_published() {
    let parts = |set: &'static ParameterSet| set.parts.iter().map(move |part| (set, part));
    let hashes: Vec<_> = SETS
        .iter()
        .flat_map(parts)
        .filter(|(_, part)| part.file_version > 1)
        .map(|(set, part)| (part.name, part.hash(set).short()))
        .collect();
    let published = [
        ("expansion", "541aa15f"),
        ("inverse", "7adfd5eb"),
        ("bootstrap-fast", "c8bd9bd4"),
        ("bootstrap-precise", "af967ff7"),
        ("bootstrap-deep", "083c27d4"),
    ];
    assert_eq!(
        hashes,
        published.map(|(name, hash)| (name, hash.to_owned()))
    );
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
