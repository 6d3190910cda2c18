//! One suite, two back-ends: circuits evaluate to the same on cleartext bits and on encrypted ones.

use crate::clear::{ClearCircuit, ClearInput};
use crate::{PreparedCircuit, QueryShape, Workspace};
use cipherfn_circuit::circuit::{Circuit, LinearCircuit, Operand, Rotated};
use cipherfn_protocol::specs::{Gadget, Transport};
use cipherfn_scheme::parameters::ParameterSet;
use cipherfn_scheme::{EvaluationKey, ExpandedEvaluationKey, SecretKey, query, reply};
use proptest::prelude::*;
use std::sync::OnceLock;

mod bundles;
mod circuits;
mod noise;

pub(crate) use circuits::Builder;

/// Largest error of a result, as a fraction of the torus: over ten standard deviations of the
/// circuits here, far below the differences between their constants (2^-6).
const TOLERANCE: f64 = 1.0 / 512.0;

/// A way to evaluate circuits.
trait BackEnd {
    /// Result coefficients in units of 2^-64, within [`TOLERANCE`].
    fn evaluate(&self, circuit: &Circuit, input: ClearInput<'_>) -> Vec<u64>;
}

struct Clear;

impl BackEnd for Clear {
    fn evaluate(&self, circuit: &Circuit, input: ClearInput<'_>) -> Vec<u64> {
        ClearCircuit::new(circuit.clone())
            .unwrap()
            .evaluate(input)
            .unwrap()
    }
}

/// Encrypts, evaluates on `threads` threads, decrypts.
struct Encrypted {
    threads: usize,
}

struct Keys {
    secret: SecretKey,
    evaluation: Option<ExpandedEvaluationKey>,
}

fn keys(set: &'static ParameterSet) -> &'static Keys {
    static PACKED: OnceLock<Keys> = OnceLock::new();
    static KEYLESS: OnceLock<Keys> = OnceLock::new();
    let slot = if set.packing().is_some() {
        &PACKED
    } else {
        &KEYLESS
    };
    slot.get_or_init(|| {
        let secret = SecretKey::generate(set);
        let evaluation = set
            .packing()
            .map(|_| EvaluationKey::generate(&secret).unwrap().expand().unwrap());
        Keys { secret, evaluation }
    })
}

impl Encrypted {
    fn reply(&self, circuit: &Circuit, input: ClearInput<'_>) -> (PreparedCircuit, Vec<u8>) {
        let prepared = PreparedCircuit::new(circuit).unwrap();
        let keys = keys(prepared.parameter_set());
        let row = match (prepared.query_shape(), input) {
            (QueryShape::Selectors(shape), ClearInput::Selectors(bits)) => {
                query::encrypt_selectors(&keys.secret, &shape, bits).unwrap()
            }
            (QueryShape::Linear(shape), ClearInput::Linear(values)) => {
                query::encrypt_linear(&keys.secret, &shape, values).unwrap()
            }
            _ => panic!("input of another kind"),
        };
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(self.threads)
            .build()
            .unwrap();
        let reply = pool.install(|| {
            prepared
                .evaluate_row(keys.evaluation.as_ref(), &row, &mut Workspace::default())
                .unwrap()
        });
        (prepared, reply)
    }
}

impl BackEnd for Encrypted {
    fn evaluate(&self, circuit: &Circuit, input: ClearInput<'_>) -> Vec<u64> {
        let (prepared, reply) = self.reply(circuit, input);
        let phases = reply::decrypt(
            &keys(prepared.parameter_set()).secret,
            &prepared.reply_shape(),
            &reply,
        )
        .unwrap();
        phases.into_iter().map(|phase| phase as u64).collect()
    }
}

fn assert_close(found: &[u64], expected: &[u64]) {
    assert_eq!(found.len(), expected.len());
    for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
        let error = found.wrapping_sub(*expected) as i64 as f64 / 2f64.powi(64);
        assert!(
            error.abs() < TOLERANCE,
            "coefficient {index}: {found:#x} instead of {expected:#x}, error {error:e}"
        );
    }
}

/// Holds every back-end to values worked out by hand.
fn check(circuit: &Circuit, input: ClearInput<'_>, expected: &[u64]) {
    assert_eq!(Clear.evaluate(circuit, input), expected);
    for threads in [1, 2] {
        assert_close(&Encrypted { threads }.evaluate(circuit, input), expected);
    }
}

/// `value` in 64ths of the torus.
fn part(value: i64) -> u64 {
    (value << 58) as u64
}

const SETS: [(&str, Transport, Gadget); 2] = [
    (
        "cipherfn-128-n2048-m8-v1",
        Transport::Packed,
        Gadget {
            base_log: 6,
            levels: 4,
        },
    ),
    (
        "cipherfn-128-n512k4-v1",
        Transport::Ggsw,
        Gadget {
            base_log: 12,
            levels: 2,
        },
    ),
];

fn every_input(selectors: u32) -> impl Iterator<Item = Vec<bool>> {
    (0..1u32 << selectors)
        .map(move |index| (0..selectors).map(|bit| index >> bit & 1 == 1).collect())
}

#[test]
fn one_select_of_each_kind_of_operand() {
    for set in SETS {
        let mut builder = Builder::new(set, 2);
        let one = builder.constant(&[(0, part(5))]);
        let other = builder.constant(&[(0, part(-9))]);
        let leaf = builder.select(0, Operand::Constant(one), Operand::Zero);
        let top = builder.select(1, Operand::Constant(other), leaf);
        let circuit = builder.finish(top, 1, 1);
        for (bits, expected) in [
            ([false, false], -9),
            ([true, false], -9),
            ([false, true], 5),
            ([true, true], 0),
        ] {
            check(&circuit, ClearInput::Selectors(&bits), &[part(expected)]);
        }
    }
}

#[test]
fn shared_subtrees_and_sums() {
    for set in SETS {
        let mut builder = Builder::new(set, 4);
        let constants: Vec<Operand> = (1..=4)
            .map(|i| Operand::Constant(builder.constant(&[(0, part(3 * i))])))
            .collect();
        let low = builder.select(0, constants[0], constants[1]);
        let middle = builder.select(1, low, constants[2]);
        // `middle` is used three times, as both sides of CMUXes and as an addend.
        let left = builder.select(2, middle, constants[3]);
        let right = builder.select(3, constants[0], middle);
        let sum = builder.sum(&[left, right, middle]);
        let circuit = builder.finish(sum, 1, 1);
        for bits in every_input(4) {
            let middle = if bits[1] {
                9
            } else if bits[0] {
                6
            } else {
                3
            };
            let expected =
                if bits[2] { 12 } else { middle } + if bits[3] { middle } else { 3 } + middle;
            assert_eq!(
                Clear.evaluate(&circuit, ClearInput::Selectors(&bits)),
                [part(expected)]
            );
        }
        for index in [0, 5, 10, 15] {
            let bits: Vec<bool> = (0..4).map(|bit| index >> bit & 1 == 1).collect();
            check(
                &circuit,
                ClearInput::Selectors(&bits),
                &Clear.evaluate(&circuit, ClearInput::Selectors(&bits)),
            );
        }
    }
}

#[test]
fn constants_with_several_coefficients() {
    for set in SETS {
        let mut builder = Builder::new(set, 2);
        let a = builder.constant(&[(0, part(1)), (5, part(2)), (10, part(-3))]);
        let b = builder.constant(&[(0, part(-4)), (10, part(6))]);
        let c = builder.constant(&[(5, part(7))]);
        let low = builder.select(0, Operand::Constant(a), Operand::Constant(b));
        // Differs from zero in one coefficient that is not the first.
        let single = builder.select(0, Operand::Zero, Operand::Constant(c));
        let top = builder.select(1, low, single);
        let circuit = builder.finish(top, 3, 5);
        let expected = [[1, 2, -3], [-4, 0, 6], [0, 0, 0], [0, 7, 0]];
        for (bits, expected) in every_input(2).zip(expected) {
            check(&circuit, ClearInput::Selectors(&bits), &expected.map(part));
        }
    }
}

#[test]
fn oblivious_trees() {
    for set in SETS {
        let depth = 4;
        let mut builder = Builder::new(set, depth);
        let size = ParameterSet::by_name(set.0).unwrap().ring.polynomial_size as u32;
        let leaves: Vec<(u32, u64)> = (0..1 << depth)
            .map(|leaf| (leaf, part(i64::from(leaf) - 7)))
            .collect();
        let mut value = builder.plain(&leaves);
        for bit in 0..depth {
            // X^(-2^bit) brings leaf i + 2^bit to the place of leaf i.
            let turned = Operand::Node(Rotated {
                node: value,
                rotation: 2 * size - (1 << bit),
            });
            value = builder.node(
                bit,
                Operand::Node(Rotated {
                    node: value,
                    rotation: 0,
                }),
                turned,
            );
        }
        let circuit = builder.finish(
            Operand::Node(Rotated {
                node: value,
                rotation: 0,
            }),
            1,
            1,
        );
        for (leaf, bits) in every_input(depth).enumerate().step_by(3) {
            check(
                &circuit,
                ClearInput::Selectors(&bits),
                &[part(leaf as i64 - 7)],
            );
        }
    }
}

#[test]
fn the_number_of_threads_does_not_change_a_bit() {
    let mut builder = Builder::new(SETS[0], 6);
    let constants: Vec<Operand> = (0..8)
        .map(|i| Operand::Constant(builder.constant(&[(0, part(i))])))
        .collect();
    let trees: Vec<Operand> = (0..24u32)
        .map(|tree| {
            let leaves: Vec<Operand> = (0..4)
                .map(|leaf| {
                    builder.select((tree + leaf) % 6, constants[leaf as usize], constants[7])
                })
                .collect();
            let low = builder.select((tree + 1) % 6, leaves[0], leaves[1]);
            let high = builder.select((tree + 2) % 6, leaves[2], leaves[3]);
            builder.select(tree % 6, low, high)
        })
        .collect();
    let sum = builder.sum(&trees);
    let circuit = builder.finish(sum, 1, 1);
    let prepared = PreparedCircuit::new(&circuit).unwrap();
    let QueryShape::Selectors(shape) = prepared.query_shape() else {
        panic!("a levelled circuit")
    };
    let keys = keys(prepared.parameter_set());
    let rows: Vec<Vec<u8>> = (0..5)
        .map(|row| {
            query::encrypt_selectors(
                &keys.secret,
                &shape,
                &[row % 2 == 0, true, false, row > 2, true, row == 1],
            )
            .unwrap()
        })
        .collect();
    let rows: Vec<&[u8]> = rows.iter().map(Vec::as_slice).collect();
    let replies = |threads| -> Vec<Vec<u8>> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| prepared.evaluate_rows(keys.evaluation.as_ref(), &rows))
            .into_iter()
            .map(Result::unwrap)
            .collect()
    };
    let one = replies(1);
    assert_eq!(one, replies(2));
    assert_eq!(one, replies(3));
    let mut workspace = Workspace::default();
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(2)
        .build()
        .unwrap();
    let again = pool.install(|| {
        prepared
            .evaluate_row(keys.evaluation.as_ref(), rows[4], &mut workspace)
            .unwrap()
    });
    assert_eq!(one[4], again);
}

