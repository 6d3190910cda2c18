//! Rows on their way to a service that counts them, chunk by chunk, and its result.

use super::{LeafError, decrypt_counts, encrypt_rows, shape, sum_shape, sums_bytes};
use cipherfn_protocol::api::job::MAX_CHUNK;
use cipherfn_protocol::hash::Hash;
use cipherfn_scheme::SecretKey;
use cipherfn_scheme::parameters::ParameterSet;
use cipherfn_training::leaves::{
    LeafCounts, LeafRow, LeafRowsChunk, LeafSums, LeafTraining, MAX_ROWS_BYTES, MAX_SUMS_BYTES,
};
use std::num::NonZeroUsize;
use std::sync::Arc;

/// Rows on their way to a service. A chunk has a whole number of sums, but for the last one.
#[derive(Debug)]
pub struct LeafRowsEncryption {
    key: Arc<SecretKey>,
    training: LeafTraining,
    rows: Arc<[LeafRow]>,
    /// Rows of a chunk.
    together: usize,
    next: usize,
}

impl LeafRowsEncryption {
    /// Encrypts rows chunk by chunk: of so many sums each, or as many as a service takes.
    ///
    /// # Errors
    /// No rows; more than a result has room for.
    pub fn new(
        key: Arc<SecretKey>,
        training: &LeafTraining,
        rows: Arc<[LeafRow]>,
        sums: Option<NonZeroUsize>,
    ) -> Result<Self, LeafError> {
        let (set, in_sum) = (key.parameter_set(), training.sums().rows());
        if rows.is_empty() {
            return Err(LeafError::NoRows);
        }
        let (found, most) = (rows.len(), most_rows(set, training));
        if found > most {
            return Err(LeafError::TooManyRows { found, most });
        }
        let most = (MAX_ROWS_BYTES / shape(set, training, in_sum).bytes()).max(1);
        let sums = sums.map_or(most, |sums| sums.get().min(most));
        Ok(Self {
            key,
            training: training.clone(),
            rows,
            together: sums * in_sum,
            next: 0,
        })
    }

    /// The program.
    pub const fn training(&self) -> &LeafTraining {
        &self.training
    }

    /// The key that rows are encrypted under.
    pub fn key(&self) -> &SecretKey {
        &self.key
    }

    /// Number of the rows.
    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    /// Bytes of all files.
    pub fn file_bytes(&self) -> u64 {
        // What a file has beside its ciphertexts.
        let head = MAX_CHUNK - MAX_ROWS_BYTES as u64;
        let set = self.key.parameter_set();
        let chunks = self.rows.chunks(self.together);
        let bytes = chunks.map(|rows| shape(set, &self.training, rows.len()).bytes() as u64 + head);
        bytes.sum()
    }
}

impl Iterator for LeafRowsEncryption {
    type Item = Result<LeafRowsChunk, LeafError>;

    fn next(&mut self) -> Option<Self::Item> {
        let first = self.next;
        let end = self.rows.len().min(first + self.together);
        if first == end {
            return None;
        }
        self.next = end;
        let group = encrypt_rows(&self.key, &self.training, &self.rows[first..end]);
        Some(group.map(|group| LeafRowsChunk {
            program: self.training.hash(),
            key: self.key.id(),
            parameter_set: self.key.parameter_set().tag(),
            rows: self.rows.len() as u64,
            first: first as u64,
            count: (end - first) as u64,
            group,
        }))
    }
}

/// Most rows whose counts a service's result has room for; of a tree that is grown those of the last level.
pub fn most_rows(set: &'static ParameterSet, training: &LeafTraining) -> usize {
    let places = match training.growth() {
        Some(growth) => growth.most_places(training),
        None => training.counted(),
    };
    MAX_SUMS_BYTES / sums_bytes(set, training, &places, 1) * training.sums().rows()
}

/// The counts from the result of a pass over `count` rows, which `rows` names
/// ([`cipherfn_training::leaves::leaf_rows_hash`]). `training` has the trees that they were counted in.
///
/// # Errors
/// Bytes that are no sums of this program, key and rows, or not of all of them; as [`decrypt_counts`].
pub fn decrypt_result(
    key: &SecretKey,
    training: &LeafTraining,
    (count, rows): (usize, Hash),
    result: &[u8],
) -> Result<Vec<LeafCounts>, LeafError> {
    let set = key.parameter_set();
    let state = LeafSums::from_file_bytes(result)?;
    state.require((training.hash(), rows), (key.id(), set.tag()))?;
    if state.done != count as u64 {
        return Err(LeafError::Unfinished {
            found: state.done,
            rows: count,
        });
    }
    let places = training.counted();
    let blocks = training.blocks(set.ring.polynomial_size).into_iter();
    let lengths = blocks.flat_map(|block| {
        let bytes = sum_shape(set, places[block].iter().sum()).row_bytes();
        std::iter::repeat_n(bytes, 1 + training.target().bits())
    });
    let lengths: Vec<usize> = lengths.collect();
    let (mut rest, mut sums) = (state.sums.as_slice(), Vec::new());
    for length in lengths.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (own, others) = rest.split_at((*length).min(rest.len()));
        sums.push(own.to_vec());
        rest = others;
    }
    decrypt_counts(key, training, count, &sums)
}
