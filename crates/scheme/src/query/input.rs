//! The inputs of a query row, of either kind.

use super::{
    GroupShape, LinearQueryShape, SelectorQueryShape, ValueShape, encrypt_group, encrypt_linear,
    encrypt_selectors, encrypt_values,
};
use crate::error::SchemeError;
use crate::keys::SecretKey;
use crate::parameters::{Depth, ParameterSet};
use crate::public::Encryption;
use cipherfn_program::QuantiseError;
use cipherfn_protocol::specs::{Encoding, Transport};
use std::sync::Arc;

/// Dimensions of one input's part of a query row.
#[derive(Clone, Copy, Debug)]
pub enum InputShape {
    /// Selectors.
    Selectors(SelectorQueryShape),
    /// A feature vector.
    Features(LinearQueryShape),
    /// Values.
    Values(ValueShape),
    /// So many tables, which are given beside the rows.
    Tables(usize),
}

/// One row's values of one input, in the clear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InputValues {
    /// One bit a selector.
    Bits(Vec<bool>),
    /// One torus word (units of 2^-64) a feature.
    Features(Vec<u64>),
    /// One torus word a value.
    Values(Vec<u64>),
    /// The coefficients of each table, which all rows share: they are no part of a row's ciphertexts.
    Tables(Arc<[Vec<u64>]>),
}

/// How rows lie together in a query: their packed selectors share ciphertexts, under a public key
/// feature vectors as well, whatever else they have stands side by side, input by input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupForm {
    /// Levels that packed ciphertexts are expanded by.
    pub depth: Depth,
    /// Number of rows.
    pub rows: usize,
    /// What they are encrypted with.
    pub encryption: Encryption,
}

/// Ciphertexts of some rows, and rows that one of them has room for.
struct Shared {
    ciphertexts: usize,
    rows_a_ciphertext: usize,
}

/// Rows at most that share ciphertexts where each needs more than one: what the last one wastes is
/// then less than an eighth of a ciphertext a row.
const ROWS_OF_LARGE: usize = 8;

impl GroupForm {
    /// A row in ciphertexts of its own.
    pub const fn single(set: &ParameterSet) -> Self {
        Self {
            depth: match set.packing() {
                Some(packing) => packing.depth(),
                None => Depth::new(0),
            },
            rows: 1,
            encryption: Encryption::Secret,
        }
    }

    /// The same under a public key.
    pub const fn single_under(set: &ParameterSet) -> Self {
        Self {
            encryption: Encryption::Public,
            ..Self::single(set)
        }
    }

    /// The fewest rows that need as few ciphertexts a row as any, in at most `limit` bytes: those
    /// that fill one where it has room for several, one where nothing is shared.
    pub fn fullest(set: &ParameterSet, shapes: &[InputShape], limit: usize) -> Self {
        Self::single(set).filled(shapes, limit)
    }

