//! Sequences, which can only be outputs of the graph: `SequenceConstruct`, and `ZipMap`, which
//! names the classes of scores.

use crate::error::CompileError;
use crate::lower::emitter::{Emitter, Operand};
use crate::lower::registry::{Operator, ml, standard};

pub(in crate::lower) const OPERATORS: &[Operator] = &[
    standard("SequenceConstruct", 11, sequence_construct),
    ml("ZipMap", 1, zip_map),
];

/// Entries of all values, one after the other.
fn sequence_construct(emitter: &mut Emitter<'_>) -> Result<Vec<Operand>, CompileError> {
    let parts = emitter.all_inputs()?;
    emitter.gives_sequences = true;
    Ok(vec![emitter.join(&parts)?])
}

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
    emitter.gives_sequences = true;
    Ok(vec![value])
}
