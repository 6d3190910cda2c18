//! What can go wrong between a bundle's bytes and a reply.

use cipherfn_circuit::{BundleError, CircuitError};
use cipherfn_scheme::SchemeError;

/// Error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// Bytes that are no bundle.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The circuit breaks a rule.
    #[error("the circuit is invalid: {0}; compile the model again with this build")]
    Circuit(#[from] CircuitError),
    /// An unknown parameter set, a key of another set, or a ciphertext that does not fit.
    #[error(transparent)]
    Scheme(#[from] SchemeError),
}
