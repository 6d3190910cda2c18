//! The server's language: circuits, the rules that they keep, and bundles as files.
//!
//! ```text
//! compiler --> Circuit -- Bundle::to_bytes --> file -- Bundle::from_bytes --> Circuit --> engine
//! ```
//!
//! A [`circuit::Circuit`] is what the compiler made of a model: sums of CMUX trees over encrypted
//! selector bits, or plaintext weights for an encrypted feature vector. This crate describes and
//! checks it; the engine evaluates it. No encryption, no network, no files.

pub mod bundle;
pub mod circuit;
mod codec;

pub use bundle::{Bundle, BundleError};
pub use circuit::{CircuitError, Dimensions};
