//! What the Python package `cipherfn` is made of: its extension module `cipherfn._native`. The
//! package around it, in `../cipherfn`, has the names and words that people see.
//!
//! Work runs on other threads without the interpreter's lock; the caller's thread waits, tells how far it
//! is and looks for Ctrl-C ([`wait`]). Tables come and go through Arrow's C data interface
//! ([`table`], [`predictions`]).

mod bundle;
mod client;
mod compile;
mod credentials;
mod error;
mod frames;
mod keys;
mod noise;
mod predictions;
mod service;
mod table;
mod training;
mod wait;

use pyo3::prelude::*;

/// The extension module.
#[pymodule]
mod _native {
    #[pymodule_export]
    use super::bundle::Bundle;
    #[pymodule_export]
    use super::client::ModelClient;
    #[pymodule_export]
    use super::compile::compile;
    #[pymodule_export]
    use super::frames::{
        ClearTable, Frame, FrameAnswer, FrameKeys, FrameModel, FrameQuery, FrameSchema, KeptFrame,
        delete_frame, list_frames,
    };
    #[pymodule_export]
    use super::keys::Keys;
    #[pymodule_export]
    use super::predictions::Predictions;
    #[pymodule_export]
    use super::service::Service;
    #[pymodule_export]
    use super::table::Table;
    #[pymodule_export]
    use super::training::{Descent, Fitted, Kept, Statistics, cancel_training, public_key};
    #[pymodule_export]
    use super::wait::Stop;
}
