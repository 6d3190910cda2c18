//! Payloads of chunks to and from bytes.

use super::{
    Chunk, ChunkHead, KeyId, MAX_EXPLANATION, MAX_ROWS, MessageError, Nonce, Outcome, QueryChunk,
    ReplyChunk,
};
use crate::frame::Kind;
use crate::hash::SpecsHash;

/// Bytes of a chunk's head in the newest version, the longest.
pub const HEAD_LEN: usize = 81;
const LAST: u8 = 1;
const DONE: u8 = 0;
const FAILED: u8 = 1;

impl Chunk for QueryChunk {
    const KIND: Kind = Kind::Query;

    fn head(&self) -> &ChunkHead {
        &self.head
    }

    fn len(&self) -> usize {
        self.rows.len()
    }

    fn to_payload(&self) -> Vec<u8> {
        let mut payload =
            Vec::with_capacity(HEAD_LEN + self.rows.len() * self.head.row_len as usize);
        write_head(&mut payload, &self.head, self.rows.len());
        for row in &self.rows {
            debug_assert_eq!(
                row.len(),
                self.head.row_len as usize,
                "rows have the head's length"
            );
            payload.extend_from_slice(row);
        }
        payload
    }

    fn from_payload(version: u16, payload: &[u8]) -> Result<Self, MessageError> {
        let mut reader = Reader {
            kind: Self::KIND,
            rest: payload,
        };
        let (head, count) = reader.head(version)?;
        let row_len = head.row_len as usize;
        if count.checked_mul(row_len) != Some(reader.rest.len()) {
            return Err(reader.malformed("its rows do not fill it"));
        }
        Ok(Self {
            head,
            rows: (0..count)
                .map(|row| reader.rest[row * row_len..][..row_len].to_vec())
                .collect(),
        })
    }
}

impl Chunk for ReplyChunk {
    const KIND: Kind = Kind::Reply;

    fn head(&self) -> &ChunkHead {
        &self.head
    }

    fn len(&self) -> usize {
        self.outcomes.len()
    }

    fn to_payload(&self) -> Vec<u8> {
        let mut payload =
            Vec::with_capacity(HEAD_LEN + self.outcomes.len() * (1 + self.head.row_len as usize));
        write_head(&mut payload, &self.head, self.outcomes.len());
        for outcome in &self.outcomes {
            match outcome {
                Ok(row) => {
                    debug_assert_eq!(
                        row.len(),
                        self.head.row_len as usize,
                        "rows have the head's length"
                    );
                    payload.push(DONE);
                    payload.extend_from_slice(row);
                }
                Err(why) => {
                    let why = &why[..why.floor_char_boundary(MAX_EXPLANATION)];
                    payload.push(FAILED);
                    payload.extend_from_slice(&(why.len() as u32).to_le_bytes());
                    payload.extend_from_slice(why.as_bytes());
                }
            }
        }
        payload
    }

    fn from_payload(version: u16, payload: &[u8]) -> Result<Self, MessageError> {
        let mut reader = Reader {
            kind: Self::KIND,
            rest: payload,
        };
        let (head, count) = reader.head(version)?;
        if count > reader.rest.len() {
            return Err(reader.malformed("it announces more rows than it has bytes"));
        }
        let outcomes = (0..count)
            .map(|_| reader.outcome(head.row_len as usize))
            .collect::<Result<_, _>>()?;
        if !reader.rest.is_empty() {
            return Err(reader.malformed("bytes follow its rows"));
        }
        Ok(Self { head, outcomes })
    }
}

fn write_head(payload: &mut Vec<u8>, head: &ChunkHead, count: usize) {
    payload.extend_from_slice(head.specs.as_bytes());
    payload.extend_from_slice(head.key.as_bytes());
    if let Some(nonce) = head.nonce {
        payload.extend_from_slice(nonce.as_bytes());
    }
    payload.extend_from_slice(&head.first_row.to_le_bytes());
    payload.push(if head.last { LAST } else { 0 });
    payload.extend_from_slice(&(count as u32).to_le_bytes());
    payload.extend_from_slice(&head.row_len.to_le_bytes());
}

struct Reader<'a> {
    kind: Kind,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    const fn malformed(&self, reason: &'static str) -> MessageError {
        MessageError::Malformed {
            kind: self.kind,
            reason,
        }
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], MessageError> {
        let (taken, rest) = self
            .rest
            .split_at_checked(len)
            .ok_or(self.malformed("it ends inside a row"))?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const LEN: usize>(&mut self) -> Result<[u8; LEN], MessageError> {
        let (taken, rest) = self
            .rest
            .split_first_chunk()
            .ok_or(self.malformed("it ends inside a field"))?;
        self.rest = rest;
        Ok(*taken)
    }

    fn head(&mut self, version: u16) -> Result<(ChunkHead, usize), MessageError> {
        let specs = SpecsHash::from_bytes(self.array()?);
        let key = KeyId::from_bytes(self.array()?);
        let nonce = match version {
            1 => None,
            _ => Some(Nonce::from_bytes(self.array()?)),
        };
        let first_row = u64::from_le_bytes(self.array()?);
        let last = match self.array()? {
            [0] => false,
            [LAST] => true,
            _ => return Err(self.malformed("unknown flags")),
        };
        let count = u32::from_le_bytes(self.array()?);
        let row_len = u32::from_le_bytes(self.array()?);
        if count == 0 {
            return Err(self.malformed("a chunk without rows"));
        }
        // Rows of no bytes would cost memory that no byte of the message pays for.
        if row_len == 0 {
            return Err(self.malformed("rows without bytes"));
        }
        if count as usize > MAX_ROWS {
            return Err(self.malformed("a chunk of too many rows"));
        }
        if first_row.checked_add(u64::from(count)).is_none() {
            return Err(self.malformed("row numbers out of range"));
        }
        Ok((
            ChunkHead {
                specs,
                key,
                nonce,
                first_row,
                last,
                row_len,
            },
            count as usize,
        ))
    }

    fn outcome(&mut self, row_len: usize) -> Result<Outcome, MessageError> {
        match self.array()? {
            [DONE] => Ok(Ok(self.take(row_len)?.to_vec())),
            [FAILED] => {
                let len = u32::from_le_bytes(self.array()?) as usize;
                if len > MAX_EXPLANATION {
                    return Err(self.malformed("an explanation is too long"));
                }
                let text = std::str::from_utf8(self.take(len)?)
                    .map_err(|_| self.malformed("an explanation is not UTF-8"))?;
                Ok(Err(text.to_owned()))
            }
            _ => Err(self.malformed("unknown outcome")),
        }
    }
}
