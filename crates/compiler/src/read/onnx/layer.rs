//! One layer of a larger model, as a model of its own.
//!
//! The larger model may have whatever it likes: only the layer's node, what its weights come from and
//! the form of its input are read.

use super::fields::Fields;
use super::node::Node;
use super::proto::{
    DimensionProto, TensorProto, TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto,
};
use crate::error::CompileError;
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint};
use std::collections::{BTreeSet, HashMap};

/// Operators that are linear in their first input.
const OPERATORS: [&str; 3] = ["MatMul", "Gemm", "Conv"];
/// Most names that an error lists.
const MOST_LISTED: usize = 12;

/// Fields of the model that hold its graph, of the graph that hold nodes, name, tensors, inputs,
/// outputs and what is known of values between.
const GRAPH: u32 = 7;
const NODE: u32 = 1;
const NAME: u32 = 2;
const TENSOR: u32 = 5;
const INPUT: u32 = 11;
const OUTPUT: u32 = 12;
const VALUE: u32 = 13;

/// The bytes of a model that is the node of this name: its first input becomes the row.
pub(crate) fn cut_out(bytes: &[u8], layer: &str) -> Result<Vec<u8>, CompileError> {
    let parts = Parts::of(bytes).map_err(|reason| CompileError::NotOnnx { reason })?;
    let nodes = parts.nodes.iter().enumerate();
    let nodes = nodes
        .map(|(position, message)| Node::read(message, position))
        .collect::<Result<Vec<_>, _>>()?;
    let chosen = chosen(&nodes, layer)?;
    let node = &nodes[chosen];
    let [row, weights @ ..] = node.inputs.as_slice() else {
        return Err(node.invalid("it has no inputs"));
    };
    let origins = Origins::of(&parts, &nodes, node, weights)?;
    let input = parts.input(node, row)?;
    let mut graph = Vec::new();
    // In their order in the file.
    for index in origins.nodes.iter().copied().chain([chosen]) {
        append(&mut graph, NODE, parts.nodes[index]);
    }
    append(&mut graph, NAME, layer.as_bytes());
    for name in &origins.tensors {
        append(&mut graph, TENSOR, parts.tensors[name]);
    }
    append(&mut graph, INPUT, &input.encode_to_vec());
    let output = ValueInfoProto {
        name: node.outputs.first().cloned().unwrap_or_default(),
        r#type: None,
    };
    append(&mut graph, OUTPUT, &output.encode_to_vec());
    let mut model = parts.head;
    append(&mut model, GRAPH, &graph);
    Ok(model)
}

