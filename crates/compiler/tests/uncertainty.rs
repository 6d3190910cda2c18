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
    let text = String::from_utf8_lossy(&train);
    let mut names = text.lines().next().unwrap().split(',');
    if let Some(target) = names.find(|name| ["target", "y"].contains(name)) {
        calibration = calibration.with_target(target);
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
        ("models/xgb_poisson", "4 trees a value, and fewer than 5"),
        ("models/gbc_iris", "do not show whether"),
        ("native/lgbm-sqrt", "says that the trees were boosted"),
        ("native/xgb-codes", "says that the trees were boosted"),
        (
            "native/catboost-tweedie",
            "says that the trees were boosted",
        ),
    ] {
        let error = compiled(&tests().join(folder), None).unwrap_err();
        println!("{folder}: {error}");
        assert!(error.to_string().contains(why), "{error}");
    }
}

/// Three trees of one split each, as XGBoost saves them, in these rounds and of so many trees a round
/// where the file has no rounds.
fn stumps(rounds: &str, parallel: u32) -> String {
    let trees = [0.25, 0.5, 0.75].map(|split| {
        format!(
            r#"{{"left_children":[1,-1,-1],"right_children":[2,-1,-1],"split_indices":[0,0,0],"split_conditions":[{split},0.25,{split}],"default_left":[0,0,0]}}"#
        )
    });
    let trees = trees.join(",");
    format!(
        r#"{{"learner":{{"feature_names":["x"],"gradient_booster":{{"name":"gbtree","model":{{"gbtree_model_param":{{"num_parallel_tree":"{parallel}"}},"iteration_indptr":[{rounds}],"tree_info":[0,0,0],"trees":[{trees}]}}}},"learner_model_param":{{"base_score":"0","num_feature":"1"}},"objective":{{"name":"reg:squarederror"}}}},"version":[2,1,0]}}"#
    )
}

fn with_uncertainty(model: &[u8], rows: &str) -> Result<Compiled, CompileError> {
    let options = Options {
        uncertainty: true,
        ..Options::new("m")
    };
    compile(
        model,
        Calibration::new("rows.csv", rows.as_bytes()),
        &options,
    )
}

#[test]
fn few_trees_are_an_average_where_the_librarys_file_says_so() {
    let rows = "x\n0.1\n0.3\n0.6\n0.9\n";
    for (rounds, parallel, is_forest) in [
        ("0,3", 3, true),
        ("", 3, true),
        ("0,1,2,3", 1, false),
        ("0,2,3", 2, false),
        ("", 1, false),
    ] {
        match with_uncertainty(stumps(rounds, parallel).as_bytes(), rows) {
            Ok(_) => assert!(is_forest, "{rounds:?} {parallel}"),
            Err(error) => {
                let error = error.to_string();
                assert!(!is_forest && error.contains("were boosted"), "{error}");
            }
        }
    }
    let forest = tests().join("native/lgbm-forest");
    let read = |file: &str| fs::read_to_string(forest.join(file)).unwrap();
    let (rows, model) = (read("rows.csv"), read("model.txt"));
    let model = model.replace("objective=binary sigmoid:1", "objective=regression");
    let boosted = model.replace("average_output\n", "");
    with_uncertainty(model.as_bytes(), &rows).unwrap();
    let error = with_uncertainty(boosted.as_bytes(), &rows).unwrap_err();
    assert!(error.to_string().contains("were boosted"), "{error}");
}
