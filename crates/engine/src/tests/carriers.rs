//! Encrypted values and tables: joins and group-bys as circuits, on ciphertexts and in the clear,
//! within the noise that is predicted.

use super::backends::keys;
use super::{Builder, Set, operand};
use crate::noise::{OutputNoise, of_outputs, of_outputs_with};
use crate::{ClearCircuit, EngineError, PreparedCircuit, QueryRow, SharedTables};
use cipherfn_circuit::Circuit;
use cipherfn_circuit::circuit::{
    Carrier, Input, InputId, Lookup, Node, NodeId, Operand, SelectorId, Table, TableInput, Turn,
    ValueInput,
};
use cipherfn_protocol::specs::{BaseLog, Bits, Gadget, Levels, Transport};
use cipherfn_scheme::parameters::Depth;
use cipherfn_scheme::query::{
    Encryption, GroupForm, InputValues, TableShape, decode_tables, encrypt_rows, encrypt_tables,
};
use cipherfn_scheme::reply::{self, ReplyShape};
use cipherfn_scheme::{Glwe, SchemeError};
use std::sync::Arc;

const SET: Set = (
    "cipherfn-128-n2048-m11-v1",
    Transport::Packed,
    Gadget::new(BaseLog::new(6), Levels::new(4)),
);
const VALUES: InputId = InputId(1);
const SIZE: u32 = 2048;

fn carrier(builder: &mut Builder, input: InputId, index: u32) -> NodeId {
    builder.push(Node::Carrier(Carrier { input, index }))
}

/// The node turned by bits from `first` on, bit i by `turn(i)`.
fn turned(
    builder: &mut Builder,
    node: NodeId,
    first: u32,
    count: u32,
    turn: impl Fn(u32) -> u32,
) -> NodeId {
    let turn = |bit| Turn {
        selector: SelectorId::first(first + bit),
        rotation: turn(bit),
    };
    builder.push(Node::Lookup(Lookup {
        table: Table::Node(node),
        rotation: 0,
        form: (0..count).map(turn).collect(),
    }))
}

/// A value where three bits are 1, as the coefficient that five further bits say.
fn group_by() -> Circuit {
    let mut builder = Builder::new(SET, 8);
    builder.input(Input::Values(ValueInput { count: 2 }));
    let mut node = carrier(&mut builder, VALUES, 1);
    for bit in 0..3 {
        node = builder.node(bit, Operand::Zero, operand(node));
    }
    let group = turned(&mut builder, node, 3, 5, |bit| 1 << bit);
    builder.output(group, 32, 1);
    builder.build()
}

/// The entry of each of two tables that eight bits say.
fn join() -> Circuit {
    let mut builder = Builder::new(SET, 8);
    let tables = builder.input(Input::Tables(TableInput { count: 2 }));
    for index in 0..2 {
        let table = carrier(&mut builder, tables, index);
        let entry = turned(&mut builder, table, 0, 8, |bit| 2 * SIZE - (1 << bit));
        builder.output(entry, 1, 1);
    }
    builder.build()
}

fn bits(number: u32) -> InputValues {
    InputValues::Bits((0..8).map(|bit| number >> bit & 1 == 1).collect())
}

fn form(rows: usize) -> GroupForm {
    let depth = Depth::new(11);
    GroupForm {
        depth,
        rows,
        encryption: Encryption::Secret,
    }
}

/// The results of encrypted rows in one group.
fn results(
    prepared: &PreparedCircuit,
    rows: &[Vec<InputValues>],
    tables: Option<&SharedTables>,
) -> Vec<Result<Vec<Glwe>, EngineError>> {
    let keys = keys(prepared.parameter_set());
    let form = form(rows.len());
    let group = encrypt_rows(&keys.secret, prepared.inputs(), form, rows).unwrap();
    let rows: Vec<_> = (0..rows.len())
        .map(|index| QueryRow {
            group: &group,
            form,
            index,
            tables,
        })
        .collect();
    prepared.results_of_rows(keys.evaluation.as_ref(), &rows)
}

/// The phases of all coefficients.
fn opened(prepared: &PreparedCircuit, glwe: &Glwe) -> Vec<u64> {
    let shape = ReplyShape {
        set: prepared.parameter_set(),
        coefficients: SIZE as usize,
        stride: 1,
        bits: Bits::ALL,
    };
    let row = reply::compress(&shape, &glwe.mask, &glwe.body).unwrap();
    let secret = &keys(shape.set).secret;
    let phases = reply::decrypt(secret, &shape, &row).unwrap();
    phases.into_iter().map(|phase| phase as u64).collect()
}

