//! Classifiers whose labels are kept though their scores are off, and options that change nothing.

mod support;

use cipherfn_compiler::{
    Calibration, Combiner, CompileError, Compiled, FeatureMode, Options, compile,
};
use std::fs;
use std::path::Path;
use support::try_compile;

fn inexact(change: impl FnOnce(&mut Options)) -> Result<Compiled, CompileError> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/cases/inexact-scores");
    let model = fs::read(folder.join("model.onnx")).unwrap();
    let rows = fs::read(folder.join("train.csv")).unwrap();
    let mut options = Options::new("svc");
    change(&mut options);
    compile(
        &model,
        Calibration::new("train.csv", rows.as_slice()),
        &options,
    )
}

#[test]
fn a_classifier_that_keeps_its_labels_compiles_with_a_warning() {
    let compiled = inexact(|_| {}).unwrap();
    let report = &compiled.report;
    let (layer, agreement) = (&report.layers[0], &report.agreement);
    assert!(
        layer.labels.unwrap() >= 0.99 && layer.error > 0.01,
        "{layer:?}"
    );
    assert!(
        100 * agreement.labels_equal >= 99 * agreement.rows,
        "{agreement:?}"
    );
    let said = format!(
        "off by {} % of their range",
        (1e4 * layer.error).round() / 100.0
    );
    let mut warnings = report.warnings.iter();
    let warning = warnings.find(|own| own.contains(&said));
    assert!(
        warning.is_some_and(|own| own.contains("max-error")),
        "{:?}",
        report.warnings
    );
    let error = inexact(|options| options.max_error = Some(0.01)).unwrap_err();
    let error = error.to_string();
    assert!(error.contains("and 1 % is the most"), "{error}");
}

/// What reaches the usual error has no such warning.
#[test]
fn a_classifier_with_exact_scores_has_no_warning() {
    let report = try_compile("mlp_bc", |_| {}).unwrap().report;
    assert!(report.layers[0].error <= 0.01);
    assert!(
        !report.warnings.iter().any(|own| own.contains("max-error")),
        "{:?}",
        report.warnings
    );
}

#[test]
fn options_that_change_nothing_are_refused() {
    type Change = fn(&mut Options);
    let decoys: Change = |options| options.features = FeatureMode::Exact { decoys: 3 };
    let grid: Change = |options| options.features = FeatureMode::Grid { bits: 6 };
    let server: Change = |options| options.combiner = Combiner::Server;
    let error: Change = |options| options.max_error = Some(0.02);
    let precision: Change = |options| options.precision = Some(8.0);
    for (model, change, option) in [
        ("mlp_bc", decoys, "decoys"),
        ("logreg_bc", decoys, "decoys"),
        ("mlp_bc", grid, "features"),
        ("mlp_bc", server, "combiner"),
        ("dt_bc", server, "combiner"),
        ("dt_bc", error, "max-error"),
        ("knn_iris", precision, "precision"),
    ] {
        match try_compile(model, change) {
            Err(CompileError::Option { option: found, .. }) => assert_eq!(found, option),
            other => panic!(
                "{model}, {option}: {:?}",
                other.map(|own| own.report.warnings)
            ),
        }
    }
    assert!(try_compile("dt_bc", decoys).is_ok());
}
