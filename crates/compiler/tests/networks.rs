//! Networks with a hidden layer and kernel machines, compiled: the client's arithmetic and the
//! circuit, in the clear and with noise of the predicted size, against the libraries' own
//! predictions on the test rows.

mod relations;
mod support;

use cipherfn_compiler::model::{Estimator, Model};
use cipherfn_compiler::read::read_model;
use cipherfn_compiler::{Calibration, CompileError, Compiled, Options, Profile, compile};
use cipherfn_engine::ClearCircuit;
use cipherfn_program::Tensor;
use cipherfn_protocol::specs::{Encoding, OutputField, SpecsDocument};
use cipherfn_scheme::query::InputValues;
use cipherfn_table::Table;
use std::fs;
use std::path::{Path, PathBuf};
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
        // Whichever class a machine's scores speak for.
        let auc = compiled
            .report
            .targets
            .iter()
            .filter_map(|own| own.clear.auc);
        assert!(auc.fold(1.0, f64::min) > 0.9, "{name}");
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

/// Operators and kernels with their attributes, in the clear: rows and ONNX Runtime's answers of
/// `tests/networks`, made by `tests/models/operators.py`.
#[test]
fn small_networks_match_onnx_runtime() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/networks");
    let files = fs::read_dir(folder).unwrap().map(|own| own.unwrap().path());
    let is_model = |path: &PathBuf| path.extension().is_some_and(|own| own == "onnx");
    let mut files: Vec<PathBuf> = files.filter(is_model).collect();
    files.sort();
    assert!(files.len() >= 60, "{} models", files.len());
    let failed = files.iter().filter_map(|path| {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let problem = differs(path, &name).err()?;
        Some(format!("{name}: {problem}"))
    });
    let failed: Vec<String> = failed.collect();
    assert!(failed.is_empty(), "{failed:#?}");
}

/// Where a model's answers are not those beside it.
fn differs(path: &Path, name: &str) -> Result<(), String> {
    let model = read_model(&fs::read(path).unwrap()).map_err(|error| error.to_string())?;
    let is_lookup = |own: &Estimator| {
        matches!(
            own,
            Estimator::Lookups(_) | Estimator::Layers(_) | Estimator::Neighbours(_)
        )
    };
    let is_linear = |own: &Estimator| matches!(own, Estimator::Linear(_));
    let is_right = if name == "gp_dot" {
        is_linear
    } else {
        is_lookup
    };
    if !model.estimators.iter().any(is_right) {
        let kinds = model.estimators.iter().map(|own| match own {
            Estimator::Linear(_) => "linear",
            Estimator::Lookups(_) => "look-ups",
            Estimator::Layers(_) => "layers",
            _ => "others",
        });
        let kinds: Vec<&str> = kinds.collect();
        return Err(format!(
            "the server does not evaluate its functions: {kinds:?}"
        ));
    }
    let text = fs::read_to_string(path.with_extension("csv")).unwrap();
    let mut lines = text.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let header = lines.next().unwrap();
    let width = header.iter().filter(|own| own.starts_with('x')).count();
    for (number, cells) in lines.enumerate() {
        let numbers: Vec<f32> = cells.iter().map(|cell| cell.parse().unwrap()).collect();
        let (row, expected) = numbers.split_at(width);
        let outputs = model.predict(vec![Tensor::F32(row.to_vec())]);
        let outputs = outputs.map_err(|error| error.to_string())?;
        let found: Vec<f64> = outputs
            .iter()
            .flat_map(|own| own.to_f64().unwrap())
            .collect();
        // The client's squared norm has 32 bits, and a root near zero is steep.
        let tolerance = if name == "gp_matern_half" { 1e-3 } else { 3e-5 };
        let is_close = |(found, expected): (&f64, &f32)| {
            let expected = f64::from(*expected);
            (found - expected).abs() <= tolerance * expected.abs().max(1.0)
        };
        if found.len() != expected.len() || !found.iter().zip(expected).all(is_close) {
            return Err(format!("row {number}: {found:?} in place of {expected:?}"));
        }
    }
    Ok(())
}

/// A model of `tests/networks`, calibrated with the rows of one of the tables there, and as many of
/// normal numbers.
fn compile_small(name: &str, table: Option<&str>, count: usize) -> Result<Compiled, CompileError> {
    compile_small_for((name, table, count), &Options::new(name))
}

