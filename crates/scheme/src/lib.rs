//! The encryption scheme of cipherfn: parameter sets, keys, queries, replies and their noise.
//!
//! ```text
//! client                                              server
//! SecretKey -- EvaluationKey::generate -- file -->    EvaluationKey -- expand --> ExpandedEvaluationKey
//!     |                                                                                   |
//! query::encrypt_selectors ------------- row --->     query::expand_selectors --> FourierSelectors (GGSW ciphertexts)
//! query::encrypt_group ----------------- rows -->     query::expand_row -------> the same, row by row
//! query::encrypt_linear ---------------- row --->     query::decode_linear ----> GLWE ciphertexts
//!                                                             (the engine works on them)
//! reply::decrypt <---------------------- row ----     reply::compress
//! reply::decrypt_packed <--------------- rows ---     reply::pack
//! ```
//!
//! What follows on a number that the server computed needs [`bootstrap`]s, and their part of the key;
//! a selector of such a number is made by a [`circuit_bootstrap`].
//!
//! The FFT is `tfhe`'s; keys, encryption and what works on ciphertexts are written here: `tfhe` draws
//! masks and noise a byte at a time, and has no expansion of packed selectors. Masks are its stream
//! all the same, and a ciphertext is one of its own. This crate knows nothing of models.
//!
//! ```
//! use cipherfn_protocol::specs::{BaseLog, Gadget, Levels, Transport};
//! use cipherfn_scheme::{SecretKey, parameters::ParameterSet, query, selectors::FourierSelectors};
//!
//! let set = ParameterSet::by_name("cipherfn-128-n512k4-v1")?;
//! let key = SecretKey::generate(set)?;
//! let gadget = Gadget::new(BaseLog::new(23), Levels::new(1));
//! let shape = query::SelectorQueryShape { set, selectors: 2, gadget, transport: Transport::Ggsw };
//! let row = query::encrypt_selectors(&key, &shape, &[true, false])?;
//! let mut selectors = FourierSelectors::zeroed(shape.ggsw(), shape.selectors);
//! query::expand_selectors(None, &shape, &row, &mut selectors)?;
//! # Ok::<(), cipherfn_scheme::SchemeError>(())
//! ```

#![expect(
    clippy::inline_always,
    reason = "kernels must be inlined into the function that enables the instruction set"
)]

mod automorphism;
mod bits;
pub mod bootstrap;
pub mod carriers;
mod centred;
// Like rotations, a server's.
#[cfg(not(target_family = "wasm"))]
pub mod circuit_bootstrap;
mod cursor;
pub mod descent;
mod error;
mod expand;
pub mod external;
pub mod fourier;
mod glev;
mod glwe;
mod kernels;
mod keys;
mod levels;
mod memory;
pub mod noise;
pub mod operations;
mod pages;
pub mod parallel;
pub mod parameters;
mod polynomial;
pub mod public;
pub mod query;
mod random;
pub mod reply;
mod rows;
mod seeded;
pub mod selectors;
#[cfg(test)]
mod testing;

pub use error::SchemeError;
pub use glwe::Glwe;
pub use keys::{EvaluationKey, ExpandedEvaluationKey, KeyedDigest, SecretKey};
