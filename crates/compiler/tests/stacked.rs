//! Stacking with trees on top, evaluated by the server: comparisons of what it computed, against
//! scikit-learn's own predictions on the test rows, in the clear and on ciphertexts.

#[path = "support/encrypted.rs"]
mod encrypted;
mod support;

use cipherfn_circuit::Circuit;
use cipherfn_circuit::circuit::{Choice, Node, NodeId, Output, Pack};
use cipherfn_compiler::model::Estimator;
use cipherfn_compiler::read::read_model_for;
use cipherfn_compiler::{Combiner, Compiled, Options};
use cipherfn_engine::{ClearCircuit, noise};
use cipherfn_program::{Op, RowProgram, Tensor};
use cipherfn_protocol::specs::{Bits, Encoding, OutputField};
use cipherfn_scheme::query::InputValues;
use cipherfn_table::Table;
use encrypted::{Keys, values};
use std::fs;
use std::time::Instant;
use support::{library, try_compile};

/// A decision tree and a forest over a linear model and a network, boosted trees over linear models.
const NAMES: [&str; 3] = [
    "stacked_tree_bc",
    "stacked_forest_bc",
    "stacked_boosting_diabetes",
];
/// Standard deviations that no error reaches in these few rows: one in 10^15 exceeds eight.
const DEVIATIONS: f64 = 8.0;

