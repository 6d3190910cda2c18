//! What a circuit's parameter set says of its ciphertexts and tables.

use cipherfn_circuit::{Circuit, Dimensions};
use cipherfn_scheme::parameters::{Bootstrap, ParameterSet};

/// Dimensions of the ciphertexts and tables of a circuit of this set.
pub(crate) fn dimensions(set: &ParameterSet, circuit: &Circuit) -> Dimensions {
    Dimensions {
        glwe_dimension: set.ring.glwe_dimension,
        polynomial_size: set.ring.polynomial_size,
        bootstrap_table: bootstrap(set, circuit).map(|numbers| numbers.output.polynomial_size),
    }
}

/// The bootstrap of the part that the circuit names, if the set has that.
pub(crate) fn bootstrap<'a>(set: &'a ParameterSet, circuit: &Circuit) -> Option<&'a Bootstrap> {
    let part = set.part(circuit.bootstrap.as_ref()?).ok()?;
    part.bootstrap()
}
