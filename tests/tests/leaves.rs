//! Leaves of trees refitted to encrypted rows: counts and means are those of scikit-learn's own
//! `tree.apply` on the same rows.

use cipherfn_client::training::leaves::{LeafError, decrypt_counts, encrypt_rows};
use cipherfn_compiler::read::read_model;
use cipherfn_compiler::structure::structure;
use cipherfn_compiler::write::write_onnx;
use cipherfn_program::Tensor;
use cipherfn_scheme::parameters::ParameterSet;
use cipherfn_scheme::{EvaluationKey, ExpandedEvaluationKey, SecretKey};
use cipherfn_serving::training::SET;
use cipherfn_serving::training::leaves::{
    LeafCounter, choose_sums, key_parts, noise, require_exact,
};
use cipherfn_training::leaves::{
    LeafCounts, LeafRow, LeafRowEncoder, LeafSpec, LeafTraining, Structure, StructureNode,
};
use cipherfn_training::{FittedFunction, FittedNode};
use serde_json::Value;
use std::fmt::Write;
use std::path::Path;

fn set() -> &'static ParameterSet {
    ParameterSet::by_name(SET).unwrap()
}

fn keys() -> (SecretKey, ExpandedEvaluationKey) {
    let secret = SecretKey::generate(set()).unwrap();
    let parts = key_parts(set()).unwrap();
    let [part] = &parts[..] else {
        panic!("counting takes the expansion alone");
    };
    let key = EvaluationKey::generate_part(&secret, part.name).unwrap();
    (secret, key.expand().unwrap())
}

fn reference(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("training/leaves.json");
    let document: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    document[name].clone()
}

fn number(value: &Value) -> u32 {
    u32::try_from(value.as_u64().unwrap()).unwrap()
}

/// The structure that the reference has.
fn learned(reference: &Value) -> Structure {
    let node = |node: &Value| {
        if node["rows"].is_u64() {
            return StructureNode::Leaf;
        }
        StructureNode::Split {
            feature: number(&node["feature"]),
            threshold: node["threshold"].as_f64().unwrap() as f32,
            above: number(&node["above"]),
            below: number(&node["below"]),
            missing_above: false,
        }
    };
    let trees = reference["trees"].as_array().unwrap().iter();
    let nodes = trees.map(|tree| tree.as_array().unwrap().iter().map(node).collect());
    Structure {
        features: reference["columns"].as_array().unwrap().len(),
        names: None,
        trees: nodes.collect(),
    }
}

fn spec(reference: &Value, target: &str) -> LeafSpec {
    let mut text = String::from("format = 1\nname = \"t\"\nalgorithm = \"leaves\"\n");
    for column in reference["columns"].as_array().unwrap() {
        writeln!(text, "[[column]]\nname = {column}").unwrap();
    }
    writeln!(text, "[target]\nname = {}\n{target}", reference["target"]).unwrap();
    LeafSpec::from_toml(&text).unwrap()
}

/// The reference's rows.
fn rows(training: &LeafTraining, reference: &Value, is_class: bool) -> Vec<LeafRow> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(reference["table"].as_str().unwrap());
    let text = std::fs::read_to_string(path).unwrap();
    let mut encoder = LeafRowEncoder::new(training);
    let count = number(&reference["rows"]) as usize;
    for line in text.lines().skip(1).take(count) {
        let mut cells: Vec<&str> = line.split(',').collect();
        let class = is_class.then(|| cells.pop().unwrap());
        let numbers: Vec<f64> = cells.iter().map(|cell| cell.parse().unwrap()).collect();
        encoder.add(&numbers, class).unwrap();
    }
    let (rows, clipped) = encoder.finish().unwrap();
    assert_eq!((rows.len(), clipped), (count, 0));
    rows
}

