//! Every decoder of bytes from outside, as a target that takes any bytes: it may refuse them, and
//! must not panic, hang or take memory without bound.
//!
//! Two drivers run them: `tests/fuzz.rs` changes good files for a while, on any toolchain, and
//! `fuzz/` gives each to libFuzzer.

mod mutate;
mod targets;

pub use mutate::Mutator;
pub use targets::TARGETS;

use cipherfn_protocol::frame::HEADER_LEN;
use cipherfn_protocol::hash::Hash;

/// A decoder.
pub struct Target {
    /// Its name.
    pub name: &'static str,
    /// Files of this repository that it reads, below `tests`.
    pub seeds: &'static [&'static str],
    /// Reads bytes, and does with a good object what its reader would do first.
    pub run: fn(&[u8]),
    /// Whether its bytes are a frame: their checksum is then mended, so that changes get past it.
    pub framed: bool,
}

impl Target {
    /// Has bytes read, as they are and, where they are a frame, with the right length and checksum.
    pub fn read(&self, bytes: &[u8]) {
        (self.run)(bytes);
        if self.framed
            && let Some(sealed) = sealed(bytes)
        {
            (self.run)(&sealed);
        }
    }
}

/// The target of this name.
///
/// # Panics
/// If there is none.
pub fn target(name: &str) -> &'static Target {
    let mut targets = TARGETS.iter();
    let target = targets.find(|target| target.name == name);
    target.expect("a target of that name")
}

/// A frame with the length and the checksum of what it holds.
fn sealed(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut sealed = bytes.to_vec();
    let payload = sealed.get(HEADER_LEN..)?.len() as u64;
    sealed[28..36].copy_from_slice(&payload.to_le_bytes());
    let sum = Hash::of(&[&sealed[..36], &sealed[HEADER_LEN..]].concat());
    sealed[36..HEADER_LEN].copy_from_slice(&sum.as_bytes()[..16]);
    Some(sealed)
}
