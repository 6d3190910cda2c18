//! `Imputer`.

use crate::error::CompileError;
use crate::lower::emitter::{Emitter, Operand};
use crate::lower::registry::{Operator, ml};
use crate::read::onnx::tensor::Element;
use cipherfn_program::{BinaryFunction, Tensor, UnaryFunction};

pub(in crate::lower) const OPERATORS: &[Operator] = &[ml("Imputer", 1, imputer)];

fn imputer(emitter: &mut Emitter<'_>) -> Result<Vec<Operand>, CompileError> {
    let (argument, node) = (emitter.input(0)?, emitter.node);
    let (replaced, value, name) = if argument.element == Element::Int {
        let name = "imputed_value_int64s";
        let replaced = Tensor::I64(vec![node.int("replaced_value_int64", 0)?]);
        (replaced, Tensor::I64(node.ints(name)?), name)
    } else {
        let name = "imputed_value_floats";
        let replaced = Tensor::F32(vec![node.float("replaced_value_float", 0.0)?]);
        (replaced, Tensor::F32(node.floats(name)?), name)
    };
    let missing = matches!(&replaced, Tensor::F32(x) if x[0].is_nan());
    let condition = if missing {
        emitter.unary(UnaryFunction::IsNan, &argument)?
    } else {
        let replaced = emitter.vector(replaced)?;
        let replaced = emitter.cast(&replaced, argument.element)?;
        emitter.binary(BinaryFunction::Equal, &argument, &replaced)?
    };
    let value = emitter.per_column(value, &argument, name)?;
    let value = emitter.cast(&value, argument.element)?;
    Ok(vec![emitter.choose(&condition, &value, &argument)?])
}
