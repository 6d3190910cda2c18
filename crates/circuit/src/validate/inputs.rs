//! Selector groups, feature vectors, values and tables.

use super::{CircuitError, within};
use crate::circuit::{FeatureInput, Input, SelectorForm, SelectorGroup, TableInput, ValueInput};
use cipherfn_protocol::specs::{Bits, FeatureForm, Gadget};

/// Most inputs: each has a row of its own in a query.
const MAX_INPUTS: u64 = 64;
/// Most selectors of a query row.
const MAX_SELECTORS: u64 = 1 << 18;
/// Most values of a query row, and most tables.
const MAX_CARRIERS: u64 = 1 << 16;
/// Most features of a query row.
const MAX_FEATURES: u64 = 1 << 18;
/// Most base bits times levels: digits are computed exactly in 53 bits.
const MAX_GADGET_BITS: u32 = 48;
/// Most bits of a coefficient that travels.
pub(super) const MAX_COEFFICIENT_BITS: u64 = Bits::ALL.get() as u64;

pub(super) fn check(inputs: &[Input], polynomial_size: usize) -> Result<(), CircuitError> {
    within("input count", inputs.len(), 1..=MAX_INPUTS)?;
    let (mut selectors, mut features, mut carriers) = (0, 0, 0);
    for input in inputs {
        match input {
            Input::Selectors(group) => {
                check_group(group, polynomial_size)?;
                selectors += u64::from(group.count);
            }
            Input::Features(input) => {
                check_features(input, polynomial_size)?;
                features += u64::from(input.features);
            }
            Input::Values(ValueInput { count }) | Input::Tables(TableInput { count }) => {
                carriers += u64::from(*count);
            }
        }
    }
    within("selector count", selectors, 0..=MAX_SELECTORS)?;
    within("feature count", features, 0..=MAX_FEATURES)?;
    within("value and table count", carriers, 0..=MAX_CARRIERS)
}

/// Digits must be exact.
pub(super) fn gadget(gadget: Gadget) -> Result<(), CircuitError> {
    let (base_log, levels) = (gadget.base_log.get(), gadget.levels.get());
    within(
        "gadget base (log2)",
        base_log,
        1..=u64::from(MAX_GADGET_BITS),
    )?;
    let most = u64::from(MAX_GADGET_BITS / base_log);
    within("gadget levels", levels, 1..=most)
}

fn check_group(group: &SelectorGroup, polynomial_size: usize) -> Result<(), CircuitError> {
    gadget(group.gadget)?;
    match group.form {
        SelectorForm::Bits => Ok(()),
        SelectorForm::Digits { log2_values } => within(
            "digit values (log2)",
            log2_values,
            // Finer ones would be powers of X that are not whole.
            1..=u64::from(polynomial_size.ilog2()),
        ),
    }
}

fn check_features(input: &FeatureInput, polynomial_size: usize) -> Result<(), CircuitError> {
    let size = polynomial_size as u64;
    within("feature count", input.features, 1..=MAX_FEATURES)?;
    within("feature stride", input.stride, 1..=size)?;
    let room = match input.form {
        FeatureForm::Apart => size / u64::from(input.stride),
        FeatureForm::Together => u64::from(input.stride),
    };
    within("block", input.block, 1..=room)?;
    within("body bits", input.body_bits.get(), 1..=MAX_COEFFICIENT_BITS)
}