    /// [`Self::fullest`] of this form, whatever its rows.
    #[must_use]
    pub fn filled(self, shapes: &[InputShape], limit: usize) -> Self {
        let single = Self { rows: 1, ..self };
        let shared = |rows| {
            let form = Self { rows, ..single };
            shapes.iter().filter_map(move |shape| shape.shared(form))
        };
        let most = shared(1).map(|shared| match shared.ciphertexts {
            0 => 1,
            _ => shared.rows_a_ciphertext.max(ROWS_OF_LARGE),
        });
        let ciphertexts = |rows| shared(rows).map(|shared| shared.ciphertexts).sum::<usize>();
        let mut best = single;
        for rows in 2..=most.max().unwrap_or(1) {
            let form = Self { rows, ..single };
            let bytes = shapes.iter().map(|shape| shape.group_bytes(form));
            if bytes.fold(0, usize::saturating_add) > limit {
                break;
            }
            if ciphertexts(rows) * best.rows < ciphertexts(best.rows) * rows {
                best = form;
            }
        }
        best
    }
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
            Encoding::Integers(encoding) => Self::Selectors(SelectorQueryShape {
                set,
                selectors: encoding.selectors(),
                gadget: encoding.gadget,
                transport: encoding.transport,
            }),
            Encoding::Linear(encoding) => Self::Features(LinearQueryShape {
                set,
                features: encoding.names.len(),
                block: encoding.block as usize,
                stride: encoding.stride as usize,
                form: encoding.form,
                body_bits: encoding.body_bits,
            }),
        }
    }

    /// Bytes of its part of a row.
    pub const fn row_bytes(&self) -> usize {
        match self {
            Self::Selectors(shape) => shape.row_bytes(),
            Self::Features(shape) => shape.row_bytes(),
            Self::Values(shape) => shape.bytes(GroupForm::single(shape.set)),
            Self::Tables(_) => 0,
        }
    }

    /// Bytes of its part of a group of rows.
    pub fn group_bytes(&self, form: GroupForm) -> usize {
        match (self, form.encryption) {
            (Self::Values(shape), _) => return shape.bytes(form),
            (Self::Features(shape), Encryption::Public) => return shape.bytes_under(form.rows),
            _ => {}
        }
        match (self.group(form), form.encryption) {
            (Some(group), Encryption::Secret) => group.bytes(),
            (Some(group), Encryption::Public) => group.bytes_under(),
            (None, _) => self.row_bytes().saturating_mul(form.rows),
        }
    }

    /// Whether rows share ciphertexts.
    pub const fn is_shared(&self, encryption: Encryption) -> bool {
        match self {
            Self::Selectors(shape) => matches!(shape.transport, Transport::Packed),
            Self::Values(_) => true,
            Self::Features(_) => matches!(encryption, Encryption::Public),
            Self::Tables(_) => false,
        }
    }

    /// The ciphertexts that rows share.
    fn shared(&self, form: GroupForm) -> Option<Shared> {
        match (self, form.encryption) {
            (Self::Features(shape), Encryption::Public) => Some(Shared {
                ciphertexts: shape.ciphertexts_under(form.rows),
                rows_a_ciphertext: shape.rows_under(),
            }),
            _ => self.group(form).map(|group| Shared {
                ciphertexts: group.ciphertexts(),
                rows_a_ciphertext: group.rows_a_ciphertext(),
            }),
        }
    }

    /// The ciphertexts of selectors that rows share, if there are any.
    pub const fn group(&self, form: GroupForm) -> Option<GroupShape> {
        match self {
            Self::Selectors(shape) if matches!(shape.transport, Transport::Packed) => {
                Some(GroupShape {
                    shape: *shape,
                    depth: form.depth,
                    rows: form.rows,
                })
            }
            _ => None,
        }
    }

    /// What it takes, in words.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Selectors(shape) => format!("{} selector bits", shape.selectors),
            Self::Features(shape) => format!("{} features", shape.features),
            Self::Values(shape) => format!("{} values", shape.values),
            Self::Tables(tables) => format!("{tables} tables"),
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
            Encoding::Integers(encoding) => Self::Bits(encoding.bits(features)?),
            Encoding::Linear(encoding) => Self::Features(encoding.messages(features)?),
        })
    }

    /// What they are, in words.
    pub fn describe(&self) -> String {
        match self {
            Self::Bits(bits) => format!("{} selector bits", bits.len()),
            Self::Features(features) => format!("{} features", features.len()),
            Self::Values(values) => format!("{} values", values.len()),
            Self::Tables(tables) => format!("{} tables", tables.len()),
        }
    }
}

/// Encrypts a row: the parts of all inputs, in order.
pub fn encrypt_row(
    key: &SecretKey,
    shapes: &[InputShape],
    values: &[InputValues],
) -> Result<Vec<u8>, SchemeError> {
    encrypt_rows(
        key,
        shapes,
        GroupForm::single(key.parameter_set()),
        &[values],
    )
}

