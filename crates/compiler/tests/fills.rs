//! Values between the steps of features: what an imputer fills in lies on a step, others are marked.

use cipherfn_compiler::read::read_model;
use cipherfn_compiler::{Calibration, Compiled, Options, compile};
use cipherfn_engine::ClearCircuit;
use cipherfn_program::Tensor;
use cipherfn_protocol::specs::{Encoding, IntegerFeature};
use cipherfn_scheme::query::InputValues;
use std::fs;
use std::path::{Path, PathBuf};

/// Neighbours were trained on so many rows.
const POINTS: usize = 60;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/cases/imputed-flags")
}

fn compiled(name: &str, train: &str) -> Compiled {
    let model = fs::read(folder().join(format!("{name}.onnx"))).unwrap();
    let calibration = Calibration::new("train.csv", train.as_bytes());
    compile(&model, calibration, &Options::new(name)).unwrap()
}

/// The first training rows, none of whose cells is missing.
fn train(rows: usize) -> String {
    let text = fs::read_to_string(folder().join("train.csv")).unwrap();
    text.lines()
        .take(rows + 1)
        .fold(String::new(), |text, line| text + line + "\n")
}

/// Numbers of a table; a missing cell is NaN.
fn table(name: &str) -> Vec<Vec<f32>> {
    let text = fs::read_to_string(folder().join(name)).unwrap();
    let number = |cell: &str| match cell {
        "" => f32::NAN,
        cell => cell.parse().unwrap(),
    };
    let lines = text.lines().skip(1);
    lines
        .map(|line| line.split(',').map(number).collect())
        .collect()
}

fn integers(compiled: &Compiled) -> &[IntegerFeature] {
    let mut inputs = compiled.specs.specs().inputs.iter();
    inputs
        .find_map(|input| match input {
            Encoding::Integers(own) => Some(own.features.as_slice()),
            _ => None,
        })
        .unwrap()
}

/// Names of features that are marked on a row.
fn marked<'a>(compiled: &'a Compiled, features: &[f32]) -> Vec<&'a str> {
    let is_marked = |own: &&IntegerFeature| {
        let value = features[own.feature as usize];
        own.limits(value) || own.rounds(value)
    };
    let features = integers(compiled).iter().filter(is_marked);
    features.map(|own| own.name.as_str()).collect()
}

/// Rows with a missing flag, calibrated on rows without: before, 0.37 was taken for 0.
#[test]
fn rows_with_filled_flags_have_the_models_answers() {
    // Calibration rows, and the most that a score may be off: it was up to 0.4 and 1.4.
    for (name, rows, most) in [("mlp", 300, 0.04), ("svc", 300, 0.1), ("knn", POINTS, 0.21)] {
        let compiled = compiled(name, &train(rows));
        let model = read_model(&fs::read(folder().join(format!("{name}.onnx"))).unwrap()).unwrap();
        let specs = compiled.specs.specs();
        let circuit = ClearCircuit::new(compiled.bundle.circuit.clone()).unwrap();
        let expected = table(&format!("{name}.csv"));
        let (mut equal, mut largest) = (0, 0.0_f64);
        let rows = table("rows.csv");
        for (row, expected) in rows.iter().zip(&expected) {
            let features = model.features_of(vec![Tensor::F32(row.clone())]).unwrap();
            assert_eq!(marked(&compiled, &features), [""; 0], "{name}: {row:?}");
            let values = InputValues::all(&specs.inputs, &features).unwrap();
            let phases = circuit.evaluate(&values).unwrap().into_iter();
            let phases: Vec<i64> = phases.map(|phase| phase as i64).collect();
            let scores = Tensor::F64(specs.decoding.scores(&phases));
            let outputs = specs.postprocess.run(vec![scores]).unwrap();
            equal += usize::from(outputs[0].to_texts()[0] == expected[0].to_string());
            let found = outputs[1].to_f64().unwrap();
            let error = found[found.len() - 1] - f64::from(expected[1]);
            largest = largest.max(error.abs());
        }
        println!(
            "{name}: {equal} of {} labels, off by {largest:.4}, {:?}",
            rows.len(),
            integers(&compiled)
        );
        // Neighbours tie, and have rounded distances.
        assert!(equal + 1 >= rows.len(), "{name}: {equal} of {}", rows.len());
        assert!(largest <= most, "{name}: {largest}");
    }
}

/// Calibration rows with missing cells cost a flag no bits beyond those.
#[test]
fn fill_values_among_calibration_rows_change_no_grid() {
    let rows = fs::read_to_string(folder().join("rows.csv")).unwrap();
    let (_, rows) = rows.split_once('\n').unwrap();
    let complete = compiled("mlp", &train(300));
    let filled = compiled("mlp", &(train(300) + rows));
    let bits = |compiled: &Compiled| -> Vec<u32> {
        let flags = integers(compiled)[2..].iter();
        flags.map(|own| own.bits).collect()
    };
    assert_eq!(bits(&filled), bits(&complete));
}

/// A flag of a half is neither.
#[test]
fn other_values_between_steps_are_marked() {
    for name in ["mlp", "svc"] {
        let compiled = compiled(name, &train(300));
        assert_eq!(compiled.specs.format(), 7, "{name}");
        let model = read_model(&fs::read(folder().join(format!("{name}.onnx"))).unwrap()).unwrap();
        let features = |f0: f32| {
            let row = vec![Tensor::F32(vec![0.3, -0.2, f0, 0.0, 0.0, 1.0])];
            model.features_of(row).unwrap()
        };
        for value in [0.0, 1.0] {
            assert_eq!(marked(&compiled, &features(value)), [""; 0]);
        }
        for value in [0.5, 3.0] {
            let marked = marked(&compiled, &features(value));
            assert!(marked.contains(&"f0"), "{name}: {:?}", integers(&compiled));
        }
    }
}
