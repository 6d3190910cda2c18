//! Bundles: a compiled model as one portable file.

use crate::circuit::Circuit;
use crate::codec::{self, CodecError};
use crate::validate::{CircuitError, Dimensions};
use crate::wire::{v1, v2, v3, v4, v5, v6};
use cipherfn_protocol::frame::{self, FrameError, FrameKind, ParameterSetTag};
use cipherfn_protocol::hash::{Hash, SpecsHash};
use cipherfn_protocol::specs;
use cipherfn_protocol::versions::Versions;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

#[cfg(test)]
mod tests;

/// Largest bundle that is read or written.
pub const MAX_BYTES: u64 = 256 << 20;

/// A compiled model: what the server evaluates, what clients need, and what was reported at compile
/// time.
#[derive(Clone, Debug, PartialEq)]
pub struct Bundle {
    /// For the server.
    pub circuit: Circuit,
    /// The client specs: the exact bytes of the JSON document, whose hash names this version of
    /// the model.
    pub specs: Vec<u8>,
    /// The same as a document of format 1, for clients that know no other; `None` where `specs` is
    /// such a document itself, or where it cannot be said in one.
    pub specs_v1: Option<Vec<u8>>,
    /// The compile report, a JSON document.
    pub report: Vec<u8>,
}

/// File version 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct BundleV1 {
    circuit: v1::CircuitV1,
    specs: Vec<u8>,
    report: Vec<u8>,
}

/// File version 2, and later versions with their circuits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct BundleV2<C = v2::CircuitV2> {
    circuit: C,
    specs: Vec<u8>,
    specs_v1: Option<Vec<u8>>,
    report: Vec<u8>,
}

cipherfn_protocol::versions! {
    /// Bundles as files.
    enum BundleVersions, read by decode, error CodecError {
        /// One kind of input and one output.
        V1(BundleV1) = 1,
        /// Any inputs and outputs, and specs of two formats.
        V2(BundleV2) = 2,
        /// Look-ups.
        V3(BundleV2<v3::CircuitV3>) = 3,
        /// Bootstraps, look-ups of nodes, encrypted values and tables.
        V4(BundleV2<v4::CircuitV4>) = 4,
        /// Features together, several coefficients of each packed item.
        V5(BundleV2<v5::CircuitV5>) = 5,
        /// Choices by numbers that the server computed.
        V6(BundleV2<v6::CircuitV6>) = 6,
    }
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    codec::decode(bytes, MAX_BYTES)
}

impl TryFrom<BundleVersions> for Bundle {
    type Error = CircuitError;

    fn try_from(file: BundleVersions) -> Result<Self, CircuitError> {
        Ok(match file {
            BundleVersions::V1(file) => Self {
                circuit: file.circuit.try_into()?,
                specs: file.specs,
                specs_v1: None,
                report: file.report,
            },
            BundleVersions::V2(file) => file.into(),
            BundleVersions::V3(file) => file.into(),
            BundleVersions::V4(file) => file.into(),
            BundleVersions::V5(file) => file.into(),
            BundleVersions::V6(file) => file.into(),
        })
    }
}

impl<C: Into<Circuit>> From<BundleV2<C>> for Bundle {
    fn from(file: BundleV2<C>) -> Self {
        Self {
            circuit: file.circuit.into(),
            specs: file.specs,
            specs_v1: file.specs_v1,
            report: file.report,
        }
    }
}

impl<C: Serialize> BundleV2<C> {
    fn payload(circuit: C, bundle: &Bundle) -> Result<Vec<u8>, CodecError> {
        let file = Self {
            circuit,
            specs: bundle.specs.clone(),
            specs_v1: bundle.specs_v1.clone(),
            report: bundle.report.clone(),
        };
        codec::encode(&file, MAX_BYTES)
    }
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
    Payload(#[from] CodecError),
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
    /// More than a bundle may have.
    #[error(
        "the bundle would have more than {limit} bytes: the model has too many weights and functions; \
         train a smaller one"
    )]
    TooLarge {
        /// Limit in force.
        limit: u64,
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
    /// The file, of the oldest version from 2 on that can say the circuit: the same bundle gives the same bytes,
    /// on every machine. The circuit is checked first, so that whatever is written can be read.
    /// `find` looks up the circuit's parameter set.
    pub fn to_bytes<E: From<BundleError>>(
        &self,
        find: impl FnOnce(&Circuit) -> Result<SetFacts, E>,
    ) -> Result<Vec<u8>, E> {
        let set = find(&self.circuit)?;
        self.check(set.dimensions)?;
        let (version, payload) = self.payload().map_err(|error| {
            if error.is_too_large() {
                BundleError::TooLarge { limit: MAX_BYTES }
            } else {
                BundleError::Payload(error)
            }
        })?;
        Ok(frame::encode(FrameKind::Bundle, version, set.tag, &payload))
    }

    /// The file's payload in the oldest version that is written and can say the circuit.
    fn payload(&self) -> Result<(u16, Vec<u8>), CodecError> {
        let circuit = &self.circuit;
        Ok(
            if let Some(circuit) = v2::CircuitV2::from_circuit(circuit) {
                (2, BundleV2::payload(circuit, self)?)
            } else if let Some(circuit) = v3::CircuitV3::from_circuit(circuit) {
                (3, BundleV2::payload(circuit, self)?)
            } else if let Some(circuit) = v4::CircuitV4::from_circuit(circuit) {
                (4, BundleV2::payload(circuit, self)?)
            } else if let Some(circuit) = v5::CircuitV5::from_circuit(circuit) {
                (5, BundleV2::payload(circuit, self)?)
            } else {
                (6, BundleV2::payload(v6::CircuitV6::from(circuit), self)?)
            },
        )
    }

    /// Reads a file and checks the circuit. `find` looks up the circuit's parameter set.
    pub fn from_bytes<E: From<BundleError>>(
        bytes: &[u8],
        find: impl FnOnce(&Circuit) -> Result<SetFacts, E>,
    ) -> Result<Self, E> {
        let frame = frame::decode(
            bytes,
            FrameKind::Bundle,
            BundleVersions::VERSIONS,
            MAX_BYTES,
        )
        .map_err(BundleError::Frame)?;
        let file: BundleVersions =
            BundleVersions::from_frame::<BundleError>(&frame, FrameKind::Bundle)?;
        let bundle = Self::try_from(file).map_err(BundleError::Circuit)?;
        let set = find(&bundle.circuit)?;
        bundle.check(set.dimensions)?;
        if set.tag != frame.parameter_set {
            return Err(BundleError::ParameterSetTag {
                circuit: bundle.circuit.parameter_set,
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
        let version_1 = self.specs_v1.as_ref().map_or(0, Vec::len);
        for (part, len) in [
            ("specs", self.specs.len().max(version_1)),
            ("report", self.report.len()),
        ] {
            if len as u64 > specs::MAX_BYTES {
                return Err(BundleError::PartTooLarge {
                    part,
                    len,
                    limit: specs::MAX_BYTES,
                });
            }
        }
        Ok(self.circuit.validate(dimensions)?)
    }
}
