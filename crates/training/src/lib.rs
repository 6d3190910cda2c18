//! Training on several owners' rows, without ciphertexts: what each owner sums, how sums lie in
//! torus words, and what models follow from the decrypted total.
//!
//! ```text
//!   StatisticsSpec --- goes to all owners
//!        |
//!   rows -> Sums -> words --encrypt, add, decrypt (elsewhere)--> words -> Moments -> FittedModel
//! ```
//!
//! Encryption is under a key holder's public key; the sum is all that anybody can decrypt. This crate
//! knows neither keys nor model files.

mod contribution;
pub mod descent;
mod error;
pub mod fit;
mod layout;
pub mod leaves;
mod matrix;
mod model;
mod moments;
mod program;
mod rounding;
mod spec;
mod summed;
mod sums;
mod work;

pub use contribution::{Contribution, MAX_WORDS};
pub use error::TrainingError;
pub use layout::MAX_OWNERS;
pub use matrix::Symmetric;
pub use model::{CategoryColumn, ClassLink, FittedFunction, FittedModel, FittedNode, ScaledColumn};
pub use moments::Moments;
pub use program::TrainingProgram;
pub use spec::{CategoricalColumn, NumericColumn, StatisticsSpec, Target};
pub use summed::SummedSchema;
pub use sums::Sums;
