//! How far the trees of a forest are apart: beside each mean of their predictions its standard
//! deviation.
//!
//! A forest predicts the mean of its trees, a sum of leaves. The mean of the squares is one as well,
//! so the trees get a second number a leaf and stay the same otherwise; the client subtracts the
//! square of the mean. Both are counted from the middle of the leaves, where the difference of the
//! two large numbers loses the fewest digits.

mod average;

use crate::error::CompileError;
use crate::model::{Estimator, Model, TreeEnsemble, TreeNode};
pub(crate) use average::rank_correlation;
use average::{FEWEST, TreeGroups};
use cipherfn_program::{
    BinaryFunction, EntryKind, Op, ProgramBuilder, RowProgram, Tensor, TensorType, UnaryFunction,
    ValueId,
};
use cipherfn_protocol::specs::OutputField;
use std::collections::BTreeMap;

/// Rows on which it is looked at whether the model is an average.
const ROWS: usize = 500;

/// Adds the deviations to a model's outputs; `rows` are the calibration rows.
///
/// # Errors
/// A model that is no average of trees.
pub(crate) fn add(model: &mut Model, rows: &[Vec<Tensor>]) -> Result<(), CompileError> {
    let ensemble = match model.estimators.as_slice() {
        [Estimator::Trees(ensemble)] => ensemble,
        [_] => return Err(refused("its predictions are no sum of constant leaves")),
        several => {
            return Err(CompileError::Option {
                option: "uncertainty",
                found: format!("given for a mixture of {} estimators", several.len()),
                expected: "it for one forest, compiled by itself",
            });
        }
    };
    let rows = rows.iter().take(ROWS);
    let rows: Vec<Vec<f32>> = rows
        .map(|row| Ok(model.features_of(row.clone())?))
        .collect::<Result<_, CompileError>>()?;
    let groups = TreeGroups::of(ensemble).map_err(refused)?;
    match model.summary.averages {
        Some(true) => {}
        Some(false) => {
            let problem = "its file says that the trees were boosted, each to add what the ones \
                           before it lack";
            return Err(refused(problem));
        }
        None => check(ensemble, &groups, &rows)?,
    }
    let values = values(model, ensemble, &rows)?;
    let squares: BTreeMap<usize, Squares> = values
        .iter()
        .flat_map(|own| &own.entries)
        .map(|entry| (entry.score, Squares::of(ensemble, &groups, entry.score)))
        .collect();
    let (postprocess, outputs) = postprocess(model, &values, &squares)?;
    let extended = with_squares(ensemble, &squares);
    let trees = ensemble.trees.len();
    let taken = match model.summary.averages {
        None => "; the file says only what they add up to, which is taken for an average",
        Some(_) => "",
    };
    model.summary.notes.push(format!(
        "standard deviations are those of the predictions of the trees around their mean ({trees} \
         trees in all){taken}"
    ));
    model.estimators = vec![Estimator::Trees(extended)];
    model.postprocess = postprocess;
    model.outputs = outputs;
    Ok(())
}

/// Whether trees look like an average, of which the file does not say whether they are one.
fn check(
    ensemble: &TreeEnsemble,
    groups: &TreeGroups,
    rows: &[Vec<f32>],
) -> Result<(), CompileError> {
    let trees = groups.fewest();
    if trees < FEWEST {
        return Err(CompileError::Option {
            option: "uncertainty",
            found: format!(
                "given for an exported model of {trees} trees a value, and fewer than {FEWEST} do \
                 not show whether they are an average or boosted"
            ),
            expected: "it for a larger forest, or for the library's own file, which says what it \
                       is (LightGBM, XGBoost)",
        });
    }
    groups.check(ensemble, rows).map_err(refused)
}

fn refused(problem: impl std::fmt::Display) -> CompileError {
    CompileError::Option {
        option: "uncertainty",
        found: format!("given for a model that is no average of trees: {problem}"),
        expected: "it for random forests, extremely randomised trees and bagged trees only",
    }
}

/// An output that is a mean of the trees' values, entry by entry.
struct Values {
    output: usize,
    entries: Vec<Entry>,
}

/// A value that follows from one raw score alone: up to a constant, `factor` times it.
struct Entry {
    score: usize,
    factor: f64,
}

