//! Evaluation of circuits, on encrypted rows and in the clear.
//!
//! ```text
//!             Circuit --- Evaluator ---+--> ClearCircuit: values in the clear --> coefficients
//!                                      |
//!                                      `--> PreparedCircuit: steps, their order
//!                                                |
//! query row -- expand --> selectors, vectors -- evaluate --> GLWEs -- compress --> reply row
//! ```
//!
//! A [`Circuit`](cipherfn_circuit::Circuit) is what the compiler made of a model: a graph of GLWE
//! values over encrypted inputs. What its nodes mean is said once, by the trait [`Evaluator`].
//! [`PreparedCircuit`] interprets a circuit in terms of steps, joins what can be joined, and fixes
//! an order of evaluation; [`ClearCircuit`] runs the same circuits without encryption. Noise only adds,
//! but where a node is a bootstrap.
//!
//! This crate reads bytes that it is given and computes: no network, no files, no knowledge of
//! where a model came from.
//!
//! ```
//! use cipherfn_circuit::circuit::{
//!     Circuit, Constant, ConstantId, Input, Node, NodeId, Operand, Output, Select, SelectorForm,
//!     SelectorGroup, SelectorId, Sum,
//! };
//! use cipherfn_engine::{ClearCircuit, PreparedCircuit, Workspace};
//! use cipherfn_protocol::specs::{BaseLog, Bits, Gadget, Levels, Transport};
//! use cipherfn_scheme::query::{InputValues, encrypt_row};
//! use cipherfn_scheme::{SecretKey, reply};
//!
//! // bit ? 3/8 : 1/8
//! let circuit = Circuit {
//!     parameter_set: "cipherfn-128-n512k4-v1".into(),
//!     bootstrap: None,
//!     inputs: vec![Input::Selectors(SelectorGroup {
//!         count: 1,
//!         gadget: Gadget::new(BaseLog::new(23), Levels::new(1)),
//!         transport: Transport::Ggsw,
//!         form: SelectorForm::Bits,
//!     })],
//!     constants: vec![Constant(vec![(0, 1 << 61)]), Constant(vec![(0, 3 << 61)])],
//!     nodes: vec![Node::Sum(Sum {
//!         selects: vec![Select {
//!             selector: SelectorId::first(0),
//!             clear: Operand::Constant(ConstantId(0)),
//!             set: Operand::Constant(ConstantId(1)),
//!         }],
//!         ..Sum::default()
//!     })],
//!     outputs: vec![Output { node: NodeId(0), coefficients: 1, stride: 1, reply_bits: Bits::new(24) }],
//! };
//! let row = [InputValues::Bits(vec![true])];
//! let exact = ClearCircuit::new(circuit.clone())?.evaluate(&row)?;
//! assert_eq!(exact, [3 << 61]);
//!
//! let prepared = PreparedCircuit::new(&circuit)?;
//! let key = SecretKey::generate(prepared.parameter_set())?;
//! let query = encrypt_row(&key, prepared.inputs(), &row)?;
//! let reply = prepared.evaluate_row(None, &query, &mut Workspace::default())?;
//! let phases = reply::decrypt_row(&key, prepared.outputs(), &reply)?;
//! assert!((phases[0] as f64 / 2f64.powi(64) - 0.375).abs() < 1e-3);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod bundle;
mod clear;
mod dimensions;
mod error;
mod evaluator;
mod kernel;
mod lower;
pub mod noise;
mod parts;
mod polynomial;
mod prepared;
mod run;
mod schedule;

#[cfg(test)]
mod tests;

pub use clear::{ClearCircuit, ClearInputError};
pub use error::EngineError;
pub use evaluator::Evaluator;
pub use parts::cut;
pub use prepared::{
    CACHE_PART, PreparedCircuit, QueryRow, Timings, Workspace, row_memory, server_memory,
};
pub use run::{MAX_WEIGHT_BYTES, SharedTables, Statistics};
