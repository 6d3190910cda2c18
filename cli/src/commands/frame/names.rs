//! Names of frames, which a key ring may know by their hashes.

use anyhow::Result;
use cipherfn_client_http::KeyRing;
use cipherfn_frame::schema::{NameForm, NameHasher, Schema};
use std::path::Path;

/// What a key ring knows of hashed names; `None` without a key ring, or where it has no secret for them.
pub(super) fn hasher(keys: Option<&Path>) -> Result<Option<NameHasher>> {
    match keys {
        Some(keys) => Ok(KeyRing::at(keys).name_hasher()?),
        None => Ok(None),
    }
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
