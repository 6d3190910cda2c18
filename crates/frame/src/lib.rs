//! Encrypted data frames, as far as they are no ciphertexts.
//!
//! ```text
//! cells -- Schema --> codes, limbs        Plan + schemas --> passes: circuits, one a frame
//!                      (encrypted by the client)                 (evaluated by the server)
//!                                         answer <-- integers of the results
//! ```

pub mod date;
pub mod number;
pub mod pass;
pub mod plan;
pub mod schema;
