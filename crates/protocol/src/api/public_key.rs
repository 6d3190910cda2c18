//! A public key's file in a JSON document.

use crate::hex;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use std::fmt;

/// The bytes of a public key's file ([`FrameKind::PublicKey`](crate::frame::FrameKind::PublicKey)), in JSON as
/// hexadecimal text. Everybody may know it.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKeyFile(Vec<u8>);

impl PublicKeyFile {
    /// Of these bytes, which are not looked at.
    pub const fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for PublicKeyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKeyFile({} bytes)", self.0.len())
    }
}

impl fmt::Display for PublicKeyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex::write(&self.0, f)
    }
}

impl Serialize for PublicKeyFile {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PublicKeyFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        let byte = |pair: &[u8; 2]| {
            let pair = std::str::from_utf8(pair).ok()?;
            hex::parse(pair).map(|[byte]| byte)
        };
        let bytes = pairs.iter().map(byte).collect::<Option<Vec<u8>>>();
        let bytes = bytes.filter(|_| rest.is_empty());
        bytes.map(Self).ok_or_else(|| {
            D::Error::custom("a public key's file is pairs of hexadecimal digits, lower case")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::PublicKeyFile;

    #[test]
    fn files_are_hexadecimal_text() {
        let file = PublicKeyFile::new(vec![0, 0x1f, 0xa0]);
        let text = serde_json::to_string(&file).unwrap();
        assert_eq!(text, "\"001fa0\"");
        assert_eq!(serde_json::from_str::<PublicKeyFile>(&text).unwrap(), file);
        for bad in ["\"001\"", "\"0G\"", "\"1F\"", "\"é\"", "1"] {
            assert!(serde_json::from_str::<PublicKeyFile>(bad).is_err(), "{bad}");
        }
    }
}
