//! Contributions to statistics: encrypted by owners under a key holder's public key, decrypted by the
//! key holder, who sees the total alone.

use cipherfn_scheme::noise::{DEVIATIONS_40, KEY_MARGIN};
use cipherfn_scheme::parameters::ParameterSet;
use cipherfn_scheme::public::{self, PublicCiphertext, PublicKey};
use cipherfn_scheme::{SchemeError, SecretKey};
use cipherfn_training::{Contribution, Moments, StatisticsSpec, Sums, TrainingError};

/// Why a contribution cannot be made or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StatisticsError {
    /// Encryption or decryption.
    #[error(transparent)]
    Scheme(#[from] SchemeError),
    /// What is encrypted.
    #[error(transparent)]
    Training(#[from] TrainingError),
}

/// Encrypts an owner's sums over rows of `spec`.
///
/// # Errors
/// The operating system has no random bytes.
pub fn contribute(
    key: &PublicKey,
    spec: &StatisticsSpec,
    sums: &Sums<'_>,
) -> Result<Contribution, StatisticsError> {
    Ok(Contribution {
        spec: spec.hash(),
        key: key.id(),
        parameter_set: key.parameter_set().tag(),
        owners: 1,
        ciphertexts: key.encrypt(&sums.words())?.to_bytes(),
    })
}

/// Decrypts the total.
///
/// # Errors
/// A contribution to another spec or for another key, and sums that no rows have.
pub fn open(
    key: &SecretKey,
    spec: &StatisticsSpec,
    total: &Contribution,
) -> Result<Moments, StatisticsError> {
    total.require(spec.hash(), key.id())?;
    let set = ParameterSet::by_tag(total.parameter_set, "contribution")?;
    let words = Moments::words(spec);
    let sum = PublicCiphertext::from_bytes(set, words, &total.ciphertexts)?;
    let error = error(set, total.owners);
    Ok(Moments::decode(spec, error, &sum.decrypt(key)?)?)
}

/// Bound of the error of each word after so many owners, as a fraction of the torus: passed with a
/// probability of 2^-40.
pub fn error(set: &ParameterSet, owners: u32) -> f64 {
    let deviation = (f64::from(owners) * public::variance(set)).deviation();
    DEVIATIONS_40 * KEY_MARGIN * deviation.get()
}

#[cfg(test)]
mod tests {
    use cipherfn_protocol::hash::Hash;
    use cipherfn_protocol::message::KeyId;
    use cipherfn_scheme::parameters::ParameterSet;
    use cipherfn_scheme::public::PublicCiphertext;
    use cipherfn_training::{Contribution, MAX_WORDS};

    /// A contribution of so many words to no spec in particular.
    fn of_words(words: usize) -> Contribution {
        let set = ParameterSet::by_name("cipherfn-128-n2048-m11-v1").unwrap();
        Contribution {
            spec: Hash::of(b"spec"),
            key: KeyId::from_bytes([7; 16]),
            parameter_set: set.tag(),
            owners: 1,
            ciphertexts: vec![0; PublicCiphertext::bytes(set, words)],
        }
    }

    /// The largest spec's contribution is read again: the training crate, which knows no scheme, has
    /// bounded its bytes.
    #[test]
    fn largest_contributions_are_read() {
        let own = of_words(MAX_WORDS);
        let read = Contribution::from_file_bytes(&own.to_file_bytes()).unwrap();
        assert!(read == own);
    }

    /// Who has no scheme knows how large they are.
    #[test]
    fn contributions_have_the_bytes_that_are_told() {
        for words in [1, 7, 529, 2048, 2049, MAX_WORDS] {
            let bytes = of_words(words).to_file_bytes().len() as u64;
            assert_eq!(Contribution::file_bytes(words), bytes, "{words}");
        }
    }
}
