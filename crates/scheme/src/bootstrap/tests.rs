//! Every operation against its variance, under keys from fixed seeds, and all of them in a row.

use super::key::Keys;
use super::{
    BootstrapKey, Levelled, Lwe, Small, Table, lookup_variance, module_switch, modulus_switch,
    rotation_variance,
};
use crate::error::SchemeError;
use crate::keys::{EvaluationKey, ExpandedEvaluationKey, RingKey, SecretKey};
use crate::noise::Variance;
use crate::parameters::{Bootstrap, KeyPart, KeyPartContents, ParameterSet};
use crate::random::reproducible;
use crate::reply::{self, PackedShape, ReplyShape};
use crate::seeded::Masks;
use crate::testing::Noiseless;
use cipherfn_protocol::specs::Bits;

const WIDE: &str = "cipherfn-128-n2048-m11-v1";
const FAST: &str = "bootstrap-fast";
const PRECISE: &str = "bootstrap-precise";
const DEEP: &str = "bootstrap-deep";

/// A secret key, what follows from it, and the part that a server has.
struct Sides {
    secret: SecretKey,
    keys: Keys,
    expanded: ExpandedEvaluationKey,
    name: &'static str,
}

impl Sides {
    fn new(name: &'static str) -> Self {
        let secret = SecretKey::generate(set()).unwrap();
        let part = EvaluationKey::generate_part(&secret, name).unwrap();
        let mut expanded = EvaluationKey::generate(&secret).unwrap().expand().unwrap();
        expanded.add(&part).unwrap();
        let keys = Keys::of(&secret, part.part(), parameters(part.part()));
        Self {
            secret,
            keys,
            expanded,
            name,
        }
    }

    fn key(&self) -> &BootstrapKey {
        self.expanded.bootstrap(self.name).unwrap()
    }

    fn small(&self, index: usize, z: f64) -> Lwe<Small> {
        noiseless(&self.keys.small, index, z)
    }

    fn levelled(&self, index: usize, z: f64) -> Lwe<Levelled> {
        noiseless(self.secret.ring(), index, z)
    }

    /// Numbers of the levelled ring, switched to the small key.
    fn switched<'a>(&self, numbers: &[f64], table: &'a Table) -> Vec<(Lwe<Small>, &'a Table)> {
        let switch = |(index, z): (usize, &f64)| {
            let number = self.levelled(index, *z);
            (self.key().from_levelled(&number).unwrap(), table)
        };
        numbers.iter().enumerate().map(switch).collect()
    }
}

fn set() -> &'static ParameterSet {
    ParameterSet::by_name(WIDE).unwrap()
}

fn bootstraps() -> impl Iterator<Item = &'static KeyPart> {
    let parts = set().parts.iter();
    parts.filter(|part| matches!(part.contents, KeyPartContents::Bootstrap(_)))
}

