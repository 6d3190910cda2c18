//! Programs that tests of several files compile.

use cipherfn_program::{
    BinaryFunction, EntryKind, Op, ProgramBuilder, RowProgram, Tensor, TensorType,
};

/// The largest of 0 and each of `len` numbers.
pub(super) fn relu(len: usize) -> RowProgram {
    let kind = EntryKind::F64;
    let mut builder = ProgramBuilder::new(vec![TensorType { kind, len }]).unwrap();
    let right = builder.constant("relu", Tensor::F64(vec![0.0])).unwrap();
    let (function, left) = (BinaryFunction::Max, builder.input(0));
    let value = Op::Binary {
        function,
        left,
        right,
    };
    let value = builder.push("relu", value).unwrap();
    builder.finish(&[value]).unwrap()
}
