//! What a missing value means to a model.

use crate::ir::Ir;
use cipherfn_program::{Op, RowProgram, Tensor, UnaryFunction};

/// Whether NaN means something: trees send it somewhere on purpose, or the pre-processing asks for
/// it.
pub(crate) fn knows_nan(ir: &Ir, preprocess: &RowProgram) -> bool {
    let asks = |op: &Op| {
        let function = match op {
            Op::Unary { function, .. } => *function,
            _ => return false,
        };
        function == UnaryFunction::IsNan
    };
    ir.ensembles().any(|ensemble| ensemble.missing)
        || preprocess.steps().iter().any(|step| asks(&step.op))
}

/// Whether the empty text is one of the texts that the pre-processing knows.
pub(crate) fn knows_empty_text(preprocess: &RowProgram) -> bool {
    let among =
        |texts: &Tensor| matches!(texts, Tensor::Text(texts) if texts.iter().any(String::is_empty));
    preprocess.steps().iter().any(|step| match &step.op {
        Op::Constant(texts)
        | Op::OneHot {
            categories: texts, ..
        }
        | Op::Encode { keys: texts, .. } => among(texts),
        _ => false,
    })
}
