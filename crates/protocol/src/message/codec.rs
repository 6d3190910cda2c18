//! Payloads of chunks to and from bytes.

use super::{
    Chunk, ChunkHead, Group, KeyId, MAX_EXPLANATION, MAX_ROWS, MessageError, Nonce, Outcome,
    QueryChunk, ReplyChunk, RowGroup,
};
use crate::frame::FrameKind;
use crate::hash::SpecsHash;

/// Bytes of a chunk's head in the newest version where rows travel apart.
pub const HEAD_LEN: usize = 81;
/// Bytes of the longest head, of rows in groups.
pub const MAX_HEAD_LEN: usize = HEAD_LEN + 5;
/// Bytes of the seed that every row or group of a query begins with.
const SEED_LEN: usize = 16;
const LAST: u8 = 1;
const GROUPS: u8 = 2;
const PACKED: u8 = 4;
const DONE: u8 = 0;
const FAILED: u8 = 1;

impl Chunk for QueryChunk {
    const KIND: FrameKind = FrameKind::Query;

    fn head(&self) -> &ChunkHead {
        &self.head
    }

    fn len(&self) -> usize {
        self.groups.iter().map(|group| group.rows).sum()
    }

    fn to_payload(&self) -> Vec<u8> {
        let bytes: usize = self.groups.iter().map(|group| group.bytes.len()).sum();
        let mut payload = Vec::with_capacity(MAX_HEAD_LEN + bytes);
        write_head(&mut payload, &self.head, self.len());
        for group in &self.groups {
            payload.extend_from_slice(&group.bytes);
        }
        payload
    }

    fn from_payload(version: u16, payload: &[u8]) -> Result<Self, MessageError> {
        let mut reader = Reader {
            kind: Self::KIND,
            rest: payload,
        };
        let (head, count) = reader.head(version)?;
        let rows = head.group.map_or(1, |group| group.rows as usize);
        let (full, left) = (count / rows, count % rows);
        let len = head.row_len as usize;
        // Each costs an allocation, and many times its bytes if it has few.
        if len < SEED_LEN {
            return Err(reader.malformed("rows shorter than their seed"));
        }
        let rest = full
            .checked_mul(len)
            .and_then(|whole| reader.rest.split_at_checked(whole));
        let (whole, last) = rest.ok_or(reader.malformed("its rows do not fill it"))?;
        // A smaller group is at most as long as a full one, and none has no bytes.
        let fit = if left == 0 { 0..=0 } else { SEED_LEN..=len };
        if !fit.contains(&last.len()) {
            return Err(reader.malformed("its rows do not fill it"));
        }
        let group = |rows| {
            move |bytes: &[u8]| RowGroup {
                rows,
                bytes: bytes.to_vec(),
            }
        };
        let mut groups: Vec<_> = whole.chunks_exact(len).map(group(rows)).collect();
        groups.extend((left > 0).then(|| group(left)(last)));
        Ok(Self { head, groups })
    }
}

impl Chunk for ReplyChunk {
    const KIND: FrameKind = FrameKind::Reply;

    fn head(&self) -> &ChunkHead {
        &self.head
    }

    fn len(&self) -> usize {
        self.outcomes.len()
    }

    fn to_payload(&self) -> Vec<u8> {
        let rows = self.outcomes.len() * (1 + outcome_len(&self.head));
        let mut payload = Vec::with_capacity(HEAD_LEN + rows + self.packed.len());
        write_head(&mut payload, &self.head, self.outcomes.len());
        for outcome in &self.outcomes {
            match outcome {
                Ok(row) => {
                    debug_assert_eq!(
                        row.len(),
                        outcome_len(&self.head),
                        "rows have the head's length, and no bytes where they are packed"
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
        payload.extend_from_slice(&self.packed);
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
            .map(|_| reader.outcome(outcome_len(&head)))
            .collect::<Result<_, _>>()?;
        if reader.rest.is_empty() == head.packed {
            return Err(reader.malformed(if head.packed {
                "results are missing"
            } else {
                "bytes follow its rows"
            }));
        }
        Ok(Self {
            head,
            outcomes,
            packed: reader.rest.to_vec(),
        })
    }
}

/// Bytes of a row that has a result.
const fn outcome_len(head: &ChunkHead) -> usize {
    if head.packed {
        0
    } else {
        head.row_len as usize
    }
}

fn write_head(payload: &mut Vec<u8>, head: &ChunkHead, count: usize) {
    payload.extend_from_slice(head.specs.as_bytes());
    payload.extend_from_slice(head.key.as_bytes());
    if let Some(nonce) = head.nonce {
        payload.extend_from_slice(nonce.as_bytes());
    }
    payload.extend_from_slice(&head.first_row.to_le_bytes());
    let flags = [
        (head.last, LAST),
        (head.group.is_some(), GROUPS),
        (head.packed, PACKED),
    ];
    let flags = flags.iter().filter(|(is_set, _)| *is_set);
    payload.push(flags.map(|(_, flag)| flag).sum());
    payload.extend_from_slice(&(count as u32).to_le_bytes());
    payload.extend_from_slice(&head.row_len.to_le_bytes());
    if let Some(Group { depth, rows }) = head.group {
        payload.push(depth);
        payload.extend_from_slice(&rows.to_le_bytes());
    }
}

struct Reader<'a> {
    kind: FrameKind,
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
        let [flags] = self.array()?;
        let known = match (version, self.kind) {
            (1, _) => LAST,
            (_, FrameKind::Query) => LAST | GROUPS | PACKED,
            _ => LAST | PACKED,
        };
        if flags & !known != 0 {
            return Err(self.malformed("unknown flags"));
        }
        let count = u32::from_le_bytes(self.array()?);
        let row_len = u32::from_le_bytes(self.array()?);
        let group = (flags & GROUPS != 0).then(|| self.group()).transpose()?;
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
                last: flags & LAST != 0,
                row_len,
                group,
                packed: flags & PACKED != 0,
                public: version == 3,
            },
            count as usize,
        ))
    }

    fn group(&mut self) -> Result<Group, MessageError> {
        let [depth] = self.array()?;
        let rows = u32::from_le_bytes(self.array()?);
        if rows < 2 {
            return Err(self.malformed("groups of fewer than two rows"));
        }
        Ok(Group { depth, rows })
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
