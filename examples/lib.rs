//! Programs over the libraries: `cargo run --package cipherfn-examples --example in-memory`.
//!
//! | example | what it shows |
//! |---|---|
//! | `in-memory` | a model compiled, rows encrypted, evaluated and decrypted in one process, columns in and columns out |
//! | `custom-client` | the client core over a transport of one's own, row by row, a bad row among them |
//! | `without-lambda` | a server that is a loop over a socket, with several clients' keys |
