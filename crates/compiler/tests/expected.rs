//! Models that are not the ones that the library trained, and calibration files as people have
//! them: found by the library's own predictions, by names and by the target.

use cipherfn_compiler::{Calibration, CompileError, Compiled, Expected, Options, Remedy, compile};
use cipherfn_protocol::specs::ColumnKind;
use cipherfn_table::{Decimal, Format, Separator};
use std::fs;
use std::path::{Path, PathBuf};

fn tests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests")
}

/// Compiles a model with its training rows, compared with predictions for other rows.
fn compare(folder: &Path, rows: &str) -> Result<Compiled, CompileError> {
    let read = |file: &str| fs::read(folder.join(file)).unwrap();
    let (train, expected, rows_text) = (read("train.csv"), read("expected.csv"), read(rows));
    let header = String::from_utf8_lossy(&train);
    let header = header.lines().next().unwrap_or_default();
    let mut calibration = Calibration::new("train.csv", train.as_slice());
    for target in ["y", "target"] {
        if header.split(',').any(|name| name == target) {
            calibration = calibration.with_target(target);
        }
    }
    calibration.expected = Some(Expected {
        source_name: "expected.csv".into(),
        predictions: expected.as_slice(),
        rows: Some((rows.into(), rows_text.as_slice())),
    });
    compile(&read("model.onnx"), calibration, &Options::new("m"))
}

#[test]
fn models_that_lost_something_fail_and_say_what() {
    for (case, cause) in [
        ("catboost-poisson-onnx", "leaves out the exponential"),
        (
            "forest-trained-with-nan",
            "no node of the file says where missing values go",
        ),
        ("hgb-categorical", "categorical splits"),
        ("lgbm-64-bit-thresholds", "64-bit numbers"),
        ("lgbm-one-versus-all", "multiclassova"),
        ("sparse-one-hot-xgb", "sparse matrix"),
        ("xgb-forest-mode-onnx", "num_parallel_tree="),
    ] {
        let error = compare(&tests().join("cases").join(case), "rows.csv").unwrap_err();
        println!("{case}: {error}");
        let CompileError::Disagreement {
            differing,
            first,
            cause: found,
            ..
        } = &error
        else {
            panic!("{case}: {error}")
        };
        assert!(*differing > 0 && first[0].contains("row "), "{case}");
        assert!(found.contains(cause), "{case}: {found}");
        assert!(!error.is_usage());
    }
}

#[test]
fn models_that_lost_nothing_compile_under_the_comparison() {
    for case in [
        "boolean-columns",
        "calibrated-isotonic",
        "categorical-naive-bayes",
        "gaussian-naive-bayes",
        "integer-columns",
        "stacking-naive-bayes",
        "voting-naive-bayes",
        "missing-beside-text",
        "empty-cell-is-missing-category",
        "no-splits",
        "one-class",
        "renamed-columns-ordinal",
    ] {
        let compiled = compare(&tests().join("cases").join(case), "rows.csv")
            .unwrap_or_else(|error| panic!("{case}: {error}"));
        let report = &compiled.report;
        assert!(
            report.expected_rows.is_some_and(|rows| rows >= 30),
            "{case}"
        );
        let is_constant = matches!(case, "no-splits" | "one-class");
        let said = report.notes.iter().any(|note| note.contains("same answer"));
        assert_eq!(said, is_constant, "{case}: {:?}", report.notes);
        let columns = &compiled.specs.specs().columns;
        let is_integer = columns[0].kind == ColumnKind::Int64;
        let has_integers = matches!(case, "boolean-columns" | "integer-columns");
        assert_eq!(is_integer, has_integers, "{columns:?}");
    }
}

#[test]
fn right_models_compile_under_the_comparison() {
    for name in [
        "xgb_bc",
        "rf_bc",
        "gbc_bc",
        "logreg_digits",
        "ridge_diabetes",
        "xgb_wine",
    ] {
        let compiled = compare(&tests().join("libraries").join(name), "test.csv")
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(compiled.report.expected_rows.is_some_and(|rows| rows >= 30));
        let [target] = compiled.report.targets.as_slice() else {
            panic!("{name}: one target")
        };
        let quality = target.clear;
        assert!(
            quality
                .accuracy
                .or(quality.r2)
                .is_some_and(|found| found > 0.4),
            "{quality}"
        );
        assert!(
            compiled.report.warnings.is_empty(),
            "{:?}",
            compiled.report.warnings
        );
    }
}

