//! AES by a processor's own instructions.

use crate::random::aes::cipher::{Block, Cipher};
use aes::cipher::{Array, BlockCipherEncrypt, KeyInit};

pub(crate) use aes::{Aes128, Aes256};

macro_rules! cipher {
    ($cipher:ty, $key_len:literal) => {
        impl Cipher for $cipher {
            type Key = [u8; $key_len];

            fn new(key: &Self::Key) -> Self {
                KeyInit::new(key.into())
            }

            fn encrypt(&self, blocks: &mut [Block]) {
                self.encrypt_blocks(Array::cast_slice_from_core_mut(blocks));
            }
        }
    };
}

cipher!(Aes128, 16);
cipher!(Aes256, 32);
