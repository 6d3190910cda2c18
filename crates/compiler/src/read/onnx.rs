//! ONNX files: bytes to a checked graph whose nodes are in order of evaluation. What the nodes mean
//! is not known here.

mod attribute;
mod fields;
pub(crate) mod graph;
pub(crate) mod layer;
pub(crate) mod node;
pub(crate) mod proto;
mod size;
pub(crate) mod subgraph;
pub(crate) mod tensor;
#[cfg(test)]
mod tests;
