//! Contributions as files: encrypted sums of one owner or of several.

use crate::error::TrainingError;
use crate::layout::MAX_OWNERS;
use cipherfn_protocol::frame::{self, FrameKind, ParameterSetTag};
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
