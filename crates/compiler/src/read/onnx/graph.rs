//! From bytes to a graph whose nodes are in order of evaluation.

use super::fields::Fields;
use super::node::{self, Node};
use super::proto::{GraphHead, ModelHead, ValueInfoProto};
use super::size;
use super::tensor::{self, Constant, ELEMENTS, Element};
use crate::error::CompileError;
use cipherfn_program::MAX_LEN;
use prost::Message;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};

/// Largest model that is read, in bytes: no protobuf message may have more.
pub(crate) const MAX_BYTES: usize = (1 << 31) - 1;
/// Most nodes of a graph.
const MAX_NODES: usize = 1 << 16;

/// A checked graph.
pub(crate) struct Graph<'a> {
    pub(crate) producer: String,
    pub(crate) name: String,
    /// Versions of the operator sets, by domain.
    pub(crate) versions: HashMap<String, i64>,
    pub(crate) inputs: Vec<Input>,
    pub(crate) constants: HashMap<String, Constant>,
    /// Nodes that the outputs depend on; every input is defined before it is used.
    pub(crate) nodes: Vec<Node<'a>>,
    pub(crate) outputs: Vec<String>,
    /// Operators with domains, each once.
    pub(crate) operators: Vec<String>,
}

/// An input of the graph; the first dimension, which counts rows, is 1.
pub(crate) struct Input {
    pub(crate) name: String,
    pub(crate) element: Element,
    pub(crate) shape: Vec<usize>,
    /// Whether it may have several rows, rather than exactly one.
    pub(crate) takes_rows: bool,
}

/// Reads and orders a graph.
pub(crate) fn read(bytes: &[u8]) -> Result<Graph<'_>, CompileError> {
    if bytes.len() > MAX_BYTES {
        return Err(CompileError::TooLarge {
            len: bytes.len(),
            limit: MAX_BYTES,
        });
    }
    size::check(bytes)?;
    let model = ModelHead::decode(bytes).map_err(|error| CompileError::NotOnnx {
        reason: error.to_string(),
    })?;
    let messages = messages(bytes).map_err(|reason| CompileError::NotOnnx { reason })?;
    let Some(graph) = model.graph else {
        return Err(CompileError::NotOnnx {
            reason: "it has no graph".into(),
        });
    };
    if messages.is_empty() || model.ir_version <= 0 {
        return Err(CompileError::NotOnnx {
            reason: "it has no nodes or no format version".into(),
        });
    }
    if let Some(function) = model.functions.first() {
        return Err(CompileError::UnsupportedModel {
            problem: format!("it defines the function \"{}\"", function.name),
            supported: "graphs of operators; inline the functions (`onnx.inliner.inline_local_functions`) and export again".into(),
        });
    }
    if !graph.sparse_initializer.is_empty() {
        return Err(CompileError::UnsupportedModel {
            problem: "it has sparse initializers".into(),
            supported: "dense initializers".into(),
        });
    }
    if messages.len() > MAX_NODES {
        return Err(CompileError::invalid(
            "the graph",
            format!("it has {} nodes, more than {MAX_NODES}", messages.len()),
        ));
    }
    let mut versions = HashMap::new();
    for set in model.opset_import {
        let newest = versions.entry(node::domain(set.domain)).or_insert(0);
        *newest = set.version.max(*newest);
    }
    let producer = format!("{} {}", model.producer_name, model.producer_version)
        .trim()
        .to_owned();
    checked(graph, &messages, producer, versions)
}

/// The messages of the graph's nodes.
fn messages(bytes: &[u8]) -> Result<Vec<&[u8]>, String> {
    let mut messages = Vec::new();
    for field in Fields::of(bytes) {
        let (7, graph) = field? else {
            continue;
        };
        for field in Fields::of(graph.bytes()?) {
            if let (1, node) = field? {
                messages.push(node.bytes()?);
            }
        }
    }
    Ok(messages)
}

fn checked<'a>(
    graph: GraphHead,
    messages: &[&'a [u8]],
    producer: String,
    versions: HashMap<String, i64>,
) -> Result<Graph<'a>, CompileError> {
    let mut constants = HashMap::new();
    for initializer in &graph.initializer {
        let place = format!("initializer \"{}\"", initializer.name);
        if constants
            .insert(initializer.name.clone(), tensor::read(initializer, &place)?)
            .is_some()
        {
            return Err(CompileError::invalid(place, "it is defined twice"));
        }
    }
    // Before IR version 4 initializers were listed among the inputs, too.
    let inputs = graph
        .input
        .iter()
        .filter(|info| !constants.contains_key(&info.name))
        .map(input)
        .collect::<Result<Vec<_>, _>>()?;
    let mut defined: HashSet<String> = constants.keys().cloned().collect();
    for input in &inputs {
        if !defined.insert(input.name.clone()) {
            return Err(CompileError::invalid(
                format!("input \"{}\"", input.name),
                "it is defined twice",
            ));
        }
    }
    let outputs: Vec<String> = graph.output.into_iter().map(|info| info.name).collect();
    if outputs.is_empty() {
        return Err(CompileError::invalid("the graph", "it has no outputs"));
    }
    let nodes = messages
        .iter()
        .enumerate()
        .map(|(position, message)| Node::read(message, position))
        .collect::<Result<Vec<_>, _>>()?;
    let mut operators: Vec<String> = Vec::new();
    for node in &nodes {
        let operator = format!("{} ({})", node.name.operator, node.name.domain);
        if !operators.contains(&operator) {
            operators.push(operator);
        }
    }
    let nodes = ordered(nodes, &defined, &outputs)?;
    Ok(Graph {
        producer,
        name: graph.name,
        versions,
        inputs,
        constants,
        nodes,
        outputs,
        operators,
    })
}