/// The place of the layer's node.
fn chosen(nodes: &[Node<'_>], layer: &str) -> Result<usize, CompileError> {
    let named = nodes.iter().enumerate();
    let mut named = named.filter(|(_, node)| node.name.name == layer);
    let is_linear = |node: &Node<'_>| OPERATORS.contains(&node.name.operator.as_str());
    match (named.next(), named.next()) {
        (Some((place, node)), None) if is_linear(node) => Ok(place),
        (Some((_, node)), None) => Err(node.unsupported(
            "it is chosen as a layer",
            "layers that are linear: MatMul, Gemm, Conv",
        )),
        (Some((_, node)), Some(_)) => Err(node.invalid("several nodes have this name")),
        (None, _) => {
            let linear = nodes.iter().filter(|node| is_linear(node));
            let names: Vec<&str> = linear.map(|node| node.name.name.as_str()).collect();
            let more = names.len().saturating_sub(MOST_LISTED);
            let listed = names[..names.len() - more].join(", ");
            let rest = match more {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            Err(CompileError::NoSuchLayer {
                layer: layer.to_owned(),
                found: match names.len() {
                    0 => "none".to_owned(),
                    _ => format!("{listed}{rest}"),
                },
            })
        }
    }
}

/// A model's parts, where they lie in the file.
struct Parts<'a> {
    /// All of the model but its graph.
    head: Vec<u8>,
    nodes: Vec<&'a [u8]>,
    tensors: HashMap<&'a str, &'a [u8]>,
    /// What is known of values, inputs of the graph among them.
    values: HashMap<&'a str, &'a [u8]>,
}

impl<'a> Parts<'a> {
    fn of(bytes: &'a [u8]) -> Result<Self, String> {
        let mut parts = Self {
            head: Vec::new(),
            nodes: Vec::new(),
            tensors: HashMap::new(),
            values: HashMap::new(),
        };
        let mut fields = Fields::of(bytes);
        let mut left = bytes.len();
        while let Some(field) = fields.next() {
            let (tag, value) = field?;
            let start = bytes.len() - left;
            left = fields.len();
            if tag == GRAPH {
                parts.read_graph(value.bytes()?)?;
            } else {
                let end = bytes.len() - left;
                parts.head.extend_from_slice(&bytes[start..end]);
            }
        }
        Ok(parts)
    }

    fn read_graph(&mut self, graph: &'a [u8]) -> Result<(), String> {
        for field in Fields::of(graph) {
            let (tag, value) = field?;
            match tag {
                NODE => self.nodes.push(value.bytes()?),
                TENSOR => {
                    let tensor = value.bytes()?;
                    self.tensors.insert(name_of(tensor, 8)?, tensor);
                }
                INPUT | OUTPUT | VALUE => {
                    let value = value.bytes()?;
                    self.values.insert(name_of(value, 1)?, value);
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Form of the layer's input, of one row.
    fn input(&self, node: &Node<'_>, name: &str) -> Result<ValueInfoProto, CompileError> {
        let known = self.values.get(name).map(|info| {
            ValueInfoProto::decode(*info).map_err(|error| CompileError::NotOnnx {
                reason: error.to_string(),
            })
        });
        let known = known.transpose()?;
        let known = known.and_then(|info| info.r#type?.tensor_type);
        let dims = known
            .as_ref()
            .and_then(|tensor| tensor.shape.as_ref())
            .map_or(&[][..], |shape| &shape.dim);
        let weights = node
            .inputs
            .get(1)
            .and_then(|name| self.tensors.get(name.as_str()));
        let weights = weights.map(|tensor| {
            TensorProto::decode(*tensor).map_err(|error| CompileError::NotOnnx {
                reason: error.to_string(),
            })
        });
        let weights = weights.transpose()?;
        let convolves = node.name.operator == "Conv";
        let row = match (convolves, &weights) {
            (true, _) => dims.get(1..).unwrap_or_default().to_vec(),
            // Whatever is before the last axis counts rows: tokens, say.
            (false, Some(weights)) => {
                let axis = match node.name.operator.as_str() {
                    "Gemm" if node.int("transB", 0)? != 0 => weights.dims.last(),
                    _ => weights.dims.first(),
                };
                axis.copied().map(dimension).into_iter().collect()
            }
            (false, None) => dims.last().cloned().into_iter().collect(),
        };
        if row.is_empty()
            || row
                .iter()
                .any(|dim| dim.dim_value.is_none_or(|size| size < 1))
        {
            return Err(node.unsupported(
                format!("the file does not say how large its input \"{name}\" is"),
                "inputs of a known shape, but for the rows: write the shapes into the file \
                 (`onnx.shape_inference.infer_shapes`) or export with fixed ones",
            ));
        }
        let of_weights = weights.map(|weights| weights.data_type);
        let elem_type = known
            .map(|tensor| tensor.elem_type)
            .filter(|kind| *kind != 0);
        let dim = std::iter::once(DimensionProto::default()).chain(row);
        let tensor = TensorTypeProto {
            elem_type: elem_type.or(of_weights).unwrap_or(1),
            shape: Some(TensorShapeProto { dim: dim.collect() }),
        };
        Ok(ValueInfoProto {
            name: name.to_owned(),
            r#type: Some(TypeProto {
                tensor_type: Some(tensor),
            }),
        })
    }
}

/// What the weights of a layer come from.
#[derive(Default)]
struct Origins<'a> {
    nodes: BTreeSet<usize>,
    tensors: BTreeSet<&'a str>,
}

impl<'a> Origins<'a> {
    fn of(
        parts: &Parts<'a>,
        nodes: &[Node<'_>],
        layer: &Node<'_>,
        weights: &[String],
    ) -> Result<Self, CompileError> {
        let mut givers = HashMap::new();
        for (place, node) in nodes.iter().enumerate() {
            givers.extend(node.outputs.iter().map(|output| (output.as_str(), place)));
        }
        let mut origins = Self::default();
        let mut open: Vec<&str> = weights.iter().map(String::as_str).collect();
        while let Some(name) = open.pop() {
            if let Some((name, _)) = parts.tensors.get_key_value(name) {
                origins.tensors.insert(name);
            } else if let Some(&place) = givers.get(name) {
                if origins.nodes.insert(place) {
                    open.extend(nodes[place].inputs.iter().map(String::as_str));
                }
            } else if !name.is_empty() {
                return Err(layer.unsupported(
                    format!("its weights depend on \"{name}\", an input of the model"),
                    "layers whose first input is the row and whose others are constants",
                ));
            }
        }
        Ok(origins)
    }
}

fn dimension(size: i64) -> DimensionProto {
    DimensionProto {
        dim_value: Some(size),
        dim_param: None,
    }
}

/// A message's field that names it.
fn name_of(message: &[u8], tag: u32) -> Result<&str, String> {
    for field in Fields::of(message) {
        if let (found, value) = field?
            && found == tag
        {
            return value.text();
        }
    }
    Ok("")
}

/// Appends a field of a message.
fn append(message: &mut Vec<u8>, tag: u32, value: &[u8]) {
    encode_key(tag, WireType::LengthDelimited, message);
    encode_varint(value.len() as u64, message);
    message.extend_from_slice(value);
}
