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

#[cfg(test)]
mod tests {
    use super::{knows_empty_text, knows_nan};
    use crate::ir::Ir;
    use cipherfn_program::{EntryKind, Op, ProgramBuilder, Tensor, TensorType, UnaryFunction};

    #[test]
    fn programs_that_ask_for_missing_values_know_them() {
        let program = |kind, op: fn(_) -> Op| {
            let mut builder = ProgramBuilder::new(vec![TensorType { kind, len: 1 }]).unwrap();
            let value = builder.push("node", op(builder.input(0))).unwrap();
            builder.finish(&[value]).unwrap()
        };
        let unary = |function| program(EntryKind::F32, function);
        let asks = unary(|argument| Op::Unary {
            function: UnaryFunction::IsNan,
            argument,
        });
        let copies = unary(|argument| Op::Unary {
            function: UnaryFunction::Neg,
            argument,
        });
        let ir = Ir::sample();
        assert!(knows_nan(&ir, &asks) && !knows_nan(&ir, &copies));
        let encodes = program(EntryKind::Text, |argument| Op::OneHot {
            argument,
            categories: Tensor::Text(vec!["a".into(), String::new()]),
            unknown: true,
        });
        assert!(knows_empty_text(&encodes) && !knows_empty_text(&copies));
    }
}
