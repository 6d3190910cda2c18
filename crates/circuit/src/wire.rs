//! The bytes of circuits: explicit types, one module a version, apart from [`Circuit`].
//!
//! Both versions are read. A circuit that version 1 can say has version 1's hash, so that the specs
//! that clients hold keep naming it.

pub(crate) mod v1;
pub(crate) mod v2;

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
        let bytes = match v1::CircuitV1::from_circuit(self) {
            Some(circuit) => codec::encode(&circuit, MAX_BYTES),
            None => codec::encode(&v2::CircuitV2::from(self), MAX_BYTES),
        };
        bytes
            .map(|bytes| Hash::of(&bytes))
            .map_err(BundleError::Payload)
    }
}
