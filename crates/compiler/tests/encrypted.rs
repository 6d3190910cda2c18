//! Compiled models on really encrypted rows: errors stay below the stated bounds, key by key.
//!
//! Keys and noise are of the system. A right program fails in fewer than one of 10^6 runs:
//!
//! - An error is over a score's precision with a probability of 2^-40 a row by guarantee, and over
//!   seven deviations in fewer than 2^-38: there are some 3,000 of them, 1e-8.
//! - A key's root mean square is held to the predicted deviation, 1.125 times what the worst path
//!   under a usual key has or more, and six standard errors: for n errors their mean square is x =
//!   1.27 (1 + 6 / sqrt(2 n))^2 times its expectation, by Chernoff's bound with a probability below
//!   `exp(-n/2 (x - 1 - ln x))`: 2e-9 at n = 10, less at more.
//! - The errors of all keys together are held to a twelfth (linear models: a quarter) of the
//!   predicted deviation from below. They have two fifths of it and more (measured), so the mean
//!   square of n = 20 would be a 25th of its expectation: 2e-10 by the same bound.

use cipherfn_compiler::model::Model;
use cipherfn_compiler::read::read_model;
use cipherfn_compiler::{Calibration, Compiled, FeatureMode, Options, Profile, compile};
use cipherfn_engine::{ClearCircuit, PreparedCircuit, Workspace};
use cipherfn_scheme::query::{InputValues, encrypt_row};
use cipherfn_scheme::{EvaluationKey, ExpandedEvaluationKey, SecretKey, reply};
use cipherfn_table::Table;
use std::fs;
use std::path::Path;

struct Run {
    name: &'static str,
    profile: Profile,
    features: FeatureMode,
    keys: usize,
    rows: usize,
}

const EXACT: FeatureMode = FeatureMode::Exact { decoys: 0 };

/// Errors of the result coefficients' phases of all rows under one key, as fractions of the torus.
fn errors(run: &Run, compiled: &Compiled, features: &[Vec<f32>]) -> Vec<f64> {
    let specs = compiled.specs.specs();
    let prepared = PreparedCircuit::new(&compiled.bundle.circuit).unwrap();
    let clear = ClearCircuit::new(compiled.bundle.circuit.clone()).unwrap();
    let key = SecretKey::generate(prepared.parameter_set()).unwrap();
    let needs_key = compiled.report.security.needs_evaluation_key;
    let expanded: Option<ExpandedEvaluationKey> =
        needs_key.then(|| EvaluationKey::generate(&key).unwrap().expand().unwrap());
    let mut workspace = Workspace::default();
    let model = float_model(run);
    let mut errors = Vec::new();
    for row in features {
        let values = InputValues::all(&specs.inputs, row).unwrap();
        let query = encrypt_row(&key, prepared.inputs(), &values).unwrap();
        let wanted = clear.evaluate(&values).unwrap();
        assert_eq!(query.len(), compiled.report.sizes.query_row);
        let answer = prepared
            .evaluate_row(expanded.as_ref(), &query, &mut workspace)
            .unwrap();
        assert_eq!(answer.len(), compiled.report.sizes.reply_row);
        let phases = reply::decrypt_row(&key, prepared.outputs(), &answer).unwrap();
        let error = |(phase, wanted): (&i64, &u64)| {
            phase.wrapping_sub(*wanted as i64) as f64 / 64_f64.exp2()
        };
        errors.extend(phases.iter().zip(&wanted).map(error));
        let decoded = specs.decoding.scores(&phases);
        for ((decoded, exact), score) in decoded
            .iter()
            .zip(model.raw_scores(row))
            .zip(&specs.decoding.scores)
        {
            if matches!(run.features, FeatureMode::Exact { .. }) {
                assert!(
                    (decoded - exact).abs() <= score.precision.get(),
                    "{}: {decoded} instead of {exact}, bound {}",
                    run.name,
                    score.precision
                );
            }
        }
    }
    errors
}

/// A file of a model's folder, by the first of these names that it has.
fn file(run: &Run, names: &[&str]) -> Vec<u8> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests");
    let folders = ["libraries", "native"].map(|kind| root.join(kind).join(run.name));
    let files = folders
        .iter()
        .flat_map(|folder| names.iter().map(|name| folder.join(name)));
    let read = files.map(|file| fs::read(file).ok());
    read.flatten()
        .next()
        .unwrap_or_else(|| panic!("{} has none of {names:?}", run.name))
}

fn model_bytes(run: &Run) -> Vec<u8> {
    file(run, &["model.onnx", "model.txt"])
}

fn float_model(run: &Run) -> Model {
    read_model(&model_bytes(run)).unwrap()
}

