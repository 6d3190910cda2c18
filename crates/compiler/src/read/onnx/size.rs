//! A bound on what decoding allocates. An empty message takes two bytes in a file and hundreds in
//! memory, so counts are checked before [`prost`] makes anything.

use super::attribute::Attribute;
use super::fields::{FieldValue, Fields};
use crate::error::CompileError;

/// Most units of memory: one for a string, [`MESSAGE`] for a message. A unit is about 24 bytes.
const MAX_UNITS: usize = 1 << 23;
/// Units of a message: about 400 bytes for its struct, beside what it holds.
const MESSAGE: usize = 16;
/// Most bytes that are decoded at once: all but the lists of attributes, which are read where they
/// lie.
const MAX_DECODED: usize = 128 << 20;

/// Messages that are decoded.
#[derive(Clone, Copy)]
enum MessageKind {
    Model,
    Graph,
    Node,
    Attribute,
    Tensor,
    ValueInfo,
    Type,
    TensorType,
    Shape,
    /// Nothing below it is decoded.
    Leaf,
}

impl MessageKind {
    /// The message in field `tag`, if there is one.
    fn field(self, tag: u32) -> Option<Self> {
        Some(match (self, tag) {
            (Self::Model, 7) => Self::Graph,
            (Self::Graph, 1) => Self::Node,
            (Self::Graph | Self::Attribute, 5) => Self::Tensor,
            (Self::Graph, 11 | 12) => Self::ValueInfo,
            (Self::Node, 5) => Self::Attribute,
            (Self::ValueInfo, 2) => Self::Type,
            (Self::Type, 1) => Self::TensorType,
            (Self::TensorType, 2) => Self::Shape,
            (Self::Model, 8 | 25) | (Self::Graph, 15) | (Self::Tensor, 13) | (Self::Shape, 1) => {
                Self::Leaf
            }
            _ => return None,
        })
    }
}

/// Refuses bytes that are no protobuf message, or one whose decoded form would be too large.
pub(crate) fn check(bytes: &[u8]) -> Result<(), CompileError> {
    let mut found = Found::default();
    found
        .count(bytes, MessageKind::Model)
        .map_err(|reason| CompileError::NotOnnx { reason })?;
    if found.units > MAX_UNITS {
        return Err(CompileError::invalid(
            "the file",
            "it has too many nodes, tensors, attributes or strings",
        ));
    }
    let decoded = bytes.len() - found.lists;
    if decoded > MAX_DECODED {
        return Err(CompileError::invalid(
            "the file",
            format!(
                "it has {decoded} bytes beside the lists of its nodes' attributes (tensors, above \
                 all), more than the limit of {MAX_DECODED}"
            ),
        ));
    }
    Ok(())
}

/// What is in a message.
#[derive(Default)]
struct Found {
    /// Of memory.
    units: usize,
    /// Bytes of attributes' lists.
    lists: usize,
}

impl Found {
    fn count(&mut self, message: &[u8], kind: MessageKind) -> Result<(), String> {
        let mut fields = Fields::of(message);
        let mut left = message.len();
        while let Some(field) = fields.next()
            && self.units <= MAX_UNITS
        {
            let (tag, value) = field?;
            let len = left - fields.len();
            left = fields.len();
            if matches!(kind, MessageKind::Attribute) && Attribute::is_list(tag) {
                self.lists += len;
            }
            let FieldValue::Bytes(bytes) = value else {
                continue;
            };
            match kind.field(tag) {
                Some(inner) => {
                    self.units += MESSAGE;
                    self.count(bytes, inner)?;
                }
                None => self.units += 1,
            }
        }
        Ok(())
    }
}
