//! How the names of a schema leave the client.

use super::{Schema, SchemaError, Sent};
use cipherfn_protocol::hash::NamesId;

/// How names and texts leave the client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum NameForm {
    /// As they are.
    #[default]
    Clear,
    /// As keyed hashes: `hash-names = true`. Until they are hashed, nothing of the schema is sent.
    ToHash,
    /// They are keyed hashes, by the secret of this id.
    Hashed(NamesId),
    /// They are names, of which keyed hashes are sent.
    Revealed(Box<Sent>),
}

impl NameForm {
    /// What a document says: whether names are to be hashed, and by which secret they were.
    pub(super) fn said(to_hash: bool, hashed: Option<NamesId>) -> Result<Self, SchemaError> {
        match (to_hash, hashed) {
            (false, None) => Ok(Self::Clear),
            (true, None) => Ok(Self::ToHash),
            (false, Some(id)) => Ok(Self::Hashed(id)),
            (true, Some(_)) => {
                let problem = "is true beside \"names\", which says that they are hashed; take one of the two out";
                Err(SchemaError::frame("hash-names", problem))
            }
        }
    }
}

impl Schema {
    /// How its names leave the client.
    pub const fn names(&self) -> &NameForm {
        &self.names
    }

    /// The same schema, whose names are to be hashed.
    #[must_use]
    pub fn to_be_hashed(mut self) -> Self {
        if self.names == NameForm::Clear {
            self.names = NameForm::ToHash;
        }
        self
    }
}
