//! Rows: threads, outcomes, workspaces, keys.

use super::backends::{keys, pool};
use super::{Builder, SETS, part};
use crate::{ClearCircuit, PreparedCircuit, Workspace};
use cipherfn_circuit::circuit::Operand;
use cipherfn_scheme::query::{InputValues, encrypt_row};
use cipherfn_scheme::reply;

#[test]
fn the_number_of_threads_does_not_change_a_bit() {
    let mut builder = Builder::new(SETS[0], 6);
    let constants = [0, 1, 2, 3, 4, 5, 6, 7].map(|value| builder.scalar(part(value)));
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
    let prepared = PreparedCircuit::new(&builder.finish(sum, 1, 1)).unwrap();
    let keys = keys(prepared.parameter_set());
    let rows: Vec<Vec<u8>> = (0..5)
        .map(|row| {
            let bits = vec![row % 2 == 0, true, false, row > 2, true, row == 1];
            encrypt_row(&keys.secret, prepared.inputs(), &[InputValues::Bits(bits)]).unwrap()
        })
        .collect();
    let rows: Vec<&[u8]> = rows.iter().map(Vec::as_slice).collect();
    let replies = |threads| -> Vec<Vec<u8>> {
        pool(threads)
            .install(|| {
                let rows: Vec<_> = rows.iter().map(|row| prepared.alone(row)).collect();
                prepared.evaluate_rows(keys.evaluation.as_ref(), &rows)
            })
            .into_iter()
            .map(Result::unwrap)
            .collect()
    };
    let one = replies(1);
    assert_eq!(one, replies(2));
    assert_eq!(one, replies(3));
    let again = pool(2).install(|| {
        prepared
            .evaluate_row(keys.evaluation.as_ref(), rows[4], &mut Workspace::default())
            .unwrap()
    });
    assert_eq!(one[4], again);
}

/// Trees over 400 selectors, 50 groups of them, with room for half, a quarter and none: then for what
/// a step needs.
#[test]
fn a_limit_of_memory_does_not_change_a_bit() {
    for set in SETS {
        let mut builder = Builder::new(set, 400);
        let constants = [0, 1, 2, 3].map(|value| builder.scalar(part(value)));
        let trees: Vec<Operand> = (0..24u32)
            .map(|tree| {
                let low = builder.select(tree * 151 % 400, constants[0], constants[1]);
                let high = builder.select(tree * 173 % 400, constants[2], constants[3]);
                builder.select(tree * 197 % 400, low, high)
            })
            .collect();
        let sum = builder.sum(&trees);
        let circuit = builder.finish(sum, 1, 1);
        let whole = PreparedCircuit::new(&circuit).unwrap();
        let keys = keys(whole.parameter_set());
        let key = keys.evaluation.as_ref();
        let rows: Vec<Vec<u8>> = (0..3)
            .map(|row| {
                let bits = (0..400).map(|bit| (bit + row) % 3 == 0).collect();
                encrypt_row(&keys.secret, whole.inputs(), &[InputValues::Bits(bits)]).unwrap()
            })
            .collect();
        let reply = |prepared: &PreparedCircuit, threads| {
            let rows: Vec<_> = rows.iter().map(|row| prepared.alone(row)).collect();
            let outcomes = pool(threads).install(|| prepared.evaluate_rows(key, &rows));
            outcomes.into_iter().map(Result::unwrap).collect::<Vec<_>>()
        };
        let expected = reply(&whole, 1);
        assert_eq!(whole.statistics().expanded, 400);
        let all = whole.statistics().bytes;
        for memory in [all / 2, all / 4, 0] {
            let limited = PreparedCircuit::with_memory(&circuit, memory).unwrap();
            assert!(limited.statistics().bytes < all);
            assert!(limited.statistics().bytes <= memory || memory < all / 2);
            assert_eq!(reply(&limited, 1), expected, "{memory} bytes");
            assert_eq!(reply(&limited, 2), expected, "{memory} bytes, two threads");
        }
    }
}

#[test]
fn each_row_has_its_own_outcome() {
    let mut builder = Builder::new(SETS[1], 1);
    let one = builder.scalar(part(3));
    let leaf = builder.select(0, Operand::Zero, one);
    let prepared = PreparedCircuit::new(&builder.finish(leaf, 1, 1)).unwrap();
    let keys = keys(prepared.parameter_set());
    let values = [InputValues::Bits(vec![true])];
    let good = encrypt_row(&keys.secret, prepared.inputs(), &values).unwrap();
    let rows = [&good, &good[1..], &[], &good].map(|row| prepared.alone(row));
    let outcomes = prepared.evaluate_rows(None, &rows);
    assert_eq!(
        outcomes.iter().map(Result::is_ok).collect::<Vec<_>>(),
        [true, false, false, true]
    );
    let error = outcomes[1].as_ref().unwrap_err().to_string();
    assert!(error.contains("bytes instead of"), "{error}");
}

#[test]
fn a_workspace_serves_circuits_of_any_shape() {
    let mut workspace = Workspace::default();
    for (set, vector) in [(0, false), (1, true), (0, true), (1, false), (0, false)] {
        let mut builder = Builder::new(SETS[set], 2);
        let one = builder.scalar(part(3));
        let leaf = builder.select(0, Operand::Zero, one);
        let top = builder.select(1, leaf, Operand::Zero);
        let mut values = vec![InputValues::Bits(vec![true, false])];
        if vector {
            builder.features(1, 1, 1);
            values.push(InputValues::Features(vec![1 << 60]));
        }
        let prepared = PreparedCircuit::new(&builder.finish(top, 1, 1)).unwrap();
        let keys = keys(prepared.parameter_set());
        let row = encrypt_row(&keys.secret, prepared.inputs(), &values).unwrap();
        let reply = prepared
            .evaluate_row(keys.evaluation.as_ref(), &row, &mut workspace)
            .unwrap();
        let phases = reply::decrypt_row(&keys.secret, prepared.outputs(), &reply).unwrap();
        let error = phases[0].wrapping_sub(part(3) as i64) as f64 / 2f64.powi(64);
        assert!(error.abs() < 1.0 / 512.0, "{error}");
    }
}

#[test]
fn packed_queries_need_the_evaluation_key() {
    let mut builder = Builder::new(SETS[0], 1);
    let one = builder.scalar(part(3));
    let leaf = builder.select(0, Operand::Zero, one);
    let prepared = PreparedCircuit::new(&builder.finish(leaf, 1, 1)).unwrap();
    let row = vec![0; prepared.query_row_bytes()];
    let error = prepared
        .evaluate_row(None, &row, &mut Workspace::default())
        .unwrap_err();
    assert!(error.to_string().contains("evaluation key"), "{error}");
}

#[test]
fn inputs_of_the_wrong_number_or_kind_are_refused_in_the_clear() {
    let mut builder = Builder::new(SETS[0], 2);
    builder.features(3, 3, 1);
    let node = builder.plain(&[(0, 1)]);
    let circuit = ClearCircuit::new(builder.finish(super::operand(node), 1, 1)).unwrap();
    let bits = |count| InputValues::Bits(vec![true; count]);
    let features = InputValues::Features(vec![1, 2, 3]);
    let error = circuit.evaluate(&[bits(1), features.clone()]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the circuit takes 2 selector bits and 3 features, 1 selector bits and 3 features were given"
    );
    assert!(circuit.evaluate(&[bits(2)]).is_err());
    assert!(circuit.evaluate(&[features, bits(2)]).is_err());
}
