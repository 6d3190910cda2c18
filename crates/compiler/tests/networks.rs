//! Networks with a hidden layer and kernel machines, compiled: the client's arithmetic and the
//! circuit, in the clear and with noise of the predicted size, against the libraries' own
//! predictions on the test rows.

mod support;

use cipherfn_compiler::model::Model;
use cipherfn_compiler::read::read_model;
use cipherfn_compiler::{CompileError, Compiled, Profile};
use cipherfn_engine::ClearCircuit;
use cipherfn_program::Tensor;
use cipherfn_protocol::specs::{Encoding, OutputField, SpecsDocument};
use cipherfn_scheme::query::InputValues;
use cipherfn_table::Table;
use std::fs;
use std::path::Path;
use support::{library, try_compile};

/// How a compiled model does on the library's test rows.
#[derive(Debug, Default)]
struct Found {
    /// Rows none of whose features is outside its range.
    rows: usize,
    /// Labels, or largest scores, that are the library's.
    labels: usize,
    /// Root mean square of the worst score's error, in parts of its range over all rows.
    error: f64,
}

/// Normal deviates from a linear congruential generator.
struct Noise(u64);

impl Noise {
    fn uniform(&mut self) -> f64 {
        const FACTOR: u64 = 6_364_136_223_846_793_005;
        self.0 = self.0.wrapping_mul(FACTOR).wrapping_add(1);
        ((self.0 >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * self.uniform().ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }
}

/// The column `label` of the library's own predictions.
fn labels(folder: &Path) -> Option<Vec<String>> {
    let text = fs::read_to_string(folder.join("expected.csv")).unwrap();
    let mut lines = text.lines().map(|line| line.split(','));
    let place = lines.next()?.position(|name| name == "label")?;
    lines
        .map(|mut cells| cells.nth(place).map(str::to_owned))
        .collect()
}

fn largest(scores: &[f64]) -> usize {
    let larger = |best, own| {
        if scores[own] > scores[best] {
            own
        } else {
            best
        }
    };
    (0..scores.len()).fold(0, larger)
}

fn found(name: &str, compiled: &Compiled) -> Found {
    let folder = library(name);
    let model: Model = read_model(&fs::read(folder.join("model.onnx")).unwrap()).unwrap();
    let specs = compiled.specs.specs();
    let circuit = ClearCircuit::new(compiled.bundle.circuit.clone()).unwrap();
    let deviation = compiled.report.precision.noise_deviation * 64_f64.exp2();
    let text = fs::read(folder.join("test.csv")).unwrap();
    let rows = Table::open("test.csv", text.as_slice()).unwrap();
    let rows = rows
        .select(&specs.columns, specs.preprocess.inputs())
        .unwrap();
    let labels = labels(&folder);
    let mut noise = Noise(1);
    let mut found = Found::default();
    let count = specs.decoding.scores.len();
    let mut squares = vec![0.0; count];
    let mut ranges = vec![(f64::INFINITY, f64::NEG_INFINITY); count];
    for (index, row) in rows.enumerate() {
        let features = model.features_of(row.unwrap()).unwrap();
        let exact = model.raw_scores(&features);
        for (range, score) in ranges.iter_mut().zip(&exact) {
            *range = (range.0.min(*score), range.1.max(*score));
        }
        let is_limited = |encoding: &Encoding| match encoding {
            Encoding::Integers(own) => own.limited(&features).next().is_some(),
            Encoding::Linear(own) => own.limited(&features).next().is_some(),
            Encoding::Selectors(_) => false,
        };
        if specs.inputs.iter().any(is_limited) {
            continue;
        }
        let values = InputValues::all(&specs.inputs, &features).unwrap();
        let phases = circuit.evaluate(&values).unwrap().into_iter();
        let noisy =
            phases.map(|phase| (phase as i64).wrapping_add((deviation * noise.normal()) as i64));
        let scores = specs.decoding.scores(&noisy.collect::<Vec<i64>>());
        for (square, (score, exact)) in squares.iter_mut().zip(scores.iter().zip(&exact)) {
            *square += (score - exact).powi(2);
        }
        let label = match model
            .outputs
            .iter()
            .position(|own| *own == OutputField::Label)
        {
            Some(place) => {
                let outputs = model.postprocess.run(vec![Tensor::F64(scores)]).unwrap();
                outputs[place].to_texts()[0].clone()
            }
            None => largest(&scores).to_string(),
        };
        found.rows += 1;
        found.labels += usize::from(labels.as_ref().is_none_or(|all| all[index] == label));
    }
    let errors = squares.iter().zip(&ranges);
    let errors = errors.map(|(sum, (low, high))| (sum / found.rows as f64).sqrt() / (high - low));
    found.error = errors.fold(0.0, f64::max);
    found
}

/// Labels of rows inside the ranges, all but so many in a thousand, and scores within parts of
/// their range.
#[test]
fn networks_keep_to_their_libraries() {
    for (name, labels, error) in [
        ("mlp_bc", 8, 0.01),
        ("mlp100_bc", 8, 0.01),
        ("mlp100_diabetes", 0, 0.01),
        ("torch_mlp_digits", 5, 0.01),
        ("torch_cnn_digits", 10, 0.01),
        ("svc_rbf_bc", 10, 0.02),
        ("svr_rbf_diabetes", 0, 0.02),
        ("kmeans_iris", 0, 1e-4),
        ("gpr_diabetes", 0, 0.05),
        // The noise added is what is stated: behind several layers that of the row it moves most.
        ("mlp_two_layers_bc", 8, 0.03),
        ("mlp_three_layers_wine", 0, 0.03),
        ("torch_30_30_30_2_bc", 8, 0.03),
        ("torch_two_conv_digits", 10, 0.03),
    ] {
        let compiled = try_compile(name, |_| ());
        let compiled = compiled.unwrap_or_else(|error| panic!("{name}: {error}"));
        let found = found(name, &compiled);
        println!("{name}: {found:?}");
        assert!(found.rows > 30, "{name}: {found:?}");
        let wrong = found.rows - found.labels;
        assert!(1000 * wrong <= labels * found.rows, "{name}: {found:?}");
        assert!(found.error <= error, "{name}: {found:?}");
        for layer in &compiled.report.layers {
            assert_eq!(layer.wrapped, 0, "{name}: values outside of tables");
        }
    }
}

#[test]
fn a_network_that_is_not_faithful_enough_is_refused_with_what_limits_it() {
    let error = try_compile("mlp_bc", |options| options.min_agreement = 1.0);
    assert!(error.is_ok(), "all labels of the calibration rows are kept");
    let error = try_compile("mlp_bc", |options| options.precision = Some(20.0));
    let error = error.unwrap_err().to_string();
    assert!(
        error.contains("20 bits of precision cannot be reached"),
        "{error}"
    );
    let error = try_compile("mlp_bc", |options| options.profile = Profile::Keyless);
    let error = error.unwrap_err().to_string();
    assert!(
        error.contains("keyless") && error.contains("evaluation key"),
        "{error}"
    );
}

/// Who needs the labels alone says how far off scores may be, and pays for no more.
#[test]
fn scores_are_as_exact_as_is_asked_for() {
    let layer = |compiled: &Compiled| {
        let layers = compiled.report.layers.iter();
        layers.map(|own| own.error).fold(0.0, f64::max)
    };
    let seconds = |compiled: &Compiled| compiled.report.work.predicted_microseconds.get();
    let plain = try_compile("mlp_three_layers_wine", |_| ()).unwrap();
    let rough = try_compile("mlp_three_layers_wine", |options| {
        options.max_error = Some(0.04);
    });
    let rough = rough.unwrap();
    assert!(layer(&plain) <= 0.01);
    assert!(layer(&rough) > 0.01 && layer(&rough) <= 0.04);
    assert!(seconds(&rough) < seconds(&plain));
    let exact = try_compile("mlp_bc", |options| options.max_error = Some(0.0001));
    let error = exact.unwrap_err().to_string();
    assert!(error.contains(", and 0.01 % is the most"), "{error}");
    for error in [0.0, 0.5, f64::NAN] {
        let refused = try_compile("mlp_bc", |options| options.max_error = Some(error));
        assert!(matches!(
            refused,
            Err(CompileError::Option {
                option: "max-error",
                ..
            })
        ));
    }
}

/// The same input gives the same bytes.
#[test]
fn networks_compile_to_the_same_bytes() {
    let [one, other] = [(), ()].map(|()| try_compile("torch_mlp_digits", |_| ()).unwrap());
    assert_eq!(one.bundle, other.bundle);
    assert_eq!(one.specs.format(), 4);
    let back = SpecsDocument::from_json_bytes(one.specs.bytes()).unwrap();
    assert_eq!(back.specs(), one.specs.specs());
}
