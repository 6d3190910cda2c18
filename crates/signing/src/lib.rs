//! Developers' signatures on client specs, and tenants' on upload grants: Ed25519 (RFC 8032) over a [`Statement`] of model, specs
//! and serial.
//!
//! ```text
//!   developer: signing key ──► sign(statement) ──► signed statement ──► (service) ──► verify ──► client
//! ```
//!
//! Whoever holds a signing key decides which specs clients encrypt under; a service only passes
//! them on. The key stays with the developer: nothing here writes it anywhere but into the text
//! that its owner asks for.
//!
//! ```
//! use cipherfn_protocol::hash::Hash;
//! use cipherfn_protocol::statement::{Serial, Statement};
//! use cipherfn_signing::{SigningKey, verify};
//!
//! let key = SigningKey::generate()?;
//! let statement = Statement {
//!     model: "fraud".parse()?,
//!     specs: Hash::of(b"specs"),
//!     serial: Serial(1),
//! };
//! let mut signed = key.sign(statement);
//! assert!(verify(&signed).is_ok());
//! signed.statement.serial = Serial(2);
//! assert!(verify(&signed).is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use cipherfn_protocol::api::grant::{Grant, SignedGrant};
use cipherfn_protocol::statement::{PublicKey, Signature, SignedStatement, Statement};
use ed25519_dalek::VerifyingKey;
use ed25519_dalek::ed25519::signature::Signer;
use std::fmt;
use zeroize::Zeroizing;

/// How a key file begins.
const HEADER: &str = "cipherfn-signing-key-1 ";

/// A developer's secret: it makes statements that clients believe.
pub struct SigningKey(ed25519_dalek::SigningKey);

impl SigningKey {
    /// A new key from the operating system's randomness.
    pub fn generate() -> Result<Self, SigningError> {
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(seed.as_mut()).map_err(SigningError::Random)?;
        Ok(Self(ed25519_dalek::SigningKey::from_bytes(&seed)))
    }

    /// Reads a key from the text of its file; white space around it does not count.
    pub fn from_text(text: &str) -> Result<Self, SigningError> {
        let digits = text.trim().strip_prefix(HEADER).map(str::as_bytes);
        let digits = digits.filter(|digits| digits.len() == 64);
        let mut seed = Zeroizing::new([0; 32]);
        for (byte, pair) in seed
            .iter_mut()
            .zip(digits.ok_or(SigningError::Text)?.chunks_exact(2))
        {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Ok(Self(ed25519_dalek::SigningKey::from_bytes(&seed)))
    }

    /// The text of its file, one line.
    pub fn to_text(&self) -> Zeroizing<String> {
        // No text grows: what it outgrew would stay in memory.
        let mut text = Zeroizing::new(String::with_capacity(HEADER.len() + 65));
        text.push_str(HEADER);
        for byte in self.0.as_bytes() {
            for half in [byte >> 4, byte & 15] {
                text.push(char::from(b"0123456789abcdef"[usize::from(half)]));
            }
        }
        text.push('\n');
        text
    }

    /// The public half, by which clients know the developer.
    pub fn public(&self) -> PublicKey {
        PublicKey::from_bytes(self.0.verifying_key().to_bytes())
    }

    /// Signs a statement.
    pub fn sign(&self, statement: Statement) -> SignedStatement {
        SignedStatement {
            key: self.public(),
            signature: self.signature(&statement.message()),
            statement,
        }
    }

    /// Signs an upload grant.
    pub fn sign_grant(&self, grant: Grant) -> SignedGrant {
        SignedGrant {
            key: self.public(),
            signature: self.signature(&grant.message()),
            grant,
        }
    }

    /// Messages begin with what they are about, so that a signature on one kind is none on another.
    fn signature(&self, message: &[u8]) -> Signature {
        Signature::from_bytes(self.0.sign(message).to_bytes())
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({}, secret redacted)", self.public())
    }
}

/// Checks that a statement is signed by the key that it names. Strict: one signature has one form,
/// and keys of small order, under which many messages share a signature, are refused.
pub fn verify(signed: &SignedStatement) -> Result<(), SigningError> {
    check(signed.key, signed.signature, &signed.statement.message())
}

/// Checks that a grant is signed by the key that it names, as strictly.
pub fn verify_grant(signed: &SignedGrant) -> Result<(), SigningError> {
    check(signed.key, signed.signature, &signed.grant.message())
}

fn check(key: PublicKey, signature: Signature, message: &[u8]) -> Result<(), SigningError> {
    let signature = ed25519_dalek::Signature::from_bytes(signature.as_bytes());
    VerifyingKey::from_bytes(key.as_bytes())
        .and_then(|key| key.verify_strict(message, &signature))
        .map_err(|_| SigningError::Signature { key })
}

/// What can go wrong with signatures.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SigningError {
    /// The operating system gives no randomness.
    #[error("the operating system gives no randomness: {0}")]
    Random(#[source] getrandom::Error),
    /// Text that is no signing key.
    #[error("not a signing key: its file is one line, \"{HEADER}\" and 64 hexadecimal digits")]
    Text,
    /// A signature that its key did not make for this statement.
    #[error("the signature is not one of {key} on this statement or grant")]
    Signature {
        /// The key.
        key: PublicKey,
    },
}

const fn digit(character: u8) -> Result<u8, SigningError> {
    match character {
        b'0'..=b'9' => Ok(character - b'0'),
        b'a'..=b'f' => Ok(character - b'a' + 10),
        _ => Err(SigningError::Text),
    }
}

#[cfg(test)]
mod tests {
    use super::{SigningError, SigningKey, verify};
    use cipherfn_protocol::hash::Hash;
    use cipherfn_protocol::statement::{PublicKey, Serial, Signature, Statement};