#[test]
fn predictions_that_are_no_predictions_for_the_rows_are_a_usage_error() {
    let folder = tests().join("libraries/xgb_bc");
    let model = fs::read(folder.join("model.onnx")).unwrap();
    let train = fs::read(folder.join("train.csv")).unwrap();
    let expected = fs::read_to_string(folder.join("expected.csv")).unwrap();
    let fewer = expected.trim_end().rsplit_once('\n').unwrap().0.to_owned();
    let columns = expected.replace('\n', ",0\n");
    for wrong in [fewer, columns] {
        let mut calibration = Calibration::new("train.csv", train.as_slice()).with_target("target");
        calibration.expected = Some(Expected {
            source_name: "expected.csv".into(),
            predictions: wrong.as_bytes(),
            rows: Some(("train.csv".into(), train.as_slice())),
        });
        let error = compile(&model, calibration, &Options::new("m")).unwrap_err();
        assert!(
            matches!(error, CompileError::Incomparable { .. }),
            "{error}"
        );
        assert!(error.is_usage());
    }
}

/// A model without feature names takes columns in the file's order; in another one it is a wrong
/// model. The target shows it and the order that is right, which can also be given.
#[test]
fn columns_in_another_order_give_the_same_model() {
    let folder = tests().join("cases/csv-files");
    let model = fs::read(folder.join("model.onnx")).unwrap();
    let compile = |file: &str, order: &[&str]| {
        let text = fs::read(folder.join(file)).unwrap();
        let mut calibration = Calibration::new(file, text.as_slice()).with_target("target");
        calibration.columns.order = order.iter().map(ToString::to_string).collect();
        compile(&model, calibration, &Options::new("m")).unwrap()
    };
    let right = compile("train.csv", &[]);
    assert!(right.report.targets[0].clear.accuracy > Some(0.95));
    assert!(
        right
            .report
            .notes
            .iter()
            .any(|note| note.contains("the file's order")),
        "{:?}",
        right.report.notes
    );
    let found = compile("cal-shuffled.csv", &[]);
    assert_eq!(found.specs, right.specs);
    let warning = &found.report.warnings[0];
    assert!(
        warning.contains("is taken instead: sepal length (cm), sepal width (cm)"),
        "{warning}"
    );
    let order = [
        "sepal length (cm)",
        "sepal width (cm)",
        "petal length (cm)",
        "petal width (cm)",
    ];
    let ordered = compile("cal-shuffled.csv", &order);
    assert_eq!(ordered.specs, right.specs);
    assert!(
        ordered.report.warnings.is_empty(),
        "{:?}",
        ordered.report.warnings
    );
    let indexed = compile("cal-index-column.csv", &[]);
    assert!(
        indexed
            .report
            .notes
            .iter()
            .any(|note| note.contains("without a name")),
        "{:?}",
        indexed.report.notes
    );
    assert_eq!(indexed.specs.specs().columns, right.specs.specs().columns);
}

/// Without a target the library's predictions tell it.
#[test]
fn predictions_tell_the_order_of_the_columns() {
    let folder = tests().join("cases/csv-files");
    let read = |file: &str| fs::read(folder.join(file)).unwrap();
    let (model, train, expected) = (
        read("model.onnx"),
        read("cal-shuffled.csv"),
        read("expected.csv"),
    );
    let rows = read("rows.csv");
    let compare = |order: &[String]| {
        let mut calibration = Calibration::new("cal-shuffled.csv", train.as_slice());
        calibration.columns.dropped.push("target".into());
        calibration.columns.order = order.to_vec();
        calibration.expected = Some(Expected {
            source_name: "expected.csv".into(),
            predictions: expected.as_slice(),
            rows: Some(("rows.csv".into(), rows.as_slice())),
        });
        compile(&model, calibration, &Options::new("m"))
    };
    let error = compare(&[]).unwrap_err();
    let Some(Remedy::Order { columns }) = error.remedy() else {
        panic!("{error}")
    };
    let text = String::from_utf8_lossy(&rows).into_owned();
    assert_eq!(Some(columns.join(",").as_str()), text.lines().next());
    assert!(
        error.to_string().contains("order of the training"),
        "{error}"
    );
    assert!(compare(columns).is_ok());
}

