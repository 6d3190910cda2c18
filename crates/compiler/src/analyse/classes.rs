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
