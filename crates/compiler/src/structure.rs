//! The structure of a tree model, without what its leaves say.

use crate::error::CompileError;
use crate::model::{Estimator, Model, Test, Tree, TreeNode};
use cipherfn_program::Tensor;
use cipherfn_protocol::specs::ColumnKind;
use cipherfn_training::leaves::{Structure, StructureNode};

/// The structure of a model that is a sum of trees over its columns' own numbers.
///
/// # Errors
/// Another model, or one whose features are not the columns' numbers as they are.
pub fn structure(model: &Model) -> Result<Structure, CompileError> {
    let unsupported = |problem: &str| {
        CompileError::UnsupportedModel {
        problem: problem.into(),
        supported: "one ensemble of trees over numbers as they are, whose nodes ask for the larger of two numbers".into(),
    }
    };
    if model.summary.averages == Some(false) {
        return Err(CompileError::UnsupportedModel {
            problem: "its trees were boosted, each on the errors of those before it".into(),
            supported: "forests, whose trees predict alone".into(),
        });
    }
    let [Estimator::Trees(ensemble)] = &model.estimators[..] else {
        return Err(unsupported("it is no ensemble of trees alone"));
    };
    if !takes_numbers_as_they_are(model) {
        return Err(unsupported(
            "its features are made of the columns: scaled, encoded or imputed",
        ));
    }
    let trees = ensemble.trees.iter().map(|tree: &Tree| {
        let nodes = tree.nodes.iter().map(|node| match node {
            TreeNode::Leaf(_) => Ok(StructureNode::Leaf),
            TreeNode::Split {
                feature,
                test: Test::Greater(threshold),
                yes,
                no,
                missing_goes_yes,
                ..
            } => Ok(StructureNode::Split {
                feature: *feature,
                threshold: *threshold,
                above: *yes,
                below: *no,
                missing_above: *missing_goes_yes,
            }),
            TreeNode::Split { .. } => Err(unsupported("a node asks whether numbers are equal")),
        });
        nodes.collect::<Result<Vec<_>, _>>()
    });
    Ok(Structure {
        features: model.features,
        names: names(model),
        trees: trees.collect::<Result<_, _>>()?,
    })
}

/// Names of the features, where each is a column of its own that a person named. Libraries number the
/// columns of a table without names: `f0`, `Column_0`.
fn names(model: &Model) -> Option<Vec<String>> {
    let columns = &model.columns;
    let is_numbered = columns.iter().enumerate().all(|(index, column)| {
        let digits = column
            .name
            .trim_start_matches(|c: char| !c.is_ascii_digit());
        digits.parse() == Ok(index)
    });
    let is_named = columns.iter().all(|column| column.width == 1) && !is_numbered;
    is_named.then(|| columns.iter().map(|column| column.name.clone()).collect())
}

/// Whether features are the inputs' entries, in order: on rows of numbers of several sizes and signs, all
/// different, of zeros, and of missing values.
fn takes_numbers_as_they_are(model: &Model) -> bool {
    [1e-3_f64, -1.0, 7.25, -4e4, 0.0, f64::NAN]
        .iter()
        .all(|scale| {
            let mut next = 0.0;
            let mut expected = Vec::new();
            let mut inputs = Vec::new();
            for column in &model.columns {
                let entries = (0..column.width).map(|_| {
                    next += 1.0;
                    next * scale
                });
                let entries: Vec<f64> = entries.collect();
                let floats = || {
                    entries
                        .iter()
                        .map(|value| *value as f32)
                        .collect::<Vec<f32>>()
                };
                inputs.push(match column.kind {
                    ColumnKind::Float32 => Tensor::F32(floats()),
                    ColumnKind::Float64 => Tensor::F64(entries.clone()),
                    _ => return false,
                });
                expected.extend(floats());
            }
            // Of missing values only that they are missing counts.
            let bits = |value: &f32| if value.is_nan() { f32::NAN } else { *value }.to_bits();
            model
                .features_of(inputs)
                .is_ok_and(|found| found.iter().map(bits).eq(expected.iter().map(bits)))
        })
}
