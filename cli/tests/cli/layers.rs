//! A linear layer of a larger model and its transpose, by a service.

use crate::service::Dev;
use crate::support::{Sandbox, library_model, success};
use cipherfn_compiler::read::read_layer;
use cipherfn_program::Tensor;
use std::fs;

/// The layer, and its inputs and outputs.
const NODE: &str = "/2/Gemm";
const INPUTS: usize = 32;
const OUTPUTS: usize = 10;

/// Numbers from -2 to 2, row by row.
fn table(width: usize, rows: usize) -> Vec<Vec<f32>> {
    let cell = |row: usize, column: usize| ((row * 37 + column * 53 + 11) % 41) as f32 / 10.0 - 2.0;
    let row = |row| (0..width).map(|column| cell(row, column)).collect();
    (0..rows).map(row).collect()
}

fn csv(rows: &[Vec<f32>]) -> String {
    let names: Vec<String> = (0..rows[0].len()).map(|own| format!("h{own}")).collect();
    let mut text = names.join(",") + "\n";
    for row in rows {
        let cells: Vec<String> = row.iter().map(ToString::to_string).collect();
        text += &(cells.join(",") + "\n");
    }
    text
}

fn product(one: &[f64], other: &[f64]) -> f64 {
    one.iter().zip(other).map(|(one, other)| one * other).sum()
}

fn wide(row: &[f32]) -> Vec<f64> {
    row.iter().map(|own| f64::from(*own)).collect()
}

#[test]
fn a_layer_and_its_transpose_are_computed_by_a_service() {
    let sandbox = Sandbox::new();
    let model = library_model("torch_mlp_digits").join("model.onnx");
    let compile = |name: &str, width: usize, more: &[&str]| {
        sandbox.write(&format!("{name}.csv"), &csv(&table(width, 41)));
        let (rows, bundle) = (format!("{name}.csv"), format!("{name}.cfn"));
        let own = ["compile", model.to_str().unwrap(), "--layer", NODE];
        let rest = ["--calibration", &rows, "-o", &bundle];
        success(&sandbox.run(&[&own, &rest[..], more].concat()));
    };
    compile("layer", INPUTS, &[]);
    compile("back", OUTPUTS, &["--transpose"]);
    let publish = ["--publish", "layer=layer.cfn", "--publish", "back=back.cfn"];
    let dev = Dev::start(&sandbox, &publish);
    let predict = |name: &str, rows: &[Vec<f32>]| -> Vec<Vec<f64>> {
        sandbox.write("rows.csv", &csv(rows));
        let own = [
            "predict", "--input", "rows.csv", "-o", "-", "--keys", "keys",
        ];
        let text =
            success(&sandbox.run(&[&own[..], &["--service", &dev.url, "--model", name]].concat()));
        crate::numbers(&text)
    };
    let mut activations = table(INPUTS, 2);
    activations.push(vec![0.0; INPUTS]);
    let gradients = table(OUTPUTS, 2);
    let results = predict("layer", &activations);
    let back = predict("back", &gradients);
    assert_eq!((results[0].len(), back[0].len()), (OUTPUTS, INPUTS));
    // What the file's weights make of it.
    let exact = read_layer(&fs::read(&model).unwrap(), NODE).unwrap();
    for (row, found) in activations.iter().zip(&results) {
        let outputs = exact.predict(vec![Tensor::F32(row.clone())]).unwrap();
        let wanted = outputs[0].to_f64().unwrap();
        for (found, wanted) in found.iter().zip(&wanted) {
            assert!(
                (found - wanted).abs() < 0.02,
                "{found} in place of {wanted}"
            );
        }
    }
    let mut largest = 0.0_f64;
    // y (W x) = (W^T y) x, for all of them, and without the constants that the transpose has not.
    let [results @ .., constants] = results.as_slice() else {
        panic!("a result a row")
    };
    for (x, result) in activations.iter().zip(results) {
        let linear: Vec<f64> = result
            .iter()
            .zip(constants)
            .map(|(own, b)| own - b)
            .collect();
        for (y, back) in gradients.iter().zip(&back) {
            let (one, other) = (product(&wide(y), &linear), product(back, &wide(x)));
            assert!((one - other).abs() < 0.2, "{one} and {other}");
            largest = one.abs().max(largest);
        }
    }
    assert!(largest > 1.0, "{largest}");
}
