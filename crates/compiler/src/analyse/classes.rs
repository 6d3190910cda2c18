//! Which values hold one number a class, and the classes' names.

use crate::ir::Ir;
use cipherfn_program::ValueId;

/// For each value, the names of the classes that its entries belong to: a function of numbers a
/// class gives numbers a class as long as it gives as many.
pub(crate) fn classes(ir: &Ir) -> Vec<Option<&[String]>> {
    let mut classes: Vec<Option<&[String]>> = Vec::new();
    for index in 0..ir.first_step() + ir.program.steps().len() {
        let id = ValueId(index as u32);
        let own = ir.classes.get(&id).map(Vec::as_slice);
        let len = ir.program.tensor_type(id).len;
        let inherited = || {
            let mut arguments = match ir.step(id) {
                Some(step) => step.op.arguments(),
                None => Vec::new(),
            }
            .into_iter();
            arguments
                .find_map(|argument| classes[argument.index()])
                .filter(|names| names.len() == len)
        };
        let names = own.or_else(inherited);
        classes.push(names);
    }
    classes
}

#[cfg(test)]
mod tests {
    use super::classes;
    use crate::ir::Ir;
    use cipherfn_program::{Op, UnaryFunction};

    #[test]
    fn names_go_along_as_long_as_there_are_as_many_numbers() {
        let mut ir = Ir::sample();
        let scores = ir.stump(&[1.0, 0.0], &[0.0, 1.0]);
        let names = vec!["a".to_owned(), "b".to_owned()];
        ir.classes.insert(scores, names.clone());
        let links = ir.add(Op::Unary {
            function: UnaryFunction::Sigmoid,
            argument: scores,
        });
        let one = ir.add(Op::Select {
            source: links,
            entries: vec![1],
        });
        let found = classes(&ir);
        assert_eq!(found[links.index()], Some(names.as_slice()));
        assert_eq!(found[one.index()], None);
    }
}
