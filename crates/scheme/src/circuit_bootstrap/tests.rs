//! Selectors of numbers against their variance, under keys from fixed seeds.

use super::{comparison_variance, noise, selectors};
use crate::bootstrap::{Levelled, Lwe};
use crate::error::SchemeError;
use crate::glwe::Glwe;
use crate::keys::{EvaluationKey, ExpandedEvaluationKey, SecretKey};
use crate::noise::cmux;
use crate::parameters::{Packing, ParameterSet};
use crate::random::reproducible;
use crate::selectors::FourierSelectors;
use crate::testing::{Noiseless, check, phases, tfhe_cmux};
use cipherfn_protocol::specs::{BaseLog, Gadget, Levels};

const PRECISE: &str = "bootstrap-precise";
const DEEP: &str = "bootstrap-deep";

fn set() -> (&'static ParameterSet, &'static Packing) {
    let set = ParameterSet::by_name("cipherfn-128-n2048-m11-v1").unwrap();
    (set, set.packing().unwrap())
}

fn gadget(base_log: u32, levels: u32) -> Gadget {
    Gadget::new(BaseLog::new(base_log), Levels::new(levels))
}

fn keys(name: &str) -> (SecretKey, ExpandedEvaluationKey) {
    let secret = SecretKey::generate(set().0).unwrap();
    let mut key = EvaluationKey::generate(&secret).unwrap().expand().unwrap();
    key.add(&EvaluationKey::generate_part(&secret, name).unwrap())
        .unwrap();
    (secret, key)
}

fn word(z: f64) -> u64 {
    (z * 2f64.powi(64)).round() as i128 as u64
}

/// An encryption of z without noise among coefficients of any value.
fn number(secret: &SecretKey, index: usize, z: f64) -> Lwe<Levelled> {
    let Noiseless { glwe, message } = Noiseless::random(secret, index);
    let mut number = Lwe::extract(&glwe, 0);
    number.add_constant(word(z).wrapping_sub(message[0]));
    number
}

/// What a CMUX of random branches by each selector differs by from the branch that its bit chooses, in
/// every coefficient.
fn errors(secret: &SecretKey, selectors: &FourierSelectors, bits: &[bool]) -> Vec<f64> {
    let sides = [0, 1].map(|index| Noiseless::random(secret, 1000 + index));
    let mut errors = Vec::new();
    for (index, bit) in bits.iter().enumerate() {
        let Glwe { mask, body } = tfhe_cmux(selectors, index, &sides[0].glwe, &sides[1].glwe);
        let found = phases(secret, &mask, &body);
        let message = &sides[usize::from(*bit)].message;
        errors.extend(
            found.iter().zip(message).map(|(found, message)| {
                found.wrapping_sub(*message) as i64 as f64 * 2f64.powi(-64)
            }),
        );
    }
    errors
}

/// Forty numbers a bootstrap, at least ten deviations of the comparison away from its edges, so that a
/// wrong bit is no chance; a wrong one is an error of the size of the torus. Of a CMUX's error the
/// factor of each level is one error of the bootstrap: 80 to 120 samples give the deviation within 8 %,
/// so 0.5 bit is five times their spread.
#[test]
fn numbers_choose() {
    reproducible::seeds("numbers_choose");
    let (set, packing) = set();
    for (name, gadget) in [(PRECISE, gadget(6, 3)), (DEEP, gadget(8, 2))] {
        let (secret, key) = keys(name);
        let bootstrap = key.bootstrap(name).unwrap();
        let parameters = bootstrap.parameters();
        let compared = comparison_variance(set, parameters, gadget).deviation();
        println!("{name}: compared with an error of 2^{:.2}", compared.log2());
        let nearest = 10.0 * compared.get();
        let zs: Vec<f64> = (0..40)
            .map(|i| nearest + (0.5 - 2.0 * nearest) * f64::from(i / 2) / 19.0)
            .zip([1.0, -1.0].into_iter().cycle())
            .map(|(z, sign)| z * sign)
            .collect();
        let numbers: Vec<Lwe<Levelled>> = (0..)
            .zip(&zs)
            .map(|(index, z)| number(&secret, index, *z))
            .collect();
        let mut found = Vec::new();
        for (numbers, zs) in numbers.chunks(16).zip(zs.chunks(16)) {
            let selectors = selectors(&key, bootstrap, gadget, numbers).unwrap();
            let bits: Vec<bool> = zs.iter().map(|z| *z >= 0.0).collect();
            found.extend(errors(&secret, &selectors, &bits));
        }
        let predicted = cmux(set, gadget, &noise(set, packing, parameters));
        check(name, predicted, &found, 0.5);
    }
}

#[test]
fn what_makes_no_selector_is_refused() {
    reproducible::seeds("what_makes_no_selector_is_refused");
    let (secret, key) = keys(PRECISE);
    let bootstrap = key.bootstrap(PRECISE).unwrap();
    let numbers = [number(&secret, 0, 0.2)];
    for gadget in [gadget(16, 4), gadget(0, 3)] {
        assert!(matches!(
            selectors(&key, bootstrap, gadget, &numbers),
            Err(SchemeError::Shape { .. })
        ));
    }
    let none = selectors(&key, bootstrap, gadget(8, 2), &[]).unwrap();
    assert!(none.is_empty());
}
