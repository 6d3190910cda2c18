//! Chunks to and from a stream of frames.

use super::{Chunk, ChunkHead, MAX_CHUNK, MessageError, VERSIONS};
use crate::frame::{self, Frame, FrameError, ParameterSetTag};
use std::io::{self, Read, Write};
use std::marker::PhantomData;

/// Writes one chunk as a frame.
pub fn write_chunk(
    out: &mut impl Write,
    parameter_set: ParameterSetTag,
    chunk: &impl Chunk,
) -> io::Result<()> {
    out.write_all(&frame_of(parameter_set, chunk))
}

/// One chunk as a frame.
pub fn frame_of<C: Chunk>(parameter_set: ParameterSetTag, chunk: &C) -> Vec<u8> {
    frame::encode(
        C::KIND,
        chunk.head().version(),
        parameter_set,
        &chunk.to_payload(),
    )
}

/// Reads a whole message chunk by chunk: an iterator that checks that chunks belong together, that
/// none is missing and that nothing follows the last one. It ends after its first error.
#[derive(Debug)]
pub struct Chunks<R, C> {
    input: R,
    next: Next,
    chunk: PhantomData<C>,
}

/// What must come next.
#[derive(Clone, Copy, Debug)]
enum Next {
    First,
    /// A chunk of the same message, from `row` on.
    Following {
        head: ChunkHead,
        parameter_set: ParameterSetTag,
        row: u64,
    },
    End,
    Nothing,
}

impl<R: Read, C: Chunk> Chunks<R, C> {
    /// Reads from `input`.
    pub const fn new(input: R) -> Self {
        Self {
            input,
            next: Next::First,
            chunk: PhantomData,
        }
    }

    fn read(&mut self) -> Result<Option<(ParameterSetTag, C)>, MessageError> {
        if matches!(self.next, Next::Nothing) {
            return Ok(None);
        }
        let next = std::mem::replace(&mut self.next, Next::Nothing);
        if matches!(next, Next::End) {
            let mut byte = [0];
            return match self.input.read(&mut byte) {
                Ok(0) => Ok(None),
                Ok(_) => Err(MessageError::Trailing { kind: C::KIND }),
                Err(source) => Err(FrameError::Io {
                    kind: C::KIND,
                    source,
                }
                .into()),
            };
        }
        let Some(Frame {
            parameter_set,
            payload,
            version,
        }) = frame::read(&mut self.input, C::KIND, VERSIONS, MAX_CHUNK)?
        else {
            let rows = if let Next::Following { row, .. } = next {
                row
            } else {
                0
            };
            return Err(MessageError::Unfinished {
                kind: C::KIND,
                rows,
            });
        };
        let chunk = C::from_payload(version, &payload)?;
        let head = *chunk.head();
        let expected_row = match next {
            Next::Following {
                head: first,
                parameter_set: set,
                row,
            } if set == parameter_set && belong_together(&first, &head) => row,
            Next::Following { row, .. } => return Err(MessageError::Mixed { kind: C::KIND, row }),
            _ => 0,
        };
        if head.first_row != expected_row {
            return Err(MessageError::OutOfOrder {
                kind: C::KIND,
                expected: expected_row,
                found: head.first_row,
            });
        }
        self.next = if head.last {
            Next::End
        } else {
            Next::Following {
                head,
                parameter_set,
                row: expected_row + chunk.len() as u64,
            }
        };
        Ok(Some((parameter_set, chunk)))
    }
}

impl<R: Read, C: Chunk> Iterator for Chunks<R, C> {
    type Item = Result<(ParameterSetTag, C), MessageError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}

fn belong_together(one: &ChunkHead, other: &ChunkHead) -> bool {
    let common = |head: &ChunkHead| ChunkHead {
        first_row: 0,
        last: false,
        ..*head
    };
    common(one) == common(other)
}
