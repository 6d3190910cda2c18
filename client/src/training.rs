//! Training: rows and sums are encrypted, weights and totals decrypted.

mod descent;
mod statistics;

pub use descent::{DescentRow, decrypt_weights, encrypt_rows};
pub use statistics::{StatisticsError, contribute, error, open};