fn compiled(name: &str) -> Compiled {
    let at_the_server = |options: &mut Options| options.combiner = Combiner::Server;
    try_compile(name, at_the_server).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The library's own outputs on the test rows: probabilities and label, or the prediction.
fn expected(name: &str) -> Vec<Vec<f64>> {
    let text = fs::read_to_string(library(name).join("expected.csv")).unwrap();
    let row = |line: &str| line.split(',').map(|cell| cell.parse().unwrap()).collect();
    text.lines().skip(1).map(row).collect()
}

/// Outputs in the order of the library's: probabilities and label, or the prediction.
fn in_order(fields: &[OutputField], outputs: &[Tensor]) -> Vec<f64> {
    let of = |label: bool| {
        let own = fields.iter().zip(outputs);
        own.filter(move |(field, _)| (**field == OutputField::Label) == label)
            .flat_map(|(_, own)| own.to_texts())
    };
    let all = of(false).chain(of(true));
    all.map(|own| own.parse().unwrap()).collect()
}

/// Whether a feature is outside its range.
fn is_limited(compiled: &Compiled, features: &[f32]) -> bool {
    let mut encodings = compiled.specs.specs().inputs.iter();
    encodings.any(|encoding| match encoding {
        Encoding::Integers(own) => own.limited(features).next().is_some(),
        Encoding::Linear(own) => own.limited(features).next().is_some(),
        Encoding::Selectors(_) => false,
    })
}

/// What the client makes of phases.
fn read(compiled: &Compiled, phases: &[i64]) -> Vec<f64> {
    let specs = compiled.specs.specs();
    let scores = Tensor::F64(specs.decoding.scores(phases));
    let outputs = specs.postprocess.run(vec![scores]).unwrap();
    in_order(&specs.outputs, &outputs)
}

fn signed(phases: Vec<u64>) -> Vec<i64> {
    phases.into_iter().map(|own| own as i64).collect()
}

/// By default, too, the weights of a network below other estimators are the server's: the client multiplies
/// nothing by matrices, neither before nor after, but evaluates what stands on top.
#[test]
fn networks_below_other_estimators_stay_at_the_server() {
    for combiner in [Combiner::Auto, Combiner::Client] {
        let name = "stacked_tree_bc";
        let compiled = try_compile(name, |options| options.combiner = combiner).unwrap();
        let specs = compiled.specs.specs();
        let programs = [&specs.preprocess, &specs.postprocess];
        let mut steps = programs.into_iter().flat_map(RowProgram::steps);
        assert!(!steps.any(|step| matches!(step.op, Op::MatMul { .. })));
        let circuit = ClearCircuit::new(compiled.bundle.circuit.clone()).unwrap();
        let expected = expected(name);
        let mut right = 0;
        for (row, expected) in values(name, &compiled, 48).iter().zip(&expected) {
            let found = read(&compiled, &signed(circuit.evaluate(row).unwrap()));
            right += usize::from(found.last() == expected.last());
        }
        assert!(right >= 47, "{right} of 48");
    }
}

/// Comparisons moved before links and trees over them give what the library does, row by row.
#[test]
fn trees_over_comparisons_are_the_librarys() {
    for name in NAMES {
        let bytes = fs::read(library(name).join("model.onnx")).unwrap();
        let model = read_model_for(&bytes, Combiner::Server).unwrap();
        assert!(
            matches!(model.estimators.as_slice(), [Estimator::Stacked(_)]),
            "{name}"
        );
        let [note] = model.summary.notes.as_slice() else {
            panic!("{name}: {:?}", model.summary.notes);
        };
        assert!(note.contains("the server compares these"), "{note}");
        let text = fs::read(library(name).join("test.csv")).unwrap();
        let rows = Table::open("test.csv", text.as_slice()).unwrap();
        let specs = compiled(name).specs;
        let rows = rows
            .select(&specs.specs().columns, model.preprocess.inputs())
            .unwrap();
        let expected = expected(name);
        let mut compared = 0;
        for (row, expected) in rows.zip(&expected) {
            let found = in_order(&model.outputs, &model.predict(row.unwrap()).unwrap());
            assert_eq!(found.len(), expected.len());
            for (found, expected) in found.iter().zip(expected) {
                let error = (found - expected).abs();
                assert!(
                    error <= 1e-5 * expected.abs().max(1.0),
                    "{name}: {found} {expected}"
                );
            }
            compared += 1;
        }
        assert_eq!(compared, expected.len());
    }
    // Small trees are the client's, over networks too.
    let stacked = |name: &str, combiner| {
        let bytes = fs::read(library(name).join("model.onnx")).unwrap();
        let read = read_model_for(&bytes, combiner);
        read.map(|model| matches!(model.estimators.as_slice(), [Estimator::Stacked(_)]))
    };
    for name in NAMES {
        assert!(!stacked(name, Combiner::Auto).unwrap(), "{name}");
        assert!(!stacked(name, Combiner::Client).unwrap(), "{name}");
    }
}

/// Labels, or the root mean square error in parts of the range, of the circuit without noise.
#[test]
fn circuits_keep_to_the_library() {
    for (name, least) in NAMES.into_iter().zip([0.99, 0.98, 0.97]) {
        let compiled = compiled(name);
        println!("{}", compiled.report);
        let circuit = ClearCircuit::new(compiled.bundle.circuit.clone()).unwrap();
        let expected = expected(name);
        let rows = values(name, &compiled, expected.len());
        assert_eq!(rows.len(), expected.len());
        let features = encrypted::features(name, &compiled, expected.len());
        let found: Vec<(Vec<f64>, Vec<f64>)> = rows
            .iter()
            .zip(&expected)
            .zip(&features)
            .filter(|(_, features)| !is_limited(&compiled, features))
            .map(|((row, expected), _)| {
                let phases = signed(circuit.evaluate(row).unwrap());
                (read(&compiled, &phases), expected.clone())
            })
            .collect();
        let pairs = || found.iter();
        let kept = if compiled.report.agreement.has_labels {
            let equal = pairs().filter(|(found, expected)| found.last() == expected.last());
            equal.count() as f64 / found.len() as f64
        } else {
            let all = || expected.iter().map(|row| row[0]);
            let range = all().fold(f64::MIN, f64::max) - all().fold(f64::MAX, f64::min);
            let errors =
                pairs().map(|(found, expected)| ((found[0] - expected[0]) / range).powi(2));
            1.0 - (errors.sum::<f64>() / found.len() as f64).sqrt()
        };
        println!("{name}: {kept} of {} rows in their ranges", found.len());
        assert!(kept >= least, "{name}: {kept}");
    }
}

/// Trees over a score and the row beside it (`passthrough=True`) are the server's, however small: the client
/// that has the score in the clear combines it with nothing else.
#[test]
fn trees_over_scores_and_the_row_are_the_servers() {
    let name = "stacked_passthrough_bc";
    let compiled = try_compile(name, |_| {}).unwrap();
    println!("{}", compiled.report);
    let expected = expected(name);
    let circuit = ClearCircuit::new(compiled.bundle.circuit.clone()).unwrap();
    let rows = values(name, &compiled, expected.len());
    assert_eq!(rows.len(), expected.len());
    let found = rows
        .iter()
        .map(|row| read(&compiled, &signed(circuit.evaluate(row).unwrap())));
    let equal = found
        .zip(&expected)
        .filter(|(found, expected)| found.last() == expected.last());
    let equal = equal.count();
    println!("{equal} of {} labels", rows.len());
    assert!(100 * equal >= 98 * rows.len(), "{equal} of {}", rows.len());
    let keys = Keys::of(&compiled.bundle.circuit);
    let clear = clear_cut(&compiled, rows);
    for row in clear.iter().take(2) {
        let wanted = read(&compiled, &signed(circuit.evaluate(row).unwrap()));
        let found = read(&compiled, &keys.phases(&compiled.bundle.circuit, row));
        assert_eq!(found.last(), wanted.last());
    }
    let error = try_compile(name, |options| options.combiner = Combiner::Client);
    let error = error.err().unwrap().to_string();
    assert!(
        error.contains("passthrough") && error.contains("--combiner server"),
        "{error}"
    );
}

/// The numbers of all choices as a circuit's outputs: for each of them its node, once.
fn numbers(circuit: &Circuit) -> (Circuit, Vec<Choice>) {
    let mut circuit = circuit.clone();
    let all = circuit.nodes.iter().filter_map(Node::as_choice);
    let mut choices: Vec<Choice> = all.copied().collect();
    choices.sort_by_key(|choice| choice.of.node);
    choices.dedup_by_key(|choice| choice.of.node);
    circuit.outputs.clear();
    for choice in &choices {
        circuit
            .nodes
            .push(Node::Pack(Pack::of_constants(vec![choice.of])));
        circuit.outputs.push(Output {
            node: NodeId(circuit.nodes.len() as u32 - 1),
            coefficients: 1,
            stride: 1,
            reply_bits: Bits::new(40),
        });
    }
    (circuit, choices)
}

/// Test rows none of whose numbers is so near to a threshold that noise may take it to the other side.
fn clear_cut(compiled: &Compiled, rows: Vec<Vec<InputValues>>) -> Vec<Vec<InputValues>> {
    let circuit = &compiled.bundle.circuit;
    let noise = noise::of_circuit(circuit).unwrap();
    let errors = noise.choices.iter().map(|own| own.number.deviation().get());
    let most = errors.fold(0.0, f64::max);
    let (compared, _) = numbers(circuit);
    let compared = ClearCircuit::new(compared).unwrap();
    let is_far = |row: &Vec<InputValues>| {
        let mut phases = signed(compared.evaluate(row).unwrap()).into_iter();
        phases.all(|phase| {
            let phase = phase as f64 / 64_f64.exp2();
            phase.abs().min(0.5 - phase.abs()) > DEVIATIONS * most
        })
    };
    rows.into_iter().filter(is_far).collect()
}

/// Encrypted rows give what the circuit gives in the clear, within the stated noise, under two keys.
#[test]
fn encrypted_rows_take_the_same_leaves() {
    let name = "stacked_tree_bc";
    let compiled = compiled(name);
    let circuit = &compiled.bundle.circuit;
    let clear = ClearCircuit::new(circuit.clone()).unwrap();
    let rows = clear_cut(&compiled, values(name, &compiled, 40));
    assert!(rows.len() >= 4, "{} rows", rows.len());
    let deviation = compiled.report.precision.noise_deviation;
    let (mut squares, mut count) = (0.0, 0);
    for (key, rows) in rows.chunks(2).take(2).enumerate() {
        let keys = Keys::of(circuit);
        for row in rows {
            let wanted = signed(clear.evaluate(row).unwrap());
            let found = keys.phases(circuit, row);
            for (found, wanted) in found.iter().zip(&wanted) {
                let error = found.wrapping_sub(*wanted) as f64 / 64_f64.exp2();
                assert!(error.abs() < DEVIATIONS * deviation, "key {key}: {error}");
                squares += error * error;
                count += 1;
            }
            let [found, wanted] = [found, wanted].map(|phases| read(&compiled, &phases));
            assert_eq!(found.last(), wanted.last(), "key {key}");
        }
    }
    let measured = (squares / f64::from(count)).sqrt();
    println!("{measured} measured, {deviation} stated");
}

/// All test rows on one thread, under three keys: for docs/benchmarks.md.
#[test]
#[ignore = "minutes"]
fn encrypted_trees_of_many_rows() {
    for name in NAMES {
        let compiled = compiled(name);
        let circuit = &compiled.bundle.circuit;
        let expected = expected(name);
        let rows = values(name, &compiled, 48);
        let clear = ClearCircuit::new(circuit.clone()).unwrap();
        let range = {
            let all = || expected.iter().map(|row| *row.last().unwrap());
            all().fold(f64::MIN, f64::max) - all().fold(f64::MAX, f64::min)
        };
        let (mut as_clear, mut librarys, mut squares, mut all) = (0, 0, 0.0, 0);
        let mut seconds = 0.0;
        for _ in 0..3 {
            let keys = Keys::of(circuit);
            for (row, expected) in rows.iter().zip(&expected) {
                let start = Instant::now();
                let found = keys.phases(circuit, row);
                seconds += start.elapsed().as_secs_f64();
                let found = *read(&compiled, &found).last().unwrap();
                let wanted = signed(clear.evaluate(row).unwrap());
                let wanted = *read(&compiled, &wanted).last().unwrap();
                let expected = *expected.last().unwrap();
                as_clear += usize::from((found - wanted).abs() < 0.02 * range);
                librarys += usize::from((found - expected).abs() < 0.02 * range);
                squares += ((found - expected) / range).powi(2);
                all += 1;
            }
        }
        let report = &compiled.report;
        println!(
            "{name}: {as_clear} of {all} as in the clear, {librarys} the library's (labels, or within 2 % \
             of the range), error {:.4} of the range; {:.2} s a row, predicted {:.2}; key {}, query {}, \
             reply {}; {:?} {:?}",
            (squares / f64::from(all)).sqrt(),
            seconds / f64::from(all),
            report.work.predicted_microseconds.get() / 1e6,
            report.sizes.evaluation_key,
            report.sizes.query_row,
            report.sizes.reply_row,
            report.work.counts,
            report
                .layers
                .last()
                .map(|layer| (layer.labels, layer.error)),
        );
        assert!(10 * as_clear >= 9 * all as usize);
    }
}
