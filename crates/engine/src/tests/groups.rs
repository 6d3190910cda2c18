//! Rows that share query ciphertexts, and results that share reply ciphertexts.

use super::{Builder, Set, operand, part};
use crate::{EngineError, PreparedCircuit, QueryRow, Workspace};
use cipherfn_circuit::Circuit;
use cipherfn_circuit::circuit::{FeatureInput, Input};
use cipherfn_protocol::specs::{BaseLog, Bits, FeatureForm, Gadget, Levels, Transport};
use cipherfn_scheme::parameters::Depth;
use cipherfn_scheme::query::{Encryption, GroupForm, InputValues, encrypt_row, encrypt_rows};
use cipherfn_scheme::{EvaluationKey, SecretKey};

const WIDE: Set = (
    "cipherfn-128-n2048-m11-v1",
    Transport::Packed,
    Gadget::new(BaseLog::new(6), Levels::new(4)),
);

/// Two outputs: a choice by two bits, and twice a feature, whose input has padding that must be
/// zero.
fn circuit() -> Circuit {
    let mut builder = Builder::new(WIDE, 2);
    let features = builder.input(Input::Features(FeatureInput {
        features: 1,
        block: 1,
        stride: 1,
        form: FeatureForm::Apart,
        body_bits: Bits::new(45),
    }));
    let [one, two] = [3, 9].map(|value| builder.scalar(part(value)));
    let low = builder.node(0, one, two);
    let top = builder.node(1, operand(low), one);
    let product = builder.product(features, vec![vec![2]], &[]);
    builder.output(top, 1, 1);
    builder.output(product, 1, 1);
    builder.build()
}

fn values(row: usize) -> Vec<InputValues> {
    vec![
        InputValues::Bits(vec![row % 2 == 1, row % 3 == 2]),
        InputValues::Features(vec![part(row as i64)]),
    ]
}

/// What comes of [`values`], in 64ths of the torus.
fn expected(row: usize) -> [i64; 2] {
    let choice = if row % 2 == 1 && row % 3 != 2 { 9 } else { 3 };
    [choice, 2 * row as i64]
}

#[test]
fn rows_of_a_group_are_answered_one_by_one_and_packed() {
    const ROWS: usize = 5;
    let prepared = PreparedCircuit::new(&circuit()).unwrap();
    let secret = SecretKey::generate(prepared.parameter_set()).unwrap();
    let key = EvaluationKey::generate(&secret).unwrap().expand().unwrap();
    let form = GroupForm {
        depth: Depth::new(6),
        rows: ROWS,
        encryption: Encryption::Secret,
    };
    let rows: Vec<_> = (0..ROWS).map(values).collect();
    let mut group = encrypt_rows(&secret, prepared.inputs(), form, &rows).unwrap();
    assert_eq!(group.len(), prepared.group_bytes(form).unwrap());
    assert!(group.len() < 2 * prepared.query_row_bytes());
    // Padding of the feature of the row before the last: it fails alone.
    let part_len = prepared.inputs()[1].row_bytes();
    let end = group.len() - part_len;
    group[end - 1] |= 0x80;
    let query = |group, index| QueryRow {
        group,
        form,
        index,
        tables: None,
    };
    let rows: Vec<_> = (0..ROWS)
        .map(|index| query(group.as_slice(), index))
        .collect();
    let outcomes = prepared.results_of_rows(Some(&key), &rows);
    let failed: Vec<_> = outcomes.iter().map(Result::is_err).collect();
    assert_eq!(failed, [false, false, false, true, false]);

    let packed = prepared.packed().unwrap();
    let results = outcomes.into_iter().map(Result::ok).collect();
    let reply = packed
        .pack(&key, results)
        .flat_map(Result::unwrap)
        .collect::<Vec<_>>();
    assert_eq!(reply.len(), packed.bytes(ROWS));
    let phases = packed.decrypt(&secret, ROWS, &reply).unwrap();
    for (row, phases) in phases.iter().enumerate() {
        let expected = if row == 3 { [0, 0] } else { expected(row) };
        for (phase, expected) in phases.iter().zip(expected) {
            let error = phase.wrapping_sub(part(expected) as i64) as f64 / 2f64.powi(64);
            assert!(error.abs() < 1.0 / 512.0, "row {row}: {error}");
        }
    }

    // What all share fails all, and says so.
    let short = &group[1..];
    let rows: Vec<_> = (0..ROWS).map(|index| query(short, index)).collect();
    for outcome in prepared.evaluate_rows(Some(&key), &rows) {
        let error = outcome.unwrap_err().to_string();
        assert!(error.contains("that 5 rows share"), "{error}");
    }
    let without = prepared.evaluate_rows(None, &rows[..1]).remove(0);
    assert!(without.is_err());
}

#[test]
fn groups_that_no_query_has_are_refused() {
    let prepared = PreparedCircuit::new(&circuit()).unwrap();
    let form = |levels, rows| GroupForm {
        depth: Depth::new(levels),
        rows,
        encryption: Encryption::Secret,
    };
    for levels in [5, 11] {
        assert!(prepared.group_bytes(form(levels, 3)).is_ok());
    }
    for levels in [0, 4, 12, 64, 255] {
        assert!(prepared.group_bytes(form(levels, 3)).is_err(), "{levels}");
        let row = QueryRow {
            group: &[],
            form: form(levels, 3),
            index: 2,
            tables: None,
        };
        assert!(prepared.evaluate_rows(None, &[row])[0].is_err());
    }
    let mut linear = Builder::new(WIDE, 0);
    let features = linear.features(1, 1, 1);
    let product = linear.product(features, vec![vec![1]], &[]);
    linear.output(product, 1, 1);
    let mut linear = linear.build();
    linear.inputs.remove(0);
    for node in &mut linear.nodes {
        if let cipherfn_circuit::circuit::Node::Product(product) = node {
            product.input.0 = 0;
        }
    }
    let linear = PreparedCircuit::new(&linear).unwrap();
    assert!(linear.group_bytes(form(11, 1)).is_ok());
    assert!(matches!(
        linear.group_bytes(form(11, 2)),
        Err(EngineError::NothingShared { rows: 2 })
    ));
    let secret = SecretKey::generate(linear.parameter_set()).unwrap();
    let row = [InputValues::Features(vec![part(5)])];
    let row = encrypt_row(&secret, linear.inputs(), &row).unwrap();
    let reply = linear.evaluate_row(None, &row, &mut Workspace::default());
    assert_eq!(reply.unwrap().len(), linear.reply_row_bytes());
}
