//! Contributions as files: encrypted sums of one owner or of several.

use crate::error::TrainingError;
use crate::layout::MAX_OWNERS;
use crate::moments::Moments;
use crate::spec::StatisticsSpec;
use cipherfn_protocol::frame::{self, FrameKind, HEADER_LEN, ParameterSetTag};
use cipherfn_protocol::hash::Hash;
use cipherfn_protocol::message::KeyId;

const VERSION: u16 = 1;
/// Largest payload.
const MAX_BYTES: u64 = 16 << 20;
/// Most sums of a spec. Each takes 12 bytes or less, 47 bits in a mask and in a body; the last
/// ciphertext's mask is whole however few sums it holds, and there is the head.
pub const MAX_WORDS: usize = ((MAX_BYTES - (1 << 16)) / 12) as usize;
/// Spec's hash, key id, owners.
const HEAD: usize = 32 + 16 + 4;
/// Coefficients of a mask under a public key, and most numbers of a ciphertext.
const COEFFICIENTS: usize = 2048;
/// Bits of each that travel.
const COEFFICIENT_BITS: usize = 47;

/// What an owner sends, and what the sum of several owners' is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contribution {
    /// Hash of the spec.
    pub spec: Hash,
    /// Id of the secret key that decrypts.
    pub key: KeyId,
    /// Parameter set of the ciphertexts.
    pub parameter_set: ParameterSetTag,
    /// How many owners' it is the sum of.
    pub owners: u32,
    /// The ciphertexts.
    pub ciphertexts: Vec<u8>,
}

impl Contribution {
    /// The file's bytes.
    pub fn to_file_bytes(&self) -> Vec<u8> {
        let owners = self.owners.to_le_bytes();
        let payload = [
            self.spec.as_bytes().as_slice(),
            self.key.as_bytes(),
            &owners,
            &self.ciphertexts,
        ]
        .concat();
        frame::encode(
            FrameKind::Contribution,
            VERSION,
            self.parameter_set,
            &payload,
        )
    }

    /// Reads a file of exactly these bytes. The ciphertexts are not looked at.
    ///
    /// # Errors
    /// Bytes that are no contribution; one of no owners, or of too many.
    pub fn from_file_bytes(bytes: &[u8]) -> Result<Self, TrainingError> {
        let frame = frame::decode(bytes, FrameKind::Contribution, &[VERSION], MAX_BYTES)?;
        let split = || {
            let (spec, rest) = frame.payload.split_first_chunk()?;
            let (key, rest) = rest.split_first_chunk()?;
            let (owners, ciphertexts) = rest.split_first_chunk()?;
            Some((*spec, *key, u32::from_le_bytes(*owners), ciphertexts))
        };
        let (spec, key, owners, ciphertexts) = split().ok_or_else(|| TrainingError::Malformed {
            problem: format!("it has {} bytes, fewer than {HEAD}", frame.payload.len()),
        })?;
        if !(1..=MAX_OWNERS).contains(&owners) {
            return Err(TrainingError::TooManyOwners {
                found: owners.into(),
                limit: MAX_OWNERS,
            });
        }
        Ok(Self {
            spec: Hash::from_bytes(spec),
            key: KeyId::from_bytes(key),
            parameter_set: frame.parameter_set,
            owners,
            ciphertexts: ciphertexts.to_vec(),
        })
    }

    /// Bytes of the file of any contribution of so many numbers, under the public keys that there are: of masks
    /// with 2,048 coefficients.
    pub fn file_bytes(words: usize) -> u64 {
        let ciphertexts = (0..words.div_ceil(COEFFICIENTS)).map(|index| {
            let own = COEFFICIENTS.min(words - index * COEFFICIENTS);
            ((COEFFICIENTS + own) * COEFFICIENT_BITS).div_ceil(8)
        });
        (HEADER_LEN + HEAD + ciphertexts.sum::<usize>()) as u64
    }

    /// That it is one owner's to this spec, under a public key of this secret key, as far as whoever has no
    /// scheme can tell. Any ciphertexts of the right length are somebody's sums.
    ///
    /// # Errors
    /// What it is of another one, or that it is the sum of several.
    pub fn require_one(
        &self,
        spec: &StatisticsSpec,
        (key, parameter_set): (KeyId, ParameterSetTag),
    ) -> Result<(), TrainingError> {
        self.require(spec.hash(), key)?;
        let other = |problem: String| Err(TrainingError::OtherShape { problem });
        if self.parameter_set != parameter_set {
            return other("another parameter set".to_owned());
        }
        if self.owners != 1 {
            return Err(TrainingError::SeveralOwners { found: self.owners });
        }
        let found = (HEADER_LEN + HEAD + self.ciphertexts.len()) as u64;
        let expected = Self::file_bytes(Moments::words(spec));
        if found != expected {
            return other(format!("{found} bytes where contributions have {expected}"));
        }
        Ok(())
    }

    /// That it is to this spec and for this key.
    ///
    /// # Errors
    /// It is to or for another one.
    pub fn require(&self, spec: Hash, key: KeyId) -> Result<(), TrainingError> {
        if self.spec != spec {
            return Err(TrainingError::OtherSpec {
                expected: spec,
                found: self.spec,
            });
        }
        if self.key != key {
            return Err(TrainingError::OtherKey {
                expected: key,
                found: self.key,
            });
        }
        Ok(())
    }
}
