//! The client core for JavaScript: what computes and what decides. Fetching, storage and workers are
//! the package's (`ts`).
//!
//! ```text
//!   Model    specs judged by what is known of them; rows to queries, replies to answers
//!   Columns  the rows, column by column
//!   Secret   the secret key, and parts of the evaluation key made from it
//! ```

mod answer;
mod columns;
mod error;
mod model;
mod secret;
