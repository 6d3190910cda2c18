//! From the bytes of a model file to the typed model.

pub(crate) mod onnx;

use crate::cut::{Provenance, cut};
use crate::error::CompileError;
use crate::lower::{lower, operators};
use crate::model::Model;

/// Reads a model file.
///
/// # Errors
/// Bytes that are no model, and models that cannot be compiled, with the node or field at fault.
pub fn read_model(bytes: &[u8]) -> Result<Model, CompileError> {
    let graph = onnx::graph::read(bytes)?;
    let operations = lower(&graph)?;
    let provenance = Provenance {
        producer: graph.producer,
        graph: graph.name,
        operators: graph.operators,
    };
    cut(operations, provenance)
}

/// Every ONNX operator that [`read_model`] understands, with its domain.
pub fn supported_operators() -> Vec<String> {
    operators()
}
