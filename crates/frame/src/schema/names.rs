//! How the names of a schema leave the client.

use super::{Schema, Sent};
use cipherfn_protocol::hash::NamesId;

/// How names and texts leave the client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Names {
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

impl Schema {
    /// How its names leave the client.
    pub const fn names(&self) -> &Names {
        &self.names
    }

    /// The same schema, whose names are to be hashed.
    #[must_use]
    pub fn to_be_hashed(mut self) -> Self {
        if self.names == Names::Clear {
            self.names = Names::ToHash;
        }
        self
    }
}
