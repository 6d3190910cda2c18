//! The client's side of private inference: keys, encryption of rows, decryption of answers. The
//! only holder of secret keys.
//!
//! ```text
//!   client specs ──► Client ──► encrypt: CSV rows ──► pre-process ──► quantise ──► query ──► (server)
//!   secret key ────────┘
//!                               decrypt: reply ──► phases ──► scores, rounded ──► post-process ──► predictions
//! ```
//!
//! It reads nothing but client specs, keys and replies, opens no files and no connections (the crate
//! `cipherfn-client-http` keeps a key ring and talks to a service), and never sees a model: that stays
//! with the server, together with the compiler and the engine. A [`Client`] is made from the specs
//! of one model and works on single rows ([`Client::encrypt_row`], [`Client::decrypt_row`]) or on
//! whole streams ([`Client::encrypt`], [`Client::decrypt`]) in bounded memory.
//!
//! ```
//! # mod server { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/client/echo.rs")); }
//! use cipherfn_client::Client;
//! use cipherfn_scheme::SecretKey;
//! use cipherfn_table::Table;
//!
//! # let specs = server::specs("echo");
//! let client = Client::from_specs(&specs)?;
//! let secret = SecretKey::generate(client.parameter_set());
//!
//! let rows = client.rows(Table::open("rows.csv", "x\n-1.5\n0.25\n".as_bytes())?)?;
//! let mut query = Vec::new();
//! client.encrypt(&secret, rows, &mut query, |_rows_so_far| ())?;
//!
//! let reply = server::answer(&query); // elsewhere, without the secret key
//!
//! let mut predictions = Vec::new();
//! let decrypted = client.decrypt(&secret, reply.as_slice(), &mut predictions, |_rows_so_far| ())?;
//! assert_eq!(decrypted.failed, 0);
//! assert_eq!(predictions, b"prediction\n-1.5\n0.25\n");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod client;
mod decrypt;
mod encrypt;
mod error;
mod prediction;

pub use client::Client;
pub use decrypt::{Answer, Decrypted, Failure, PredictionWriter};
pub use encrypt::{Batch, Encrypted, next_batch};
pub use error::{ClientError, RowError};
pub use prediction::Prediction;