fn parameters(part: &'static KeyPart) -> &'static Bootstrap {
    match &part.contents {
        KeyPartContents::Bootstrap(bootstrap) => bootstrap,
        _ => panic!("a bootstrap"),
    }
}

fn word(z: f64) -> u64 {
    (z * 2f64.powi(64)).round() as i128 as u64
}

/// An encryption of z without noise; `index` chooses the mask.
fn noiseless<K>(key: &RingKey, index: usize, z: f64) -> Lwe<K> {
    let mut mask = vec![0; key.coefficients().len()];
    Masks::new((index as u128).to_le_bytes()).fill(&mut mask);
    let mut lwe = Lwe::new(mask, 0);
    lwe.body = word(z).wrapping_sub(phase_word(key, &lwe));
    lwe
}

fn phase_word<K>(key: &RingKey, lwe: &Lwe<K>) -> u64 {
    let products = lwe.mask.iter().zip(key.coefficients());
    products.fold(lwe.body, |phase, (word, bit)| {
        phase.wrapping_sub(word.wrapping_mul(*bit))
    })
}

/// The phase minus z, in [-1/2, 1/2).
fn error<K>(key: &RingKey, lwe: &Lwe<K>, z: f64) -> f64 {
    phase_word(key, lwe).wrapping_sub(word(z)) as i64 as f64 * 2f64.powi(-64)
}

/// Numbers that fill `[-bound, bound]`.
fn numbers(count: usize, bound: f64) -> Vec<f64> {
    (0..count)
        .map(|i| bound * (2.0 * (i as f64 + 0.5) / count as f64 - 1.0))
        .collect()
}

/// Holds errors to a variance: the standard deviation within 0.2 bit, which at 300 samples is three
/// to four times what it is off by, and no bias beyond five deviations of a mean.
fn check(what: &str, predicted: Variance, errors: &[f64]) {
    let count = errors.len() as f64;
    let mean = errors.iter().sum::<f64>() / count;
    let variance = errors.iter().map(|error| error * error).sum::<f64>() / count;
    let (bits, found) = (predicted.deviation().log2(), variance.log2() / 2.0);
    println!(
        "{what}: predicted 2^{bits:.2}, measured 2^{found:.2}, mean 2^{:.2}, {count} samples",
        mean.abs().log2()
    );
    assert!(
        (found - bits).abs() < 0.2,
        "{what}: predicted 2^{bits:.2}, measured 2^{found:.2}"
    );
    assert!(
        mean.abs() < 5.0 * predicted.deviation().get() / count.sqrt(),
        "{what}: mean {mean}"
    );
}

/// A function of z in [0, 1/2).
fn table(bootstrap: &Bootstrap, function: impl Fn(f64) -> f64) -> Table {
    let size = bootstrap.output.polynomial_size;
    let at = |i: u32| (f64::from(i) + 0.5) / (2 * size) as f64;
    let entries = (0..size as u32).map(|i| (i, word(function(at(i)))));
    Table::of_entries(bootstrap, &entries.collect::<Vec<_>>()).unwrap()
}

/// Coefficients of products in either ring come out as `body - mask key` at their position.
#[test]
fn extraction_is_exact() {
    reproducible::seeds("extraction_is_exact");
    let secret = SecretKey::generate(set()).unwrap();
    let Noiseless { glwe, message } = Noiseless::random(&secret, 0);
    for position in [0, 1, 700, 2047] {
        let lwe = Lwe::<Levelled>::extract(&glwe, position);
        assert_eq!(phase_word(secret.ring(), &lwe), message[position]);
    }
}

/// Both switches of each set: 600 numbers to s, 300 back.
#[test]
fn key_switches() {
    reproducible::seeds("key_switches");
    for name in [FAST, DEEP] {
        let sides = Sides::new(name);
        let (key, keys) = (sides.key(), &sides.keys);
        let to_small = module_switch::variance_to_small(set(), key.parameters());
        let mut errors = Vec::new();
        for (index, z) in numbers(600, 0.5).into_iter().enumerate() {
            let switched = key.from_levelled(&sides.levelled(index, z)).unwrap();
            errors.push(error(&keys.small, &switched, z));
        }
        check(&format!("{name}, to s"), to_small, &errors);
        let back = |(index, z): (usize, f64)| {
            let switched = key.to_levelled(&noiseless(&keys.output, index, z)).unwrap();
            let number = Lwe::<Levelled>::extract(&switched, 0);
            error(sides.secret.ring(), &number, z)
        };
        let errors: Vec<f64> = numbers(300, 0.5)
            .into_iter()
            .enumerate()
            .map(back)
            .collect();
        let predicted = module_switch::variance_to_levelled(set(), key.parameters());
        check(&format!("{name}, back to S1"), predicted, &errors);
    }
}

/// The modulus switch alone: 2,000 numbers against the middles of the steps that they fall in, of
/// tables of one, two and four functions.
#[test]
fn modulus_switches() {
    reproducible::seeds("modulus_switches");
    let secret = SecretKey::generate(set()).unwrap();
    for part in bootstraps() {
        let bootstrap = parameters(part);
        let keys = Keys::of(&secret, part, bootstrap);
        let bits = modulus_switch::bits(bootstrap);
        for functions_log2 in 0..3 {
            let error = |(index, z): (usize, f64)| {
                let number = noiseless(&keys.small, index, z);
                let step = modulus_switch::Switched::new(&number, bits, functions_log2)
                    .step(keys.small.coefficients());
                assert_eq!(step % (1 << functions_log2), 0);
                let middle = step as f64 + f64::from(1u32 << functions_log2) / 2.0;
                let middle = word(middle / f64::from(1u32 << bits));
                middle.wrapping_sub(word(z)) as i64 as f64 * 2f64.powi(-64)
            };
            let numbers = numbers(2000, 0.5).into_iter().enumerate();
            let errors: Vec<f64> = numbers.map(error).collect();
            let predicted = modulus_switch::variance_shared(bootstrap, functions_log2);
            check(part.name, predicted, &errors);
        }
    }
}

/// The rotation's own error: of a table with one value, at four coefficients of 48 numbers a set,
/// in batches of any size.
#[test]
fn rotations() {
    reproducible::seeds("rotations");
    for part in bootstraps() {
        let sides = Sides::new(part.name);
        let key = sides.key();
        assert_eq!(key.memory_len(), part.expanded_bytes(set()));
        let table = table(key.parameters(), |_| 0.125);
        let all: Vec<(Lwe<Small>, &Table)> = numbers(48, 0.48)
            .into_iter()
            .enumerate()
            .map(|(index, z)| (sides.small(index, z), &table))
            .collect();
        let mut errors = Vec::new();
        for numbers in [&all[..1], &all[1..4], &all[4..]] {
            for (rotated, (number, _)) in key.rotate(numbers).unwrap().iter().zip(numbers) {
                let z = phase_word(&sides.keys.small, number) as i64;
                let size = key.parameters().output.polynomial_size;
                let value = if z < 0 { -0.125 } else { 0.125 };
                // Near an end of the half the table turns its sign at once: not these.
                let steps = z as f64 * 2f64.powi(-64) * 2.0 * size as f64;
                if (40.0..size as f64 - 60.0).contains(&steps.rem_euclid(size as f64)) {
                    for position in [0, 1, 7, 20] {
                        let number = rotated.extract(position);
                        errors.push(error(&sides.keys.output, &number, value));
                    }
                }
            }
        }
        check(part.name, rotation_variance(key.parameters()), &errors);
    }
}

/// From the levelled ring to a value: |z| on the whole torus at its two slopes, whose error is that
/// of z and of the rotation; 320 numbers a set, none near the corners, where the error changes sign.
#[test]
fn absolute_values() {
    reproducible::seeds("absolute_values");
    for part in bootstraps() {
        let sides = Sides::new(part.name);
        let key = sides.key();
        let table = table(key.parameters(), |z| z - 0.25);
        let all: Vec<f64> = numbers(320, 0.22)
            .into_iter()
            .enumerate()
            .map(|(index, z)| (z + 0.25) * if index % 2 == 0 { 1.0 } else { -1.0 })
            .collect();
        let inputs = sides.switched(&all, &table);
        let results = key.bootstrap(&inputs).unwrap();
        let errors: Vec<f64> = results
            .iter()
            .zip(&all)
            .map(|(result, z)| z.signum() * error(&sides.keys.output, result, z.abs() - 0.25))
            .collect();
        let predicted =
            lookup_variance(set(), key.parameters()) + rotation_variance(key.parameters());
        check(part.name, predicted, &errors);
    }
}

/// A layer of two neurons, its results added with integer weights, switched back and packed into one
/// reply: what arrives is the sum within six of its standard deviations.
#[test]
fn results_are_added_and_packed() {
    reproducible::seeds("results_are_added_and_packed");
    let sides = Sides::new(PRECISE);
    let key = sides.key();
    let parameters = key.parameters();
    let sigmoid = |z: f64| 0.01 / (1.0 + (-20.0 * z).exp());
    let table = table(parameters, |z| sigmoid(z - 0.25));
    // Further out the function turns its sign.
    let inputs = [0.13, -0.21, 0.02, 0.26];
    let numbers = sides.switched(&inputs.map(|z| z + 0.25), &table);
    let results = key.bootstrap(&numbers).unwrap();
    let mut sums = Vec::new();
    for (weights, constant) in [([7, -3, 0, 0], 0.1), ([0, 0, 2, 5], -0.2)] {
        let mut sum = Lwe::zero(parameters);
        for (result, weight) in results.iter().zip(weights) {
            sum.add_multiple(result, weight).unwrap();
        }
        sum.add_constant(word(constant));
        sums.push(Some(key.to_levelled(&sum).unwrap()));
    }
    let shape = PackedShape {
        row: ReplyShape {
            set: set(),
            coefficients: 1,
            stride: 1,
            bits: Bits::new(30),
        },
        rows: 2,
    };
    let reply = reply::pack(&sides.expanded, &shape, &sums).unwrap();
    let found = reply::decrypt_packed(&sides.secret, &shape, &reply).unwrap();
    let deviation = lookup_variance(set(), parameters).deviation().get();
    let [one, other, third, _] = inputs.map(sigmoid);
    let wrapped = sigmoid(inputs[3] - 0.5);
    for (phase, (expected, slopes)) in found.into_iter().zip([
        (7.0 * one - 3.0 * other + 0.1, 0.05 * 7f64.hypot(3.0)),
        (2.0 * third - 5.0 * wrapped - 0.2, 0.05 * 2f64.hypot(5.0)),
    ]) {
        let error = phase as f64 * 2f64.powi(-64) - expected;
        assert!(
            error.abs() < 6.0 * slopes * deviation,
            "{error}, {expected}"
        );
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    reproducible::seeds("what_does_not_fit_is_refused");
    let sides = Sides::new(FAST);
    let key = sides.key();
    assert!(matches!(
        sides.expanded.bootstrap(DEEP),
        Err(SchemeError::KeyPartMissing { part: DEEP, .. })
    ));
    assert!(matches!(
        sides.expanded.bootstrap("bootstrap"),
        Err(SchemeError::UnknownKeyPart { .. })
    ));
    let short_table = table(key.parameters(), |z| z - 0.25);
    let short = Lwe::new(vec![0; 767], 0);
    assert!(matches!(
        key.bootstrap(&[(short, &short_table)]),
        Err(SchemeError::Count {
            expected: 768,
            found: 767,
            ..
        })
    ));
    let deep = parameters(set().part(DEEP).unwrap());
    let longer = table(deep, |z| z - 0.25);
    assert!(matches!(
        key.bootstrap(&[(sides.small(0, 0.1), &longer)]),
        Err(SchemeError::Count {
            expected: 1024,
            found: 2048,
            ..
        })
    ));
    assert!(matches!(
        key.from_levelled(&Lwe::new(vec![0; 100], 0)),
        Err(SchemeError::Count {
            expected: 2048,
            found: 100,
            ..
        })
    ));
    assert!(key.bootstrap(&[]).unwrap().is_empty());
}