/// Encrypted counts and refitted leaves of a reference.
fn check(name: &str, target: &str, is_class: bool) {
    let reference = reference(name);
    let training = spec(&reference, target).with(&learned(&reference));
    let training = choose_sums(&training.unwrap(), set()).unwrap();
    assert!(noise(&training, set(), 1_000_000).unwrap().error < 0.5);
    require_exact(&training, set(), 1000).unwrap();
    let training = LeafTraining::from_json(&training.to_json().unwrap()).unwrap();
    let rows = rows(&training, &reference, is_class);
    let (secret, key) = keys();
    let encrypted = encrypt_rows(&secret, &training, &rows).unwrap();
    let counter = LeafCounter::new(&training, set()).unwrap();
    let sums = counter.sums(&key, &encrypted, rows.len()).unwrap();
    let counts = decrypt_counts(&secret, &training, rows.len(), &sums).unwrap();
    assert_eq!(counts, LeafCounts::of(&training, &rows));
    let refitted = training.refit(rows.len(), &counts).unwrap();
    let FittedFunction::Trees { trees, .. } = &refitted.model.function else {
        panic!("it is trees");
    };
    let expected = reference["trees"].as_array().unwrap();
    for ((tree, counts), expected) in trees.iter().zip(&counts).zip(expected) {
        let mut leaves = counts.rows.iter();
        for (node, expected) in tree.iter().zip(expected.as_array().unwrap()) {
            let FittedNode::Leaf(values) = node else {
                continue;
            };
            assert_eq!(*leaves.next().unwrap(), expected["rows"].as_u64().unwrap());
            // Where no row ended scikit-learn has no mean.
            for (value, expected) in expected["says"]
                .as_array()
                .into_iter()
                .flatten()
                .zip(values)
            {
                assert!((value.as_f64().unwrap() - expected).abs() < 1e-9);
            }
        }
    }
    // What is written is read again, and says the mean of the leaves that a row reaches.
    let model = read_model(&write_onnx(&refitted.model)).unwrap();
    assert_eq!(structure(&model).unwrap().trees.len(), trees.len());
    let inputs = model.columns.iter().map(|_| Tensor::F32(vec![0.0]));
    let found = model.predict(inputs.collect()).unwrap();
    let zero = training
        .cuts()
        .iter()
        .map(|cuts| cuts.partition_point(|cut| 0.0 > *cut) as u32);
    let zero: Vec<u32> = zero.collect();
    let said = trees.iter().zip(training.trees()).map(|(nodes, tree)| {
        let FittedNode::Leaf(values) = &nodes[tree.reach(&zero)] else {
            panic!("rows end in leaves");
        };
        *values.last().unwrap()
    });
    let mean = said.sum::<f64>() / trees.len() as f64;
    let last = match found.last().unwrap() {
        Tensor::F32(values) => f64::from(*values.last().unwrap()),
        Tensor::F64(values) => *values.last().unwrap(),
        other => panic!("{other:?} is no score"),
    };
    assert!(
        (last - mean).abs() < 1e-5 * mean.abs().max(1.0),
        "{last} {mean}"
    );
    refuse(&training, (&secret, &key), (&encrypted, rows.len()), sums);
}

/// Sums that are not those of the rows are refused.
fn refuse(
    training: &LeafTraining,
    (secret, key): (&SecretKey, &ExpandedEvaluationKey),
    (encrypted, rows): (&[u8], usize),
    mut sums: Vec<Vec<u8>>,
) {
    let counter = LeafCounter::new(training, set()).unwrap();
    let short = counter.sums(key, &encrypted[1..], rows);
    assert!(short.is_err(), "bytes are missing");
    let other = SecretKey::generate(set()).unwrap();
    let error = decrypt_counts(&other, training, rows, &sums);
    let refused = error.and_then(|counts| Ok(training.refit(rows, &counts)?));
    assert!(refused.is_err(), "another key has no such counts");
    // The last sum has fewer rows than the others.
    let in_sum = training.sums().rows();
    assert_ne!(rows % in_sum, 0, "{in_sum} rows a sum");
    let last = sums.len() - sums.len() / rows.div_ceil(in_sum);
    sums.swap(0, last);
    let error = decrypt_counts(secret, training, rows, &sums).unwrap_err();
    assert!(
        matches!(
            error,
            LeafError::OtherRows {
                sum: 1,
                tree: 1,
                ..
            }
        ),
        "{error}"
    );
    sums.pop();
    let error = decrypt_counts(secret, training, rows, &sums).unwrap_err();
    assert!(matches!(error, LeafError::Sums { .. }), "{error}");
}

#[test]
fn forests_count_classes_as_scikit_learn() {
    check("forest", "classes = [\"0\", \"1\"]", true);
}

#[test]
fn extra_trees_have_the_means_of_scikit_learn() {
    check("extra_trees", "low = 25\nhigh = 346", false);
}

/// Of models whose leaves count something else, and of columns in another order.
#[test]
fn structures_that_rows_would_not_fit_are_refused() {
    let read = |path: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        read_model(&std::fs::read(path).unwrap()).unwrap()
    };
    for (path, expected) in [
        (
            "models/imputer_forest/model.onnx",
            "scaled, encoded or imputed",
        ),
        ("native/xgb-base-score/model.json", "boosted"),
    ] {
        let error = structure(&read(path)).unwrap_err().to_string();
        assert!(error.contains(expected), "{path}: {error}");
    }
    let reference = reference("forest");
    let spec = spec(&reference, "classes = [\"0\", \"1\"]");
    let columns = reference["columns"].as_array().unwrap().iter();
    let mut names: Vec<String> = columns
        .map(|name| name.as_str().unwrap().to_owned())
        .collect();
    let mut forest = learned(&reference);
    forest.names = Some(names.clone());
    spec.with(&forest).unwrap();
    names.swap(0, 1);
    forest.names = Some(names);
    let error = spec.with(&forest).unwrap_err().to_string();
    assert!(error.contains("column 1"), "{error}");
}
