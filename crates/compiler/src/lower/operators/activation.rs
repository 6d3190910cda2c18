//! Activations of networks, made of the functions that a row program has.

use crate::error::CompileError;
use crate::lower::emitter::{Emitter, Operand};
use crate::lower::registry::{Operator, standard};
use cipherfn_program::{BinaryFunction as B, UnaryFunction as U};

pub(in crate::lower) const OPERATORS: &[Operator] = &[
    standard("Celu", 12, celu),
    standard("Elu", 6, |node| {
        let alpha = node.node.float("alpha", 1.0)?.into();
        exponential(node, alpha, 1.0)
    }),
    standard("Gelu", 20, gelu),
    standard("HardSigmoid", 6, |node| {
        let alpha = node.node.float("alpha", 0.2)?.into();
        let beta = node.node.float("beta", 0.5)?.into();
        let argument = node.input(0)?;
        Ok(vec![hard_sigmoid(node, &argument, alpha, beta)?])
    }),
    standard("HardSwish", 14, |node| {
        let argument = node.input(0)?;
        let gate = hard_sigmoid(node, &argument, 1.0 / 6.0, 0.5)?;
        Ok(vec![node.binary(B::Mul, &argument, &gate)?])
    }),
    standard("LeakyRelu", 6, |node| {
        let alpha = node.node.float("alpha", 0.01)?;
        let argument = node.input(0)?;
        let slope = node.number(argument.element, alpha.into())?;
        leaky(node, &argument, &slope)
    }),
    standard("Mish", 18, |node| {
        let argument = node.input(0)?;
        let gate = node.unary(U::Softplus, &argument)?;
        let gate = node.unary(U::Tanh, &gate)?;
        Ok(vec![node.binary(B::Mul, &argument, &gate)?])
    }),
    standard("PRelu", 7, |node| {
        let (argument, slope) = (node.input(0)?, node.input(1)?);
        leaky(node, &argument, &slope)
    }),
    standard("Relu", 6, |node| {
        let argument = node.input(0)?;
        Ok(vec![node.against(B::Max, &argument, 0.0)?])
    }),
    standard("Selu", 6, |node| {
        let alpha = node.node.float("alpha", 1.673_263_2)?.into();
        let gamma = node.node.float("gamma", 1.050_701)?.into();
        exponential(node, alpha, gamma)
    }),
    standard("Softsign", 1, |node| {
        let argument = node.input(0)?;
        let size = node.unary(U::Abs, &argument)?;
        let size = node.against(B::Add, &size, 1.0)?;
        Ok(vec![node.binary(B::Div, &argument, &size)?])
    }),
    standard("ThresholdedRelu", 10, |node| {
        let threshold = node.node.float("alpha", 1.0)?;
        let argument = node.input(0)?;
        let exceeds = node.against(B::Greater, &argument, threshold.into())?;
        let zero = node.number(argument.element, 0.0)?;
        Ok(vec![node.choose(&exceeds, &argument, &zero)?])
    }),
];

/// `max(x, 0) + slope min(x, 0)`.
fn leaky(
    emitter: &mut Emitter<'_>,
    argument: &Operand,
    slope: &Operand,
) -> Result<Vec<Operand>, CompileError> {
    let above = emitter.against(B::Max, argument, 0.0)?;
    let below = emitter.against(B::Min, argument, 0.0)?;
    let below = emitter.binary(B::Mul, &below, slope)?;
    Ok(vec![emitter.binary(B::Add, &above, &below)?])
}

/// `gamma (max(x, 0) + alpha (exp(min(x, 0)) - 1))`.
fn exponential(
    emitter: &mut Emitter<'_>,
    alpha: f64,
    gamma: f64,
) -> Result<Vec<Operand>, CompileError> {
    let argument = emitter.input(0)?;
    let above = emitter.against(B::Max, &argument, 0.0)?;
    let below = emitter.against(B::Min, &argument, 0.0)?;
    let below = below_zero(emitter, &below, alpha)?;
    let sum = emitter.binary(B::Add, &above, &below)?;
    Ok(vec![emitter.against(B::Mul, &sum, gamma)?])
}

/// `max(x, 0) + alpha (exp(min(x, 0) / alpha) - 1)`.
fn celu(emitter: &mut Emitter<'_>) -> Result<Vec<Operand>, CompileError> {
    let alpha = f64::from(emitter.node.float("alpha", 1.0)?);
    let argument = emitter.input(0)?;
    let above = emitter.against(B::Max, &argument, 0.0)?;
    let below = emitter.against(B::Min, &argument, 0.0)?;
    let below = emitter.against(B::Div, &below, alpha)?;
    let below = below_zero(emitter, &below, alpha)?;
    Ok(vec![emitter.binary(B::Add, &above, &below)?])
}

/// `alpha (exp(x) - 1)`.
fn below_zero(
    emitter: &mut Emitter<'_>,
    argument: &Operand,
    alpha: f64,
) -> Result<Operand, CompileError> {
    let power = emitter.unary(U::Exp, argument)?;
    let power = emitter.against(B::Sub, &power, 1.0)?;
    emitter.against(B::Mul, &power, alpha)
}

/// `max(0, min(1, alpha x + beta))`.
fn hard_sigmoid(
    emitter: &mut Emitter<'_>,
    argument: &Operand,
    alpha: f64,
    beta: f64,
) -> Result<Operand, CompileError> {
    let line = emitter.against(B::Mul, argument, alpha)?;
    let line = emitter.against(B::Add, &line, beta)?;
    let line = emitter.against(B::Min, &line, 1.0)?;
    emitter.against(B::Max, &line, 0.0)
}

/// `x / 2 (1 + erf(x / sqrt(2)))`, or its approximation by the hyperbolic tangent.
fn gelu(emitter: &mut Emitter<'_>) -> Result<Vec<Operand>, CompileError> {
    let argument = emitter.input(0)?;
    let gate = match emitter.node.text("approximate", "none")?.as_str() {
        "none" => {
            let scaled = emitter.against(B::Mul, &argument, std::f64::consts::FRAC_1_SQRT_2)?;
            emitter.unary(U::Erf, &scaled)?
        }
        "tanh" => {
            let cube = emitter.against(B::Pow, &argument, 3.0)?;
            let cube = emitter.against(B::Mul, &cube, 0.044_715)?;
            let sum = emitter.binary(B::Add, &argument, &cube)?;
            let scaled = emitter.against(B::Mul, &sum, (2.0 / std::f64::consts::PI).sqrt())?;
            emitter.unary(U::Tanh, &scaled)?
        }
        other => {
            let problem = format!("the approximation \"{other}\"");
            return Err(emitter.node.unsupported(problem, "\"none\" and \"tanh\""));
        }
    };
    let gate = emitter.against(B::Add, &gate, 1.0)?;
    let half = emitter.against(B::Mul, &argument, 0.5)?;
    Ok(vec![emitter.binary(B::Mul, &half, &gate)?])
}
