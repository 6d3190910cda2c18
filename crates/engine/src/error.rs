//! What can go wrong between a bundle's bytes and a reply.

use cipherfn_circuit::{BundleError, CircuitError};
use cipherfn_scheme::SchemeError;

/// Error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// Tables that are not those of the circuit's inputs.
    #[error("the circuit takes tables {expected:?} (one number an input), {found:?} were given")]
    Tables {
        /// Number of tables of each input.
        expected: Vec<usize>,
        /// Number of tables found.
        found: Vec<usize>,
    },
    /// Tables of another ring.
    #[error("the tables are not of parameter set {set}; encrypt them for the circuit's set")]
    OtherTables {
        /// The circuit's set.
        set: &'static str,
    },
    /// Rows without the tables that they share, or with tables that the circuit does not take.
    #[error("the rows come without the tables that the circuit takes, or with others")]
    NoTables,
    /// Bytes that are no bundle.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The circuit breaks a rule.
    #[error("the circuit is invalid: {0}; compile the model again with this build")]
    Circuit(#[from] CircuitError),
    /// A group of digits, which nothing reads.
    #[error(
        "input {input} of the circuit is made of digits, which no node of this build reads; compile the model again with this build"
    )]
    Digits {
        /// The input.
        input: usize,
    },
    /// A group of rows for a circuit whose rows have no ciphertexts to share.
    #[error(
        "a group of {rows} rows, which share no ciphertexts of this model; make the query anew"
    )]
    NothingShared {
        /// Rows of the group.
        rows: usize,
    },
    /// Ciphertexts that several rows share.
    #[error(
        "the query ciphertexts that {rows} rows share cannot be read, this row's among them: {source}"
    )]
    Shared {
        /// Rows that share them.
        rows: usize,
        /// Cause.
        source: SchemeError,
    },
    /// An unknown parameter set, a key of another set, or a ciphertext that does not fit.
    #[error(transparent)]
    Scheme(#[from] SchemeError),
}