/// Encrypts the rows of a group: the parts of all inputs, in order.
pub fn encrypt_rows<R: AsRef<[InputValues]>>(
    key: &SecretKey,
    shapes: &[InputShape],
    form: GroupForm,
    rows: &[R],
) -> Result<Vec<u8>, SchemeError> {
    if let Some(row) = rows.iter().find(|row| row.as_ref().len() != shapes.len()) {
        return Err(SchemeError::Count {
            what: "inputs",
            expected: shapes.len(),
            found: row.as_ref().len(),
        });
    }
    let bytes = shapes.iter().map(|shape| shape.group_bytes(form)).sum();
    let mut out = Vec::with_capacity(bytes);
    for (index, shape) in shapes.iter().enumerate() {
        let values = rows.iter().map(|row| &row.as_ref()[index]);
        let other = |values: &InputValues| SchemeError::OtherInput {
            expected: shape.describe(),
            found: values.describe(),
        };
        if let Some(group) = shape.group(form) {
            let bits = values.map(|values| match values {
                InputValues::Bits(bits) => Ok(bits),
                _ => Err(other(values)),
            });
            let bits = bits.collect::<Result<Vec<_>, _>>()?;
            out.extend(encrypt_group(key, &group, &bits)?);
            continue;
        }
        if let InputShape::Values(shape) = shape {
            let words = values.map(|values| match values {
                InputValues::Values(words) => Ok(words),
                _ => Err(other(values)),
            });
            let words = words.collect::<Result<Vec<_>, _>>()?;
            out.extend(encrypt_values(key, shape, form, &words)?);
            continue;
        }
        for values in values {
            out.extend(match (shape, values) {
                (InputShape::Selectors(shape), InputValues::Bits(bits)) => {
                    encrypt_selectors(key, shape, bits)?
                }
                (InputShape::Features(shape), InputValues::Features(features)) => {
                    encrypt_linear(key, shape, features)?
                }
                (InputShape::Tables(count), InputValues::Tables(tables))
                    if tables.len() == *count =>
                {
                    Vec::new()
                }
                _ => return Err(other(values)),
            });
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use cipherfn_protocol::specs::{BaseLog, Bits, FeatureForm, Gadget, Levels};

    fn rows(set: &str, selectors: usize, limit: usize) -> usize {
        let set = ParameterSet::by_name(set).unwrap();
        let shape = SelectorQueryShape {
            set,
            selectors,
            gadget: Gadget::new(BaseLog::new(7), Levels::new(3)),
            transport: Transport::Packed,
        };
        let features = InputShape::Features(LinearQueryShape {
            set,
            features: 3,
            block: 3,
            stride: 1,
            form: FeatureForm::Apart,
            body_bits: Bits::new(40),
        });
        let shapes = [features, InputShape::Selectors(shape)];
        GroupForm::fullest(set, &shapes, limit).rows
    }

    #[test]
    fn groups_fill_a_ciphertext_or_share_the_last_of_several() {
        const WIDE: &str = "cipherfn-128-n2048-m11-v1";
        const BALANCED: &str = "cipherfn-128-n2048-m8-v1";
        for (set, selectors, expected) in [
            (WIDE, 77, 8),     // 231 slots of 2,048
            (WIDE, 1, 682),    // 3
            (WIDE, 600, 1),    // 1,800: no room for a second
            (WIDE, 900, 3),    // 2,700: 4 ciphertexts for 3 rows instead of 6
            (WIDE, 2048, 1),   // 6,144: nothing is wasted
            (WIDE, 0, 1),      // nothing is shared
            (BALANCED, 77, 1), // 231 of 256
            (BALANCED, 20, 4), // 60
        ] {
            assert_eq!(
                rows(set, selectors, 1 << 20),
                expected,
                "{set}: {selectors}"
            );
        }
        assert_eq!(rows(WIDE, 900, 40_000), 2, "three take 45 KB");
    }
}
