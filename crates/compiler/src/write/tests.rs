use super::write_onnx;
use crate::read::read_model;
use cipherfn_training::{CategoryColumn, ClassLink, FittedFunction, FittedModel, ScaledColumn};

fn model(function: FittedFunction) -> FittedModel {
    let column = |name: &str, offset, scale| ScaledColumn {
        name: name.into(),
        offset,
        scale,
    };
    FittedModel {
        name: "m".into(),
        numbers: vec![column("a", 1.0, 2.0), column("b", 0.0, 0.5)],
        squares: false,
        categories: Vec::new(),
        function,
    }
}

fn classifier(weights: Vec<Vec<f64>>, labels: &[&str]) -> FittedFunction {
    FittedFunction::Classifier {
        labels: labels.iter().map(ToString::to_string).collect(),
        intercepts: vec![0.5; labels.len()],
        link: ClassLink::Softmax,
        weights,
    }
}

/// The reader takes every form, and finds the columns by their names.
#[test]
fn files_are_read_again() {
    let rows = vec![vec![1.0, -2.0], vec![0.0, 3.0]];
    let regressor = FittedFunction::Regressor {
        weights: vec![1.0, 2.0],
        intercept: 3.0,
    };
    let mut bayes = model(classifier(
        vec![vec![1.0; 7], vec![-1.0; 7]],
        &["no", "yes"],
    ));
    bayes.squares = true;
    bayes.categories = vec![CategoryColumn {
        name: "c".into(),
        categories: ["x", "y", "z"].map(String::from).to_vec(),
    }];
    let mut texts = bayes.clone();
    texts.numbers.clear();
    texts.squares = false;
    texts.function = classifier(vec![vec![1.0; 3], vec![-1.0; 3]], &["0", "1"]);
    for (model, columns) in [
        (model(regressor), "a b"),
        (
            model(FittedFunction::Map {
                weights: rows.clone(),
            }),
            "a b",
        ),
        (model(classifier(rows, &["0", "1"])), "a b"),
        (bayes, "a b c"),
        (texts, "c"),
    ] {
        let read = read_model(&write_onnx(&model)).unwrap();
        let names: Vec<&str> = read
            .columns
            .iter()
            .map(|column| column.name.as_str())
            .collect();
        assert_eq!(names.join(" "), columns);
    }
}
