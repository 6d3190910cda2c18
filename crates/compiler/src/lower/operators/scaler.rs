//! `Scaler`: `(x - offset) * scale`, one entry of each a column, or one for all.

use crate::error::CompileError;
use crate::lower::emitter::{Emitter, Operand};
use crate::lower::registry::{Operator, ml};
use crate::read::onnx::tensor::Element;
use cipherfn_program::{BinaryFunction, Tensor};

pub(in crate::lower) const OPERATORS: &[Operator] = &[ml("Scaler", 1, scaler)];

fn scaler(emitter: &mut Emitter<'_>) -> Result<Vec<Operand>, CompileError> {
    let argument = emitter.input(0)?;
    let mut result = emitter.cast(&argument, Element::F32)?;
    for (name, function) in [
        ("offset", BinaryFunction::Sub),
        ("scale", BinaryFunction::Mul),
    ] {
        let value = Tensor::F32(emitter.node.floats(name)?);
        if !value.is_empty() {
            let value = emitter.per_column(value, &result, name)?;
            result = emitter.binary(function, &result, &value)?;
        }
    }
    Ok(vec![result])
}

impl Emitter<'_> {
    /// A constant attribute with one entry a column, or one for all.
    pub(in crate::lower) fn per_column(
        &mut self,
        value: Tensor,
        argument: &Operand,
        name: &str,
    ) -> Result<Operand, CompileError> {
        let columns = argument.columns();
        if value.len() != 1 && value.len() != columns {
            return Err(self.node.invalid(format!(
                "\"{name}\" has {} entries for {columns} columns",
                value.len()
            )));
        }
        self.vector(value)
    }
}
