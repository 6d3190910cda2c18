//! `Scan`, as far as exporters write distances with it: for each row of a matrix, its squared
//! distances from the rows of another one.

use crate::error::CompileError;
use crate::lower::emitter::{Emitter, Operand, reshaped};
use crate::lower::registry::{Operator, standard};
use crate::read::onnx::node::Node;
use crate::read::onnx::subgraph::Subgraph;
use cipherfn_program::Tensor;

pub(in crate::lower) const OPERATORS: &[Operator] = &[standard("Scan", 9, scan)];

fn scan(emitter: &mut Emitter<'_>) -> Result<Vec<Operand>, CompileError> {
    let node = emitter.node;
    let unsupported = || {
        node.unsupported(
            "a loop over rows",
            "loops that give the squared distances of rows (kernels, nearest neighbours)",
        )
    };
    let body = node.subgraph("body")?;
    let is_plain = node.int("num_scan_inputs", 0)? == 1
        && emitter.inputs.len() == 2
        && [
            "scan_input_axes",
            "scan_input_directions",
            "scan_output_axes",
            "scan_output_directions",
        ]
        .iter()
        .all(|name| !node.has(name));
    if !is_plain || !body.as_ref().is_some_and(gives_squared_distances) {
        return Err(unsupported());
    }
    let (state, scanned) = (emitter.input(0)?, emitter.input(1)?);
    let (&[rows, width], &[points, own_width]) = (state.shape.as_slice(), scanned.shape.as_slice())
    else {
        return Err(unsupported());
    };
    if rows != 1 {
        return Err(unsupported());
    }
    if width != own_width || width == 0 {
        return Err(node.invalid(format!(
            "rows of {width} numbers have no distance from rows of {own_width}"
        )));
    }
    let Some(numbers) = emitter.constant_value(&scanned).and_then(Tensor::to_f64) else {
        return Err(node.unsupported("it scans what is computed from the row", "constant points"));
    };
    let numbers = node.finite("the points", numbers)?;
    let distances = emitter.squared_distances(&state, &numbers)?;
    let distances = emitter.cast(&distances, state.element)?;
    Ok(vec![state, reshaped(&distances, vec![points, rows])])
}

/// Whether the body keeps its state and gives the sums of the squares of its differences from a
/// scanned row, along the row.
fn gives_squared_distances(body: &Subgraph<'_>) -> bool {
    let (&[state, scanned], &[kept, given]) = (body.inputs.as_slice(), body.outputs.as_slice())
    else {
        return false;
    };
    // No further than there are nodes: a subgraph may have a cycle.
    let source = |name: &str| {
        let mut name = name.to_owned();
        for _ in 0..=body.nodes.len() {
            match giver(body, &name) {
                Some(node) if node.name.operator == "Identity" => {
                    name.clone_from(node.inputs.first()?);
                }
                found => return Some((name, found)),
            }
        }
        None
    };
    let keeps = source(kept).is_some_and(|(name, _)| name == state);
    let Some((_, Some(sum))) = source(given) else {
        return false;
    };
    let along_rows = match sum.inputs.get(1) {
        Some(axes) => {
            let axes = body.constants.get(axes).map(|constant| &constant.value);
            axes == Some(&Tensor::I64(vec![1]))
        }
        None => sum.ints("axes").is_ok_and(|axes| axes == [1]),
    };
    let sums = sum.name.operator == "ReduceSumSquare"
        && along_rows
        && sum.int("keepdims", 1).is_ok_and(|keep| keep == 0);
    let difference = sum.inputs.first().and_then(|name| giver(body, name));
    let differs = difference.is_some_and(|node| {
        let inputs: Vec<&str> = node.inputs.iter().map(String::as_str).collect();
        node.name.operator == "Sub" && (inputs == [state, scanned] || inputs == [scanned, state])
    });
    keeps && sums && differs
}

fn giver<'b, 'a>(body: &'b Subgraph<'a>, name: &str) -> Option<&'b Node<'a>> {
    let gives = |node: &&Node<'a>| node.outputs.iter().any(|output| output == name);
    body.nodes.iter().find(gives)
}
