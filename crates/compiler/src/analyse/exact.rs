//! Refuses look-ups by a rounded score.
//!
//! Decrypted scores are approximations. A link function changes them a little where they change a
//! little, and a label may differ where two scores are close; but a table looked up by a score that
//! was made an integer, such as the number of the leaf that a row falls in, gives another entry
//! altogether.

use crate::error::CompileError;
use crate::ir::Ir;
use cipherfn_program::{BinaryFunction, EntryKind, Op, RowProgram, ValueId};

/// How a value follows from the scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Follows {
    /// Constants, and what comparisons decide.
    Decided,
    /// It is a function of approximate scores.
    Approximate,
    /// It is an approximate score made an integer.
    Rounded,
}

/// Checks the program behind the estimator.
pub(crate) fn check(program: &RowProgram, ir: &Ir) -> Result<(), CompileError> {
    let mut values = vec![Follows::Approximate; program.inputs().len()];
    for step in program.steps() {
        let of = |id: &ValueId| {
            values
                .get(id.index())
                .copied()
                .unwrap_or(Follows::Approximate)
        };
        let looked_up = match &step.op {
            Op::Encode { argument, .. } | Op::OneHot { argument, .. } => Some(argument),
            Op::Pick { index, .. } => Some(index),
            _ => None,
        };
        if looked_up.is_some_and(|id| of(id) == Follows::Rounded) {
            let problem = "it looks up a score as an integer, but encrypted scores are approximate";
            let supported = "look-ups by labels; scores that are sums of leaf values";
            return Err(ir.unsupported_step(&step.node, problem, supported));
        }
        let arguments = step
            .op
            .arguments()
            .iter()
            .map(of)
            .max()
            .unwrap_or(Follows::Decided);
        values.push(match (&step.op, arguments) {
            (Op::ArgMax { .. }, _) => Follows::Decided,
            (Op::Binary { function, .. }, _) if compares(*function) => Follows::Decided,
            (
                Op::Cast {
                    kind: EntryKind::I64,
                    ..
                },
                Follows::Approximate,
            ) => Follows::Rounded,
            (_, follows) => follows,
        });
    }
    Ok(())
}

const fn compares(function: BinaryFunction) -> bool {
    use BinaryFunction as F;
    matches!(
        function,
        F::Equal | F::NotEqual | F::Less | F::LessOrEqual | F::Greater | F::GreaterOrEqual
    )
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::ir::Ir;
    use cipherfn_program::{
        BinaryFunction, EntryKind, Op, ProgramBuilder, Tensor, TensorType, ValueId,
    };

    /// Whether a look-up is allowed by what `decide` makes of a score.
    fn allowed(decide: impl Fn(&mut ProgramBuilder, ValueId) -> ValueId) -> bool {
        let score = TensorType {
            kind: EntryKind::F64,
            len: 1,
        };
        let mut builder = ProgramBuilder::new(vec![score]).unwrap();
        let score = builder.input(0);
        let argument = decide(&mut builder, score);
        let look_up = Op::Encode {
            argument,
            keys: Tensor::I64(vec![0, 1]),
            values: Tensor::F32(vec![3.0, 4.0]),
            default: None,
        };
        let value = builder.push("node", look_up).unwrap();
        check(&builder.finish(&[value]).unwrap(), &Ir::sample()).is_ok()
    }

    #[test]
    fn comparisons_decide_and_rounding_does_not() {
        let kind = EntryKind::I64;
        assert!(!allowed(|builder, source| {
            builder.push("node", Op::Cast { source, kind }).unwrap()
        }));
        assert!(allowed(|builder, left| {
            let right = builder.constant("node", Tensor::F64(vec![0.5])).unwrap();
            let function = BinaryFunction::Greater;
            let compares = Op::Binary {
                function,
                left,
                right,
            };
            builder.push("node", compares).unwrap()
        }));
    }
}