/// Largest difference between an output and what its slope says, in parts of its size: 32-bit floats
/// and nothing more.
const TOLERANCE: f64 = 1e-5;

/// The outputs that are numbers, as functions of the scores.
fn values(
    model: &Model,
    ensemble: &TreeEnsemble,
    rows: &[Vec<f32>],
) -> Result<Vec<Values>, CompileError> {
    let outputs = |scores: Vec<f64>| -> Result<Vec<Vec<f64>>, CompileError> {
        let outputs = model.postprocess.run(vec![Tensor::F64(scores)])?;
        let numbers = outputs.iter().map(|own| own.to_f64().unwrap_or_default());
        Ok(numbers.collect())
    };
    let zero = outputs(vec![0.0; ensemble.scores])?;
    let mut slopes = Vec::with_capacity(ensemble.scores);
    for score in 0..ensemble.scores {
        let mut unit = vec![0.0; ensemble.scores];
        unit[score] = 1.0;
        slopes.push(outputs(unit)?);
    }
    let mut found = Vec::new();
    for (output, field) in model.outputs.iter().enumerate() {
        if !matches!(
            field,
            OutputField::Prediction | OutputField::Probabilities(_)
        ) {
            continue;
        }
        let entry = |at: usize| {
            let slope = |score: usize| slopes[score][output][at] - zero[output][at];
            let mut moved = (0..ensemble.scores).filter(|score| slope(*score) != 0.0);
            match (moved.next(), moved.next()) {
                (Some(score), None) => Some(Entry {
                    score,
                    factor: slope(score),
                }),
                _ => None,
            }
        };
        let entries: Option<Vec<Entry>> = (0..zero[output].len()).map(entry).collect();
        let link = || refused("the client computes something else from the sum of the trees");
        let entries = entries.ok_or_else(link)?;
        for row in rows {
            let scores = ensemble.raw_scores(row);
            let own = outputs(scores.clone())?;
            let is_linear = entries.iter().enumerate().all(|(at, entry)| {
                let wanted = zero[output][at] + entry.factor * scores[entry.score];
                (own[output][at] - wanted).abs() <= TOLERANCE * wanted.abs().max(1e-3)
            });
            if !is_linear {
                return Err(link());
            }
        }
        found.push(Values { output, entries });
    }
    if found.is_empty() {
        return Err(refused("it gives no values and no probabilities"));
    }
    Ok(found)
}

/// A score of squares.
struct Squares {
    /// What the trees' values are counted from.
    centre: f64,
    /// What each tree adds to the mean of the squares where its leaf adds a value to the mean; `None`
    /// for trees of other scores.
    trees: Vec<bool>,
    /// Number of these trees.
    count: f64,
    base: f64,
}

impl Squares {
    fn of(ensemble: &TreeEnsemble, groups: &TreeGroups, score: usize) -> Self {
        let trees = groups.trees_of(score);
        let base = ensemble.base[score];
        let count = trees.iter().filter(|own| **own).count() as f64;
        let mut squares = Self {
            centre: 0.0,
            trees,
            count,
            base,
        };
        let own = ensemble
            .trees
            .iter()
            .zip(&squares.trees)
            .filter(|(_, own)| **own);
        let leaves = own.flat_map(|(tree, _)| tree.nodes.iter().filter_map(TreeNode::as_leaf));
        let values = leaves.map(|leaf| squares.value(leaf, score));
        let ends = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
            (low.min(value), high.max(value))
        });
        squares.centre = f64::midpoint(ends.0, ends.1);
        squares
    }

    /// A tree's own prediction at a leaf.
    fn value(&self, leaf: &[(u32, f64)], score: usize) -> f64 {
        self.base + self.count * added(leaf, score)
    }
}

/// What a leaf adds to a score.
fn added(leaf: &[(u32, f64)], score: usize) -> f64 {
    let own = leaf.iter().find(|(own, _)| *own as usize == score);
    own.map_or(0.0, |(_, value)| *value)
}

