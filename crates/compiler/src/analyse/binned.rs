//! Tables that are looked up by bins of the row's numbers: explainable boosting machines.
//!
//! Exporters have no operator for such a model. They compare a number with the edges of its bins,
//! make the answers an index, look a table up by it or, for an interaction, by the indices of two
//! numbers, and add up what the tables give. In terms of operations:
//!
//! ```text
//! number --compare with edges--> answers --..--> index --\
//!                                                         >-- Pick from a constant --> term
//! text ---- Encode as integers ----------------> index --/
//! ```
//!
//! What follows from such comparisons is the same for all numbers between two edges, so it is found
//! by computing it once a bin, whatever the operations in between. A term becomes a tree that asks
//! for the bins: the tables stay on the server, and options that hide split points hide the edges.

use crate::error::CompileError;
use crate::ir::{Ensemble, Function, Ir, Output};
use crate::lower::MAX_NODES;
use axis::Axis;
use cells::{BinTable, tables};
use cipherfn_program::{Op, ValueId};
use std::collections::HashMap;
use tree::TreeFeature;

mod axis;
mod cells;
mod tree;

/// Bins up to which tables of one number each stay what they are: an indicator a bin, that the client
/// encrypts, makes a linear model of them, which needs no evaluation key.
const FEW_BINS: usize = 256;

/// Makes the tables of a graph without estimators trees.
pub(crate) fn extract(ir: Ir) -> Result<Ir, CompileError> {
    if !ir.estimators.is_empty() || !ir.rankings.is_empty() {
        return Ok(ir);
    }
    let tables = tables(&ir);
    let pairs = tables.iter().any(|(_, table)| table.axes.len() > 1);
    let bins: usize = tables.iter().map(|(_, table)| table.cells.len()).sum();
    if !pairs && bins <= FEW_BINS {
        return Ok(ir);
    }
    rebuilt(ir, &tables)
}

/// The same operations with an estimator in place of the tables.
fn rebuilt(ir: Ir, tables: &[(ValueId, BinTable)]) -> Result<Ir, CompileError> {
    let follows = ir.descendants(tables.iter().map(|(root, _)| *root));
    let mut made = ir.without_steps()?;
    let mut moved: Vec<ValueId> = (0..follows.len() as u32).map(ValueId).collect();
    copy(&ir, &mut made, &mut moved, |index| !follows[index])?;
    let node = tables.first().and_then(|(root, _)| ir.step(*root));
    let node = node.map_or("tables", |step| step.node.as_str());
    let results = estimated(&mut made, node, tables, &moved)?;
    let mut first = 0;
    for (root, table) in tables {
        let found = ir.program.tensor_type(*root);
        let entries = (first..first + found.len as u32).collect();
        first += table.entries() as u32;
        let source = results;
        let value = made.program.push(node, Op::Select { source, entries })?;
        moved[root.index()] = made.program.cast(node, value, found.kind)?;
    }
    let is_root = |index: usize| tables.iter().any(|(root, _)| root.index() == index);
    copy(&ir, &mut made, &mut moved, |index| {
        follows[index] && !is_root(index)
    })?;
    let mut made = ir.around(made, &moved);
    made.notes.push(format!(
        "{} tables that are looked up by bins of one number or two are trees over these bins: the \
         server has the tables",
        tables.len()
    ));
    let terms = moved_roots(tables, &moved);
    keep_sums(&mut made, &terms);
    Ok(made)
}

/// Adds the steps whose index is asked for.
fn copy(
    ir: &Ir,
    made: &mut Ir,
    moved: &mut [ValueId],
    wanted: impl Fn(usize) -> bool,
) -> Result<(), CompileError> {
    for (step, index) in ir.program.steps().iter().zip(ir.first_step()..) {
        if wanted(index) {
            let mut op = step.op.clone();
            op.rename(|id| moved[id.index()]);
            moved[index] = made.program.push(&step.node, op)?;
        }
    }
    Ok(())
}

/// The results of an estimator of all tables, one after the other.
fn estimated(
    ir: &mut Ir,
    node: &str,
    tables: &[(ValueId, BinTable)],
    moved: &[ValueId],
) -> Result<ValueId, CompileError> {
    let mut parts: Vec<ValueId> = Vec::new();
    let mut known: HashMap<&Axis, TreeFeature> = HashMap::new();
    for axis in tables.iter().flat_map(|(_, table)| &table.axes) {
        if !known.contains_key(axis) {
            let source = moved[axis.source.index()];
            let (value, thresholds) = axis.feature(&mut ir.program, node, source)?;
            let feature = TreeFeature {
                feature: parts.len() as u32,
                thresholds,
                missing: axis.has_missing,
            };
            known.insert(axis, feature);
            parts.push(value);
        }
    }
    let mut trees = Vec::with_capacity(tables.len());
    let (mut targets, mut nodes) = (0, 0);
    for (_, table) in tables {
        let features: Vec<&TreeFeature> = table.axes.iter().map(|axis| &known[axis]).collect();
        let tree = tree::of(&features, &table.cells, targets as u32);
        nodes += tree.nodes.len();
        if nodes > MAX_NODES {
            let problem = format!("its tables of bins have more than {MAX_NODES} entries");
            return Err(CompileError::invalid("the graph", problem));
        }
        targets += table.entries();
        trees.push(tree);
    }
    let argument = ir.program.push(node, Op::Concat(parts))?;
    let ensemble = Ensemble {
        trees,
        targets,
        average: false,
        missing: known.values().any(|feature| feature.missing),
        splits: Vec::new(),
    };
    ir.estimate(node, argument, Function::Trees(ensemble))
}

/// What the tables give in the new program.
fn moved_roots(tables: &[(ValueId, BinTable)], moved: &[ValueId]) -> Vec<ValueId> {
    tables.iter().map(|(root, _)| moved[root.index()]).collect()
}

/// Leaves out outputs of single terms where there is another one: each would be a result of its own,
/// and a sum of many tables brings back one.
fn keep_sums(ir: &mut Ir, terms: &[ValueId]) {
    let is_term = |output: &Output| {
        let found = ir.program.tensor_type(output.value);
        let is_of_terms = |entry| {
            let (mut value, mut place) = (output.value, entry);
            loop {
                if terms.contains(&value) {
                    return true;
                }
                match ir.moved_from(value, place) {
                    Some(source) => (value, place) = source,
                    None => return false,
                }
            }
        };
        terms.len() > 1 && (0..found.len as u32).all(is_of_terms)
    };
    let left_out: Vec<bool> = ir.outputs.iter().map(is_term).collect();
    if left_out.iter().all(|left_out| *left_out) {
        return;
    }
    let names = ir.outputs.iter().zip(&left_out);
    let names: Vec<String> = names
        .filter(|(_, left_out)| **left_out)
        .map(|(output, _)| output.name.clone())
        .collect();
    let mut left_out = left_out.into_iter();
    ir.outputs.retain(|_| !left_out.next().unwrap_or(false));
    ir.notes.extend(names.iter().map(|name| {
        format!(
            "output \"{name}\" is left out: it holds the terms one by one, of which the server \
             gives the sum"
        )
    }));
}

#[cfg(test)]
mod tests;
