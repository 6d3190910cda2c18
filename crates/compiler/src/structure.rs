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
                ..
            } => Ok(StructureNode::Split {
                feature: *feature,
                threshold: *threshold,
                above: *yes,
                below: *no,
            }),
            TreeNode::Split { .. } => Err(unsupported("a node asks whether numbers are equal")),
        });
        nodes.collect::<Result<Vec<_>, _>>()
    });
    Ok(Structure {
        features: model.features,
        trees: trees.collect::<Result<_, _>>()?,
    })
}

/// Whether features are the inputs' entries, in order, on rows of numbers of several sizes and signs, all
/// different.
fn takes_numbers_as_they_are(model: &Model) -> bool {
    [1e-3_f64, -1.0, 7.25, -4e4].iter().all(|scale| {
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
        model
            .features_of(inputs)
            .is_ok_and(|found| found == expected)
    })
}
