//! A bound on what decoding allocates. An empty message takes two bytes in a file and hundreds in
//! memory, so counts are checked before [`prost`] makes anything.

use crate::error::CompileError;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

/// Most units of memory: one for a string, [`MESSAGE`] for a message. A unit is about 24 bytes.
const MAX_UNITS: usize = 1 << 23;
/// Units of a message: about 400 bytes for its struct, beside what it holds.
const MESSAGE: usize = 16;

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
    let units =
        count(bytes, MessageKind::Model, 0).map_err(|reason| CompileError::NotOnnx { reason })?;
    if units > MAX_UNITS {
        return Err(CompileError::invalid(
            "the file",
            "it has too many nodes, tensors, attributes or strings",
        ));
    }
    Ok(())
}

fn count(mut bytes: &[u8], kind: MessageKind, mut units: usize) -> Result<usize, String> {
    while !bytes.is_empty() && units <= MAX_UNITS {
        let (tag, wire) = decode_key(&mut bytes).map_err(|error| error.to_string())?;
        if wire != WireType::LengthDelimited {
            skip_field(wire, tag, &mut bytes, DecodeContext::default())
                .map_err(|error| error.to_string())?;
            continue;
        }
        let len = decode_varint(&mut bytes).map_err(|error| error.to_string())?;
        let len = usize::try_from(len)
            .ok()
            .filter(|&len| len <= bytes.len())
            .ok_or("it ends in the middle of a field")?;
        let (field, rest) = bytes.split_at(len);
        units = match kind.field(tag) {
            Some(inner) => count(field, inner, units + MESSAGE)?,
            None => units + 1,
        };
        bytes = rest;
    }
    Ok(units)
}
