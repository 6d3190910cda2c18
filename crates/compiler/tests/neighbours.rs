//! Nearest neighbours, compiled: votes in the clear against the library's own predictions on the
//! test rows, and what is refused.

#[path = "support/encrypted.rs"]
mod encrypted;
mod support;

use cipherfn_circuit::circuit::{Constant, Input, Node, NodeId, Output, Pack, Rotated};
use cipherfn_compiler::Compiled;
use cipherfn_compiler::read::read_model;
use cipherfn_engine::ClearCircuit;
use cipherfn_program::Tensor;
use cipherfn_protocol::specs::{Bits, Encoding};
use cipherfn_scheme::parameters::ParameterSet;
use cipherfn_scheme::query::InputValues;
use cipherfn_scheme::{bootstrap, noise};
use cipherfn_table::Table;
use encrypted::{Keys, values};
use std::fs;
use std::path::Path;
use std::time::Instant;
use support::{library, try_compile};

/// A test row's own outputs and the library's.
struct Pair {
    found: Vec<Tensor>,
    /// The row of expected.csv.
    expected: Vec<f64>,
    /// Whether a feature is outside its range.
    is_limited: bool,
}

/// The circuit without noise on the test rows.
fn pairs(name: &str, compiled: &Compiled) -> Vec<Pair> {
    let folder = library(name);
    let specs = compiled.specs.specs();
    let circuit = ClearCircuit::new(compiled.bundle.circuit.clone()).unwrap();
    let text = fs::read(folder.join("test.csv")).unwrap();
    let rows = Table::open("test.csv", text.as_slice()).unwrap();
    let rows = rows
        .select(&specs.columns, specs.preprocess.inputs())
        .unwrap();
    let expected = fs::read_to_string(folder.join("expected.csv")).unwrap();
    let expected = expected.lines().skip(1).map(|line| {
        let cells = line.split(',');
        cells
            .map(|cell| cell.parse().unwrap())
            .collect::<Vec<f64>>()
    });
    let model = read_model(&fs::read(folder.join("model.onnx")).unwrap()).unwrap();
    rows.zip(expected)
        .map(|(row, expected)| {
            let features = model.features_of(row.unwrap()).unwrap();
            let is_limited = |encoding: &Encoding| match encoding {
                Encoding::Integers(own) => own.limited(&features).next().is_some(),
                _ => false,
            };
            let values = InputValues::all(&specs.inputs, &features).unwrap();
            let phases: Vec<i64> = circuit
                .evaluate(&values)
                .unwrap()
                .into_iter()
                .map(|phase| phase as i64)
                .collect();
            let scores = specs.decoding.scores(&phases);
            let outputs = specs.postprocess.run(vec![Tensor::F64(scores)]);
            Pair {
                found: outputs.unwrap(),
                expected,
                is_limited: specs.inputs.iter().any(is_limited),
            }
        })
        .collect()
}

#[test]
fn votes_give_the_librarys_labels() {
    let compiled = try_compile("knn_iris", |_| {}).unwrap();
    println!("{}", compiled.report);
    let pairs = pairs("knn_iris", &compiled);
    assert_eq!(pairs.len(), 38);
    let labels = pairs
        .iter()
        .filter(|pair| pair.found[0].to_texts()[0] == pair.expected[3].to_string());
    assert_eq!(labels.count(), 38);
    // Ties of distances that steps round alike have votes, too: few rows have other probabilities.
    let equal = pairs.iter().filter(|pair| {
        let own = pair.found[1].to_f64().unwrap();
        let mut both = own.iter().zip(&pair.expected);
        both.all(|(own, expected)| (own - expected).abs() < 1e-6)
    });
    assert!(equal.count() >= 35);
}

#[test]
fn votes_give_means_of_targets() {
    let compiled = try_compile("knnreg_diabetes", |_| {}).unwrap();
    println!("{}", compiled.report);
    let pairs = pairs("knnreg_diabetes", &compiled);
    let all = pairs.len();
    let expected = pairs.iter().map(|pair| pair.expected[0]);
    let (low, high) = expected.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), own| {
        (low.min(own), high.max(own))
    });
    let inside: Vec<&Pair> = pairs.iter().filter(|pair| !pair.is_limited).collect();
    let errors = inside.iter().map(|pair| {
        let own = pair.found[0].to_f64().unwrap()[0];
        ((own - pair.expected[0]) / (high - low)).powi(2)
    });
    let error = (errors.sum::<f64>() / inside.len() as f64).sqrt();
    println!("{} of {all} rows inside, error {error}", inside.len());
    assert!(error < 0.02, "{error}");
}

