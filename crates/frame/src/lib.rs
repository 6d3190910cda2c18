//! Encrypted data frames, as far as they are no ciphertexts.
//!
//! ```text
//! cells -- Schema --> codes, limbs        Plan + schemas --> passes: circuits, one a frame
//!                      (encrypted by the client)                 (evaluated by the server)
//!                                         answer <-- integers of the results
//! ```

pub mod answer;
pub mod cells;
pub mod date;
mod diagram;
pub mod explain;
pub mod file;
mod graph;
pub mod infer;
pub mod kept;
mod lower;
pub mod number;
pub mod pass;
pub mod pieces;
pub mod plain;
pub mod plan;
pub mod query;
pub mod reply;
mod resolve;
pub mod schema;
mod sent;
pub mod stages;
pub mod totals;

mod sql;

pub use lower::Passes;
pub use resolve::Resolved;
