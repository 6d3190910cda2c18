//! `BatchNormalization` in inference: a factor and an offset a channel, the second axis.

use crate::error::CompileError;
use crate::lower::emitter::{Emitter, Operand, reshaped};
use crate::lower::registry::{Operator, standard};
use cipherfn_program::{BinaryFunction, Tensor};

pub(in crate::lower) const OPERATORS: &[Operator] =
    &[standard("BatchNormalization", 7, batch_normalization)];

fn batch_normalization(emitter: &mut Emitter<'_>) -> Result<Vec<Operand>, CompileError> {
    let (argument, node) = (emitter.input(0)?, emitter.node);
    if node.int("training_mode", 0)? != 0 || node.int("spatial", 1)? == 0 {
        let problem = "it is in training mode, or normalises every entry by itself";
        return Err(node.unsupported(problem, "models exported for inference"));
    }
    let channels = argument.shape.get(1).copied().unwrap_or(1);
    let [scale, offset, mean, variance] = [1, 2, 3, 4].map(|index| {
        let input = emitter.input(index)?;
        let numbers = emitter.constant_value(&input).and_then(Tensor::to_f64);
        let numbers = numbers.ok_or_else(|| {
            let problem = format!("its input {index} is computed from the row");
            node.unsupported(problem, "constants there")
        })?;
        if numbers.len() != channels {
            return Err(node.invalid(format!(
                "its input {index} has {} entries for {channels} channels",
                numbers.len()
            )));
        }
        node.finite(&format!("input {index}"), numbers)
    });
    let (scale, offset, mean, variance) = (scale?, offset?, mean?, variance?);
    let epsilon = f64::from(node.float("epsilon", 1e-5)?);
    let factors: Vec<f64> = scale
        .iter()
        .zip(&variance)
        .map(|(scale, variance)| scale / (variance + epsilon).sqrt())
        .collect();
    let offsets = factors.iter().zip(&mean).zip(&offset);
    let offsets = offsets.map(|((factor, mean), offset)| offset - factor * mean);
    let offsets: Vec<f64> = offsets.collect();
    let factors = a_channel(emitter, &argument, factors)?;
    let offsets = a_channel(emitter, &argument, offsets)?;
    let scaled = emitter.binary(BinaryFunction::Mul, &argument, &factors)?;
    Ok(vec![emitter.binary(
        BinaryFunction::Add,
        &scaled,
        &offsets,
    )?])
}

/// One number a channel, in a shape that is broadcast along all other axes.
fn a_channel(
    emitter: &mut Emitter<'_>,
    argument: &Operand,
    numbers: Vec<f64>,
) -> Result<Operand, CompileError> {
    let mut shape = vec![1; argument.shape.len().saturating_sub(1)];
    if let Some(first) = shape.first_mut() {
        *first = numbers.len();
    }
    let numbers = emitter.vector(Tensor::F64(numbers))?;
    let numbers = emitter.cast(&numbers, argument.element)?;
    Ok(reshaped(&numbers, shape))
}
