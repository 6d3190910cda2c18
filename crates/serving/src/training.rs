//! Training on encrypted rows and sums: what a server does, without any secret key.

mod descent;
mod forms;
pub mod leaves;
mod total;

pub use descent::{Descent, DescentError, SET, noise, noise_of, required_parts, watch_deviation};
pub use forms::{FormsError, answer_forms};
pub use total::{Total, TotalError};
