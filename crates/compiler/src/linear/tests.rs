use super::start_weights;
use crate::read::read_model;
use crate::write::write_onnx;
use cipherfn_training::descent::Training;
use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/libraries")
        .join(name)
}

/// Cells of a table, its header apart.
fn table(name: &str, file: &str) -> (Vec<String>, Vec<Vec<f64>>) {
    let text = fs::read_to_string(folder(name).join(file)).unwrap();
    let mut lines = text.lines();
    let header = lines.next().unwrap().split(',').map(String::from).collect();
    let rows = lines.map(|line| line.split(',').map(|cell| cell.parse().unwrap()).collect());
    (header, rows.collect())
}

fn training(
    algorithm: &str,
    columns: &[String],
    ranges: &[(f64, f64)],
    classes: usize,
) -> Training {
    let classes: Vec<String> = (0..classes).map(|class| format!("\"{class}\"")).collect();
    let mut text = format!(
        "format = 1\nname = \"t\"\nalgorithm = {algorithm:?}\nbatch = 8\nepochs = 1\nrate = 1.0\n[target]\nname = \"the target\"\nclasses = [{}]\n",
        classes.join(", ")
    );
    for (name, (low, high)) in columns.iter().zip(ranges) {
        writeln!(
            text,
            "[[column]]\nname = {name:?}\nlow = {low:?}\nhigh = {high:?}"
        )
        .unwrap();
    }
    Training::from_toml(&text).unwrap()
}

/// A program over the columns of a model's calibration rows, each range as its values are.
fn of_folder(name: &str, algorithm: &str, classes: usize) -> Training {
    let (mut header, rows) = table(name, "train.csv");
    header.retain(|column| column != "target");
    let range = |column: usize| {
        let values = rows.iter().map(|row| row[column]);
        let low = values.clone().fold(f64::INFINITY, f64::min);
        // Pixels of digits' corners are the same in all rows.
        (low, values.fold(low + 1.0, f64::max))
    };
    let ranges: Vec<_> = (0..header.len()).map(range).collect();
    training(algorithm, &header, &ranges, classes)
}

/// Forms of a row by the sets of weights.
fn forms(training: &Training, sets: &[Vec<f64>], row: &[f64]) -> Vec<f64> {
    let units = training.numbers().iter().zip(row);
    let units: Vec<f64> = units
        .map(|(column, value)| (value - column.middle()) / Training::unit(column))
        .chain([1.0])
        .collect();
    let form = |weights: &Vec<f64>| weights.iter().zip(&units).map(|(w, x)| w * x).sum();
    sets.iter().map(form).collect()
}

/// What scikit-learn itself says of its test rows.
#[test]
fn models_of_scikit_learn_have_the_weights_that_their_predictions_follow_from() {
    for (name, algorithm, classes) in [
        ("logreg_bc", "logistic", 2),
        ("pipeline_scaler_logreg_bc", "logistic", 2),
        ("linearsvc_bc", "svm", 2),
        ("logreg_digits", "logistic", 10),
    ] {
        let training = of_folder(name, algorithm, classes);
        let model = read_model(&fs::read(folder(name).join("model.onnx")).unwrap()).unwrap();
        let sets = start_weights(&model, &training).unwrap();
        assert_eq!(sets.len(), if classes == 2 { 1 } else { classes }, "{name}");
        let ((header, expected), (_, rows)) =
            (table(name, "expected.csv"), table(name, "test.csv"));
        for (row, expected) in rows.iter().zip(&expected) {
            let forms = forms(&training, &sets, row);
            let label = *expected.last().unwrap() as usize;
            match (&header[0][..], &forms[..]) {
                ("decision", [form]) => {
                    assert!((form - expected[0]).abs() < 1e-3, "{name}: {form}");
                }
                (_, [form]) => {
                    let chance = 1.0 / (1.0 + (-form).exp());
                    assert!((chance - expected[1]).abs() < 1e-4, "{name}: {chance}");
                }
                (_, many) => {
                    let largest = many.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                    assert!((many[label] - largest).abs() < 1e-3, "{name}: {many:?}");
                }
            }
        }
    }
}

/// What a training wrote is what the next one starts from.
#[test]
fn own_models_are_read_as_they_were_written() {
    let columns = ["a", "b"].map(String::from);
    for (algorithm, classes) in [("logistic", 2), ("svm", 2), ("logistic", 3), ("svm", 3)] {
        let training = training(algorithm, &columns, &[(0.0, 10.0), (-1.0, 3.0)], classes);
        let sets = match classes {
            2 => vec![vec![0.75, -2.5, 0.125]],
            _ => vec![
                vec![0.75, -2.5, 0.125],
                vec![1.0, 0.5, -3.0],
                vec![-1.0, 2.0, 0.0],
            ],
        };
        let written = read_model(&write_onnx(&training.fitted(&sets))).unwrap();
        let found = start_weights(&written, &training).unwrap();
        for (found, expected) in found.iter().flatten().zip(sets.iter().flatten()) {
            assert!(
                (found - expected).abs() < 1e-5,
                "{algorithm} {classes}: {found} {expected}"
            );
        }
        assert!(training.start(&found).is_ok());
    }
}

#[test]
fn other_models_are_refused_by_what_differs() {
    let read =
        |name: &str| read_model(&fs::read(folder(name).join("model.onnx")).unwrap()).unwrap();
    let refused = |name: &str, training: &Training| {
        start_weights(&read(name), training)
            .unwrap_err()
            .to_string()
    };
    let own = of_folder("logreg_bc", "logistic", 2);
    let text = refused("mlp_bc", &own);
    assert!(text.contains("no linear model"), "{text}");
    let text = refused("logreg_bc", &of_folder("logreg_bc", "logistic", 3));
    assert!(text.contains("where the program lists 3 classes"), "{text}");
    let few = ["a", "b"].map(String::from);
    let text = refused(
        "logreg_digits",
        &training("logistic", &few, &[(0.0, 1.0); 2], 2),
    );
    assert!(
        text.contains("64 numbers") || text.contains("does not have"),
        "{text}"
    );
    let columns = ["a", "b"].map(String::from);
    let two = training("logistic", &columns, &[(0.0, 1.0); 2], 2);
    let written = read_model(&write_onnx(&two.fitted(&[vec![1.0, 2.0, 3.0]]))).unwrap();
    let more = ["a", "b", "c"].map(String::from);
    let more = training("logistic", &more, &[(0.0, 1.0); 3], 2);
    let text = start_weights(&written, &more).unwrap_err().to_string();
    assert!(text.contains("no column \"c\""), "{text}");
    let fewer = training("logistic", &columns[..1], &[(0.0, 1.0)], 2);
    let text = start_weights(&written, &fewer).unwrap_err().to_string();
    assert!(
        text.contains("\"b\", which the program does not have"),
        "{text}"
    );
}