/// Test rows as feature vectors, as many as wanted.
fn rows(run: &Run, compiled: &Compiled) -> Vec<Vec<f32>> {
    let model = float_model(run);
    let text = file(run, &["test.csv", "rows.csv"]);
    let rows = Table::open("test.csv", text.as_slice())
        .unwrap()
        .select(&compiled.specs.specs().columns, model.preprocess.inputs())
        .unwrap();
    rows.take(run.rows)
        .map(|row| model.features_of(row.unwrap()).unwrap())
        .collect()
}

/// Every error is below the bound; their root mean square under each key is below the predicted
/// deviation, which is for the worst path and key, and under all keys together not absurdly far
/// below it (the bound would be wasteful).
fn check(run: &Run, waste: f64) {
    let model = model_bytes(run);
    let train = file(run, &["train.csv", "rows.csv"]);
    let mut calibration = Calibration::new("train.csv", train.as_slice());
    let header = train.split(|byte| *byte == b'\n').next().unwrap();
    if header.ends_with(b"target") {
        calibration = calibration.with_target("target");
    }
    let options = Options {
        profile: run.profile,
        features: run.features,
        ..Options::new(run.name)
    };
    let compiled = compile(&model, calibration, &options).unwrap();
    let precision = &compiled.report.precision;
    let predicted = precision.noise_deviation;
    let features = rows(run, &compiled);
    let mut all = Vec::new();
    for key in 0..run.keys {
        let errors = errors(run, &compiled, &features);
        let measured = root_mean_square(&errors);
        let largest = errors
            .iter()
            .fold(0.0_f64, |largest, error| largest.max(error.abs()));
        println!(
            "{} key {key}: measured 2^{:.2}, predicted 2^{:.2}, largest 2^{:.2}",
            run.name,
            measured.log2(),
            predicted.log2(),
            largest.log2()
        );
        let tolerance = 1.0 + 6.0 / (2.0 * errors.len() as f64).sqrt();
        assert!(
            measured < predicted * tolerance,
            "{}: {measured} against {predicted}",
            run.name
        );
        assert!(largest < 7.0 * predicted);
        all.extend(errors);
    }
    let measured = root_mean_square(&all);
    assert!(
        measured > predicted / waste,
        "{}: {measured} against {predicted}",
        run.name
    );
}

fn root_mean_square(errors: &[f64]) -> f64 {
    (errors.iter().map(|error| error * error).sum::<f64>() / errors.len() as f64).sqrt()
}

#[test]
fn trees_keep_their_bounds() {
    for (name, keys, rows) in [
        ("dt_bc", 3, 60),
        ("xgb_bc", 3, 30),
        ("xgb_wine", 2, 30),
        ("rf_bc", 2, 15),
        ("gbc_bc", 2, 15),
        ("lgbm_bc", 2, 10),
        // Tables of single features, and of two.
        ("lgbm-stumps", 2, 24),
        ("ebm_income", 2, 12),
    ] {
        check(
            &Run {
                name,
                profile: Profile::Balanced,
                features: EXACT,
                keys,
                rows,
            },
            12.0,
        );
    }
}

#[test]
fn other_profiles_keep_their_bounds() {
    for profile in [Profile::Compact, Profile::Keyless, Profile::Wide] {
        for name in ["dt_bc", "xgb_wine"] {
            check(
                &Run {
                    name,
                    profile,
                    features: EXACT,
                    keys: 2,
                    rows: 30,
                },
                12.0,
            );
        }
    }
}

/// Rows with and without the numbers that the leaves weigh.
#[test]
fn linear_leaves_keep_their_bounds() {
    let (decoys, grid) = (
        FeatureMode::Exact { decoys: 6 },
        FeatureMode::Grid { bits: 4 },
    );
    for (name, profile, features, rows) in [
        ("lgbm-linear", Profile::Balanced, EXACT, 24),
        ("lgbm-linear-codes", Profile::Keyless, EXACT, 12),
        ("lgbm-linear", Profile::Wide, EXACT, 12),
        ("lgbm-linear", Profile::Balanced, decoys, 6),
        ("lgbm-linear", Profile::Balanced, grid, 6),
    ] {
        check(
            &Run {
                name,
                profile,
                features,
                keys: 1,
                rows,
            },
            12.0,
        );
    }
}

#[test]
fn a_grid_keeps_its_bounds() {
    check(
        &Run {
            name: "xgb_bc",
            profile: Profile::Balanced,
            features: FeatureMode::Grid { bits: 5 },
            keys: 1,
            rows: 15,
        },
        12.0,
    );
}

#[test]
fn linear_models_keep_their_bounds() {
    for name in [
        "logreg_bc",
        "linreg_diabetes",
        "logreg_digits",
        "linearsvc_bc",
    ] {
        check(
            &Run {
                name,
                profile: Profile::Balanced,
                features: EXACT,
                keys: 2,
                rows: 60,
            },
            4.0,
        );
    }
}
