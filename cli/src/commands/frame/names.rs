//! Names of frames, which a key ring may know by their hashes.

use anyhow::Result;
use cipherfn_client_http::KeyRing;
use cipherfn_frame::file::FileHead;
use cipherfn_frame::kept::named;
use cipherfn_frame::schema::{NameForm, NameHasher, Schema};
use cipherfn_protocol::api::frames::{FrameList, ListedFrame};
use std::path::Path;

/// What a key ring knows of hashed names; `None` without a key ring, or where it has no secret for them.
pub(super) fn hasher(keys: Option<&Path>) -> Result<Option<NameHasher>> {
    match keys {
        Some(keys) => Ok(KeyRing::at(keys).name_hasher()?),
        None => Ok(None),
    }
}

/// The head of a frame, with its names as far as they are known.
pub(super) fn revealed(head: FileHead, hasher: Option<&NameHasher>) -> FileHead {
    match hasher {
        Some(hasher) => FileHead {
            schema: hasher.reveal(&head.schema),
            ..head
        },
        None => head,
    }
}

/// The head of a frame that a service says, with its names as far as they are known.
///
/// # Errors
/// Names in the clear of what the key ring has hashed.
pub(super) fn revealed_said(head: FileHead, hasher: Option<&NameHasher>) -> Result<FileHead> {
    match hasher {
        Some(hasher) => Ok(FileHead {
            schema: hasher.reveal_said(&head.schema)?,
            ..head
        }),
        None => Ok(head),
    }
}

/// The frame of a name or an id in a service's list, where it may have the hash of its name.
pub(super) fn find<'l>(
    list: &'l FrameList,
    name: &str,
    hasher: Option<&NameHasher>,
) -> Result<&'l ListedFrame> {
    let hashed = hasher.map(|hasher| hasher.frame(name));
    let mut frames = list.frames.iter();
    let is_hashed = frames.any(|frame| hashed.as_ref() == Some(&frame.name));
    let hashed = hashed.filter(|_| is_hashed);
    Ok(named(&list.frames, hashed.as_deref().unwrap_or(name))?)
}

/// A name that a service says, as far as it is known.
pub(super) fn shown(name: &str, hasher: Option<&NameHasher>) -> String {
    hasher.map_or_else(|| name.to_owned(), |hasher| hasher.shown(name))
}

/// What to do where a schema's names are hashed, and by a secret that is not at hand.
pub(super) fn not_at_hand(schema: &Schema) -> Option<String> {
    match schema.names() {
        NameForm::Hashed(id) => Some(format!(
            "names of frame {} are hashed by secret {id}; --keys names the key ring that has it",
            schema.name()
        )),
        NameForm::Clear | NameForm::ToHash | NameForm::Revealed(_) => None,
    }
}

/// What there is to say of a schema's names, where they are hashed.
pub(super) fn fact(schema: &Schema) -> Option<(&'static str, String)> {
    let fact = match schema.names() {
        NameForm::Clear | NameForm::ToHash => return None,
        NameForm::Hashed(id) => format!(
            "hashed by secret {id}, which is not at hand: --keys names the key ring that has it"
        ),
        NameForm::Revealed(_) => {
            format!("hashed, the frame is sent as {}", schema.as_sent().name())
        }
    };
    Some(("names", fact))
}
