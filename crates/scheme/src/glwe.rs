//! GLWE ciphertexts.

use crate::error::SchemeError;

/// A GLWE ciphertext of coefficients on the server's side: under the binary secret key s, message
/// and noise are `body - mask s`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Glwe {
    /// The mask: k N torus words.
    pub mask: Vec<u64>,
    /// The body: N torus words. A body that travelled in part is zero elsewhere.
    pub body: Vec<u64>,
}

impl Glwe {
    /// Adds a ciphertext of the same dimensions, coefficient by coefficient.
    pub fn add(&mut self, other: &Self) -> Result<(), SchemeError> {
        let polynomials = [(&mut self.mask, &other.mask), (&mut self.body, &other.body)];
        for (own, other) in polynomials {
            if own.len() != other.len() {
                return Err(SchemeError::Length {
                    what: "ciphertext to add",
                    expected: own.len() * size_of::<u64>(),
                    found: other.len() * size_of::<u64>(),
                });
            }
            for (own, other) in own.iter_mut().zip(other) {
                *own = own.wrapping_add(*other);
            }
        }
        Ok(())
    }
}