fn compile_small_for(
    (name, table, count): (&str, Option<&str>, usize),
    options: &Options,
) -> Result<Compiled, CompileError> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/networks");
    let read = |name: String| fs::read_to_string(folder.join(name)).unwrap();
    let (own, table) = (
        read(format!("{name}.csv")),
        table.map(|table| read(table.into())),
    );
    let header: Vec<&str> = own.lines().next().unwrap().split(',').collect();
    let width = header.iter().filter(|own| own.starts_with('x')).count();
    let mut rows = header[..width].join(",") + "\n";
    for line in table.iter().flat_map(|table| table.lines().skip(1)) {
        let cells: Vec<&str> = line.split(',').take(width).collect();
        rows += &(cells.join(",") + "\n");
    }
    let mut noise = Noise(7);
    for _ in 0..count {
        let cells: Vec<String> = (0..width)
            .map(|_| format!("{:.2}", noise.normal()))
            .collect();
        rows += &(cells.join(",") + "\n");
    }
    let model = fs::read(folder.join(format!("{name}.onnx"))).unwrap();
    let calibration = Calibration::new("rows.csv", rows.as_bytes());
    compile(&model, calibration, options)
}

/// Of a training row itself the distance cancels to a little less than nothing, which has no root.
#[test]
fn a_kernel_of_distances_compiles_with_its_own_training_rows() {
    let compiled = compile_small("gp_matern", Some("gp_matern.csv"), 60).unwrap();
    assert!(compiled.report.agreement.largest_error.is_finite());
}

/// What a row near a point gets is up to the rounding of 32-bit numbers: calibration rows that are the
/// points, and those that are far from all of them, do not tell.
#[test]
fn a_kernel_that_is_too_narrow_is_refused() {
    for (table, count) in [(Some("gp_narrow_train.csv"), 0), (None, 100)] {
        let error = compile_small("gp_narrow", table, count).unwrap_err();
        assert!(
            matches!(error, CompileError::NarrowKernel { .. }),
            "{error}"
        );
        let error = error.to_string();
        assert!(error.contains("length_scale"), "{error}");
    }
}

/// Training puts support vectors where labels are decided by what the optimiser left over.
#[test]
fn a_one_class_machine_is_calibrated_on_other_rows() {
    let error = compile_small("one_class_rbf", Some("one_class_rbf_train.csv"), 0);
    let error = error.unwrap_err().to_string();
    let parts = [
        "get the label that the model gives, and 99.0 % are asked for",
        "lie on the boundary of two labels",
        "was not trained on",
    ];
    assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    let compiled = compile_small("one_class_rbf", None, 300).unwrap();
    assert!(compiled.report.agreement.labels_equal >= 297);
}

/// A matrix product behind a link makes it a layer, and the server evaluates it.
#[test]
fn a_link_can_be_hidden_by_a_product() {
    let compiled = compile_small("hidden_link", None, 100).unwrap();
    assert_eq!(compiled.report.model.family, "sums of functions");
    assert_eq!(compiled.report.layers[0].lookups, 1);
    let postprocess = serde_json::to_string(&compiled.specs.specs().postprocess).unwrap();
    assert!(!postprocess.to_lowercase().contains("exp"), "{postprocess}");
}

/// A line of range, bits, time and memory for every layer, and times on several vCPUs.
#[test]
fn one_hidden_layer_is_reported_as_several_are() {
    let report = try_compile("mlp_bc", |_| ()).unwrap().report;
    let deep = report.layers[0].deep.unwrap();
    assert!(deep.range.0 < 0.0 && deep.range.1 > 0.0, "{deep:?}");
    assert!((4.0..14.0).contains(&deep.bits), "{deep:?}");
    assert!(
        (0.0..=1.0).contains(&deep.share) && deep.memory > 0,
        "{deep:?}"
    );
    let one = report.work.predicted_microseconds.get();
    assert!(
        (0.1 * one..one).contains(&deep.microseconds.get()),
        "{deep:?}"
    );
    let vcpus = report.work.on_vcpus.iter().map(|own| own.vcpus);
    assert_eq!(vcpus.collect::<Vec<_>>(), [1, 2, 4, 6]);
    let times = report
        .work
        .on_vcpus
        .iter()
        .map(|own| own.microseconds.get());
    let times: Vec<f64> = times.collect();
    let first = report.work.on_vcpus[0].microseconds;
    assert_eq!(first, report.work.predicted_microseconds);
    assert!(times.is_sorted_by(|a, b| a > b), "{times:?}");
    let text = report.to_string();
    for part in ["numbers from -", " bits, ", "with more vCPUs "] {
        assert!(text.contains(part), "{text}");
    }
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
    // Pixels are whole numbers of few: values between them are marked.
    assert_eq!(one.specs.format(), 7);
    let back = SpecsDocument::from_json_bytes(one.specs.bytes()).unwrap();
    assert_eq!(back.specs(), one.specs.specs());
}
