//! The one place that calls `bincode`: little endian, variable-length integers, a byte limit, no
//! trailing bytes.

use bincode::Options;
use serde::Serialize;
use serde::de::DeserializeOwned;

fn options(limit: u64) -> impl Options {
    bincode::DefaultOptions::new()
        .with_limit(limit)
        .with_little_endian()
        .with_varint_encoding()
        .reject_trailing_bytes()
}

/// Why a payload does not parse, or is too large to be written.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct CodecError(bincode::Error);

impl CodecError {
    /// Whether a value takes more bytes than the limit.
    pub(crate) fn is_too_large(&self) -> bool {
        matches!(*self.0, bincode::ErrorKind::SizeLimit)
    }
}

/// Portable, deterministic bytes: equal values give equal bytes on every machine.
pub(crate) fn encode<T: Serialize>(value: &T, limit: u64) -> Result<Vec<u8>, CodecError> {
    options(limit).serialize(value).map_err(CodecError)
}

/// Inverse of [`encode`]. Memory is bounded by a small multiple of the input's length, whatever
/// lengths it announces.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8], limit: u64) -> Result<T, CodecError> {
    options(limit).deserialize(bytes).map_err(CodecError)
}
