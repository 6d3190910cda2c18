//! Look-ups of random tables, held to their equation and their variance.

use super::{TurnMemory, finish, start, turn, variance};
use crate::fourier::{Transform, c64};
use crate::keys::{EvaluationKey, SecretKey};
use crate::noise::{Variance, selector};
use crate::parameters::ParameterSet;
use crate::polynomial;
use crate::query::{SelectorQueryShape, encrypt_selectors, expand_selectors};
use crate::random::reproducible;
use crate::seeded::Masks;
use crate::selectors::FourierSelectors;
use crate::testing::{check, phases};
use cipherfn_protocol::specs::{BaseLog, Gadget, Levels, Transport};

const SETS: [&str; 2] = ["cipherfn-128-n2048-m8-v1", "cipherfn-128-n2048-m11-v1"];
const SIZE: usize = 2048;
const BITS: usize = 40;
const LOOKUPS: usize = 24;
const KEYS: usize = 3;

/// A result brought back: mask and body.
fn opened(accumulator: &mut [c64], transform: &Transform) -> [Vec<u64>; 2] {
    let mut scratch = transform.scratch();
    finish(accumulator, transform, &mut scratch);
    let mut halves = accumulator.chunks_exact_mut(SIZE / 2).map(|polynomial| {
        let mut words = vec![0; SIZE];
        transform.backward_torus_in_place(&mut words, polynomial, &mut scratch);
        words
    });
    [halves.next().unwrap(), halves.next().unwrap()]
}

fn table(index: usize) -> Vec<u64> {
    let mut words = vec![0; SIZE];
    Masks::new((index as u128).to_le_bytes()).fill(&mut words);
    words
}

fn sparse(table: &[u64]) -> Vec<(u32, u64)> {
    (0..).zip(table.iter().copied()).collect()
}

#[test]
fn accumulators_start_as_the_turned_table() {
    let transform = Transform::new(SIZE);
    let table = table(0);
    for rotation in [0, 1, 1023, 1024, 2047, 2048, 3071, 3072, 4095] {
        let mut accumulator = vec![c64::new(1.0, 1.0); SIZE];
        start(&mut accumulator, &sparse(&table), rotation, &transform);
        let [mask, body] = opened(&mut accumulator, &transform);
        assert!(mask.iter().all(|word| *word == 0));
        // Floats have 53 bits, and transforms take some of them.
        for (found, expected) in body
            .iter()
            .zip(polynomial::rotate(&table, rotation as usize))
        {
            assert!((found.wrapping_sub(expected) as i64).unsigned_abs() < 1 << 16);
        }
    }
}

/// `LOOKUPS` look-ups of `BITS` bits that are all 1, the worst case, under each of three keys: all
/// 2,048 coefficients of 24 results a key. Results of a key share the errors of its 80 mask rows or
/// more, 240 in all, whose mean square varies by a twentieth: within 0.25 bit. A table that did not
/// turn by one of the bits would be wrong everywhere.
#[test]
fn look_ups() {
    reproducible::seeds("look_ups");
    for name in SETS {
        let set = ParameterSet::by_name(name).unwrap();
        let keys = [(); KEYS].map(|()| {
            let secret = SecretKey::generate(set).unwrap();
            let key = EvaluationKey::generate(&secret).unwrap().expand().unwrap();
            (secret, key)
        });
        for (base_log, levels) in [(6, 4), (8, 3), (9, 2), (11, 2)] {
            let gadget = Gadget::new(BaseLog::new(base_log), Levels::new(levels));
            let shape = SelectorQueryShape {
                set,
                selectors: BITS,
                gadget,
                transport: Transport::Packed,
            };
            let mut errors = Vec::new();
            for (secret, key) in &keys {
                let row = encrypt_selectors(secret, &shape, &[true; BITS]).unwrap();
                let mut selectors = FourierSelectors::zeroed(shape.ggsw(), BITS);
                expand_selectors(Some(key), &shape, &row, &mut selectors).unwrap();
                for index in 0..LOOKUPS {
                    errors.extend(errors_of(secret, &selectors, index));
                }
            }
            let noise = selector(set, Transport::Packed);
            let predicted: Variance = variance(set, gadget, &noise, BITS);
            let what = format!("{name}, {BITS} bits at {base_log} x {levels}");
            check(&what, predicted, &errors, 0.25);
        }
    }
}

/// Errors of all coefficients of a look-up by bits that are all 1.
fn errors_of(secret: &SecretKey, selectors: &FourierSelectors, index: usize) -> Vec<f64> {
    let transform = Transform::new(SIZE);
    let gadget = selectors.shape().gadget;
    let table = table(index);
    let rotation = |bit: usize| (bit * 1009 + index * 313 + 77) % (2 * SIZE);
    let mut accumulator = vec![c64::new(0.0, 0.0); SIZE];
    let mut product = accumulator.clone();
    let mut digits = vec![c64::new(0.0, 0.0); SIZE * gadget.levels.get() as usize];
    let mut fft = transform.scratch();
    let mut work = TurnMemory {
        product: &mut product,
        digits: &mut digits,
        fft: &mut fft,
    };
    start(&mut accumulator, &sparse(&table), 5, &transform);
    let mut total = 5;
    for bit in 0..selectors.len() {
        total += rotation(bit);
        turn(
            &mut accumulator,
            selectors.ggsw(bit),
            gadget,
            rotation(bit) as u32,
            &transform,
            &mut work,
        );
    }
    let [mask, body] = opened(&mut accumulator, &transform);
    let expected = polynomial::rotate(&table, total % (2 * SIZE));
    let phases = phases(secret, &mask, &body);
    let error =
        |(found, expected): (u64, u64)| found.wrapping_sub(expected) as i64 as f64 * 2f64.powi(-64);
    phases.into_iter().zip(expected).map(error).collect()
}