fn error(found: u64, expected: u64) -> f64 {
    found.wrapping_sub(expected) as i64 as f64 * 2f64.powi(-64)
}

/// Rows one by one and their sum, with the predicted noise. All bits of the first 64 rows are 1: each
/// of eight CMUXes then leaves all of its error, and their deviation is the prediction within 0.3
/// bit (64 polynomials of 2,048 coefficients, some of whose errors are alike: 0.1 bit of spread).
#[test]
fn values_are_filtered_and_grouped() {
    let circuit = group_by();
    let prepared = PreparedCircuit::new(&circuit).unwrap();
    let [noise] = of_outputs(&circuit).unwrap()[..] else {
        panic!("one output")
    };
    let rows: Vec<Vec<InputValues>> = (0..96)
        .map(|row: u32| {
            let number = if row < 64 { 255 } else { row * 37 % 256 };
            let value = u64::from(row % 7 + 1) << 55;
            vec![bits(number), InputValues::Values(vec![!value, value])]
        })
        .collect();
    let exact = ClearCircuit::new(circuit)
        .unwrap()
        .evaluate_rows(&rows)
        .unwrap();
    assert_eq!(exact[5][31], 6 << 55);
    let (mut sum, mut squares) = (Glwe::default(), Vec::new());
    let mut total = vec![0u64; 32];
    for (row, result) in results(&prepared, &rows, None).into_iter().enumerate() {
        let result = result.unwrap().remove(0);
        let phases = opened(&prepared, &result);
        for (phase, exact) in phases.iter().zip(&exact[row]) {
            assert!(error(*phase, *exact).abs() < 8.0 * noise.value.deviation().get());
        }
        if row < 64 {
            squares.extend(phases[32..].iter().map(|phase| error(*phase, 0).powi(2)));
        }
        for (total, exact) in total.iter_mut().zip(&exact[row]) {
            *total = total.wrapping_add(*exact);
        }
        if row == 0 {
            sum = result;
        } else {
            sum.add(&result).unwrap();
        }
    }
    let measured = squares.iter().sum::<f64>() / squares.len() as f64;
    let (measured, predicted) = (measured.log2() / 2.0, noise.value.deviation().log2());
    println!("predicted 2^{predicted:.2}, measured 2^{measured:.2}");
    assert!((measured - predicted).abs() < 0.3);
    let summed = noise.summed(rows.len());
    assert!((summed.value.get() / noise.value.get() - 96.0).abs() < 1e-9);
    for (phase, total) in opened(&prepared, &sum).iter().zip(total) {
        assert!(error(*phase, total).abs() < 8.0 * summed.value.deviation().get());
    }
}

#[test]
fn tables_are_looked_up_by_all_rows() {
    let circuit = join();
    let prepared = PreparedCircuit::new(&circuit).unwrap();
    let secret = &keys(prepared.parameter_set()).secret;
    let entry = |table: u64, key: u64| (key * 57 + table * 91 + 3) << 50;
    let tables: Vec<Vec<u64>> = (0..2)
        .map(|table| (0..200).map(|key| entry(table, key)).collect())
        .collect();
    let shape = TableShape {
        set: prepared.parameter_set(),
        tables: 2,
        entries: 200,
    };
    let bytes = encrypt_tables(secret, &shape, &tables).unwrap();
    assert_eq!(bytes.len(), 16 + 400 * 6);
    let shared = prepared
        .share(&[decode_tables(&shape, &bytes).unwrap()])
        .unwrap();
    let tables: Arc<[Vec<u64>]> = tables.into();
    let rows: Vec<Vec<InputValues>> = [0, 1, 77, 199]
        .map(|key| vec![bits(key), InputValues::Tables(Arc::clone(&tables))])
        .into();
    let exact = ClearCircuit::new(circuit.clone()).unwrap();
    let exact = exact.evaluate_rows(&rows).unwrap();
    assert_eq!(exact[2], [entry(0, 77), entry(1, 77)]);
    let noises = of_outputs(&circuit).unwrap();
    for (result, exact) in results(&prepared, &rows, Some(&shared))
        .into_iter()
        .zip(exact)
    {
        for ((glwe, exact), noise) in result.unwrap().iter().zip(exact).zip(&noises) {
            let found = opened(&prepared, glwe)[0];
            assert!(error(found, exact).abs() < 8.0 * noise.value.deviation().get());
        }
    }
    // A noisier table makes noisier entries.
    let noisy = OutputNoise {
        value: 4.0 * noises[0].value,
        ..noises[0]
    };
    let more = of_outputs_with(&circuit, &[noisy]).unwrap();
    assert!((more[0].value.get() / noises[0].value.get() - 5.0).abs() < 1e-6);
}

