//! The structure of a tree model; of boosted ones with what their leaves say.

mod alone;

use crate::error::CompileError;
use crate::model::{Estimator, Model, Task, Test, Tree, TreeEnsemble, TreeNode};
use cipherfn_program::Tensor;
use cipherfn_protocol::specs::ColumnKind;
use cipherfn_training::leaves::{Structure, StructureNode, TreeSum};

/// The structure of a model that is a mean of trees over its columns' own numbers.
///
/// # Errors
/// Another model, boosted ones as far as their file tells, and one whose features are not the columns' numbers
/// as they are.
pub fn structure(model: &Model) -> Result<Structure, CompileError> {
    let ensemble = ensemble(model)?;
    let boosted = match model.summary.averages {
        Some(true) => None,
        Some(false) => Some("its file says so"),
        None => alone::boosted(model, ensemble),
    };
    if let Some(why) = boosted {
        return Err(CompileError::UnsupportedModel {
            problem: format!("its trees were boosted, each on the errors of those before it: {why}"),
            supported: "forests, whose trees predict alone; in a spec with algorithm = \"boosted-leaves\" regressors too, whose trees add up"
                .into(),
        });
    }
    of_trees(model, ensemble, None)
}

/// The same of a regressor whose trees add up to what it predicts, with what their leaves say.
///
/// # Errors
/// As [`structure`]; a model of several scores, or that makes something else of the sum.
pub fn boosted_structure(model: &Model) -> Result<Structure, CompileError> {
    let ensemble = ensemble(model)?;
    let [base] = ensemble.base[..] else {
        return Err(no_sum(&format!(
            "its trees add to {} scores",
            ensemble.scores
        )));
    };
    if model.summary.task != Task::Regression {
        return Err(no_sum("it predicts classes"));
    }
    if !predicts_its_score(model) {
        return Err(no_sum(
            "what it predicts is another function of the trees' sum (a link of its objective, or a scaled target)",
        ));
    }
    let says = |tree: &Tree| {
        let leaves = tree.nodes.iter().filter_map(TreeNode::as_leaf);
        leaves
            .map(|values| values.iter().map(|(_, value)| value).sum())
            .collect()
    };
    let sum = TreeSum {
        base,
        leaves: ensemble.trees.iter().map(says).collect(),
    };
    of_trees(model, ensemble, Some(sum))
}

fn unsupported(problem: &str) -> CompileError {
    CompileError::UnsupportedModel {
        problem: problem.into(),
        supported: "one ensemble of trees over numbers as they are, whose nodes ask for the larger of two numbers".into(),
    }
}

fn no_sum(problem: &str) -> CompileError {
    CompileError::UnsupportedModel {
        problem: problem.into(),
        supported: "for boosted leaves, regressors of one number that is the sum of their trees"
            .into(),
    }
}

fn ensemble(model: &Model) -> Result<&TreeEnsemble, CompileError> {
    match &model.estimators[..] {
        [Estimator::Trees(ensemble)] => Ok(ensemble),
        _ => Err(unsupported("it is no ensemble of trees alone")),
    }
}

/// Whether the one output is the score as it is: on numbers of several sizes and signs.
fn predicts_its_score(model: &Model) -> bool {
    [-40.0, -0.75, 0.0, 0.5, 2.0, 4096.0]
        .into_iter()
        .all(|score| {
            let outputs = model.postprocess.run(vec![Tensor::F64(vec![score])]);
            outputs.is_ok_and(|outputs| match &outputs[..] {
                [only] => only.to_f64().is_some_and(|found| *found == [score]),
                _ => false,
            })
        })
}

fn of_trees(
    model: &Model,
    ensemble: &TreeEnsemble,
    sum: Option<TreeSum>,
) -> Result<Structure, CompileError> {
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
        sum,
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
