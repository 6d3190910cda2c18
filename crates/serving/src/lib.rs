//! What a server does between query bytes and the engine: every server, the function on AWS and the
//! command on one machine, goes through it.
//!
//! ```text
//! Bundle --> Model --.
//!                     >-- answer: query chunk --> reply chunk
//! EvaluationKey --> Key
//! ```
//!
//! It computes on bytes that it is given: no network, no files, no secret keys.

mod model;

pub use model::{Key, Model, QueryError};
