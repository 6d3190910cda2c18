//! Keys: the client's secret key, the evaluation key in the form that travels, and its expanded
//! form.

mod evaluation;
mod expanded;
mod secret;

#[cfg(test)]
mod tests;

pub use evaluation::EvaluationKey;
pub use expanded::ExpandedEvaluationKey;
pub use secret::{KeyedDigest, SecretKey};
pub(crate) use secret::{Multiplier, RingKey};
