//! The bytes of circuits: explicit types, one module a version, apart from [`Circuit`].
//!
//! All versions are read. A circuit has the hash of the oldest version that can say it, so that the
//! specs that clients hold keep naming it.

pub(crate) mod v1;
pub(crate) mod v2;
pub(crate) mod v3;
pub(crate) mod v4;
pub(crate) mod v5;
pub(crate) mod v6;

#[cfg(test)]
mod tests;

use crate::bundle::{BundleError, MAX_BYTES};
use crate::circuit::Circuit;
use crate::codec;
use cipherfn_protocol::hash::Hash;

impl Circuit {
    /// Hash of the circuit's bytes in the oldest version that can say it, which the client specs
    /// name.
    pub fn hash(&self) -> Result<Hash, BundleError> {
        let bytes = if let Some(circuit) = v1::CircuitV1::from_circuit(self) {
            codec::encode(&circuit, MAX_BYTES)
        } else if let Some(circuit) = v2::CircuitV2::from_circuit(self) {
            codec::encode(&circuit, MAX_BYTES)
        } else if let Some(circuit) = v3::CircuitV3::from_circuit(self) {
            codec::encode(&circuit, MAX_BYTES)
        } else if let Some(circuit) = v4::CircuitV4::from_circuit(self) {
            codec::encode(&circuit, MAX_BYTES)
        } else if let Some(circuit) = v5::CircuitV5::from_circuit(self) {
            codec::encode(&circuit, MAX_BYTES)
        } else {
            codec::encode(&v6::CircuitV6::from(self), MAX_BYTES)
        };
        bytes
            .map(|bytes| Hash::of(&bytes))
            .map_err(BundleError::Payload)
    }
}
