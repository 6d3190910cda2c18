//! The transform that products are made by: the server's, and a small one in browsers.
//!
//! `tfhe-fft` there was 300 KB of code, every size of transform on every kind of vector, a third of
//! the package.

#[cfg(any(test, target_family = "wasm"))]
mod small;

#[cfg(not(target_family = "wasm"))]
pub(super) use crate::fourier::{Transform as Plan, TransformScratch as Scratch};
#[cfg(target_family = "wasm")]
pub(super) use small::{SmallPlan as Plan, SmallScratch as Scratch};
