//! What client and server say to each other, and nothing that needs cryptography.
//!
//! - [`frame`]: the container of every binary file and body (magic, kind, version, parameter set,
//!   length, checksum)
//! - [`message`]: queries and replies, in chunks of rows
//! - [`api`]: what the service says over HTTP: routes, JSON documents, problems, limits
//! - [`specs`]: the client specs, everything a client needs to encrypt a row and to read an answer
//! - [`json`]: JSON documents that clients read, in little code
//! - [`digits`]: numbers to the digit that still means something
//! - [`statement`]: whose specs they are, as their developer signs it
//!
//! Of its siblings this crate depends on `cipherfn-program` alone, and never on `tfhe`: a function that serves specs links no
//! cryptography.

pub mod api;
pub mod digits;
pub mod frame;
pub mod hash;
mod header;
mod hex;
pub mod json;
pub mod message;
pub mod specs;
pub mod statement;
pub mod versions;
