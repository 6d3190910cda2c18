//! From the bytes of a model file to the typed model.

pub(crate) mod onnx;

use crate::error::CompileError;
use crate::model::Model;

/// Reads a model file.
///
/// # Errors
/// Bytes that are no model, and models that cannot be compiled, with the node or field at fault.
pub fn read_model(bytes: &[u8]) -> Result<Model, CompileError> {
    crate::onnx::model(&onnx::graph::read(bytes)?)
}

/// Every ONNX operator that [`read_model`] understands, with its domain.
pub fn supported_operators() -> Vec<String> {
    crate::onnx::operators()
}
