//! Rows whose leaves are counted elsewhere, and the counts.

mod elsewhere;

pub use elsewhere::{LeafRowsEncryption, decrypt_result, most_rows};

use cipherfn_protocol::specs::Transport;
use cipherfn_scheme::parameters::{Depth, ParameterSet};
use cipherfn_scheme::query::{GroupShape, SelectorQueryShape, encrypt_group};
use cipherfn_scheme::reply::{self, ReplyShape};
use cipherfn_scheme::{SchemeError, SecretKey};
use cipherfn_training::TrainingError;
use cipherfn_training::leaves::{LeafCounts, LeafRow, LeafTraining, REPLY_BITS, share};

/// Levels that rows are expanded by: they share ciphertexts.
const DEPTH: Depth = Depth::new(11);

/// What is to be done where counts may have been chosen.
const CHOSEN: &str = "Whoever has answered that may have chosen it to learn of the key from what happens next: have nothing counted again under this key ring, and take a new one";

/// Why rows cannot be encrypted, or counts not read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LeafError {
    /// Encryption or decryption.
    #[error(transparent)]
    Scheme(#[from] SchemeError),
    /// Counts that no rows leave.
    #[error(transparent)]
    Training(#[from] TrainingError),
    /// More rows than a service has room for.
    #[error(
        "there are {found} rows, and a service's result has room for the counts of {most}; train on fewer rows, with fewer or smaller trees, or without --service"
    )]
    TooManyRows {
        /// Rows.
        found: usize,
        /// Rows whose counts have room.
        most: usize,
    },
    /// No rows.
    #[error("there are no rows; give some")]
    NoRows,
    /// Counts of some of the rows.
    #[error("the result has counts of {found} rows of {rows}, which are not those of all rows")]
    Unfinished {
        /// Rows that were counted.
        found: u64,
        /// All rows.
        rows: usize,
    },
    /// Another number of sums.
    #[error("there are {found} sums of counts where {rows} rows have {expected}; count them again")]
    Sums {
        /// Rows.
        rows: usize,
        /// Sums of so many rows.
        expected: usize,
        /// Sums found.
        found: usize,
    },
    /// Counts that are not those of the rows of a sum.
    #[error(
        "sum {sum}: the counts of {of} do not add up to its {rows} rows: they were not counted. {}",
        CHOSEN
    )]
    OtherRows {
        /// The sum, from 1.
        sum: usize,
        /// The tree, or of a tree that is grown the column.
        of: String,
        /// Rows of the sum.
        rows: usize,
    },
    /// A sum that is between two counts.
    #[error(
        "a count of {of} lies between two numbers: its error is larger than the program allows, or it is of another key. {}",
        CHOSEN
    )]
    NoCount {
        /// The tree, or of a tree that is grown the column.
        of: String,
    },
}

/// Encrypts rows, which share ciphertexts.
///
/// # Errors
/// A parameter set without packing; the operating system has no random bytes.
pub fn encrypt_rows(
    key: &SecretKey,
    training: &LeafTraining,
    rows: &[LeafRow],
) -> Result<Vec<u8>, LeafError> {
    let group = shape(key.parameter_set(), training, rows.len());
    let bits: Vec<Vec<bool>> = rows.iter().map(|row| training.bits(row)).collect();
    Ok(encrypt_group(key, &group, &bits)?)
}

/// How so many rows lie together.
pub fn shape(set: &'static ParameterSet, training: &LeafTraining, rows: usize) -> GroupShape {
    GroupShape {
        shape: SelectorQueryShape {
            set,
            selectors: training.selectors(),
            gadget: training.sums().gadget(),
            transport: Transport::Packed,
        },
        depth: DEPTH,
        rows,
    }
}

/// Bytes of the sums over so many rows that are counted in these `places` ([`LeafTraining::counted`]).
pub fn sums_bytes(
    set: &'static ParameterSet,
    training: &LeafTraining,
    places: &[usize],
    rows: usize,
) -> usize {
    let blocks = share(places, set.ring.polynomial_size).into_iter();
    let bytes = blocks.map(|block| sum_shape(set, places[block].iter().sum()).row_bytes());
    bytes.sum::<usize>() * (1 + training.target().bits()) * rows.div_ceil(training.sums().rows())
}

fn sum_shape(set: &'static ParameterSet, coefficients: usize) -> ReplyShape {
    ReplyShape {
        set,
        coefficients,
        stride: 1,
        bits: REPLY_BITS,
    }
}

/// The counts of each tree's leaves over all rows, or of a tree that is grown of each column's bins, from
/// their sums.
///
/// Each sum's counts are held to its number of rows, so that no error of a count goes unseen that another
/// one does not cancel.
///
/// # Errors
/// Sums of other rows, or whose numbers are no counts.
pub fn decrypt_counts(
    key: &SecretKey,
    training: &LeafTraining,
    rows: usize,
    sums: &[Vec<u8>],
) -> Result<Vec<LeafCounts>, LeafError> {
    let set = key.parameter_set();
    let labels = training.target().bits();
    let blocks = training.blocks(set.ring.polynomial_size);
    let expected = rows.div_ceil(training.sums().rows()) * blocks.len() * (1 + labels);
    if sums.len() != expected {
        return Err(LeafError::Sums {
            rows,
            expected,
            found: sums.len(),
        });
    }
    let places = training.counted();
    let mut counts: Vec<LeafCounts> = places
        .iter()
        .map(|places| LeafCounts::new(*places, labels))
        .collect();
    let unit = f64::from(training.sums().count_bits).exp2();
    let mut in_leaves: Vec<u64> = Vec::new();
    for (number, bytes) in sums.iter().enumerate() {
        let (output, block) = (number % (1 + labels), number / (1 + labels) % blocks.len());
        let sum = number / (1 + labels) / blocks.len();
        let first = sum * training.sums().rows();
        let in_sum = training.sums().rows().min(rows - first);
        let block = blocks[block].clone();
        let shape = sum_shape(set, places[block.clone()].iter().sum());
        let phases = reply::decrypt(key, &shape, bytes)?.into_iter();
        // Counts are those of less than a torus, none of them negative.
        let found: Vec<f64> = phases
            .map(|phase| phase as u64 as f64 * 2f64.powi(-64) * unit)
            .collect();
        let mut place = 0;
        for index in block {
            let own = place..place + places[index];
            place = own.end;
            let mut own_counts = found[own.clone()].iter();
            if own_counts.any(|found| (found - found.round()).abs() > 0.45) {
                return Err(LeafError::NoCount {
                    of: training.counted_name(index),
                });
            }
            let whole = found[own.clone()]
                .iter()
                .map(|found| found.round() as u64 % unit as u64);
            let whole: Vec<u64> = whole.collect();
            if output == 0 {
                in_leaves.truncate(own.start);
                in_leaves.extend(&whole);
            }
            let is_of_rows = match output {
                0 => whole.iter().sum::<u64>() == in_sum as u64,
                _ => whole.iter().zip(&in_leaves[own]).all(|(a, b)| a <= b),
            };
            if !is_of_rows {
                return Err(LeafError::OtherRows {
                    sum: sum + 1,
                    of: training.counted_name(index),
                    rows: in_sum,
                });
            }
            let counts = &mut counts[index];
            let total = match output {
                0 => &mut counts.rows,
                label => &mut counts.labels[label - 1],
            };
            total
                .iter_mut()
                .zip(whole)
                .for_each(|(total, own)| *total += own);
        }
    }
    Ok(counts)
}
