//! What stands before a frame's payload.

use crate::frame::{FrameError, FrameKind, HEADER_LEN, MAGIC, ParameterSetTag};

/// What stands before a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Format version, one of those that the reader knows.
    pub version: u16,
    /// Parameter set of the payload.
    pub parameter_set: ParameterSetTag,
    /// Bytes of the payload.
    pub len: u64,
}

/// What stands before the payload of a frame of `kind`, from the first bytes of its file. Nothing tells
/// whether the payload is there and as it was made.
pub fn header(
    start: &[u8],
    kind: FrameKind,
    known: &'static [u16],
    limit: u64,
) -> Result<Header, FrameError> {
    let start = &start[..start.len().min(HEADER_LEN)];
    read_header(&whole_header(start, kind)?, kind, known, limit)
}

pub(crate) fn whole_header(start: &[u8], kind: FrameKind) -> Result<[u8; HEADER_LEN], FrameError> {
    if !MAGIC.starts_with(&start[..start.len().min(MAGIC.len())]) {
        return Err(FrameError::Foreign { expected: kind });
    }
    <[u8; HEADER_LEN]>::try_from(start).map_err(|_| FrameError::Truncated {
        kind,
        missing: (HEADER_LEN - start.len()) as u64,
    })
}

pub(crate) fn read_header(
    header: &[u8; HEADER_LEN],
    kind: FrameKind,
    known: &'static [u16],
    limit: u64,
) -> Result<Header, FrameError> {
    let found_kind = u16::from_le_bytes([header[8], header[9]]);
    if found_kind != kind as u16 {
        let found = FrameKind::from_u16(found_kind).map_or_else(
            || format!("a file of unknown kind {found_kind}"),
            |kind| kind.with_article().into(),
        );
        return Err(FrameError::WrongKind {
            expected: kind,
            found,
        });
    }
    let version = u16::from_le_bytes([header[10], header[11]]);
    if !known.contains(&version) {
        return Err(FrameError::Version {
            kind,
            found: version,
            known,
        });
    }
    let mut tag = [0; 16];
    tag.copy_from_slice(&header[12..28]);
    let mut len = [0; 8];
    len.copy_from_slice(&header[28..36]);
    let len = u64::from_le_bytes(len);
    if len > limit {
        return Err(FrameError::TooLarge { kind, len, limit });
    }
    Ok(Header {
        version,
        parameter_set: ParameterSetTag(tag),
        len,
    })
}
