//! Models of default size against their library's own predictions. A campaign: minutes a model.
//!
//! `CIPHERFN_LARGE_MODELS=DIRECTORY cargo test --workspace --test large -- --ignored --nocapture`,
//! where each folder of DIRECTORY has `model.onnx`, `train.csv` (calibration rows with `target`),
//! `test.csv` and the predictions for it, `expected.csv`.

use cipherfn_compiler::{Calibration, Compiled, Options, Profile, compile};
use cipherfn_engine::ClearCircuit;
use cipherfn_program::Tensor;
use cipherfn_protocol::specs::OutputField;
use cipherfn_scheme::query::InputValues;
use cipherfn_table::Table;
use std::fs;
use std::path::{Path, PathBuf};

/// Simulated runs of a row, each with noise of its own.
const DRAWS: usize = 20;

#[test]
#[ignore = "a campaign: minutes a model, on models that are not part of the repository"]
fn labels_are_the_librarys_on_all_test_rows() {
    let folder = std::env::var("CIPHERFN_LARGE_MODELS").expect("CIPHERFN_LARGE_MODELS is set");
    let folders = fs::read_dir(folder).unwrap();
    let mut folders: Vec<PathBuf> = folders.map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    folders.retain(|folder| folder.join("model.onnx").exists());
    assert!(!folders.is_empty());
    let differing: Vec<String> = folders
        .iter()
        .filter_map(|folder| differing(folder))
        .collect();
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

/// Compiles a model and runs all test rows; what differs.
fn differing(folder: &Path) -> Option<String> {
    let name = folder.file_name().unwrap().to_str().unwrap();
    let compiled = compiled(folder, name);
    let specs = compiled.specs.specs();
    let circuit = ClearCircuit::new(compiled.bundle.circuit.clone()).unwrap();
    let deviation = compiled.report.precision.noise_deviation * 64_f64.exp2();
    let mut noise = Noise(0x2545_f491_4f6c_dd1d);
    let expected = fs::read_to_string(folder.join("expected.csv")).unwrap();
    let expected: Vec<&str> = expected.lines().skip(1).collect();
    let file = fs::File::open(folder.join("test.csv")).unwrap();
    let table = Table::open("test.csv", file).unwrap();
    let rows = table
        .select(&specs.columns, specs.preprocess.inputs())
        .unwrap();
    let (mut count, mut equal, mut runs, mut largest) = (0, 0, 0, 0.0_f64);
    let mut without_noise = 0;
    for (row, expected) in rows.map(Result::unwrap).zip(&expected) {
        let features = specs.preprocess.run(row).unwrap();
        let [Tensor::F32(features)] = features.as_slice() else {
            panic!("one feature vector");
        };
        let values = InputValues::all(&specs.inputs, features).unwrap();
        let phases = circuit.evaluate(&values).unwrap();
        count += 1;
        for draw in 0..=DRAWS {
            // The first run is without noise.
            let error = |_: &u64| {
                if draw == 0 {
                    0.0
                } else {
                    noise.next() * deviation
                }
            };
            let noisy: Vec<f64> = phases.iter().map(error).collect();
            let noisy = phases.iter().zip(noisy);
            let noisy: Vec<i64> = noisy
                .map(|(phase, error)| (*phase as i64).wrapping_add(error as i64))
                .collect();
            let scores = Tensor::F64(specs.decoding.scores(&noisy));
            let outputs = specs.postprocess.run(vec![scores]).unwrap();
            let label = specs
                .outputs
                .iter()
                .position(|field| *field == OutputField::Label);
            runs += 1;
            let is_equal = if let Some(label) = label {
                outputs[label].to_texts()[0] == *expected
            } else {
                let wanted: f64 = expected.parse().unwrap();
                let error = (outputs[0].to_f64().unwrap()[0] - wanted).abs();
                largest = largest.max(error);
                error <= specs.decoding.scores[0].precision.get() * 1.001
            };
            equal += usize::from(is_equal);
            without_noise += usize::from(is_equal && draw == 0);
        }
    }
    assert_eq!(count, expected.len());
    let report = &compiled.report;
    println!(
        "{name}: {without_noise} of {count} rows and, with {DRAWS} runs with noise each, {equal} of {runs} runs give the library's prediction{}; {:.1} bits, query {} B, {:.2} s predicted",
        if largest > 0.0 {
            format!(" within the precision, largest error {largest:.3}")
        } else {
            String::new()
        },
        report.precision.guaranteed_bits,
        report.sizes.query_row,
        report.work.predicted_microseconds.get() / 1e6,
    );
    // Noise may turn the label of a row whose margin is below the precision: one run in a thousand.
    (without_noise < count || equal * 1000 < runs * 999).then(|| {
        format!(
            "{name}: {} rows and {} runs differ",
            count - without_noise,
            runs - equal
        )
    })
}

fn compiled(folder: &Path, name: &str) -> Compiled {
    let read = |file: &str| fs::read(folder.join(file)).unwrap();
    let (model, train) = (read("model.onnx"), read("train.csv"));
    let mut options = Options::new(name);
    options.profile = Profile::Wide;
    options.decimals.auto = std::env::var_os("CIPHERFN_DECIMALS").is_some();
    let calibration = Calibration::new("train.csv", train.as_slice()).with_target("target");
    compile(&model, calibration, &options).unwrap()
}

/// Normal deviates: sums of twelve uniform ones, from xorshift.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> f64 {
        let mut uniform = || {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            (self.0 >> 11) as f64 / (1_u64 << 53) as f64
        };
        (0..12).map(|_| uniform()).sum::<f64>() - 6.0
    }
}
