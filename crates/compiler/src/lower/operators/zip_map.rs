//! `ZipMap`: names the classes of scores. A sequence of maps can only be an output of the graph.

use crate::error::CompileError;
use crate::lower::emitter::{Emitter, Operand};
use crate::lower::registry::{Operator, ml};

pub(in crate::lower) const OPERATORS: &[Operator] = &[ml("ZipMap", 1, zip_map)];

fn zip_map(emitter: &mut Emitter<'_>) -> Result<Vec<Operand>, CompileError> {
    let (value, node) = (emitter.input(0)?, emitter.node);
    let mut names = node.texts("classlabels_strings")?;
    if names.is_empty() {
        let numbers = node.ints("classlabels_int64s")?;
        names = numbers.iter().map(ToString::to_string).collect();
    }
    if names.len() != value.len() {
        return Err(node.invalid(format!(
            "it names {} classes for {} values",
            names.len(),
            value.len()
        )));
    }
    emitter.ir.classes.insert(value.id, names);
    emitter.gives_maps = true;
    Ok(vec![value])
}
