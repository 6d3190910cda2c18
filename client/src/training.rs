//! Training: rows and sums are encrypted, weights and totals decrypted.

mod descent;
pub mod leaves;
mod statistics;

pub use descent::{DescentError, DescentRow, RowsEncryption, decrypt_weights};
pub use statistics::{StatisticsError, contribute, error, open};
