//! Attributes of nodes. Their lists stay in the file until they are asked for: those of large tree
//! ensembles are nearly all of it.

use super::fields::{Fields, Listed};
use super::proto::TensorProto;
use prost::Message;

/// Most entries of a list that is kept in memory as such.
const MAX_ENTRIES: usize = 1 << 25;

/// An attribute.
#[derive(Clone, Debug)]
pub(super) struct Attribute<'a> {
    /// As in `AttributeProto.type`.
    pub(super) kind: i32,
    pub(super) float: f32,
    pub(super) int: i64,
    pub(super) text: &'a [u8],
    tensor: Vec<&'a [u8]>,
    pub(super) graph: Option<&'a [u8]>,
    /// Whether it stands for a function's attribute.
    pub(super) is_reference: bool,
    message: &'a [u8],
}

impl<'a> Attribute<'a> {
    /// Its name, and what it holds.
    pub(super) fn read(message: &'a [u8]) -> Result<(&'a str, Self), String> {
        let mut name = "";
        let mut own = Self {
            kind: 0,
            float: 0.0,
            int: 0,
            text: &[],
            tensor: Vec::new(),
            graph: None,
            is_reference: false,
            message,
        };
        for field in Fields::of(message) {
            let (tag, value) = field?;
            match tag {
                1 => name = value.text()?,
                2 => own.float = value.float()?,
                3 => own.int = value.integer()?,
                4 => own.text = value.bytes()?,
                5 => own.tensor.push(value.bytes()?),
                6 => own.graph = Some(value.bytes()?),
                20 => own.kind = value.integer()? as i32,
                21 => own.is_reference = !value.text()?.is_empty(),
                _ => {}
            }
        }
        Ok((name, own))
    }

    /// Its tensor. A message that is given in parts is all of them together.
    pub(super) fn tensor(&self) -> Result<Option<TensorProto>, String> {
        if self.tensor.is_empty() {
            return Ok(None);
        }
        let mut tensor = TensorProto::default();
        for part in &self.tensor {
            tensor.merge(*part).map_err(|error| error.to_string())?;
        }
        Ok(Some(tensor))
    }

    pub(super) fn each_int(&self) -> Listed<'a, i64> {
        Listed::integers(self.message, INTS)
    }

    pub(super) fn each_float(&self) -> Listed<'a, f32> {
        Listed::floats(self.message, FLOATS)
    }

    pub(super) fn each_text(&self) -> impl Iterator<Item = Result<&'a [u8], String>> + use<'a> {
        Fields::of(self.message).filter_map(|field| match field {
            Ok((STRINGS, value)) => Some(value.bytes()),
            Ok(_) => None,
            Err(error) => Some(Err(error)),
        })
    }

    /// Whether a field of an attribute is a list, which is not decoded at once.
    pub(super) const fn is_list(tag: u32) -> bool {
        matches!(tag, FLOATS | INTS | STRINGS)
    }
}

/// A list in memory.
pub(super) fn kept<T>(entries: impl Iterator<Item = Result<T, String>>) -> Result<Vec<T>, String> {
    let mut list = Vec::new();
    for entry in entries {
        if list.len() == MAX_ENTRIES {
            return Err(format!("it has more than {MAX_ENTRIES} entries"));
        }
        list.push(entry?);
    }
    Ok(list)
}

const FLOATS: u32 = 7;
const INTS: u32 = 8;
const STRINGS: u32 = 9;