#[test]
fn each_row_has_its_own_outcome() {
    let mut builder = Builder::new(SETS[1], 1);
    let one = builder.constant(&[(0, part(3))]);
    let leaf = builder.select(0, Operand::Zero, Operand::Constant(one));
    let circuit = builder.finish(leaf, 1, 1);
    let prepared = PreparedCircuit::new(&circuit).unwrap();
    let QueryShape::Selectors(shape) = prepared.query_shape() else {
        panic!("a levelled circuit")
    };
    let keys = keys(prepared.parameter_set());
    let good = query::encrypt_selectors(&keys.secret, &shape, &[true]).unwrap();
    let outcomes = prepared.evaluate_rows(None, &[&good, &good[1..], &[], &good]);
    assert_eq!(
        outcomes.iter().map(Result::is_ok).collect::<Vec<_>>(),
        [true, false, false, true]
    );
    assert!(
        outcomes[1]
            .as_ref()
            .unwrap_err()
            .to_string()
            .contains("bytes instead of")
    );
}

#[test]
fn a_workspace_serves_circuits_of_any_shape() {
    let mut workspace = Workspace::default();
    for set in [SETS[0], SETS[1], SETS[0]] {
        let mut builder = Builder::new(set, 2);
        let one = builder.constant(&[(0, part(3))]);
        let leaf = builder.select(0, Operand::Zero, Operand::Constant(one));
        let top = builder.select(1, leaf, Operand::Zero);
        let circuit = builder.finish(top, 1, 1);
        let prepared = PreparedCircuit::new(&circuit).unwrap();
        let QueryShape::Selectors(shape) = prepared.query_shape() else {
            panic!("a levelled circuit")
        };
        let keys = keys(prepared.parameter_set());
        let row = query::encrypt_selectors(&keys.secret, &shape, &[true, false]).unwrap();
        let reply = prepared
            .evaluate_row(keys.evaluation.as_ref(), &row, &mut workspace)
            .unwrap();
        let phase = reply::decrypt(&keys.secret, &prepared.reply_shape(), &reply).unwrap()[0];
        assert_close(&[phase as u64], &[part(3)]);
    }
}

