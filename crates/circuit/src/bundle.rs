//! Bundles: a compiled model as one portable file.

use crate::circuit::{Circuit, CircuitError, Dimensions, validate};
use crate::codec;
use cipherfn_protocol::frame::{self, FrameError, Kind, ParameterSetTag};
use cipherfn_protocol::hash::{Hash, SpecsHash};
use cipherfn_protocol::specs;
use serde::{Deserialize, Serialize};

#[cfg(test)]
mod tests;

/// Largest bundle that is read or written.
pub const MAX_BYTES: u64 = 256 << 20;

/// A compiled model: what the server evaluates, what clients need, and what was reported at compile
/// time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bundle {
    /// For the server.
    pub circuit: Circuit,
    /// The client specs: the exact bytes of the JSON document, whose hash names this version of
    /// the model.
    pub specs: Vec<u8>,
    /// The compile report, a JSON document.
    pub report: Vec<u8>,
}

/// What a bundle has to know of its circuit's parameter set, which the scheme knows by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SetFacts {
    /// Dimensions of its ciphertexts.
    pub dimensions: Dimensions,
    /// What its files carry.
    pub tag: ParameterSetTag,
}

/// Why bytes are not a bundle, or a bundle cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
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
        "the bundle's header does not name the circuit's parameter set {circuit:?}; compile the \
         model again with this build"
    )]
    ParameterSetTag {
        /// Name in the circuit.
        circuit: String,
    },
    /// A document in the bundle is too long.
    #[error(
        "the bundle's {part} of {len} bytes exceeds the limit of {limit} bytes; compile the model \
         again with this build"
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

impl Bundle {
    /// The file: the same bundle gives the same bytes, on every machine. The circuit is checked
    /// first, so that whatever is written can be read. `find` looks up the parameter set.
    pub fn to_bytes<E: From<BundleError>>(
        &self,
        find: impl FnOnce(&str) -> Result<SetFacts, E>,
    ) -> Result<Vec<u8>, E> {
        let set = find(self.circuit.parameter_set())?;
        self.check(set.dimensions)?;
        let payload = codec::encode(self, MAX_BYTES).map_err(BundleError::Payload)?;
        Ok(frame::encode(Kind::Bundle, 1, set.tag, &payload))
    }

    /// Reads a file and checks the circuit. `find` looks up the parameter set.
    pub fn from_bytes<E: From<BundleError>>(
        bytes: &[u8],
        find: impl FnOnce(&str) -> Result<SetFacts, E>,
    ) -> Result<Self, E> {
        let frame =
            frame::decode(bytes, Kind::Bundle, &[1], MAX_BYTES).map_err(BundleError::Frame)?;
        let bundle: Self =
            codec::decode(&frame.payload, MAX_BYTES).map_err(BundleError::Payload)?;
        let set = find(bundle.circuit.parameter_set())?;
        bundle.check(set.dimensions)?;
        if set.tag != frame.parameter_set {
            return Err(BundleError::ParameterSetTag {
                circuit: bundle.circuit.parameter_set().to_owned(),
            }
            .into());
        }
        Ok(bundle)
    }

    /// Hash of the client specs.
    pub fn specs_hash(&self) -> SpecsHash {
        Hash::of(&self.specs)
    }

    fn check(&self, dimensions: Dimensions) -> Result<(), BundleError> {
        for (part, len) in [("specs", self.specs.len()), ("report", self.report.len())] {
            if len as u64 > specs::MAX_BYTES {
                return Err(BundleError::PartTooLarge {
                    part,
                    len,
                    limit: specs::MAX_BYTES,
                });
            }
        }
        Ok(validate(&self.circuit, dimensions)?)
    }
}

impl Circuit {
    /// Hash of the circuit's bytes, which the client specs name.
    pub fn hash(&self) -> Result<Hash, BundleError> {
        codec::encode(self, MAX_BYTES)
            .map(|bytes| Hash::of(&bytes))
            .map_err(BundleError::Payload)
    }
}
