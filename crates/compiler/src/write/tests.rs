use super::proto::ModelProto;
use super::write_onnx;
use crate::read::read_model;
use cipherfn_program::Tensor;
use cipherfn_training::{
    CategoryColumn, ClassLink, FittedFunction, FittedModel, FittedNode, ScaledColumn,
};
use prost::Message;
use std::collections::HashSet;

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

/// One class against the rest: chances of z = 1, 0.5 and 2.5 by the logistic function, made to add up.
#[test]
fn chances_of_classes_add_up() {
    let mut function = classifier(vec![vec![1.0, 0.0]; 3], &["x", "y", "z"]);
    if let FittedFunction::Classifier {
        link, intercepts, ..
    } = &mut function
    {
        *link = ClassLink::Logistic;
        *intercepts = vec![0.0, -0.5, 1.5];
    }
    let read = read_model(&write_onnx(&model(function))).unwrap();
    // (1.5 - 1) * 2 = 1.
    let scores = read.raw_scores(&read.features_of(row(&[1.5, 0.0])).unwrap());
    let outputs = read.postprocess.run(vec![Tensor::F64(scores)]).unwrap();
    let found = outputs.last().unwrap().to_f64().unwrap();
    let chances = [1.0, 0.5, 2.5].map(|z: f64| 1.0 / (1.0 + (-z).exp()));
    let sum: f64 = chances.iter().sum();
    for (found, chance) in found.iter().zip(chances) {
        assert!((found - chance / sum).abs() < 1e-6, "{found} {chance}");
    }
    assert_eq!(found.len(), 3);
}

/// The label of trees is the likeliest class, of two classes too: with weights of both ONNX Runtime, and the
/// reader with it, names the second whenever it has any chance.
#[test]
fn the_likeliest_of_two_classes_is_the_label() {
    let split = FittedNode::Split {
        column: 0,
        threshold: 1.0,
        above: 1,
        below: 2,
        missing_above: false,
    };
    let leaves = [vec![0.8, 0.2], vec![0.3, 0.7]].map(FittedNode::Leaf);
    let tree = [vec![split], leaves.to_vec()].concat();
    let mut trees = model(FittedFunction::Trees {
        trees: vec![tree],
        labels: Some(vec!["no".into(), "yes".into()]),
    });
    trees.numbers.truncate(1);
    let read = read_model(&write_onnx(&trees)).unwrap();
    for (cell, label, chances) in [(9.0, "no", [0.8, 0.2]), (-9.0, "yes", [0.3, 0.7])] {
        let outputs = read.predict(row(&[cell])).unwrap();
        assert_eq!(outputs[0].to_texts(), [label]);
        for (found, chance) in outputs[1].to_f64().unwrap().iter().zip(chances) {
            assert!((found - chance).abs() < 1e-6, "{found} {chance}");
        }
    }
}

fn row(cells: &[f32]) -> Vec<Tensor> {
    cells.iter().map(|cell| Tensor::F32(vec![*cell])).collect()
}

/// Columns that are named as other values would be keep their names, and no two values share one.
#[test]
fn columns_may_have_any_names() {
    let numbers = [
        "numbers",
        "scaled",
        "squares",
        "features",
        "weights",
        "variable",
        "variable_",
        "label",
        "probabilities",
        "shape_0",
    ];
    let categories = ["indicators_0", "category_0", "shape_1"];
    let mut named = model(FittedFunction::Features);
    named.numbers = numbers
        .map(|name| ScaledColumn {
            name: name.into(),
            offset: 0.0,
            scale: 1.0,
        })
        .to_vec();
    let len = numbers.len();
    let with = |function: FittedFunction| FittedModel {
        function,
        ..named.clone()
    };
    let mut bayes = with(classifier(
        vec![vec![1.0; 2 * len + 6], vec![-1.0; 2 * len + 6]],
        &["no", "yes"],
    ));
    bayes.squares = true;
    bayes.categories = categories
        .map(|name| CategoryColumn {
            name: name.into(),
            categories: ["x", "y"].map(String::from).to_vec(),
        })
        .to_vec();
    let regressor = with(FittedFunction::Regressor {
        weights: vec![1.0; len],
        intercept: 0.0,
    });
    let map = with(FittedFunction::Map {
        weights: vec![vec![1.0; len]; 2],
    });
    for model in [named.clone(), regressor, map, bayes] {
        let bytes = write_onnx(&model);
        let graph = ModelProto::decode(bytes.as_slice()).unwrap().graph.unwrap();
        let inputs: Vec<&str> = graph.input.iter().map(|info| info.name.as_str()).collect();
        assert_eq!(inputs[..len], numbers);
        let mut values = HashSet::new();
        let constants = graph.initializer.iter().map(|tensor| &tensor.name);
        let results = graph.node.iter().flat_map(|node| &node.output);
        let own = graph.input.iter().map(|info| &info.name);
        for name in own.chain(constants).chain(results) {
            assert!(values.insert(name.clone()), "{name} is defined twice");
        }
        for info in &graph.output {
            assert!(values.contains(&info.name), "{} is no value", info.name);
            assert!(!inputs.contains(&info.name.as_str()), "{}", info.name);
        }
        // A standardisation alone predicts nothing, so that the compiler need not take it.
        if model.function != FittedFunction::Features {
            read_model(&bytes).unwrap();
        }
    }
}
