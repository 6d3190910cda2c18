//! What can go wrong with counts.

use cipherfn_engine::EngineError;
use cipherfn_scheme::SchemeError;

/// Why leaves cannot be counted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LeafError {
    /// The trees' circuits.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// Ciphertexts, and keys.
    #[error(transparent)]
    Scheme(#[from] SchemeError),
    /// Trees that take more than a circuit has.
    #[error("tree {tree} has {leaves} leaves, at most {limit} fit a ciphertext; prune it")]
    TooManyLeaves {
        /// The tree, from 1.
        tree: usize,
        /// Its leaves.
        leaves: usize,
        /// Most.
        limit: usize,
    },
    /// Bins that take more than a circuit has.
    #[error(
        "{column} has {bins} bins, {places} in the leaves of the last level, and at most {limit} fit a ciphertext; lower \"depth\" or give it fewer \"cuts\""
    )]
    TooManyBins {
        /// The column.
        column: String,
        /// Its bins.
        bins: usize,
        /// Bins of all leaves.
        places: usize,
        /// Most.
        limit: usize,
    },
    /// More noise than a count of any row bears.
    #[error(
        "counts of these trees are not exact: {path} choices on the way of a row leave an error of {error:.2} of a row; take fewer or flatter trees, or fewer cuts or columns"
    )]
    Drowns {
        /// CMUXes.
        path: usize,
        /// In counts.
        error: f64,
    },
    /// A row that cannot be evaluated.
    #[error("row {row}: {source}")]
    Row {
        /// The row, from 1.
        row: usize,
        /// Cause.
        source: EngineError,
    },
}
