//! A small graph that hangs on a node.

use super::fields::Fields;
use super::node::Node;
use super::proto::TensorProto;
use super::tensor::{self, Constant};
use crate::error::CompileError;
use prost::Message;
use std::collections::HashMap;

/// Most nodes of a subgraph: those that are understood have a handful.
const MAX_NODES: usize = 64;

/// Nodes as they stand in the file, and names.
pub(crate) struct Subgraph<'a> {
    pub(crate) nodes: Vec<Node<'a>>,
    pub(crate) constants: HashMap<String, Constant>,
    pub(crate) inputs: Vec<&'a str>,
    pub(crate) outputs: Vec<&'a str>,
}

impl<'a> Subgraph<'a> {
    /// Reads a graph's message; `None` for one that is too large.
    pub(super) fn read(message: &'a [u8], place: &str) -> Result<Option<Self>, CompileError> {
        let broken = |reason| CompileError::NotOnnx { reason };
        let mut own = Self {
            nodes: Vec::new(),
            constants: HashMap::new(),
            inputs: Vec::new(),
            outputs: Vec::new(),
        };
        for field in Fields::of(message) {
            let (tag, value) = field.map_err(broken)?;
            match tag {
                1 => {
                    let node = value.bytes().map_err(broken)?;
                    own.nodes.push(Node::read(node, own.nodes.len())?);
                }
                5 => {
                    let bytes = value.bytes().map_err(broken)?;
                    let tensor = TensorProto::decode(bytes);
                    let tensor = tensor.map_err(|error| broken(error.to_string()))?;
                    let place = format!("{place}: initializer \"{}\"", tensor.name);
                    let constant = tensor::read(&tensor, &place)?;
                    own.constants.insert(tensor.name, constant);
                }
                11 => own.inputs.push(name(value.bytes().map_err(broken)?)?),
                12 => own.outputs.push(name(value.bytes().map_err(broken)?)?),
                _ => {}
            }
            if own.nodes.len() + own.constants.len() > MAX_NODES {
                return Ok(None);
            }
        }
        Ok(Some(own))
    }
}

/// The name of a `ValueInfoProto`.
fn name(message: &[u8]) -> Result<&str, CompileError> {
    let broken = |reason| CompileError::NotOnnx { reason };
    let mut name = "";
    for field in Fields::of(message) {
        if let (1, value) = field.map_err(broken)? {
            name = value.text().map_err(broken)?;
        }
    }
    Ok(name)
}
