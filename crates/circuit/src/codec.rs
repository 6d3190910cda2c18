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

#[cfg(test)]
mod tests {
    use super::{decode, encode};

    #[test]
    fn values_above_the_limit_are_told_from_damaged_bytes() {
        assert!(encode(&vec![0_u8; 100], 10).unwrap_err().is_too_large());
        assert!(encode(&vec![0_u8; 100], 1000).is_ok());
        let damaged = decode::<Vec<u8>>(&[4, 1, 2], 1000).unwrap_err();
        assert!(!damaged.is_too_large(), "{damaged}");
    }
}
