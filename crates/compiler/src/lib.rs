//! Model file in, bundle out.
//!
//! ```text
//! ONNX file --read--> graph --lower--> operations --analyse, cut--> Model:
//! file of a library --read------------> pre-processing | estimators | post-processing
//!                                                                |
//! calibration rows ------------------------------------------> compile
//!                                                                |
//!                      circuit (for the server), client specs (for the client), report (for people)
//! ```
//!
//! A compiled model is a function of the model's bytes, the calibration rows and the options alone:
//! the same input gives the same bytes.

mod analyse;
mod append;
mod backend;
mod calibration;
mod causes;
mod compile;
mod conceal;
mod cost;
mod cut;
mod decimals;
mod decoys;
mod doubts;
pub mod error;
mod expected;
mod families;
mod features;
mod fills;
pub mod fit;
mod ir;
mod labels;
pub mod linear;
mod lower;
mod margins;
mod mixtures;
pub mod model;
mod options;
mod quality;
pub mod read;
pub mod report;
mod simulate;
pub mod structure;
mod transposed;
mod uncertainty;
mod unseen;
pub mod weights;
pub mod write;

pub use calibration::{Calibration, ColumnSource, Expected, MAX_ROWS};
pub use compile::{Compiled, compile};
pub use cost::Work;
pub use error::{CompileError, NodeName, Remedy};
pub use options::{
    Combiner, DEFAULT_AGREEMENT, DEFAULT_PRECISION, Decimals, FeatureMode, Options,
    ParseOptionError, Prefer, Profile,
};
pub use report::Report;
