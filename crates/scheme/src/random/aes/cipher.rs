//! What streams need of a block cipher.

/// A block.
pub(crate) type Block = [u8; 16];

/// A block cipher under a key.
pub(crate) trait Cipher {
    /// The key's bytes.
    type Key;

    fn new(key: &Self::Key) -> Self;

    /// Encrypts each block, in place.
    fn encrypt(&self, blocks: &mut [Block]);
}
