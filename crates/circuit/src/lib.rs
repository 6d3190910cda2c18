//! The server's language: circuits, the rules that they keep, and bundles as files.
//!
//! ```text
//! compiler --> Circuit -- Bundle::to_bytes --> file -- Bundle::from_bytes --> Circuit --> engine
//!                              |                            |
//!                         wire types V2 to V6      wire types V1 to V6
//! ```
//!
//! A [`Circuit`] is what the compiler made of a model: a graph of GLWE values over encrypted inputs
//! (selectors, feature vectors), and the values that travel back. Trees, linear models, look-ups of
//! linear forms, bootstraps and mixtures of them are circuits of this one type. This crate describes
//! and checks them; the engine evaluates them. No encryption, no network, no files.
//!
//! ```
//! use cipherfn_circuit::circuit::{
//!     Circuit, Constant, ConstantId, Input, Node, NodeId, Operand, Output, Select, SelectorForm,
//!     SelectorGroup, SelectorId, Sum,
//! };
//! use cipherfn_circuit::Dimensions;
//! use cipherfn_protocol::specs::{BaseLog, Bits, Gadget, Levels, Transport};
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
//! let dimensions = Dimensions { glwe_dimension: 4, polynomial_size: 512, bootstrap_table: None };
//! circuit.validate(dimensions)?;
//! assert_eq!(
//!     circuit.to_string(),
//!     "set cipherfn-128-n512k4-v1
//! i0 = bits 1, gadget 23 x 1, ggsw
//! c0 = 0: 0x2000000000000000
//! c1 = 0: 0x6000000000000000
//! n0 = (i0.0 ? c1 : c0)
//! o0 = n0, 1 coefficients by 1, 24 bits
//! "
//! );
//! # Ok::<(), cipherfn_circuit::CircuitError>(())
//! ```

pub mod bundle;
pub mod circuit;
mod codec;
pub mod parts;
#[cfg(test)]
mod samples;
mod text;
mod validate;
mod wire;

pub use bundle::{Bundle, BundleError};
pub use circuit::Circuit;
pub use codec::CodecError;
pub use validate::{CircuitError, Dimensions, MAX_OUTPUTS};
