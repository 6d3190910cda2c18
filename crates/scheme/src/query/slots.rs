//! Where the slots of rows lie in the ciphertexts that they share.

use crate::bits::{self, packed_len};
use crate::error::SchemeError;
use crate::keys::SecretKey;
use crate::parameters::{Depth, Packing, ParameterSet};
use crate::seeded::{Encryptor, SEED_LEN};
use zeroize::Zeroizing;

/// So many slots of each of some rows.
#[derive(Clone, Copy)]
pub(super) struct Slots {
    pub(super) a_row: usize,
    pub(super) depth: Depth,
    pub(super) rows: usize,
}

impl Slots {
    /// Slots of a ciphertext.
    const fn a_ciphertext(self) -> usize {
        self.depth.slots()
    }

    /// Rows that one ciphertext has room for; 0 if a row needs more than one.
    pub(super) const fn rows_a_ciphertext(self) -> usize {
        match self.a_row {
            0 => usize::MAX,
            slots => self.a_ciphertext() / slots,
        }
    }

    /// Number of GLWE ciphertexts.
    pub(super) const fn ciphertexts(self) -> usize {
        match (self.a_row, self.rows_a_ciphertext()) {
            (0, _) => 0,
            (slots, 0) => self
                .rows
                .saturating_mul(slots)
                .div_ceil(self.a_ciphertext()),
            (_, rows) => self.rows.div_ceil(rows),
        }
    }

    /// Bytes of all rows: seed, then the bodies of all ciphertexts.
    pub(super) const fn bytes(self, set: &ParameterSet) -> usize {
        let bits = match set.packing() {
            Some(packing) => packing.query_body_bits,
            None => set.ring.body_bits,
        };
        SEED_LEN.saturating_add(
            self.ciphertexts()
                .saturating_mul(packed_len(set.ring.polynomial_size, bits)),
        )
    }

    /// First slot of a row, counted over all ciphertexts.
    ///
    /// Rows that fit never cross from one ciphertext to the next, and start at multiples of the
    /// largest power of two that costs no row its place: expanding a range costs up to two key
    /// switches more for each level that its ends do not lie on (231 slots at 8 x 256 of 2,048: 3
    /// more than a ciphertext of their own, and 19 at 8 x 231).
    pub(super) fn first(self, row: usize) -> usize {
        let (needed, rows) = (self.a_row, self.rows_a_ciphertext());
        if needed == 0 || rows == 0 {
            return row * needed;
        }
        let mut stride = self.a_ciphertext() / rows;
        while stride & (stride - 1) >= needed {
            stride &= stride - 1;
        }
        row / rows * self.a_ciphertext() + row % rows * stride
    }

    /// Ciphertext and coefficient of a slot.
    ///
    /// Slot `i` of a ciphertext is coefficient `i`, bits reversed: so the slots of a subtree of the
    /// expansion are consecutive.
    pub(super) const fn place(self, slot: usize) -> (usize, usize) {
        let (ciphertext, index) = (slot / self.a_ciphertext(), slot % self.a_ciphertext());
        let reversed = index.reverse_bits() >> (usize::BITS - self.depth.levels());
        (ciphertext, reversed)
    }

    /// Encrypts the messages that `write` writes, a slice of N words a ciphertext.
    pub(super) fn encrypt(
        self,
        key: &SecretKey,
        packing: &Packing,
        write: impl FnOnce(&mut [u64]),
    ) -> Result<Vec<u8>, SchemeError> {
        let set = key.parameter_set();
        let size = set.ring.polynomial_size;
        let mut plaintexts = Zeroizing::new(vec![0; self.ciphertexts() * size]);
        write(&mut plaintexts);
        let mut encryptor = Encryptor::new(key)?;
        let mut bytes = Vec::with_capacity(self.bytes(set));
        bytes.extend_from_slice(&encryptor.seed());
        for body in plaintexts.chunks_exact_mut(size) {
            encryptor.encrypt(body);
            bits::pack(&mut bytes, body.iter().copied(), packing.query_body_bits);
        }
        Ok(bytes)
    }
}
