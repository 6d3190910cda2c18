//! Element types, shapes and constant tensors.

use super::proto::TensorProto;
use crate::error::CompileError;
use cipherfn_program::{EntryKind, MAX_LEN, Tensor};

/// ONNX element type, as far as it is told apart here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Element {
    F32,
    F64,
    /// Any integer type; computed in 64 bits.
    Int,
    /// 0 or 1.
    Bool,
    Text,
}

impl Element {
    /// From `TensorProto.DataType`.
    pub(crate) fn from_onnx(code: i64) -> Option<Self> {
        match code {
            1 => Some(Self::F32),
            2..=7 | 12 | 13 => Some(Self::Int),
            8 => Some(Self::Text),
            9 => Some(Self::Bool),
            11 => Some(Self::F64),
            _ => None,
        }
    }

    /// Kind of the row program's values.
    pub(crate) const fn kind(self) -> EntryKind {
        match self {
            Self::F32 => EntryKind::F32,
            Self::F64 => EntryKind::F64,
            Self::Int | Self::Bool => EntryKind::I64,
            Self::Text => EntryKind::Text,
        }
    }

    pub(crate) const fn is_float(self) -> bool {
        matches!(self, Self::F32 | Self::F64)
    }
}

/// Element types that are read, for errors.
pub(crate) const ELEMENTS: &str = "float, double, integers, bool and string tensors";

/// A constant.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Constant {
    pub(crate) element: Element,
    pub(crate) shape: Vec<usize>,
    pub(crate) value: Tensor,
}

impl Constant {
    pub(crate) fn of_integers(values: Vec<i64>) -> Self {
        Self {
            element: Element::Int,
            shape: vec![values.len()],
            value: Tensor::I64(values),
        }
    }

    pub(crate) fn of_texts(values: Vec<String>) -> Self {
        Self {
            element: Element::Text,
            shape: vec![values.len()],
            value: Tensor::Text(values),
        }
    }
}

/// Number of entries of a shape, if it is at most [`MAX_LEN`].
pub(crate) fn entries(shape: &[usize]) -> Option<usize> {
    shape
        .iter()
        .try_fold(1_usize, |product, &dim| product.checked_mul(dim))
        .filter(|&product| product <= MAX_LEN)
}

/// Reads a tensor, whose content must be as long as its shape says.
pub(crate) fn read(tensor: &TensorProto, place: &str) -> Result<Constant, CompileError> {
    let invalid = |problem: String| CompileError::invalid(place, problem);
    if tensor.data_location != 0 || !tensor.external_data.is_empty() {
        return Err(invalid(
            "its data lies in another file; save the model with its weights inside (one .onnx file)".into(),
        ));
    }
    let shape = tensor
        .dims
        .iter()
        .map(|&dim| {
            usize::try_from(dim)
                .map_err(|_| invalid(format!("it has the negative dimension {dim}")))
        })
        .collect::<Result<Vec<_>, _>>()?;
    let len = entries(&shape).ok_or_else(|| {
        invalid(format!(
            "its shape {shape:?} has more than {MAX_LEN} entries"
        ))
    })?;
    let element = Element::from_onnx(tensor.data_type.into()).ok_or_else(|| {
        invalid(format!(
            "its element type {} is not supported (supported are {ELEMENTS})",
            tensor.data_type
        ))
    })?;
    let value = content(tensor).map_err(invalid)?;
    if value.len() != len {
        return Err(invalid(format!(
            "its shape {shape:?} has {len} entries but its data {}",
            value.len()
        )));
    }
    Ok(Constant {
        element,
        shape,
        value,
    })
}

fn content(tensor: &TensorProto) -> Result<Tensor, String> {
    let raw = &tensor.raw_data;
    let from_raw = !raw.is_empty();
    Ok(match tensor.data_type {
        1 if from_raw => Tensor::F32(chunks(raw, f32::from_le_bytes)?),
        1 => Tensor::F32(tensor.float_data.clone()),
        11 if from_raw => Tensor::F64(chunks(raw, f64::from_le_bytes)?),
        11 => Tensor::F64(tensor.double_data.clone()),
        7 if from_raw => Tensor::I64(chunks(raw, i64::from_le_bytes)?),
        7 => Tensor::I64(tensor.int64_data.clone()),
        8 if from_raw => return Err("strings cannot be raw data".into()),
        8 => Tensor::Text(
            tensor
                .string_data
                .iter()
                .map(|bytes| text(bytes).map(str::to_owned))
                .collect::<Result<_, _>>()?,
        ),
        2 | 9 if from_raw => Tensor::I64(chunks(raw, |[byte]: [u8; 1]| i64::from(byte))?),
        3 if from_raw => Tensor::I64(chunks(raw, |[byte]: [u8; 1]| i64::from(byte as i8))?),
        4 if from_raw => Tensor::I64(chunks(raw, |bytes| i64::from(u16::from_le_bytes(bytes)))?),
        5 if from_raw => Tensor::I64(chunks(raw, |bytes| i64::from(i16::from_le_bytes(bytes)))?),
        6 if from_raw => Tensor::I64(chunks(raw, |bytes| i64::from(i32::from_le_bytes(bytes)))?),
        12 if from_raw => Tensor::I64(chunks(raw, |bytes| i64::from(u32::from_le_bytes(bytes)))?),
        13 if from_raw => Tensor::I64(chunks(raw, |bytes| u64::from_le_bytes(bytes) as i64)?),
        12 | 13 => Tensor::I64(tensor.uint64_data.iter().map(|&x| x as i64).collect()),
        _ => Tensor::I64(tensor.int32_data.iter().map(|&x| i64::from(x)).collect()),
    })
}

fn chunks<const N: usize, T>(raw: &[u8], read: impl Fn([u8; N]) -> T) -> Result<Vec<T>, String> {
    let (whole, rest) = raw.as_chunks::<N>();
    if rest.is_empty() {
        Ok(whole.iter().map(|&bytes| read(bytes)).collect())
    } else {
        Err(format!(
            "its {} bytes of raw data are no whole number of entries",
            raw.len()
        ))
    }
}

/// Bytes of a string attribute or tensor.
pub(crate) fn text(bytes: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(bytes).map_err(|_| "it holds a string that is not UTF-8".into())
}