/// NaN is neither what is expected nor a sign of another order, in which this model gives nothing else.
#[test]
fn no_number_is_no_agreement() {
    let folder = tests().join("cases/root-of-a-score");
    let read = |file: &str| fs::read_to_string(folder.join(file)).unwrap();
    let (model, train, rows) = (
        fs::read(folder.join("model.onnx")).unwrap(),
        read("train.csv"),
        read("rows.csv"),
    );
    let compare = |rows: &str, expected: &str| {
        let mut calibration = Calibration::new("train.csv", train.as_bytes());
        calibration.expected = Some(Expected {
            source_name: "expected.csv".into(),
            predictions: expected.as_bytes(),
            rows: Some(("rows.csv".into(), rows.as_bytes())),
        });
        compile(&model, calibration, &Options::new("m"))
    };
    let right = read("expected.csv");
    compare(&rows, &right).unwrap_or_else(|error| panic!("{error}"));
    let differing = |rows: &str, expected: &str| match compare(rows, expected) {
        Err(error @ CompileError::Disagreement { differing, .. }) => {
            assert_eq!(error.remedy(), None, "{error}");
            differing
        }
        Err(error) => panic!("{error}"),
        Ok(_) => 0,
    };
    let mut cells: Vec<&str> = right.lines().collect();
    cells[4] = "9.5";
    assert_eq!(differing(&rows, &cells.join("\n")), 1);
    let exchanged = rows.lines().skip(1).map(|row| {
        let (a, b) = row.split_once(',').unwrap();
        format!("\n{b},{a}")
    });
    let exchanged = format!("a,b{}", exchanged.collect::<String>());
    let column = |cell: &str| format!("y\n{}", format!("{cell}\n").repeat(20));
    assert_eq!(differing(&exchanged, &column("123")), 20);
    assert_eq!(differing(&exchanged, &column("nan")), 0);
}

/// Soft voting of a logistic regression, a forest and XGBoost.
#[test]
fn a_mixture_of_families_is_the_librarys_model() {
    let compiled = compare(&tests().join("cases/voting-mixed"), "rows.csv").unwrap();
    let report = &compiled.report;
    assert_eq!(report.expected_rows, Some(100));
    assert!(report.model.family.contains("linear") && report.model.family.contains("tree"));
    assert!(
        report.notes.iter().any(|note| note.contains("combines")),
        "{report}"
    );
    assert!(report.warnings.is_empty(), "{report}");
    assert_eq!(compiled.specs.specs().inputs.len(), 2);
}

fn with_expected(
    folder: &Path,
    model: &str,
    expected: &str,
    options: &Options,
) -> Result<Compiled, CompileError> {
    let read = |file: &str| fs::read(folder.join(file)).unwrap();
    let rows = read("rows.csv");
    let mut calibration = Calibration::new("rows.csv", rows.as_slice());
    calibration.expected = Some(Expected {
        source_name: "expected.csv".into(),
        predictions: expected.as_bytes(),
        rows: None,
    });
    compile(&read(model), calibration, options)
}

