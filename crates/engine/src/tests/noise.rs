//! Measured noise against the scheme's variance functions, on fresh GGSW ciphertexts: 4 keys, all
//! 512 coefficients of each result. Keys and noise are of the system; how often a right program
//! fails is stated at [`TOLERANCE`].

use super::backends::{Backend, Clear};
use super::{Builder, SETS, operand, part};
use crate::noise::of_outputs;
use crate::{PreparedCircuit, Workspace};
use cipherfn_circuit::circuit::{
    Combination, Lookup, Node, Operand, Rotated, SelectorId, Table, Turn, Weighted,
};
use cipherfn_protocol::specs::{BaseLog, Bits, Gadget, Levels};
use cipherfn_scheme::parameters::ParameterSet;
use cipherfn_scheme::query::{InputShape, InputValues, encrypt_row};
use cipherfn_scheme::{SecretKey, noise, reply};

const KEYS: usize = 4;

/// Mean square of the errors of all coefficients but the first, over [`KEYS`] keys, all bits set.
fn measured(builder: Builder, top: Operand) -> f64 {
    let mut circuit = builder.finish(top, 512, 1);
    circuit.outputs[0].reply_bits = Bits::new(64);
    let prepared = PreparedCircuit::new(&circuit).unwrap();
    let [InputShape::Selectors(shape)] = prepared.inputs() else {
        panic!("one group of bits")
    };
    let values = [InputValues::Bits(vec![true; shape.selectors])];
    let exact = Clear.evaluate(&circuit, &values);
    let squares = (0..KEYS).flat_map(|_| {
        let key = SecretKey::generate(prepared.parameter_set()).unwrap();
        let row = encrypt_row(&key, prepared.inputs(), &values).unwrap();
        let reply = prepared
            .evaluate_row(None, &row, &mut Workspace::default())
            .unwrap();
        let phases = reply::decrypt_row(&key, prepared.outputs(), &reply).unwrap();
        let errors = phases.into_iter().zip(&exact).skip(1);
        errors
            .map(|(phase, exact)| phase.wrapping_sub(*exact as i64) as f64)
            .map(|error| (error * 2f64.powi(-64)).powi(2))
            .collect::<Vec<_>>()
    });
    squares.sum::<f64>() / (KEYS * 511) as f64
}

/// Of n = 2,044 squares of normal variables, whose relative standard deviation is 3 %: by
/// Chernoff's bound their mean is over 1.25 times its expectation with a probability below
/// `exp(-n/2 (1/4 - ln 5/4))`, 1.2e-12, and under 1/1.25 of it below 6e-11. The coefficients of a
/// product by random digits are correlated by a percent or so, which costs two orders: below 1e-8
/// for all checks together.
const TOLERANCE: f64 = 1.25;

fn assert_between(measured: f64, least: f64, most: f64) {
    assert!(
        measured * TOLERANCE > least && measured < most * TOLERANCE,
        "measured {measured:e}, predicted {least:e} to {most:e}"
    );
}

#[test]
fn bottom_nodes_add_body_noise_times_digits() {
    let set = ParameterSet::by_name(SETS[1].0).unwrap();
    let mut builder = Builder::new(SETS[1], 1);
    // Base 2^12: 2^-4 + 2^-20 has the digits 2^8 and 2^4.
    let one = builder.scalar((1 << 60) + (1 << 44));
    let top = builder.select(0, Operand::Zero, one);
    let digit_squares = 2f64.powi(16) + 2f64.powi(8);
    let rows = digit_squares * noise::selector(set, SETS[1].1).body.get();
    // Fresh rows are so precise that the transforms' rounding shows: two units in the last place of
    // values uniform in the torus, in the body and, times the key, in the mask.
    let transforms =
        digit_squares / 12.0 * (2.0 * f64::EPSILON).powi(2) * (1.0 + set.mask_len() as f64 / 2.0);
    assert_between(measured(builder, top), rows, rows + transforms);
}

#[test]
fn cmuxes_add_what_the_scheme_says() {
    let (name, transport, _) = SETS[1];
    let set = ParameterSet::by_name(name).unwrap();
    // Three levels: with fewer, the last digit's error dominates, and its product with a key of
    // positive mean varies with the key.
    let gadget = Gadget::new(BaseLog::new(12), Levels::new(3));
    let mut builder = Builder::new((name, transport, gadget), 2);
    let one = builder.scalar(part(5));
    let low = builder.select(0, Operand::Zero, one);
    let top = builder.select(1, Operand::Zero, low);
    let selector = noise::selector(set, transport);
    let digits = 3.0 * 512.0 * 2f64.powi(24) / 12.0;
    let rows = digits * (selector.body + set.ring.glwe_dimension as f64 * selector.mask);
    // Above the rows' own noise the prediction bounds the last digit's error and the transforms'
    // rounding.
    assert_between(
        measured(builder, top),
        rows.get(),
        noise::cmux(set, gadget, &selector).get(),
    );
}

/// Neurons as alike as they can be: one table, a smooth one, one form, and neighbouring biases. Their
/// errors are independent all the same, and the combination has the sum of their variances; but for
/// a look-up that it names twice, whose weights add up.
#[test]
fn weighted_look_ups_add_as_if_they_shared_nothing() {
    const BITS: u32 = 24;
    let (name, transport, _) = SETS[1];
    let gadget = Gadget::new(BaseLog::new(12), Levels::new(3));
    let mut builder = Builder::new((name, transport, gadget), BITS);
    let table: Vec<_> = (0..512).map(|at| (at, (u64::from(at) + 1) << 54)).collect();
    let table = builder.constant(&table);
    let turn = |index| Turn {
        selector: SelectorId::first(index),
        rotation: 1 << (index % 4),
    };
    let mut terms: Vec<_> = (0..12)
        .map(|rotation| {
            let node = builder.push(Node::Lookup(Lookup {
                table: Table::Constant(table),
                rotation,
                form: (0..BITS).map(turn).collect(),
            }));
            Weighted {
                node: Rotated { node, rotation: 0 },
                weight: 3,
            }
        })
        .collect();
    terms.push(terms[0]);
    let constant = None;
    let sum = builder.push(Node::Combination(Combination { constant, terms }));
    let squares = 11.0 * 9.0 + 36.0;
    let set = ParameterSet::by_name(name).unwrap();
    let selector = noise::selector(set, transport);
    let cmux = noise::cmux(set, gadget, &selector);
    let circuit = builder.clone().finish(operand(sum), 1, 1);
    let predicted = of_outputs(&circuit).unwrap();
    let [predicted] = predicted[..] else {
        panic!("one output")
    };
    let expected = squares * f64::from(BITS) * cmux.get();
    assert!((predicted.value.get() / expected - 1.0).abs() < 1e-9);
    // Every selector has the same part in it.
    assert!((predicted.rows / (3.0 * f64::from(BITS)) - 1.0).abs() < 1e-9);
    let digits = 3.0 * 512.0 * 2f64.powi(24) / 12.0;
    let rows = digits * (selector.body + set.ring.glwe_dimension as f64 * selector.mask);
    assert_between(
        measured(builder, operand(sum)),
        squares * f64::from(BITS) * rows.get(),
        predicted.value.get(),
    );
}
