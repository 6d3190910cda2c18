//! Standard deviations of forests, against those of the library's own trees.

use cipherfn_compiler::{Calibration, CompileError, Compiled, Expected, Options, compile};
use std::fs;
use std::path::{Path, PathBuf};

fn tests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests")
}

fn compiled(folder: &Path, expected: Option<&str>) -> Result<Compiled, CompileError> {
    let read = |file: &str| fs::read(folder.join(file)).unwrap();
    let model = ["model.onnx", "model.txt", "model.json"].into_iter();
    let model = model
        .map(|file| folder.join(file))
        .find(|file| file.exists());
    let train = ["train.csv", "rows.csv"].into_iter();
    let train = train
        .map(|file| folder.join(file))
        .find(|file| file.exists());
    let train = fs::read(train.unwrap()).unwrap();
    let rows = expected.map(|_| read("rows.csv"));
    let mut calibration = Calibration::new("train.csv", train.as_slice());
    if train.starts_with(b"target,")
        || String::from_utf8_lossy(&train)
            .lines()
            .next()
            .unwrap()
            .ends_with(",target")
    {
        calibration = calibration.with_target("target");
    }
    calibration.expected = expected.zip(rows.as_ref()).map(|(text, rows)| Expected {
        source_name: "expected.csv".into(),
        predictions: text.as_bytes(),
        rows: Some(("rows.csv".into(), rows.as_slice())),
    });
    let options = Options {
        uncertainty: true,
        ..Options::new("m")
    };
    compile(&fs::read(model.unwrap()).unwrap(), calibration, &options)
}

#[test]
fn deviations_are_those_of_the_librarys_trees() {
    for case in ["forest-uncertainty", "forest-uncertainty-classes"] {
        let folder = tests().join("cases").join(case);
        let expected = fs::read_to_string(folder.join("expected.csv")).unwrap();
        let compiled =
            compiled(&folder, Some(&expected)).unwrap_or_else(|error| panic!("{case}: {error}"));
        assert_eq!(compiled.report.expected_rows, Some(30));
        println!("{}", compiled.report);
    }
}

#[test]
fn what_is_no_average_of_trees_is_refused() {
    for (folder, why) in [
        ("models/gbr_diabetes", "boosting"),
        ("models/xgb_regressor", "boosting"),
        ("models/lgbm_regressor", "boosting"),
        ("models/linear_double", "no sum of constant leaves"),
        ("models/dt_iris", "one tree"),
        ("cases/voting-mixed", "a mixture of 2 estimators"),
    ] {
        let error = compiled(&tests().join(folder), None).unwrap_err();
        println!("{folder}: {error}");
        assert!(error.to_string().contains(why), "{error}");
    }
}