/// Numbers of classes beside names that were given, and what an only column stands for.
#[test]
fn predictions_are_compared_by_what_they_mean() {
    let folder = tests().join("native/lgbm-one-versus-all");
    let text = fs::read_to_string(folder.join("expected.csv")).unwrap();
    let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split(',').collect()).collect();
    let options = Options {
        classes: Some(["red", "green", "blue"].map(str::to_owned).to_vec()),
        min_agreement: 0.0,
        ..Options::new("m")
    };
    let column = |name: &str, place: usize| {
        let cells = rows[1..].iter().map(|row| row[place].to_owned());
        [name.to_owned()]
            .into_iter()
            .chain(cells)
            .collect::<Vec<_>>()
    };
    let join = |columns: &[Vec<String>]| {
        let row = |row: usize| {
            let cells: Vec<&str> = columns.iter().map(|column| column[row].as_str()).collect();
            cells.join(",")
        };
        (0..rows.len()).map(row).collect::<Vec<_>>().join("\n")
    };
    let notes = |columns: &[Vec<String>]| {
        let compiled = with_expected(&folder, "model.txt", &join(columns), &options);
        compiled
            .unwrap_or_else(|error| panic!("{error}"))
            .report
            .notes
    };
    notes(&[
        column("label", 0),
        column("p0", 1),
        column("p1", 2),
        column("p2", 3),
    ]);
    notes(&[
        column("p_blue", 3),
        column("label", 0),
        column("p_red", 1),
        column("p_green", 2),
    ]);
    let only = notes(&[column("y", 0)]);
    assert!(
        only.iter()
            .any(|note| note.contains("\"y\" is compared with the model's label")),
        "{only:?}"
    );
    let wrong = join(&[
        column("p_red", 2),
        column("p_green", 1),
        column("p_blue", 3),
    ]);
    let error = with_expected(&folder, "model.txt", &wrong, &options).unwrap_err();
    let CompileError::Disagreement { cause, .. } = &error else {
        panic!("{error}")
    };
    assert!(cause.contains("the library's own file"), "{cause}");
}

#[test]
fn labels_that_do_not_exclude_each_other_are_compared_one_by_one() {
    let folder = tests().join("native/catboost-labels");
    let text = fs::read_to_string(folder.join("expected.csv")).unwrap();
    let options = Options::new("m");
    let report = with_expected(&folder, "model.json", &text, &options)
        .unwrap()
        .report;
    assert!(report.agreement.has_labels);
}

/// Without the library's predictions, what the file and the calibration rows show is a warning.
#[test]
fn known_losses_are_warnings_without_the_comparison() {
    for (case, cause) in [
        ("catboost-poisson-onnx", "leaves out the exponential"),
        ("forest-trained-with-nan", "drop the directions"),
        ("hgb-categorical", "categorical splits"),
        ("lgbm-one-versus-all", "multiclassova"),
        ("sparse-one-hot-xgb", "sparse matrix"),
        ("xgb-forest-mode-onnx", "num_parallel_tree="),
    ] {
        let folder = tests().join("cases").join(case);
        let (model, train) = (
            fs::read(folder.join("model.onnx")).unwrap(),
            fs::read_to_string(folder.join("train.csv")).unwrap(),
        );
        let header = train.lines().next().unwrap();
        let target = header.rsplit(',').next().unwrap();
        let calibration = Calibration::new("train.csv", train.as_bytes()).with_target(target);
        let options = Options {
            min_agreement: 0.0,
            ..Options::new("m")
        };
        let warnings = compile(&model, calibration, &options)
            .unwrap()
            .report
            .warnings;
        assert!(
            warnings.iter().any(|warning| warning.contains(cause)),
            "{case}: {warnings:#?}"
        );
    }
}

