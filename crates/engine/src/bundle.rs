//! Bundles: a compiled model as one portable file.

use crate::circuit::{Circuit, Dimensions, validate};
use crate::codec;
use crate::error::EngineError;
use cipherfn_protocol::frame::{self, Kind};
use cipherfn_protocol::hash::{Hash, SpecsHash};
use cipherfn_protocol::specs;
use cipherfn_scheme::parameters::ParameterSet;
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

impl Bundle {
    /// The file: the same bundle gives the same bytes, on every machine. The circuit is checked
    /// first, so that whatever is written can be read.
    pub fn to_bytes(&self) -> Result<Vec<u8>, EngineError> {
        let set = self.check()?;
        let payload = codec::encode(self, MAX_BYTES).map_err(EngineError::Payload)?;
        Ok(frame::encode(Kind::Bundle, set.tag(), &payload))
    }

    /// Reads a file and checks the circuit.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, EngineError> {
        let frame = frame::decode(bytes, Kind::Bundle, MAX_BYTES)?;
        let bundle: Self =
            codec::decode(&frame.payload, MAX_BYTES).map_err(EngineError::Payload)?;
        if bundle.check()?.tag() != frame.parameter_set {
            return Err(EngineError::ParameterSetTag {
                circuit: bundle.circuit.parameter_set().to_owned(),
            });
        }
        Ok(bundle)
    }

    /// Hash of the client specs.
    pub fn specs_hash(&self) -> SpecsHash {
        Hash::of(&self.specs)
    }

    fn check(&self) -> Result<&'static ParameterSet, EngineError> {
        for (part, len) in [("specs", self.specs.len()), ("report", self.report.len())] {
            if len as u64 > specs::MAX_BYTES {
                return Err(EngineError::PartTooLarge {
                    part,
                    len,
                    limit: specs::MAX_BYTES,
                });
            }
        }
        let set = ParameterSet::by_name(self.circuit.parameter_set())?;
        validate(&self.circuit, Dimensions::of(set))?;
        Ok(set)
    }
}

impl Circuit {
    /// Hash of the circuit's bytes, which the client specs name.
    pub fn hash(&self) -> Result<Hash, EngineError> {
        codec::encode(self, MAX_BYTES)
            .map(|bytes| Hash::of(&bytes))
            .map_err(EngineError::Payload)
    }
}