    fn statement() -> Statement {
        Statement {
            model: "fraud".parse().unwrap(),
            specs: Hash::of(b"specs"),
            serial: Serial(7),
        }
    }

    #[test]
    fn keys_live_in_a_line_of_text() {
        let key = SigningKey::generate().unwrap();
        let text = key.to_text();
        let again = SigningKey::from_text(&text).unwrap();
        assert_eq!(again.public(), key.public());
        assert_eq!(again.sign(statement()), key.sign(statement()));
        let seed = text.trim().rsplit(' ').next().unwrap();
        assert!(!format!("{key:?}").contains(seed), "redacted");
        for bad in [
            "",
            "ed25519:00",
            &text[..60],
            &text.to_uppercase(),
            &text.replace('1', "2"),
        ] {
            assert!(
                matches!(SigningKey::from_text(bad), Err(SigningError::Text)),
                "{bad:?}"
            );
        }
    }

    /// RFC 8032, section 7.1, test 1: the seed's public key.
    #[test]
    fn keys_are_those_of_the_rfc() {
        let seed = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
        let key = SigningKey::from_text(&format!("cipherfn-signing-key-1 {seed}")).unwrap();
        assert_eq!(
            key.public().to_string(),
            "ed25519:d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
        );
    }

    #[test]
    fn what_was_not_signed_is_refused() {
        let signed = SigningKey::generate().unwrap().sign(statement());
        verify(&signed).unwrap();
        let other = SigningKey::generate().unwrap();
        let mut forged = vec![signed.clone(); 6];
        forged[0].statement.model = "fraud2".parse().unwrap();
        forged[1].statement.specs = Hash::of(b"other");
        forged[2].statement.serial = Serial(8);
        forged[3].key = other.public();
        forged[4].signature = other.sign(statement()).signature;
        // The neutral element as key and as R, with s = 0: a lax check takes it for every message.
        let mut neutral = [0; 32];
        neutral[0] = 1;
        forged[5].key = PublicKey::from_bytes(neutral);
        let mut signature = [0; 64];
        signature[..32].copy_from_slice(&neutral);
        forged[5].signature = Signature::from_bytes(signature);
        for forged in forged {
            let refused = verify(&forged).unwrap_err();
            assert!(matches!(refused, SigningError::Signature { key } if key == forged.key));
        }
    }
}
