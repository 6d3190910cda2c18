//! What a server does between query bytes and the engine: every server, the function on AWS and the
//! command on one machine, goes through it.
//!
//! ```text
//! bundle ---> Model --.                       Warm: models and keys in memory
//!                      >-- Query: answer ---> Reply
//! key parts > Key ----'         |
//!                           Estimate: is there time for the rows that are left?
//!                           Progress: where an answer goes on that was interrupted
//! ```
//!
//! It computes on bytes that it is given: no network, no files, no secret keys.

mod answer;
mod estimate;
pub mod frames;
mod model;
mod progress;
mod query;
mod rows;
mod sums;
pub mod training;
mod warm;

pub use estimate::{Estimate, OutOfTime, Stretch, Work};
pub use model::{Key, Model, ModelError, Part, QueryError, TooLittleMemory, specs_of};
pub use progress::{CheckpointError, Progress};
pub use query::{Query, Reply, ReplyTooLarge};
pub use sums::SumsError;
pub use warm::{Warm, WarmKey, WarmModel};