#[test]
fn tables_that_do_not_fit_are_refused() {
    let prepared = PreparedCircuit::new(&join()).unwrap();
    let glwe = Glwe {
        mask: vec![0; 2048],
        body: vec![0; 2048],
    };
    let one = prepared.share(&[vec![glwe.clone()]]);
    assert!(matches!(one, Err(EngineError::Tables { .. })));
    let mut short = glwe.clone();
    short.body.pop();
    let short = prepared.share(&[vec![glwe.clone(), short]]);
    assert!(matches!(short, Err(EngineError::OtherTables { .. })));
    let rows = [vec![bits(3), InputValues::Tables(vec![vec![1]; 2].into())]];
    let without = results(&prepared, &rows, None).remove(0);
    assert!(matches!(without, Err(EngineError::NoTables)));
    let shared = prepared.share(&[vec![glwe.clone(), glwe]]).unwrap();
    let grouping = PreparedCircuit::new(&group_by()).unwrap();
    let rows = [vec![bits(3), InputValues::Values(vec![1, 2])]];
    let with = results(&grouping, &rows, Some(&shared)).remove(0);
    assert!(matches!(with, Err(EngineError::NoTables)));
}

/// Carriers need a key of all levels.
#[test]
fn values_need_a_key_that_clears_the_rest() {
    let mut circuit = group_by();
    circuit.parameter_set = "cipherfn-128-n2048-m8-v1".into();
    let refused = PreparedCircuit::new(&circuit).unwrap_err();
    assert!(matches!(
        refused,
        EngineError::Scheme(SchemeError::CannotClear { .. })
    ));
}

/// Look-ups of look-ups, of constants, of plaintext parts, without turns.
#[test]
fn look_ups_of_any_node() {
    let mut builder = Builder::new(SET, 8);
    builder.input(Input::Values(ValueInput { count: 2 }));
    let value = carrier(&mut builder, VALUES, 0);
    // One entry: more would be a table, which may not travel.
    let plain = builder.plain(&[(2047, 3 << 58)]);
    let sum = builder.sum(&[operand(value), operand(plain)]);
    let Operand::Node(sum) = sum else {
        panic!("a sum of nodes is a node")
    };
    let still = builder.push(Node::Lookup(Lookup {
        table: Table::Node(sum.node),
        rotation: 2049,
        form: Vec::new(),
    }));
    let once = turned(&mut builder, still, 0, 4, |bit| 1 << bit);
    let twice = turned(&mut builder, once, 4, 4, |bit| 2 * SIZE - (3 << bit));
    let constant = turned(&mut builder, plain, 2, 5, |bit| 700 * bit);
    for node in [still, once, twice, constant] {
        builder.output(node, SIZE, 1);
    }
    let circuit = builder.build();
    let noises = of_outputs(&circuit).unwrap();
    let prepared = PreparedCircuit::new(&circuit).unwrap();
    let rows: Vec<Vec<InputValues>> = [0, 90, 255]
        .map(|number| vec![bits(number), InputValues::Values(vec![7 << 59, 0])])
        .into();
    let exact = ClearCircuit::new(circuit)
        .unwrap()
        .evaluate_rows(&rows)
        .unwrap();
    assert!(exact[1] != exact[2]);
    for (result, exact) in results(&prepared, &rows, None).into_iter().zip(exact) {
        let result = result.unwrap();
        for ((glwe, exact), noise) in result.iter().zip(exact.chunks(SIZE as usize)).zip(&noises) {
            for (found, exact) in opened(&prepared, glwe).into_iter().zip(exact) {
                assert!(error(found, *exact).abs() < 8.0 * noise.value.deviation().get());
            }
        }
    }
}
