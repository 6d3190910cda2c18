//! Which values are predicted classes.

use crate::ir::Ir;
use cipherfn_program::{EntryKind, Op, ValueId};

/// For each value, whether its entries are predicted classes or their numbers.
pub(crate) fn labels(ir: &Ir) -> Vec<bool> {
    let mut labels = vec![false; ir.first_step()];
    for index in labels.len()..ir.first_step() + ir.program.steps().len() {
        let id = ValueId(index as u32);
        let of = |id: &ValueId| labels[id.index()];
        let constant = |id: &ValueId| ir.program.constant_value(*id).is_some();
        let own = ir.step(id).is_some_and(|step| match &step.op {
            Op::ArgMax { .. } => true,
            Op::Cast { source, .. } | Op::Select { source, .. } => of(source),
            Op::Encode { argument, .. } => of(argument),
            // Rows of a table are no names, and neither are numbers that were computed.
            Op::Pick {
                table,
                index,
                inner,
            } => *inner == 1 && of(index) && constant(table),
            Op::Concat(parts) => parts.iter().all(of),
            // One number or another, as a condition says: the decision between two classes.
            Op::Where { yes, no, .. } => {
                ir.program.tensor_type(id).kind == EntryKind::I64
                    && [yes, no].into_iter().all(|id| of(id) || constant(id))
            }
            _ => false,
        });
        labels.push(own);
    }
    labels
}

/// Names of classes that are looked up by the number of the predicted one, in order.
pub(crate) fn class_names(ir: &Ir, labels: &[bool]) -> Vec<Vec<String>> {
    let looked_up = ir.program.steps().iter().filter_map(|step| match &step.op {
        Op::Pick {
            table,
            index,
            inner: 1,
        } if labels[index.index()] => Some(*table),
        _ => None,
    });
    looked_up
        .filter_map(|table| ir.program.constant_value(table))
        .map(cipherfn_program::Tensor::to_texts)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{class_names, labels};
    use crate::ir::Ir;
    use cipherfn_program::{Op, Tensor};

    #[test]
    fn what_is_looked_up_by_the_largest_is_a_label() {
        let mut ir = Ir::sample();
        let scores = ir.stump(&[1.0, 0.0], &[0.0, 1.0]);
        let index = ir.add(Op::ArgMax {
            argument: scores,
            group: 2,
            last: false,
        });
        let names = ir.add(Op::Constant(Tensor::Text(vec!["no".into(), "yes".into()])));
        let rows = ir.numbers(&[1.0, 2.0, 3.0, 4.0]);
        let mut pick = |table, inner| {
            ir.add(Op::Pick {
                table,
                index,
                inner,
            })
        };
        let (label, row) = (pick(names, 1), pick(rows, 2));
        let found = labels(&ir);
        assert!(found[index.index()] && found[label.index()]);
        assert!(!found[scores.index()] && !found[row.index()]);
        assert_eq!(class_names(&ir, &found), [["no", "yes"]]);
    }
}
