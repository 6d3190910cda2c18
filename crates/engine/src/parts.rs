//! Circuits in parts that take about the same.
//!
//! Several threads of one server share a row better by its steps than by parts: selectors are then
//! expanded once for all of them. Parts are for servers that share nothing.

use crate::error::EngineError;
use cipherfn_circuit::circuit::{Circuit, Input};
use cipherfn_circuit::parts::{Cut, PartCosts};
use cipherfn_protocol::specs::Transport;
use cipherfn_scheme::parameters::ParameterSet;

/// Cuts a circuit into `parts` parts: each a circuit over the same query rows with results of the
/// same shapes, which added as ciphertexts ([`PreparedCircuit::results_of_rows`]) are the whole's.
///
/// [`PreparedCircuit::results_of_rows`]: crate::PreparedCircuit::results_of_rows
pub fn cut(circuit: &Circuit, parts: u32) -> Result<Cut, EngineError> {
    let set = ParameterSet::by_name(&circuit.parameter_set)?;
    circuit.validate(crate::dimensions::dimensions(set, circuit))?;
    Ok(Cut::new(circuit, parts, &costs(circuit, set))?)
}

/// Transforms of polynomials, in tenths: what else there is comes with them. Only ratios decide.
fn costs(circuit: &Circuit, set: &ParameterSet) -> PartCosts {
    let polynomials = set.ring.glwe_dimension as u64 + 1;
    let levels = circuit.inputs.iter().map(|input| match input {
        Input::Selectors(group) => u64::from(group.gadget.levels.get()),
        Input::Features(_) | Input::Values(_) | Input::Tables(_) => 0,
    });
    let levels = levels.max().unwrap_or(0);
    // A slot takes about a key switch, most of them of the last level, and a scheme switch.
    let slot = set.packing().map_or(0, |packing| {
        let last = packing.key_switch.last();
        let switch = last.map_or(0, |gadget| gadget.levels.get());
        u64::from(switch + packing.scheme_switch.levels.get()) + polynomials
    });
    // A CMUX of polynomials of another size a coefficient of the small key.
    let bootstrap = crate::dimensions::bootstrap(set, circuit).map(|numbers| {
        let (output, levels) = (&numbers.output, u64::from(numbers.rotation.levels.get()));
        let polynomials = output.glwe_dimension as u64 + 1;
        let transforms = polynomials * (levels + 1) * numbers.small.mask_len() as u64;
        10 * transforms * output.polynomial_size as u64 / set.ring.polynomial_size as u64
    });
    let selector = |input: &Input| match input {
        Input::Selectors(group) => {
            let a_level = match group.transport {
                Transport::Packed => slot,
                Transport::Ggsw => polynomials * polynomials,
            };
            10 * u64::from(group.gadget.levels.get()) * a_level
        }
        Input::Features(_) | Input::Values(_) | Input::Tables(_) => 0,
    };
    PartCosts {
        cmux: 10 * polynomials * (levels + 1),
        // Multiply-adds of body rows.
        choice: polynomials * levels,
        product: 10 * polynomials,
        bootstrap: bootstrap.unwrap_or_default(),
        selector: circuit.inputs.iter().map(selector).collect(),
    }
}
