//! Frames that a service keeps, by what it says of them.

use crate::file::FileHead;
use crate::schema::{NameHasher, Schema, SchemaError};
use cipherfn_protocol::api::frames::{FrameId, FrameStatus, GadgetError, ListedFrame};
use cipherfn_protocol::specs::Gadget;

/// Why a service's frame cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeptError {
    /// No frame of that id.
    #[error("the service keeps no frame {id} for you")]
    UnknownId {
        /// The id.
        id: FrameId,
    },
    /// No frame of that name.
    #[error("the service keeps no frame {name:?} for you; it keeps {known}")]
    UnknownName {
        /// The name.
        name: String,
        /// Those that there are.
        known: String,
    },
    /// Several frames of a name.
    #[error(
        "the service keeps several frames {name:?} for you, {ids}; name one by its id, or delete those that are not needed"
    )]
    Several {
        /// The name.
        name: String,
        /// Their ids, the oldest first.
        ids: String,
    },
    /// A schema that is none.
    #[error("frame {frame}: {source}")]
    Schema {
        /// The frame.
        frame: FrameId,
        /// What is wrong.
        source: SchemaError,
    },
    /// A gadget that is none.
    #[error("frame {frame}: {source}")]
    Gadget {
        /// The frame.
        frame: FrameId,
        /// What is wrong.
        source: GadgetError,
    },
}

/// The frame of a name or an id in a service's list, which may have the hash of its name.
///
/// # Errors
/// Those of [`named`].
pub fn find<'a>(
    list: &'a [ListedFrame],
    name: &str,
    hasher: Option<&NameHasher>,
) -> Result<&'a ListedFrame, KeptError> {
    let hashed = hasher.map(|hasher| hasher.frame(name));
    let is_hashed = list
        .iter()
        .any(|frame| hashed.as_ref() == Some(&frame.name));
    let hashed = hashed.filter(|_| is_hashed);
    named(list, hashed.as_deref().unwrap_or(name))
}

/// The frame of a name or an id in a service's list.
///
/// # Errors
/// None, and several of the name.
pub fn named<'a>(list: &'a [ListedFrame], name: &str) -> Result<&'a ListedFrame, KeptError> {
    if let Ok(id) = name.parse::<FrameId>() {
        let found = list.iter().find(|frame| frame.frame == id);
        return found.ok_or(KeptError::UnknownId { id });
    }
    let found: Vec<&ListedFrame> = list.iter().filter(|frame| frame.name == name).collect();
    match found.as_slice() {
        [frame] => Ok(frame),
        [] => {
            let names: Vec<&str> = list.iter().map(|frame| frame.name.as_str()).collect();
            Err(KeptError::UnknownName {
                name: name.to_owned(),
                known: if names.is_empty() {
                    "none".to_owned()
                } else {
                    names.join(", ")
                },
            })
        }
        several => {
            let ids = several.iter().map(|frame| frame.frame.to_string());
            Err(KeptError::Several {
                name: name.to_owned(),
                ids: ids.collect::<Vec<_>>().join(", "),
            })
        }
    }
}

/// What a service says is public of a frame, and its number of rows.
///
/// # Errors
/// A schema or a gadget that is none.
pub fn head(status: &FrameStatus) -> Result<(FileHead, usize), KeptError> {
    let frame = status.frame;
    let json = status.schema.to_string();
    let schema = Schema::from_json(json.as_bytes());
    let gadget = Gadget::try_from(status.gadget);
    let head = FileHead {
        schema: schema.map_err(|source| KeptError::Schema { frame, source })?,
        key: status.key,
        parameter_set: status.parameter_set,
        gadget: gadget.map_err(|source| KeptError::Gadget { frame, source })?,
    };
    Ok((head, status.rows as usize))
}

#[cfg(test)]
mod tests {
    use super::*;
    use cipherfn_protocol::message::KeyId;
    use time::OffsetDateTime;

    #[test]
    fn frames_are_found_by_name_or_id() {
        let listed = |id: u8, name: &str| ListedFrame {
            frame: FrameId::from_bytes([id; 16]),
            name: name.to_owned(),
            rows: 1,
            key: KeyId::from_bytes([0; 16]),
            bytes: 1,
            expires: OffsetDateTime::UNIX_EPOCH,
        };
        let list = [listed(1, "sales"), listed(2, "prices"), listed(3, "prices")];
        let id = |name: &str| named(&list, name).map(|frame| frame.frame);
        assert_eq!(id("sales").unwrap(), list[0].frame);
        assert_eq!(id(&list[2].frame.to_string()).unwrap(), list[2].frame);
        let several = id("prices").unwrap_err().to_string();
        assert!(several.contains(&list[2].frame.to_string()), "{several}");
        let none = id("price").unwrap_err().to_string();
        assert!(none.contains("it keeps sales, prices, prices"), "{none}");
        assert!(named(&list[..1], &list[1].frame.to_string()).is_err());
    }
}
