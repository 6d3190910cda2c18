//! Matrix products: `MatMul` and `Gemm`.

use crate::error::CompileError;
use crate::lower::emitter::{Emitter, Operand};
use crate::lower::registry::{Operator, standard};
use crate::lower::shapes::permuted;
use cipherfn_program::{BinaryFunction, Op};

pub(in crate::lower) const OPERATORS: &[Operator] = &[
    standard("Gemm", 7, gemm),
    standard("MatMul", 1, |node| {
        let (left, right) = (node.input(0)?, node.input(1)?);
        Ok(vec![node.mat_mul(&left, &right)?])
    }),
];

impl Emitter<'_> {
    /// Matrix product by the rules of `numpy.matmul`, with a right factor of at most two
    /// dimensions.
    pub(in crate::lower) fn mat_mul(
        &mut self,
        left: &Operand,
        right: &Operand,
    ) -> Result<Operand, CompileError> {
        let (inner, columns, tail) = match right.shape.as_slice() {
            &[inner] => (inner, 1, None),
            &[inner, columns] => (inner, columns, Some(columns)),
            shape => {
                return Err(self.node.unsupported(
                    format!("its second factor has shape {shape:?}"),
                    "vectors and matrices",
                ));
            }
        };
        let split = left.shape.split_last();
        let Some((_, head)) = split.filter(|(last, _)| **last == inner) else {
            return Err(self.node.invalid(format!(
                "shapes {:?} and {:?} cannot be multiplied",
                left.shape, right.shape
            )));
        };
        let op = Op::MatMul {
            left: left.id,
            right: right.id,
            rows: head.iter().product(),
            inner,
            columns,
        };
        self.push(op, left.element, head.iter().copied().chain(tail).collect())
    }
}

fn gemm(emitter: &mut Emitter<'_>) -> Result<Vec<Operand>, CompileError> {
    let mut sides = [emitter.input(0)?, emitter.input(1)?];
    for (side, name) in sides.iter_mut().zip(["transA", "transB"]) {
        if side.shape.len() != 2 {
            let problem = format!("its factor has shape {:?}", side.shape);
            return Err(emitter.node.invalid(problem));
        }
        if emitter.node.int(name, 0)? != 0 {
            *side = emitter.select(side, permuted(&side.shape, &[1, 0]))?;
        }
    }
    let [left, right] = sides;
    let product = emitter.mat_mul(&left, &right)?;
    let mut result = scaled(emitter, &product, "alpha")?;
    if let Some(offset) = emitter.optional(2) {
        let offset = scaled(emitter, &offset, "beta")?;
        result = emitter.binary(BinaryFunction::Add, &result, &offset)?;
        // Broadcasting is in one direction here: an addend of several rows would make rows.
        if result.shape != product.shape {
            return Err(emitter.node.invalid(format!(
                "its addend has shape {:?}, which does not fit the product's {:?}",
                offset.shape, product.shape
            )));
        }
    }
    Ok(vec![result])
}

fn scaled(
    emitter: &mut Emitter<'_>,
    operand: &Operand,
    attribute: &str,
) -> Result<Operand, CompileError> {
    let factor = emitter.node.float(attribute, 1.0)?;
    if factor.to_bits() == 1.0_f32.to_bits() {
        return Ok(operand.clone());
    }
    let factor = emitter.number(operand.element, factor.into())?;
    emitter.binary(BinaryFunction::Mul, operand, &factor)
}
