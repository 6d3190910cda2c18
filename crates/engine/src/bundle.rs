//! Bundles whose circuits belong to a parameter set of this build.

use crate::error::EngineError;
use cipherfn_circuit::bundle::SetFacts;
use cipherfn_circuit::{Bundle, Circuit};
use cipherfn_scheme::parameters::ParameterSet;

/// Reads a bundle's file and checks its circuit.
pub fn read(bytes: &[u8]) -> Result<Bundle, EngineError> {
    Bundle::from_bytes(bytes, find)
}

/// A bundle's file; the circuit is checked first.
pub fn write(bundle: &Bundle) -> Result<Vec<u8>, EngineError> {
    bundle.to_bytes(find)
}

fn find(circuit: &Circuit) -> Result<SetFacts, EngineError> {
    let set = ParameterSet::by_name(&circuit.parameter_set)?;
    Ok(SetFacts {
        dimensions: crate::dimensions::dimensions(set, circuit),
        tag: set.tag(),
    })
}
