//! The transpose of a linear layer: from the gradient of its result to that of its argument, as the
//! backward pass of fine-tuning takes it.

use crate::error::CompileError;
use crate::model::{Column, Estimator, LinearModel, Model};
use cipherfn_program::{EntryKind, Op, ProgramBuilder, RowProgram, Tensor, TensorType};
use cipherfn_protocol::specs::ColumnKind;

/// The layer's transpose, without its constants: a row is the gradient of the layer's outputs.
pub(crate) fn transposed(model: Model) -> Result<Model, CompileError> {
    let ([Estimator::Linear(linear)], true) = (
        model.estimators.as_slice(),
        moves_entries(&model.preprocess) && moves_entries(&model.postprocess),
    ) else {
        return Err(not_a_layer());
    };
    let argument: usize = model.columns.iter().map(|column| column.width).sum();
    // Which column each weight belongs to; columns that no weight has get no gradient.
    let columns = model
        .origins
        .iter()
        .map(|origin| origin.map(|at| at as usize));
    let columns: Vec<usize> = columns.collect::<Option<_>>().ok_or_else(not_a_layer)?;
    let outputs = scores_of_outputs(&model.postprocess, linear.bias.len())?;
    let mut weights = vec![vec![0.0; outputs.len()]; argument];
    for (output, score) in outputs.iter().enumerate() {
        for (feature, column) in columns.iter().enumerate() {
            if let Some(score) = score {
                weights[*column][output] += linear.weights[*score][feature];
            }
        }
    }
    let gradient = TensorType {
        kind: EntryKind::F32,
        len: outputs.len(),
    };
    let scores = TensorType {
        kind: EntryKind::F64,
        len: argument,
    };
    let mut postprocess = ProgramBuilder::new(vec![scores])?;
    let result = postprocess.cast("gradient", postprocess.input(0), EntryKind::F32)?;
    let postprocess = postprocess.finish(&[result])?;
    Ok(Model {
        columns: vec![Column {
            name: "gradient".into(),
            kind: ColumnKind::Float32,
            width: outputs.len(),
            missing: false,
        }],
        preprocess: RowProgram::identity(vec![gradient])?,
        features: outputs.len(),
        origins: (0..outputs.len() as u32).map(Some).collect(),
        estimators: vec![Estimator::Linear(LinearModel {
            bias: vec![0.0; argument],
            weights,
        })],
        postprocess,
        ..model
    })
}

fn not_a_layer() -> CompileError {
    CompileError::UnsupportedModel {
        problem: "the transpose of a model that is more than one linear layer".into(),
        supported: "one MatMul, Gemm or Conv: choose it with --layer".into(),
    }
}

/// Whether a program computes nothing.
fn moves_entries(program: &RowProgram) -> bool {
    program.steps().iter().all(|step| {
        matches!(
            step.op,
            Op::Constant(_) | Op::Concat(_) | Op::Select { .. } | Op::Cast { .. }
        )
    })
}

/// The score that each output entry is; `None` for a constant one.
fn scores_of_outputs(
    postprocess: &RowProgram,
    scores: usize,
) -> Result<Vec<Option<usize>>, CompileError> {
    // The program moves numbers that tell where they come from, and moves them again by another
    // amount: a constant stays as it is.
    let moved = |shift: usize| -> Result<Vec<f64>, CompileError> {
        let marks = (0..scores).map(|score| (score + shift) as f64).collect();
        let outputs = postprocess.run(vec![Tensor::F64(marks)])?;
        let entries = outputs.iter().map(Tensor::to_f64);
        let entries: Option<Vec<Vec<f64>>> = entries.collect();
        Ok(entries.ok_or_else(not_a_layer)?.concat())
    };
    let (first, second) = (moved(0)?, moved(scores)?);
    // Whole numbers: they are equal or at least one apart.
    let is_moved = |first: f64, second: f64| (first - second).abs() > 0.5;
    let score = |(first, second)| is_moved(first, second).then_some(first as usize);
    Ok(first.into_iter().zip(second).map(score).collect())
}
