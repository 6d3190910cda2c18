//! Prepared circuits and their evaluation on encrypted rows.
//!
//! ```text
//! Bundle (file) -> Circuit -- PreparedCircuit::new --> PreparedCircuit
//!                                                          |
//! query row -- expand --> selectors -- evaluate --> GLWE -- compress --> reply row
//! ```
//!
//! A [`Circuit`](cipherfn_circuit::circuit::Circuit) is what the compiler made of a model: sums of CMUX trees over encrypted
//! selector bits, or plaintext weights for an encrypted feature vector. [`PreparedCircuit`] checks
//! it, joins what can be joined and fixes an order of evaluation; [`clear`] runs the same circuits
//! without encryption. Everything is levelled: no bootstrapping, noise only adds.
//!
//! This crate reads bytes that it is given and computes: no network, no files, no knowledge of
//! where a model came from.
//!
//! ```
//! use cipherfn_circuit::circuit::{Circuit, Constant, LevelledCircuit, Node, Operand, Select};
//! use cipherfn_engine::{PreparedCircuit, QueryShape, Workspace};
//! use cipherfn_protocol::specs::{Gadget, Transport};
//! use cipherfn_scheme::{SecretKey, query, reply};
//!
//! // bit ? 3/8 : 1/8
//! let circuit = Circuit::Levelled(LevelledCircuit {
//!     parameter_set: "cipherfn-128-n512k4-v1".into(),
//!     selectors: 1,
//!     gadget: Gadget { base_log: 23, levels: 1 },
//!     transport: Transport::Ggsw,
//!     constants: vec![Constant(vec![(0, 1 << 61)]), Constant(vec![(0, 3 << 61)])],
//!     nodes: vec![Node {
//!         constant: None,
//!         addends: vec![],
//!         selects: vec![Select { selector: 0, clear: Operand::Constant(0), set: Operand::Constant(1) }],
//!     }],
//!     coefficients: 1,
//!     stride: 1,
//!     reply_bits: 24,
//! });
//! let prepared = PreparedCircuit::new(&circuit)?;
//! let QueryShape::Selectors(shape) = prepared.query_shape() else { unreachable!() };
//!
//! let key = SecretKey::generate(prepared.parameter_set());
//! let query = query::encrypt_selectors(&key, &shape, &[true])?;
//! let row = prepared.evaluate_row(None, &query, &mut Workspace::default())?;
//! let phase = reply::decrypt(&key, &prepared.reply_shape(), &row)?[0] as f64 / 2f64.powi(64);
//! assert!((phase - 0.375).abs() < 1e-3);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod bundle;
pub mod clear;
mod error;
mod kernel;
mod levelled;
mod linear;
mod lower;
mod polynomial;
mod prepared;
mod schedule;

#[cfg(test)]
mod tests;

pub use error::EngineError;
pub use levelled::Statistics;
pub use prepared::{PreparedCircuit, QueryShape, Timings, Workspace};

use cipherfn_circuit::Dimensions;
use cipherfn_scheme::parameters::ParameterSet;

/// Dimensions of a set's ciphertexts.
const fn dimensions(set: &ParameterSet) -> Dimensions {
    Dimensions {
        glwe_dimension: set.ring.glwe_dimension,
        polynomial_size: set.ring.polynomial_size,
    }
}
