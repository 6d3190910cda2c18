//! Training on encrypted rows and sums: what a server does, without any secret key.

mod descent;
pub mod leaves;
mod total;

pub use descent::{Descent, DescentError, SET, noise, required_parts};
pub use total::{Total, TotalError};
