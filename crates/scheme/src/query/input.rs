//! The inputs of a query row, of either kind.

use super::{LinearQueryShape, SelectorQueryShape, encrypt_linear, encrypt_selectors};
use crate::error::SchemeError;
use crate::keys::SecretKey;
use crate::parameters::ParameterSet;
use cipherfn_program::QuantiseError;
use cipherfn_protocol::specs::Encoding;

/// Dimensions of one input's part of a query row.
#[derive(Clone, Copy, Debug)]
pub enum InputShape {
    /// Selectors.
    Selectors(SelectorQueryShape),
    /// A feature vector.
    Features(LinearQueryShape),
}

/// One row's values of one input, in the clear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InputValues {
    /// One bit a selector.
    Bits(Vec<bool>),
    /// One torus word (units of 2^-64) a feature.
    Features(Vec<u64>),
}

impl InputShape {
    /// Of the values that an encoding makes.
    pub fn of(set: &'static ParameterSet, encoding: &Encoding) -> Self {
        match encoding {
            Encoding::Selectors(encoding) => Self::Selectors(SelectorQueryShape {
                set,
                selectors: encoding.selectors.len(),
                gadget: encoding.gadget,
                transport: encoding.transport,
            }),
            Encoding::Linear(encoding) => Self::Features(LinearQueryShape {
                set,
                features: encoding.names.len(),
                block: encoding.block as usize,
                stride: encoding.stride as usize,
                body_bits: encoding.body_bits,
            }),
        }
    }

    /// Bytes of its part of a row.
    pub const fn row_bytes(&self) -> usize {
        match self {
            Self::Selectors(shape) => shape.row_bytes(),
            Self::Features(shape) => shape.row_bytes(),
        }
    }

    /// What it takes, in words.
    fn describe(&self) -> String {
        match self {
            Self::Selectors(shape) => format!("{} selector bits", shape.selectors),
            Self::Features(shape) => format!("{} features", shape.features),
        }
    }
}

impl InputValues {
    /// What encodings make of a feature vector, one an input.
    pub fn all(encodings: &[Encoding], features: &[f32]) -> Result<Vec<Self>, QuantiseError> {
        encodings
            .iter()
            .map(|encoding| Self::of(encoding, features))
            .collect()
    }

    /// What an encoding makes of a feature vector.
    pub fn of(encoding: &Encoding, features: &[f32]) -> Result<Self, QuantiseError> {
        Ok(match encoding {
            Encoding::Selectors(encoding) => Self::Bits(encoding.bits(features)?),
            Encoding::Linear(encoding) => Self::Features(encoding.messages(features)?),
        })
    }

    /// What they are, in words.
    pub fn describe(&self) -> String {
        match self {
            Self::Bits(bits) => format!("{} selector bits", bits.len()),
            Self::Features(features) => format!("{} features", features.len()),
        }
    }
}

/// Encrypts a row: the parts of all inputs, in order.
pub fn encrypt_row(
    key: &SecretKey,
    shapes: &[InputShape],
    values: &[InputValues],
) -> Result<Vec<u8>, SchemeError> {
    if shapes.len() != values.len() {
        return Err(SchemeError::Count {
            what: "inputs",
            expected: shapes.len(),
            found: values.len(),
        });
    }
    let mut row = Vec::with_capacity(shapes.iter().map(InputShape::row_bytes).sum());
    for (shape, values) in shapes.iter().zip(values) {
        row.extend(match (shape, values) {
            (InputShape::Selectors(shape), InputValues::Bits(bits)) => {
                encrypt_selectors(key, shape, bits)?
            }
            (InputShape::Features(shape), InputValues::Features(features)) => {
                encrypt_linear(key, shape, features)?
            }
            _ => {
                return Err(SchemeError::OtherInput {
                    expected: shape.describe(),
                    found: values.describe(),
                });
            }
        });
    }
    Ok(row)
}