/// Encrypted rows have the labels that the library gives them.
#[test]
fn encrypted_votes_give_the_librarys_labels() {
    let compiled = try_compile("knn_iris", |_| {}).unwrap();
    let circuit = &compiled.bundle.circuit;
    let keys = Keys::of(circuit);
    let specs = compiled.specs.specs();
    let expected = pairs("knn_iris", &compiled);
    for (values, pair) in values("knn_iris", &compiled, 3).iter().zip(&expected) {
        let scores = specs.decoding.scores(&keys.phases(circuit, values));
        let found = specs.postprocess.run(vec![Tensor::F64(scores)]).unwrap();
        assert_eq!(found, pair.found);
    }
}

/// Three rankings, whose means the client averages, beside each other in one circuit.
#[test]
fn a_bag_of_neighbours_votes_as_the_library_does() {
    let name = "knn_bagging_iris";
    let compiled = try_compile(name, |_| {}).unwrap();
    println!("{}", compiled.report);
    let circuit = &compiled.bundle.circuit;
    assert_eq!((circuit.inputs.len(), circuit.outputs.len()), (3, 3));
    assert_eq!(compiled.report.model.family, "nearest neighbours");
    let pairs = pairs(name, &compiled);
    assert_eq!(pairs.len(), 38);
    let labels = pairs
        .iter()
        .filter(|pair| pair.found[0].to_texts()[0] == pair.expected[3].to_string());
    let labels = labels.count();
    println!("{labels} of 38 labels");
    assert!(labels >= 37, "{labels} of 38");
    let keys = Keys::of(circuit);
    let specs = compiled.specs.specs();
    for (values, pair) in values(name, &compiled, 2).iter().zip(&pairs) {
        let scores = specs.decoding.scores(&keys.phases(circuit, values));
        let found = specs.postprocess.run(vec![Tensor::F64(scores)]).unwrap();
        assert_eq!(found, pair.found);
    }
}

