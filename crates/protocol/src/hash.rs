//! Content hashes and ids: fixed numbers of bytes, written as lower-case hexadecimal.

use crate::hex::as_hexadecimal;

/// BLAKE3 hash of some canonical bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Hash([u8; 32]);

/// Hash of the exact bytes of a client-specs document.
pub type SpecsHash = Hash;
/// Hash of a parameter set's name and every number in it.
pub type ParameterSetHash = Hash;

as_hexadecimal!(Hash, "a hash is 64 hexadecimal digits, lower case");

impl Hash {
    /// Hashes `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }

    /// A hash read from a stored header.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// First 8 hexadecimal digits, for people.
    pub fn short(&self) -> String {
        self.to_string()[..8].to_owned()
    }
}

/// Names the secret by which a client hashes names of frames: nothing of it follows from this.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NamesId([u8; 8]);

as_hexadecimal!(
    NamesId,
    "the id of a secret for names is 16 hexadecimal digits, lower case"
);

impl NamesId {
    /// From its bytes.
    pub const fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(bytes)
    }
}

/// SHA-256 of an upload, the checksum that S3 verifies.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sha256([u8; 32]);

as_hexadecimal!(
    Sha256,
    "a SHA-256 checksum is 64 hexadecimal digits, lower case"
);

impl Sha256 {
    /// A checksum from its bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// Text that is not the hexadecimal digits of a hash or id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ParseHashError(pub(crate) &'static str);