#[test]
fn packed_queries_need_the_evaluation_key() {
    let mut builder = Builder::new(SETS[0], 1);
    let one = builder.constant(&[(0, part(3))]);
    let leaf = builder.select(0, Operand::Zero, Operand::Constant(one));
    let prepared = PreparedCircuit::new(&builder.finish(leaf, 1, 1)).unwrap();
    let QueryShape::Selectors(shape) = prepared.query_shape() else {
        panic!("a levelled circuit")
    };
    let row = vec![0; shape.row_bytes()];
    let error = prepared
        .evaluate_row(None, &row, &mut Workspace::default())
        .unwrap_err();
    assert!(error.to_string().contains("evaluation key"), "{error}");
}

#[test]
fn constant_circuits() {
    for set in SETS {
        let mut builder = Builder::new(set, 1);
        let node = builder.plain(&[(0, part(11)), (4, part(-2))]);
        let circuit = builder.finish(Operand::Node(Rotated { node, rotation: 0 }), 2, 4);
        check(
            &circuit,
            ClearInput::Selectors(&[true]),
            &[part(11), part(-2)],
        );
    }
}

#[test]
fn linear_models() {
    // One score; ten scores in one ciphertext; three scores whose features take three ciphertexts.
    for (scores, features, block) in [(1, 30, 2048), (10, 64, 204), (3, 50, 20)] {
        let weights: Vec<Vec<i64>> = (0..scores)
            .map(|score| {
                (0..features)
                    .map(|feature| (score * 7919 + feature * 104_729) % 4001 - 2000)
                    .collect()
            })
            .collect();
        let circuit = Circuit::Linear(LinearCircuit {
            parameter_set: SETS[0].0.into(),
            bias: (0..scores).map(part).collect(),
            weights,
            block,
            stride: scores as u32,
            body_bits: 48,
            reply_bits: 32,
        });
        let values: Vec<u64> = (0..features)
            .map(|feature| ((feature * 31 % 17 - 8) << 41) as u64)
            .collect();
        let expected = Clear.evaluate(&circuit, ClearInput::Linear(&values));
        check(&circuit, ClearInput::Linear(&values), &expected);
    }
}

#[test]
fn inputs_of_the_wrong_number_are_refused_in_the_clear() {
    let mut builder = Builder::new(SETS[0], 2);
    let node = builder.plain(&[(0, 1)]);
    let circuit =
        ClearCircuit::new(builder.finish(Operand::Node(Rotated { node, rotation: 0 }), 1, 1))
            .unwrap();
    let error = circuit
        .evaluate(ClearInput::Selectors(&[true]))
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "the circuit takes 2 selector bits, 1 selector bits were given"
    );
    assert!(circuit.evaluate(ClearInput::Linear(&[1, 2])).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    /// Random graphs: shared nodes, rotations, sums, every kind of operand.
    #[test]
    fn encrypted_is_cleartext((set, circuit, bits) in circuits::random()) {
        prop_assume!(set < SETS.len());
        let input = ClearInput::Selectors(&bits);
        let expected = Clear.evaluate(&circuit, input);
        assert_close(&Encrypted { threads: 1 }.evaluate(&circuit, input), &expected);
    }
}
