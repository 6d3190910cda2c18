//! What can go wrong between a bundle's bytes and a reply.

use crate::circuit::CircuitError;
use cipherfn_protocol::frame::FrameError;
use cipherfn_scheme::SchemeError;

/// Error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The file is not a bundle.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The bundle's payload does not parse.
    #[error("the bundle is corrupt: {0}; compile the model again with this build")]
    Payload(#[source] bincode::Error),
    /// The circuit breaks a rule.
    #[error("the circuit is invalid: {0}; compile the model again with this build")]
    Circuit(#[from] CircuitError),
    /// The frame names another parameter set than the circuit.
    #[error(
        "the bundle's header does not name the circuit's parameter set {circuit:?}; compile the model again with this build"
    )]
    ParameterSetTag {
        /// Name in the circuit.
        circuit: String,
    },
    /// An unknown parameter set, a key of another set, or a ciphertext that does not fit.
    #[error(transparent)]
    Scheme(#[from] SchemeError),
    /// A document in the bundle is too long.
    #[error(
        "the bundle's {part} of {len} bytes exceeds the limit of {limit} bytes; compile the model again with this build"
    )]
    PartTooLarge {
        /// `specs` or `report`.
        part: &'static str,
        /// Length found.
        len: usize,
        /// Limit in force.
        limit: u64,
    },
}