fn input(info: &ValueInfoProto) -> Result<Input, CompileError> {
    let place = format!("input \"{}\"", info.name);
    let unsupported = |problem: String, supported: &str| CompileError::UnsupportedModel {
        problem,
        supported: supported.to_owned(),
    };
    let Some(tensor) = info
        .r#type
        .as_ref()
        .and_then(|kind| kind.tensor_type.as_ref())
    else {
        return Err(unsupported(format!("{place} is no tensor"), ELEMENTS));
    };
    let element = Element::from_onnx(tensor.elem_type.into()).ok_or_else(|| {
        unsupported(
            format!("{place} has element type {}", tensor.elem_type),
            ELEMENTS,
        )
    })?;
    let Some(declared) = &tensor.shape else {
        return Err(unsupported(
            format!("{place} has no shape"),
            "inputs of a fixed number of columns, [rows, columns]",
        ));
    };
    let mut shape = Vec::with_capacity(declared.dim.len());
    for (axis, dim) in declared.dim.iter().enumerate() {
        let size = dim.dim_value.filter(|&size| size > 0);
        shape.push(match (axis, size) {
            (0, None | Some(1)) => 1,
            (0, Some(rows)) => {
                return Err(unsupported(
                    format!("{place} takes exactly {rows} rows at once"),
                    "any number of rows, or one",
                ));
            }
            (_, Some(size)) => usize::try_from(size).unwrap_or(usize::MAX),
            (_, None) => {
                let problem =
                    format!("{place} does not say how many columns it has (dimension {axis})");
                return Err(unsupported(
                    problem,
                    "inputs of a fixed number of columns; export with [None, columns]",
                ));
            }
        });
    }
    if tensor::entries(&shape).is_none() {
        return Err(CompileError::invalid(
            place,
            format!("its shape {shape:?} has more than {MAX_LEN} entries"),
        ));
    }
    Ok(Input {
        name: info.name.clone(),
        element,
        shape,
        takes_rows: declared
            .dim
            .first()
            .is_some_and(|rows| rows.dim_value != Some(1)),
    })
}

/// Drops nodes that no output depends on and sorts the others.
fn ordered<'a>(
    nodes: Vec<Node<'a>>,
    defined: &HashSet<String>,
    outputs: &[String],
) -> Result<Vec<Node<'a>>, CompileError> {
    let mut producers: HashMap<String, usize> = HashMap::new();
    for (position, node) in nodes.iter().enumerate() {
        for output in node.outputs.iter().filter(|output| !output.is_empty()) {
            if defined.contains(output) || producers.insert(output.clone(), position).is_some() {
                return Err(node.invalid(format!(
                    "its output \"{output}\" is already defined elsewhere"
                )));
            }
        }
    }
    let mut needed = vec![false; nodes.len()];
    let mut open: Vec<(&str, Option<usize>)> =
        outputs.iter().map(|name| (name.as_str(), None)).collect();
    while let Some((name, user)) = open.pop() {
        match producers.get(name) {
            Some(&position) if !needed[position] => {
                needed[position] = true;
                open.extend(
                    nodes[position]
                        .inputs
                        .iter()
                        .filter(|name| !name.is_empty())
                        .map(|name| (name.as_str(), Some(position))),
                );
            }
            Some(_) => {}
            None if defined.contains(name) => {}
            None => {
                let problem = format!("\"{name}\" is not defined in the graph");
                return Err(user.map_or_else(
                    || CompileError::invalid(format!("output \"{name}\""), "no node defines it"),
                    |position| nodes[position].invalid(problem),
                ));
            }
        }
    }
    let nodes: Vec<Node<'_>> = nodes
        .into_iter()
        .zip(needed)
        .filter_map(|(node, needed)| needed.then_some(node))
        .collect();
    sorted(nodes)
}

/// Stable topological order (Kahn's algorithm; of several nodes that could be next, the first one
/// in the file).
fn sorted(nodes: Vec<Node<'_>>) -> Result<Vec<Node<'_>>, CompileError> {
    let producers: HashMap<&str, usize> = nodes
        .iter()
        .enumerate()
        .flat_map(|(position, node)| {
            node.outputs
                .iter()
                .map(move |name| (name.as_str(), position))
        })
        .collect();
    let mut users = vec![Vec::new(); nodes.len()];
    let mut missing = vec![0_usize; nodes.len()];
    for (position, node) in nodes.iter().enumerate() {
        for name in node.inputs.iter().filter(|name| !name.is_empty()) {
            if let Some(&producer) = producers.get(name.as_str()) {
                users[producer].push(position);
                missing[position] += 1;
            }
        }
    }
    let mut ready: BinaryHeap<Reverse<usize>> = (0..nodes.len())
        .filter(|&position| missing[position] == 0)
        .map(Reverse)
        .collect();
    let mut order = Vec::with_capacity(nodes.len());
    while let Some(Reverse(position)) = ready.pop() {
        order.push(position);
        for &user in &users[position] {
            missing[user] -= 1;
            if missing[user] == 0 {
                ready.push(Reverse(user));
            }
        }
    }
    if let Some(position) = missing.iter().position(|&missing| missing > 0) {
        return Err(
            nodes[position].invalid("the graph has a cycle: the node depends on its own output")
        );
    }
    let mut nodes: Vec<Option<Node<'_>>> = nodes.into_iter().map(Some).collect();
    Ok(order
        .into_iter()
        .filter_map(|position| nodes[position].take())
        .collect())
}