#[test]
fn calibration_files_are_read_as_they_are_written() {
    let folder = tests().join("cases/csv-files");
    let model = fs::read(folder.join("model.onnx")).unwrap();
    let train = fs::read_to_string(folder.join("train.csv")).unwrap();
    let compile = |text: &str, format: Format| {
        let mut calibration = Calibration::new("train.csv", text.as_bytes()).with_target("target");
        calibration.format = format;
        compile(&model, calibration, &Options::new("m"))
    };
    let right = compile(&train, Format::default()).unwrap();
    let european = format!("# iris\n{}", train.replace(',', ";").replace('.', ","));
    let written = Format {
        separator: Separator::Given(b';'),
        decimal: Decimal::Comma,
        comment: Some(b'#'),
    };
    assert_eq!(compile(&european, written).unwrap().specs, right.specs);
    let one = fs::read_to_string(folder.join("cal-1-row.csv")).unwrap();
    let warnings = compile(&one, Format::default()).unwrap().report.warnings;
    assert!(
        warnings.iter().any(|text| text.contains("has 1 row, and")),
        "{warnings:?}"
    );
    let error = compile(&train.replace(',', ";"), Format::default()).unwrap_err();
    assert_eq!(
        error.remedy(),
        Some(&Remedy::Separator { found: b';' }),
        "{error}"
    );
    let (header, rows) = train.split_once('\n').unwrap();
    let numbers = Calibration::new("train.csv", rows.as_bytes());
    let error = cipherfn_compiler::compile(&model, numbers, &Options::new("m")).unwrap_err();
    assert!(
        matches!(error, CompileError::NoHeader { .. }) && error.is_usage(),
        "{error}"
    );
    let doubled = format!("{}\n{rows}", header.replace("width", "length"));
    let error = compile(&doubled, Format::default()).unwrap_err();
    assert!(error.to_string().contains("are both named"), "{error}");
}

#[test]
fn names_of_classes_that_no_file_has_are_asked_for() {
    let folder = tests().join("native/lgbm-one-versus-all");
    let read = |file: &str| fs::read_to_string(folder.join(file)).unwrap();
    let names = ["up", "down", "same"];
    let expected = read("expected.csv");
    let labels = expected
        .lines()
        .skip(1)
        .map(|row| row.split(',').next().unwrap());
    let targets = labels.map(|label| names[label.parse::<usize>().unwrap()]);
    let targets = std::iter::once("move").chain(targets);
    let rows = read("rows.csv");
    let rows = rows
        .lines()
        .zip(targets)
        .map(|(row, target)| format!("{row},{target}\n"));
    let rows: String = rows.collect();
    let warnings = |classes: Option<&[&str]>| {
        let calibration = Calibration::new("rows.csv", rows.as_bytes()).with_target("move");
        let options = Options {
            classes: classes.map(|names| names.iter().map(ToString::to_string).collect()),
            ..Options::new("m")
        };
        let model = fs::read(folder.join("model.txt")).unwrap();
        compile(&model, calibration, &options)
            .unwrap()
            .report
            .warnings
            .join("\n")
    };
    let asked = warnings(None);
    assert!(
        asked.contains("names of the classes, in the order of the training")
            && asked.contains("\"down,same,up\""),
        "{asked}"
    );
    assert_eq!(warnings(Some(&names)), "");
}

/// Scores that run against the target, and a model that says one thing.
#[test]
fn a_target_that_the_model_does_not_predict_is_a_warning() {
    let warnings = |folder: PathBuf, rows: &str, target: &dyn Fn(usize) -> bool| {
        let rows = fs::read_to_string(folder.join(rows)).unwrap();
        let features = rows.lines().map(|row| {
            let (features, _) = row.rsplit_once(',').unwrap();
            if rows.starts_with("f0") {
                row
            } else {
                features
            }
        });
        let with_target = features.enumerate().map(|(line, row)| match line {
            0 => format!("{row},target\n"),
            _ => format!("{row},{}\n", u8::from(target(line - 1))),
        });
        let table: String = with_target.collect();
        let calibration = Calibration::new("rows.csv", table.as_bytes()).with_target("target");
        let model = fs::read(folder.join("model.onnx")).unwrap();
        let compiled = compile(&model, calibration, &Options::new("m")).unwrap();
        compiled.report.warnings.join("\n")
    };
    let folder = tests().join("libraries/xgb_bc");
    let expected = fs::read_to_string(folder.join("expected.csv")).unwrap();
    let labels = expected.lines().skip(1).map(|row| row.ends_with(",1"));
    let labels: Vec<bool> = labels.collect();
    assert_eq!(warnings(folder.clone(), "test.csv", &|row| labels[row]), "");
    let exchanged = warnings(folder, "test.csv", &|row| !labels[row]);
    assert!(exchanged.contains("run against the target"), "{exchanged}");
    let constant = warnings(tests().join("cases/no-splits"), "rows.csv", &|row| {
        row % 2 == 0
    });
    assert!(constant.contains("says \"1\" for every row"), "{constant}");
}
