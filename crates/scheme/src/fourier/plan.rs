//! The complex transform: `tfhe`'s where ciphertexts are evaluated, a small one in browsers.
//!
//! A browser only multiplies by secret keys, and never exchanges transformed values. `tfhe-fft` there
//! was 300 KB of code, every size of transform on every kind of vector, a third of the package.

#[cfg(any(test, target_family = "wasm"))]
mod small;
#[cfg(not(target_family = "wasm"))]
mod tfhe;

#[cfg(target_family = "wasm")]
pub(super) use small::{Plan, Scratch};
#[cfg(not(target_family = "wasm"))]
pub(super) use tfhe::{Plan, Scratch};
