//! The evaluation key in the form that travels.

use crate::bits::{self, packed_len};
use crate::error::SchemeError;
use crate::keys::{ExpandedEvaluationKey, SecretKey};
use crate::parameters::{Packing, ParameterSet};
use crate::polynomial;
use crate::seeded::{self, MaskSeed, SEED_LEN};
use cipherfn_protocol::frame::{self, HEADER_LEN, Kind};
use cipherfn_protocol::message::KeyId;
use cipherfn_protocol::specs::Gadget;
use std::fmt;
use zeroize::Zeroizing;

const KEY_ID_LEN: usize = size_of::<KeyId>();

/// What a server needs to expand packed selectors: `GLev` encryptions, seeded and bit-packed, of
///
/// - z(X^(N/2^j + 1)) for each level j of the expansion, the automorphism keys, and
/// - 2 s^2, the scheme-switching key,
///
/// where z = 2 s - (1 + X + ... + X^(N-1)) is the secret key s with coefficients -1 and 1 in place
/// of 0 and 1. They encrypt functions of the secret key under itself: circular security is assumed,
/// as everywhere in TFHE.
///
/// Level i = 1, 2, ... of a `GLev` of p is a GLWE encryption of p 2^64 / B^i.
#[derive(Clone)]
pub struct EvaluationKey {
    set: &'static ParameterSet,
    packing: &'static Packing,
    /// Id of the secret key.
    id: KeyId,
    seed: MaskSeed,
    /// Bodies in the order above, each packed to `body_bits`.
    bodies: Vec<u8>,
}

impl EvaluationKey {
    /// Makes the key of a secret key.
    pub fn generate(key: &SecretKey) -> Result<Self, SchemeError> {
        let set = key.parameter_set();
        let packing = packing(set)?;
        let size = set.polynomial_size;
        let centred: Zeroizing<Vec<u64>> = Zeroizing::new(
            key.coefficients()
                .iter()
                .map(|bit| (bit << 1).wrapping_sub(1))
                .collect(),
        );
        let mut plaintexts = Zeroizing::new(Vec::with_capacity(packing.key_rows() * size));
        let mut image = Zeroizing::new(vec![0; size]);
        for (level, gadget) in packing.key_switch.iter().enumerate() {
            polynomial::automorphism(
                &mut image,
                &centred,
                polynomial::expansion_exponent(size, level as u32),
            );
            append_glev(&mut plaintexts, &image, *gadget);
        }
        let square = Zeroizing::new(polynomial::square(key.coefficients()));
        image
            .iter_mut()
            .zip(square.iter())
            .for_each(|(image, square)| *image = square << 1);
        append_glev(&mut plaintexts, &image, packing.scheme_switch);
        let (seed, words) = seeded::encrypt(set, key.as_tfhe(), &plaintexts);
        let mut bodies = Vec::with_capacity(packed_len(words.len(), set.body_bits));
        for row in words.chunks_exact(size) {
            bits::pack(&mut bodies, row.iter().copied(), set.body_bits);
        }
        Ok(Self {
            set,
            packing,
            id: key.id(),
            seed,
            bodies,
        })
    }

    /// Its parameter set.
    pub const fn parameter_set(&self) -> &'static ParameterSet {
        self.set
    }

    /// Id of the secret key that it was made from.
    pub const fn id(&self) -> KeyId {
        self.id
    }

    /// Bytes of the file of any key of `set`, or `None` where the set has no evaluation key.
    pub fn file_bytes(set: &ParameterSet) -> Option<usize> {
        set.packing
            .as_ref()
            .map(|packing| HEADER_LEN + payload_len(set, packing))
    }

    /// Bytes of the file.
    pub fn file_len(&self) -> usize {
        HEADER_LEN + payload_len(self.set, self.packing)
    }

    /// The file's bytes: a frame whose payload is the secret key's id, the seed and the packed
    /// bodies.
    pub fn to_file_bytes(&self) -> Vec<u8> {
        let payload = [self.id.as_bytes().as_slice(), &self.seed, &self.bodies].concat();
        frame::encode(Kind::EvaluationKey, self.set.tag(), &payload)
    }

    /// Reads a file of exactly these bytes. Every dimension follows from the parameter set, so a
    /// key of the right length is well formed.
    pub fn from_file_bytes(bytes: &[u8]) -> Result<Self, SchemeError> {
        let limit = ParameterSet::all()
            .iter()
            .filter_map(|set| {
                set.packing
                    .as_ref()
                    .map(|packing| payload_len(set, packing))
            })
            .max();
        let frame = frame::decode(bytes, Kind::EvaluationKey, limit.unwrap_or_default() as u64)?;
        let set = ParameterSet::by_tag(frame.parameter_set, Kind::EvaluationKey.name())?;
        let packing = packing(set)?;
        let length = SchemeError::Length {
            what: Kind::EvaluationKey.name(),
            expected: payload_len(set, packing),
            found: frame.payload.len(),
        };
        let split = frame
            .payload
            .split_first_chunk()
            .and_then(|(id, rest)| Some((id, rest.split_first_chunk()?)));
        match split {
            Some((id, (seed, bodies))) if frame.payload.len() == payload_len(set, packing) => {
                Ok(Self {
                    set,
                    packing,
                    id: KeyId::from_bytes(*id),
                    seed: *seed,
                    bodies: bodies.to_vec(),
                })
            }
            _ => Err(length),
        }
    }

    /// Brings the key into the Fourier domain, on all threads of the current pool.
    pub fn expand(&self) -> Result<ExpandedEvaluationKey, SchemeError> {
        ExpandedEvaluationKey::new(self)
    }

    pub(super) const fn packing(&self) -> &'static Packing {
        self.packing
    }

    pub(super) const fn seed(&self) -> MaskSeed {
        self.seed
    }

    /// The packed body of each row.
    pub(super) fn rows(&self) -> impl Iterator<Item = &[u8]> {
        self.bodies
            .chunks_exact(packed_len(self.set.polynomial_size, self.set.body_bits))
    }
}

impl fmt::Debug for EvaluationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EvaluationKey")
            .field("parameter_set", &self.set.name)
            .field("file_len", &self.file_len())
            .finish_non_exhaustive()
    }
}

fn packing(set: &'static ParameterSet) -> Result<&'static Packing, SchemeError> {
    set.packing
        .as_ref()
        .ok_or(SchemeError::NoPacking { set: set.name })
}

fn payload_len(set: &ParameterSet, packing: &Packing) -> usize {
    KEY_ID_LEN + SEED_LEN + packing.key_rows() * packed_len(set.polynomial_size, set.body_bits)
}

/// Appends `polynomial` 2^64 / B^i for i = 1 .. levels.
fn append_glev(out: &mut Vec<u64>, polynomial: &[u64], gadget: Gadget) {
    for level in 1..=gadget.levels {
        let shift = 64 - gadget.base_log * level;
        out.extend(polynomial.iter().map(|word| word << shift));
    }
}
