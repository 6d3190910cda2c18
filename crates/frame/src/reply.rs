//! What a query made of frames, as a file.

use crate::plan::Plan;
use crate::schema::{Schema, SchemaError};
use cipherfn_protocol::frame::{self, FrameError, FrameKind, ParameterSetTag};
use cipherfn_protocol::hash::Hash;
use cipherfn_protocol::message::KeyId;

/// Largest file that is read.
pub const MAX_BYTES: u64 = 1 << 30;
const VERSIONS: &[u16] = &[1];

/// What a query made of frames.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// Parameter set of the ciphertexts.
    pub parameter_set: ParameterSetTag,
    /// Id of the key that opens it.
    pub key: KeyId,
    /// Of the plan, the schemas and the rows of a sum: [`query_hash`].
    pub query: Hash,
    /// Most rows of a sum. Whoever decrypts knows what was asked for: this only says what differs.
    pub rows_per_sum: u32,
    /// The ciphertexts of the last pass.
    pub ciphertexts: Vec<Vec<u8>>,
}

/// Why bytes are no reply.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplyError {
    /// Not a file of this kind and version.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// What it holds does not parse.
    #[error("the answer is corrupt: {what} does not fit; have the query answered again")]
    Corrupt {
        /// What.
        what: &'static str,
    },
}

impl Reply {
    /// The file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = self.key.as_bytes().to_vec();
        out.extend(self.query.as_bytes());
        out.extend(self.rows_per_sum.to_le_bytes());
        list(&mut out, &self.ciphertexts);
        frame::encode(FrameKind::Answer, 1, self.parameter_set, &out)
    }

    /// Reads a file.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ReplyError> {
        let frame = frame::decode(bytes, FrameKind::Answer, VERSIONS, MAX_BYTES)?;
        let mut rest = Rest(&frame.payload);
        let key = KeyId::from_bytes(rest.take("key id")?);
        let query = Hash::from_bytes(rest.take("hash of the query")?);
        let rows_per_sum = u32::from_le_bytes(rest.take("rows of a sum")?);
        let ciphertexts = rest.list("ciphertexts")?;
        rest.end()?;
        Ok(Self {
            parameter_set: frame.parameter_set,
            key,
            query,
            rows_per_sum,
            ciphertexts,
        })
    }
}

/// Names a query: a plan and the schemas of its frames, in the order in which it names them, and most rows
/// of a sum, from which it follows how exact sums are.
pub fn query_hash(
    plan: &Plan,
    schemas: &[&Schema],
    rows_per_sum: u32,
) -> Result<Hash, SchemaError> {
    let mut bytes = Vec::new();
    put(&mut bytes, format!("{plan:?}").as_bytes());
    for schema in schemas {
        put(&mut bytes, &schema.to_json()?);
    }
    put(&mut bytes, &rows_per_sum.to_le_bytes());
    Ok(Hash::of(&bytes))
}

fn number(out: &mut Vec<u8>, number: usize) {
    // Files are below a gigabyte.
    out.extend((number as u32).to_le_bytes());
}

fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    number(out, bytes.len());
    out.extend_from_slice(bytes);
}

fn list(out: &mut Vec<u8>, items: &[Vec<u8>]) {
    number(out, items.len());
    for item in items {
        put(out, item);
    }
}

/// What is left of a payload.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], ReplyError> {
        let corrupt = ReplyError::Corrupt { what };
        let (taken, rest) = self.0.split_first_chunk().ok_or(corrupt)?;
        self.0 = rest;
        Ok(*taken)
    }

    fn number(&mut self, what: &'static str) -> Result<usize, ReplyError> {
        Ok(u32::from_le_bytes(self.take(what)?) as usize)
    }

    fn bytes(&mut self, what: &'static str) -> Result<&'a [u8], ReplyError> {
        let len = self.number(what)?;
        let corrupt = ReplyError::Corrupt { what };
        let (taken, rest) = self.0.split_at_checked(len).ok_or(corrupt)?;
        self.0 = rest;
        Ok(taken)
    }

    fn list(&mut self, what: &'static str) -> Result<Vec<Vec<u8>>, ReplyError> {
        let count = self.number(what)?;
        let mut items = Vec::new();
        for _ in 0..count {
            items.push(self.bytes(what)?.to_vec());
        }
        Ok(items)
    }

    fn end(&self) -> Result<(), ReplyError> {
        if self.0.is_empty() {
            return Ok(());
        }
        Err(ReplyError::Corrupt {
            what: "what follows the last part",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Reply;
    use cipherfn_protocol::frame::{FrameKind, HEADER_LEN, ParameterSetTag, encode};
    use cipherfn_protocol::hash::Hash;
    use cipherfn_protocol::message::KeyId;

    fn reply() -> Reply {
        Reply {
            parameter_set: ParameterSetTag::NONE,
            key: KeyId::from_bytes([8; 16]),
            query: Hash::of(b"query"),
            rows_per_sum: 5,
            ciphertexts: vec![vec![1], Vec::new(), vec![2, 3]],
        }
    }

    #[test]
    fn replies_come_back_whole_or_not_at_all() {
        let bytes = reply().to_bytes();
        assert_eq!(Reply::from_bytes(&bytes).expect("the reply"), reply());
        let payload = &bytes[HEADER_LEN..];
        for len in 0..payload.len() {
            let cut = encode(FrameKind::Answer, 1, ParameterSetTag::NONE, &payload[..len]);
            assert!(Reply::from_bytes(&cut).is_err(), "{len}");
        }
        let more = [payload, &[0]].concat();
        let more = encode(FrameKind::Answer, 1, ParameterSetTag::NONE, &more);
        assert!(Reply::from_bytes(&more).is_err());
    }
}
