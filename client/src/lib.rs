//! The client's side of private inference: encryption of rows, decryption of answers. The only
//! holder of secret keys.
//!
//! ```text
//!   typed rows, columns ──► Client ──► pre-process ──► quantise ──► encrypt ──► query ──► (server)
//!   client specs, secret key ──┘
//!   predictions ◄── post-process ◄── scores, rounded ◄── phases ◄── decrypt ◄── reply ◄──┘
//! ```
//!
//! It reads nothing but client specs, keys and replies, never sees a model, opens no files and no
//! connections, and so runs in a browser too: `cipherfn-table` reads rows from CSV text,
//! `cipherfn-client-http` keeps a key ring and talks to a service. A [`Client`] is made from the
//! specs of one model. Rows come as the inputs of the specs' pre-processing program
//! ([`InputRow`]), or as columns ([`Batch`], with the feature `arrow` from record batches);
//! answers come one a row ([`Answer`]) or as columns.
//!
//! Specs decide what a row is encrypted as, so a client holds a service to the model's developer:
//! [`Offer::judge`] takes specs by their developer's signature and what is known of them, a
//! [`Pin`].
//!
//! A row that cannot be encoded is sent as zeros and has no answer: what the server sees does not
//! depend on the values of a row.
//!
//! ```
//! # mod server { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/client/echo.rs")); }
//! use cipherfn_client::{Asked, Batch, Client, Values};
//! use cipherfn_scheme::SecretKey;
//!
//! # let specs = server::specs("echo");
//! let client = Client::from_specs(&specs)?;
//! let secret = SecretKey::generate(client.parameter_set())?;
//!
//! let batch = Batch::new().with("x", Values::F64(vec![-1.5, 0.25, f64::NAN]));
//! let encoded = client.encode(&client.rows(&batch)?);
//! let nonce = client.nonce()?;
//! let query = client.query(&secret, nonce, &encoded.rows)?;
//!
//! let reply = server::answer(&query); // elsewhere, without the secret key
//!
//! let asked = Asked { nonce, rows: encoded.rows.len() as u64 };
//! let answers = client.open(&secret, asked, 0, &reply)?;
//! let marked = answers.into_iter().zip(encoded.marks);
//! let answers: Vec<_> = marked.map(|(answer, mark)| answer.marked(mark)).collect();
//! let predictions = client.predictions(&answers);
//! let column = predictions.column("prediction").expect("a regressor's");
//! assert_eq!(column.values(), &Values::F64(vec![-1.5, 0.25, 0.0]));
//! assert_eq!(column.validity(), Some(&[true, true, false][..]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#[cfg(feature = "arrow")]
mod arrow;
mod batch;
mod binding;
mod client;
mod decrypt;
mod encrypt;
mod error;
pub mod frames;
mod margins;
mod prediction;
mod public;
mod remarks;
mod size;
pub mod training;
mod trust;

pub use batch::{Batch, Column, Values};
pub use binding::RowsDigest;
pub use client::Client;
pub use decrypt::Asked;
pub use encrypt::{EncodedRow, EncodedRows, Encrypted, InputRow, Mark};
pub use error::{ClientError, Remedy, RowError};
pub use prediction::{Answer, Prediction};
pub use trust::{Accept, Offer, Pin, PinnedDeveloper, TrustError, Verdict};
