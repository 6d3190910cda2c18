//! What is decrypted is shown rounded: whoever knows the exact value knows its error otherwise, which is
//! nearly a function of the key.

/// The step that numbers with errors of up to `bound` are rounded to: a power of two, as the bound itself may
/// be of the key; as large as the bound, which it is less than twice of. 0 without errors.
pub(crate) fn step(bound: f64) -> f64 {
    bound.log2().ceil().exp2()
}

/// The nearest multiple of a step; with a step of 0 the value itself.
pub(crate) fn to_step(value: f64, step: f64) -> f64 {
    if step > 0.0 {
        (value / step).round() * step
    } else {
        value
    }
}