/// The trees with a mean of squares behind the scores, one a score that has one.
fn with_squares(ensemble: &TreeEnsemble, squares: &BTreeMap<usize, Squares>) -> TreeEnsemble {
    let mut extended = ensemble.clone();
    extended.scores += squares.len();
    extended.base.extend(vec![0.0; squares.len()]);
    for (index, tree) in extended.trees.iter_mut().enumerate() {
        for node in &mut tree.nodes {
            let TreeNode::Leaf(leaf) = node else { continue };
            let own = (ensemble.scores as u32..).zip(squares);
            let more: Vec<(u32, f64)> = own
                .filter(|(_, (_, squares))| squares.trees[index])
                .map(|(place, (score, squares))| {
                    let distance = squares.value(leaf, *score) - squares.centre;
                    (place, distance * distance / squares.count)
                })
                .filter(|(_, value)| *value != 0.0)
                .collect();
            leaf.extend(more);
        }
    }
    extended
}

/// The client's program and its outputs, with a deviation behind each output of `values`.
fn postprocess(
    model: &Model,
    values: &[Values],
    squares: &BTreeMap<usize, Squares>,
) -> Result<(RowProgram, Vec<OutputField>), CompileError> {
    let scores = model.scores();
    let input = TensorType {
        kind: EntryKind::F64,
        len: scores + squares.len(),
    };
    let mut builder = ProgramBuilder::new(vec![input])?;
    let all = builder.input(0);
    let mut renamed: Vec<ValueId> = vec![select(&mut builder, all, (0..scores as u32).collect())?];
    for step in model.postprocess.steps() {
        let mut op = step.op.clone();
        op.rename(|id| renamed[id.index()]);
        renamed.push(builder.push(&step.node, op)?);
    }
    let own = model.postprocess.output_ids().iter().zip(&model.outputs);
    let mut ids = Vec::new();
    let mut fields = Vec::new();
    for (output, (id, field)) in own.enumerate() {
        ids.push(renamed[id.index()]);
        fields.push(field.clone());
        if let Some(values) = values.iter().find(|own| own.output == output) {
            ids.push(deviation(&mut builder, scores, values, squares)?);
            fields.push(OutputField::Deviation(match field {
                OutputField::Probabilities(classes) => classes.clone(),
                _ => Vec::new(),
            }));
        }
    }
    Ok((builder.finish(&ids)?, fields))
}

const NODE: &str = "the deviation";

/// The root of the mean of the squares less the square of the mean.
fn deviation(
    builder: &mut ProgramBuilder,
    scores: usize,
    values: &Values,
    squares: &BTreeMap<usize, Squares>,
) -> Result<ValueId, CompileError> {
    let raw = builder.input(0);
    let place = |score: usize| squares.keys().take_while(|own| **own < score).count();
    let entries = values.entries.iter();
    let means = entries.clone().map(|entry| entry.score as u32).collect();
    let means = select(builder, raw, means)?;
    let second = entries
        .clone()
        .map(|entry| (scores + place(entry.score)) as u32);
    let second = select(builder, raw, second.collect())?;
    let centres = entries.clone().map(|entry| squares[&entry.score].centre);
    let centres = builder.constant(NODE, Tensor::F64(centres.collect()))?;
    let distance = binary(builder, BinaryFunction::Sub, means, centres)?;
    let square = binary(builder, BinaryFunction::Mul, distance, distance)?;
    let variance = binary(builder, BinaryFunction::Sub, second, square)?;
    // Noise may carry a small one below zero.
    let none = builder.constant(NODE, Tensor::F64(vec![0.0]))?;
    let variance = binary(builder, BinaryFunction::Max, variance, none)?;
    let function = UnaryFunction::Sqrt;
    let root = Op::Unary {
        function,
        argument: variance,
    };
    let root = builder.push(NODE, root)?;
    let factors = entries.map(|entry| entry.factor.abs()).collect();
    let factors = builder.constant(NODE, Tensor::F64(factors))?;
    binary(builder, BinaryFunction::Mul, root, factors)
}

fn select(
    builder: &mut ProgramBuilder,
    source: ValueId,
    entries: Vec<u32>,
) -> Result<ValueId, CompileError> {
    Ok(builder.push(NODE, Op::Select { source, entries })?)
}

fn binary(
    builder: &mut ProgramBuilder,
    function: BinaryFunction,
    left: ValueId,
    right: ValueId,
) -> Result<ValueId, CompileError> {
    Ok(builder.push(
        NODE,
        Op::Binary {
            function,
            left,
            right,
        },
    )?)
}
