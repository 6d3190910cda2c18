//! Training: rows and sums are encrypted, weights, totals and predictions by encrypted weights decrypted.

mod descent;
mod forms;
pub mod leaves;
mod start;
mod statistics;

pub use descent::{
    DescentError, DescentRow, RowsEncryption, RowsKey, TrainedRows, decrypt_watched,
    decrypt_weights, trained_weights,
};
pub use forms::{AskedForms, KeptModel};
pub use statistics::{StatisticsError, contribute, error, open};
