//! AES, of which streams need many blocks at a time.
//!
//! `aes` uses a processor's own instructions. WebAssembly has none, and there `aes` works on four
//! blocks in words of 64 bits; `bitsliced` has eight of them in vectors of 128.

#[cfg(any(test, target_family = "wasm"))]
mod bitsliced;
mod cipher;
#[cfg(not(target_family = "wasm"))]
mod instructions;

#[cfg(target_family = "wasm")]
pub(crate) use bitsliced::Aes128;
pub(crate) use cipher::{Block, Cipher};
#[cfg(not(target_family = "wasm"))]
pub(crate) use instructions::{Aes128, Aes256};
