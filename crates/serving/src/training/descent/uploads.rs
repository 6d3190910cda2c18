//! What was uploaded for a training: the rows of each owner, checked to be all of them.

use super::DescentError;
use cipherfn_protocol::frame::ParameterSetTag;
use cipherfn_protocol::hash::Hash;
use cipherfn_protocol::message::KeyId;
use cipherfn_scheme::SchemeError;
use cipherfn_scheme::descent::{Batch, BatchShape};
use cipherfn_training::descent::{RowsChunk, RowsForm, Training};
use std::collections::HashSet;

/// The rows of one owner.
#[derive(Debug)]
pub(super) struct Upload {
    chunks: Vec<RowsChunk>,
    /// How they are encrypted.
    pub(super) form: RowsForm,
    /// How many rows there are.
    pub(super) rows: usize,
    /// Ciphertexts of each set of weights, and batches of each of them.
    ciphertexts: usize,
    together: usize,
    /// Bytes of a ciphertext.
    size: usize,
    /// Ciphertexts of all sets.
    expected: usize,
    found: u64,
}

impl Upload {
    /// Those that chunks are of, one behind the other: an owner's begins with ciphertext 0, where the one
    /// before is whole.
    pub(super) fn all(
        (training, shape): (&Training, &BatchShape),
        key: (KeyId, ParameterSetTag),
        chunks: Vec<RowsChunk>,
    ) -> Result<Vec<Self>, DescentError> {
        let mut uploads: Vec<(usize, Self)> = Vec::new();
        for (number, chunk) in chunks.into_iter().enumerate() {
            let own = (training.hash(), key.0, key.1);
            for (what, than, same) in [
                ("program", "the training", chunk.program == own.0),
                ("key", "the one at hand", chunk.key == own.1),
                ("parameter set", "the key", chunk.parameter_set == own.2),
            ] {
                if !same {
                    let than = than.to_owned();
                    return Err(DescentError::OtherChunk {
                        chunk: number,
                        what,
                        than,
                    });
                }
            }
            match uploads.last_mut() {
                Some((begun, upload)) if !(upload.is_whole() && chunk.first == 0) => {
                    upload.add((*begun, number), chunk)?;
                }
                _ => {
                    let mut upload = Self::begin((training, shape), &chunk)?;
                    upload.add((number, number), chunk)?;
                    uploads.push((number, upload));
                }
            }
        }
        let broken = uploads.iter().find(|(_, upload)| !upload.is_whole());
        if let Some((_, upload)) = broken {
            return Err(DescentError::Batches {
                rows: upload.rows as u64,
                expected: upload.expected,
                found: upload.found as usize,
            });
        }
        require_once(&uploads)?;
        Ok(uploads.into_iter().map(|(_, upload)| upload).collect())
    }

    /// Of which this is the first chunk.
    fn begin(
        (training, shape): (&Training, &BatchShape),
        first: &RowsChunk,
    ) -> Result<Self, DescentError> {
        // Rows that no upload has: the schedule of so many would not fit memory.
        let rows = usize::try_from(first.rows).unwrap_or(usize::MAX);
        let together = match first.form {
            RowsForm::Apart => 1,
            RowsForm::Shared | RowsForm::Public => training.batches_together(),
        };
        let ciphertexts = training.batches(rows)?.div_ceil(together);
        Ok(Self {
            chunks: Vec::new(),
            form: first.form,
            rows,
            ciphertexts,
            together,
            size: match first.form {
                RowsForm::Apart | RowsForm::Shared => shape.bytes(),
                RowsForm::Public => shape.public_bytes(),
            },
            expected: ciphertexts.saturating_mul(training.sets()),
            found: 0,
        })
    }

    /// Takes the next chunk. `begun` is the number of the first one.
    fn add(
        &mut self,
        (begun, number): (usize, usize),
        chunk: RowsChunk,
    ) -> Result<(), DescentError> {
        for (what, same) in [
            ("number of rows", chunk.rows == self.rows as u64),
            ("form", chunk.form == self.form),
        ] {
            if !same {
                return Err(DescentError::OtherChunk {
                    chunk: number,
                    what,
                    than: format!("chunk {begun}"),
                });
            }
        }
        let bytes = chunk.batches.len();
        if bytes == 0 || !bytes.is_multiple_of(self.size) {
            return Err(DescentError::PartOfBatch {
                chunk: number,
                bytes,
                batch: self.size,
            });
        }
        if chunk.first != self.found {
            return Err(DescentError::OutOfOrder {
                chunk: number,
                expected: self.found,
                found: chunk.first,
            });
        }
        self.found += (bytes / self.size) as u64;
        self.chunks.push(chunk);
        Ok(())
    }

    const fn is_whole(&self) -> bool {
        self.found == self.expected as u64
    }

    /// Hashes of its ciphertexts.
    pub(super) fn hashes(&self) -> impl Iterator<Item = Hash> {
        self.chunks.iter().flat_map(|chunk| chunk.hashes(self.size))
    }

    /// The ciphertext that holds a batch of a set of weights, and the batch's place in it.
    pub(super) fn batch(
        &self,
        shape: &BatchShape,
        (set, batch): (usize, usize),
    ) -> Result<(Batch, usize), SchemeError> {
        let bytes = self.ciphertext(set * self.ciphertexts + batch / self.together);
        let read = match self.form {
            RowsForm::Apart | RowsForm::Shared => Batch::read(shape, bytes),
            RowsForm::Public => Batch::read_public(shape, bytes),
        };
        Ok((read?, batch % self.together))
    }

    /// The bytes of a ciphertext of the sequence; none of one that is not there.
    fn ciphertext(&self, number: usize) -> &[u8] {
        let after = self
            .chunks
            .partition_point(|chunk| chunk.first <= number as u64);
        let chunk = after.checked_sub(1).map(|place| &self.chunks[place]);
        let bytes = chunk.and_then(|chunk| {
            let first = (number - chunk.first as usize) * self.size;
            chunk.batches.get(first..first + self.size)
        });
        bytes.unwrap_or_default()
    }
}

/// That no upload is another one again: ciphertexts are random, so no two owners have one in common.
fn require_once(uploads: &[(usize, Upload)]) -> Result<(), DescentError> {
    let mut seen = HashSet::new();
    for (begun, upload) in uploads.iter().filter(|_| uploads.len() > 1) {
        if !upload.hashes().all(|hash| seen.insert(hash)) {
            return Err(DescentError::Doubled { chunk: *begun });
        }
    }
    Ok(())
}
