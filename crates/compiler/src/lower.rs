//! From an ONNX graph to the compiler's own operations: each node is lowered once, by the one place
//! that knows its operator.

mod decision;
mod distances;
mod emitter;
mod isotonic;
mod neighbours;
mod operators;
mod registry;
mod rows;
mod shapes;
mod transform;
mod trees;
mod windows;

pub(crate) use trees::MAX_NODES;

use crate::error::CompileError;
use crate::ir::{Ir, Output, RankedPoints};
use crate::model::Column;
use crate::read::onnx::graph::{Graph, Input};
use crate::read::onnx::tensor::Element;
use cipherfn_program::ValueId;
use cipherfn_protocol::specs::ColumnKind;
use emitter::{Emitter, Operand};
use rows::RowAxes;
use std::collections::{HashMap, HashSet};

/// The operations of a graph.
pub(crate) fn lower(graph: &Graph<'_>) -> Result<Ir, CompileError> {
    let kinds = graph.inputs.iter().map(|input| input.element.kind());
    let mut ir = Ir::new(graph.inputs.iter().map(column).collect(), kinds.collect())?;
    let mut values: HashMap<&str, Operand> = HashMap::new();
    let mut rows = RowAxes::default();
    for (index, input) in graph.inputs.iter().enumerate() {
        if input.takes_rows {
            rows.begin(&input.name);
        }
        let operand = Operand {
            id: ValueId(index as u32),
            element: input.element,
            shape: input.shape.clone(),
        };
        values.insert(&input.name, operand);
    }
    let mut constants: Vec<_> = graph.constants.iter().collect();
    constants.sort_by_key(|(name, _)| *name);
    for (name, constant) in constants {
        let operand = Operand {
            id: ir.program.constant(name, constant.value.clone())?,
            element: constant.element,
            shape: constant.shape.clone(),
        };
        values.insert(name, operand);
    }
    let mut sequences: HashSet<&str> = HashSet::new();
    for node in &graph.nodes {
        let inputs: Vec<Option<Operand>> = node
            .inputs
            .iter()
            .map(|name| values.get(name.as_str()).cloned())
            .collect();
        if let Some(at) = node
            .inputs
            .iter()
            .position(|name| sequences.contains(name.as_str()))
        {
            let shape = inputs[at].as_ref().map(|map| map.shape.as_slice());
            return Err(node.unsupported(
                format!("it takes a sequence of shape {:?}", shape.unwrap_or(&[])),
                "sequences as outputs of the graph",
            ));
        }
        let (operator, version) = registry::find(node, graph)?;
        let name = &node.name;
        let known = ir.nodes.entry(name.name.clone());
        known.or_insert_with(|| name.clone());
        let mut emitter = Emitter {
            ir: &mut ir,
            node,
            version,
            inputs: &inputs,
            gives_sequences: false,
        };
        let outputs = (operator.lower)(&mut emitter)?;
        let gives_sequences = emitter.gives_sequences;
        let named = node.outputs.iter().map(String::as_str).zip(&outputs);
        let shapes = named.map(|(name, value)| (name, value.shape.clone()));
        rows.follow(&emitter, &node.inputs, shapes)?;
        let named = node.outputs.iter().zip(outputs);
        for (name, value) in named.filter(|(name, _)| !name.is_empty()) {
            values.insert(name, value);
            if gives_sequences {
                sequences.insert(name);
            }
        }
    }
    rows.end(&graph.outputs)?;
    for name in &graph.outputs {
        let value = values.get(name.as_str()).ok_or_else(|| {
            let problem = "its node does not give that many outputs";
            CompileError::invalid(format!("output \"{name}\""), problem)
        })?;
        let gives = |outputs: &[String]| outputs.iter().any(|output| output == name);
        let giver = graph.nodes.iter().find(|node| gives(&node.outputs));
        ir.outputs.push(Output {
            name: name.clone(),
            value: value.id,
            node: giver.map(|node| node.name.clone()),
        });
    }
    check_rankings(&ir)?;
    Ok(ir)
}

/// Places and distances of nearest points stay on the server: no output follows from them.
fn check_rankings(ir: &Ir) -> Result<(), CompileError> {
    let needed = ir.ancestors(ir.outputs.iter().map(|output| output.value));
    let hidden = |own: &&RankedPoints| needed[own.places.index()] || needed[own.distances.index()];
    match ir.rankings.iter().find(hidden) {
        None => Ok(()),
        Some(ranking) => Err(ir.unsupported_step(
            &ranking.node,
            "an output tells which points are nearest, or how far away they are",
            neighbours::SUPPORTED,
        )),
    }
}

fn column(input: &Input) -> Column {
    Column {
        name: input.name.clone(),
        kind: match input.element {
            Element::F32 => ColumnKind::Float32,
            Element::F64 => ColumnKind::Float64,
            Element::Int | Element::Bool => ColumnKind::Int64,
            Element::Text => ColumnKind::Text,
        },
        width: input.shape.iter().product(),
        missing: false,
    }
}
