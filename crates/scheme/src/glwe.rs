//! GLWE ciphertexts.

/// A GLWE ciphertext of coefficients on the server's side: under the binary secret key s, message
/// and noise are `body - mask s`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Glwe {
    /// The mask: k N torus words.
    pub mask: Vec<u64>,
    /// The body: N torus words. A body that travelled in part is zero elsewhere.
    pub body: Vec<u64>,
}
