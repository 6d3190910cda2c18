//! Compiled models on really encrypted rows: errors stay below the stated bounds, key by key.

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
    let key = SecretKey::generate(prepared.parameter_set());
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
            if run.features == EXACT {
                assert!(
                    (decoded - exact).abs() <= score.precision,
                    "{}: {decoded} instead of {exact}, bound {}",
                    run.name,
                    score.precision
                );
            }
        }
    }
    errors
}

fn folder(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/libraries")
        .join(name)
}

fn float_model(run: &Run) -> Model {
    read_model(&fs::read(folder(run.name).join("model.onnx")).unwrap()).unwrap()
}

/// Test rows as feature vectors, as many as wanted.
fn rows(run: &Run, compiled: &Compiled) -> Vec<Vec<f32>> {
    let model = float_model(run);
    let text = fs::read(folder(run.name).join("test.csv")).unwrap();
    let rows = Table::open("test.csv", text.as_slice())
        .unwrap()
        .select(&compiled.specs.specs().columns, model.preprocess.inputs())
        .unwrap();
    rows.take(run.rows)
        .map(|row| model.features_of(row.unwrap()).unwrap())
        .collect()
}

/// Every error is below the bound; their root mean square under each key is below the predicted
/// deviation, which is for the worst path and key (four standard errors of the measurement are
/// allowed), and not absurdly far below it (the bound would be wasteful).
fn check(run: &Run, waste: f64) {
    let model = fs::read(folder(run.name).join("model.onnx")).unwrap();
    let train = fs::read(folder(run.name).join("train.csv")).unwrap();
    let calibration = Calibration::new("train.csv", train.as_slice()).with_target("target");
    let options = Options {
        profile: run.profile,
        features: run.features,
        ..Options::new(run.name)
    };
    let compiled = compile(&model, calibration, &options).unwrap();
    let precision = &compiled.report.precision;
    let predicted = precision.noise_deviation;
    let features = rows(run, &compiled);
    for key in 0..run.keys {
        let errors = errors(run, &compiled, &features);
        let measured =
            (errors.iter().map(|error| error * error).sum::<f64>() / errors.len() as f64).sqrt();
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
        let tolerance = 1.0 + 4.0 / (2.0 * errors.len() as f64).sqrt();
        assert!(
            measured < predicted * tolerance,
            "{}: {measured} against {predicted}",
            run.name
        );
        assert!(
            measured > predicted / waste,
            "{}: {measured} against {predicted}",
            run.name
        );
        assert!(largest < 7.0 * predicted);
    }
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
    ] {
        check(
            &Run {
                name,
                profile: Profile::Balanced,
                features: EXACT,
                keys,
                rows,
            },
            8.0,
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
                8.0,
            );
        }
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
        8.0,
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