/// The numbers that bootstraps look up: a histogram of n look-ups turned back by one more, and in the
/// second round the candidates' own errors. In steps of rank these are noise around whole ranks.
///
/// The bound on the root mean square is wide because a query's errors share their rows' errors: the
/// mean square of few expanded rows is an exponential variable for the most part (`noise::margin`
/// says why, and multiplies by what that takes). Over seventy runs of three queries it spread like a
/// mean of six such variables, of which one in 10^10 is beyond 6.25 times its expectation.
#[test]
fn ranks_have_the_predicted_noise() {
    let compiled = try_compile("knn_iris", |_| {}).unwrap();
    let mut circuit = compiled.bundle.circuit.clone();
    let keys = Keys::of(&circuit);
    let numbers: Vec<Rotated> = circuit
        .nodes
        .iter()
        .filter_map(|node| match node {
            Node::Bootstrap(bootstrap) => Some(bootstrap.of),
            _ => None,
        })
        .collect();
    let points = numbers.len() / 2;
    let turns = circuit.nodes.iter().filter_map(|node| match node {
        Node::Lookup(lookup) => Some(lookup.form.len()),
        _ => None,
    });
    let turns = turns.max().unwrap() as f64;
    let set = ParameterSet::by_name(&circuit.parameter_set).unwrap();
    let Input::Selectors(group) = circuit.inputs[0] else {
        panic!("bits")
    };
    let selector = noise::selector(set, group.transport);
    let cmux = noise::cmux(set, group.gadget, &selector);
    let part = set.part(circuit.bootstrap.as_deref().unwrap()).unwrap();
    let bootstrap = part.bootstrap().unwrap();
    let vote = bootstrap::rotation_variance(bootstrap)
        + bootstrap::module_switch::variance_to_levelled(set, bootstrap);
    let ranks = ((points as f64 + 1.0) * turns) * cmux;
    let predicted = [ranks, ranks + 4.0 * points as f64 * vote];
    let first = circuit.nodes.iter().find_map(|node| match node {
        Node::Bootstrap(bootstrap) => Some(bootstrap.table),
        _ => None,
    });
    // A candidate's vote is half a step of the second round.
    let Constant(votes) = &circuit.constants[first.unwrap().index()];
    let step = 2.0 * votes[0].1 as f64 / 64_f64.exp2();
    let stride = 2048 / (points as u32).next_power_of_two();
    circuit.outputs.clear();
    for round in numbers.chunks(points) {
        circuit
            .nodes
            .push(Node::Pack(Pack::of_constants(round.to_vec())));
        circuit.outputs.push(Output {
            node: NodeId(circuit.nodes.len() as u32 - 1),
            coefficients: points as u32,
            stride,
            reply_bits: Bits::new(40),
        });
    }
    let clear = ClearCircuit::new(circuit.clone()).unwrap();
    let mut squares = [0.0; 2];
    let rows = values("knn_iris", &compiled, 3);
    for values in &rows {
        let wanted = clear.evaluate(values).unwrap();
        let found = keys.phases(&circuit, values);
        for (at, (found, wanted)) in found.iter().zip(&wanted).enumerate() {
            let error = found.wrapping_sub(*wanted as i64) as f64 / 64_f64.exp2();
            // A point more or less among the candidates is a whole rank.
            let error = if at < points {
                error
            } else {
                error - step * (error / step).round()
            };
            squares[at / points] += error * error;
        }
    }
    let count = (rows.len() * points) as f64;
    for (round, (squares, predicted)) in squares.iter().zip(predicted).enumerate() {
        let found = (squares / count).sqrt();
        let predicted = predicted.deviation().get();
        println!(
            "round {}: 2^{:.2} measured, 2^{:.2} predicted",
            round + 1,
            found.log2(),
            predicted.log2()
        );
        // Bits that are not set add less, so the prediction is an upper bound.
        assert!(found < 2.5 * predicted && found > 0.25 * predicted);
    }
}

/// Two dozen test rows, with the time that each takes on one thread and how many labels or means come back
/// as in the clear: for docs/benchmarks.md.
#[test]
#[ignore = "minutes"]
fn encrypted_votes_of_many_rows() {
    for name in ["knn_iris", "knnreg_diabetes"] {
        let compiled = try_compile(name, |_| {}).unwrap();
        let circuit = &compiled.bundle.circuit;
        let keys = Keys::of(circuit);
        let specs = compiled.specs.specs();
        let wanted = pairs(name, &compiled);
        let (mut equal, mut refused) = (0, 0);
        let rows = values(name, &compiled, 24);
        let start = Instant::now();
        for (values, pair) in rows.iter().zip(&wanted) {
            let scores = specs.decoding.scores(&keys.phases(circuit, values));
            match specs.postprocess.run(vec![Tensor::F64(scores)]) {
                Ok(found) => {
                    let both = [&found, &pair.found].map(|own| own[0].to_f64().unwrap_or_default());
                    let [found, wanted] = both;
                    let mut both = found.iter().zip(&wanted);
                    equal += usize::from(both.all(|(own, wanted)| (own - wanted).abs() < 1.0));
                }
                Err(_) => refused += 1,
            }
        }
        println!(
            "{name}: {equal} of {} rows as in the clear, {refused} refused, {:.2} s a row",
            rows.len(),
            start.elapsed().as_secs_f64() / rows.len() as f64
        );
        assert!(100 * equal >= 95 * rows.len() && refused <= 1);
    }
}

/// Each distance from a training row would be the client's to see, and labels in the specs.
#[test]
fn neighbours_within_a_radius_are_refused_by_the_comparison() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/cases");
    for name in ["classifier", "regressor"] {
        let file = cases.join(format!("neighbours-within-radius/{name}.onnx"));
        let error = read_model(&fs::read(file).unwrap())
            .unwrap_err()
            .to_string();
        assert!(error.contains("neighbours within a radius"), "{error}");
        assert!(error.contains("Less"), "{error}");
    }
}
