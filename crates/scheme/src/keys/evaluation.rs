//! The evaluation key in the form that travels.

use crate::bits::{self, packed_len};
use crate::bootstrap;
use crate::error::SchemeError;
use crate::keys::{ExpandedEvaluationKey, SecretKey};
use crate::parameters::{KeyPart, KeyPartContents, ParameterSet};
use crate::polynomial;
use crate::random;
use crate::seeded::{Encryptor, MaskSeed};
use cipherfn_protocol::frame::{self, FrameKind};
use cipherfn_protocol::message::KeyId;
use cipherfn_protocol::specs::Gadget;
use std::fmt;
use zeroize::Zeroizing;

/// One part of an evaluation key: `GLev` encryptions, seeded and bit-packed. The parts are
///
/// - the *expansion*: z(X^(N/2^j + 1)) for each level j, the automorphism keys, and 2 s^2, the
///   scheme-switching key;
/// - the *inverse*: z(X^-1);
/// - a *bootstrap*: see [`crate::bootstrap`];
///
/// where z = 2 s - (1 + X + ... + X^(N-1)) is the secret key s with coefficients -1 and 1 in place
/// of 0 and 1. They encrypt functions of the secret key under itself: circular security is assumed,
/// as everywhere in TFHE.
///
/// Level i = 1, 2, ... of a `GLev` of p is a GLWE encryption of p 2^64 / B^i.
#[derive(Clone)]
pub struct EvaluationKey {
    set: &'static ParameterSet,
    part: &'static KeyPart,
    /// Id of the secret key.
    id: KeyId,
    seed: MaskSeed,
    /// Bodies in the order above, each packed to the `body_bits` of its ring.
    bodies: Vec<u8>,
}

impl EvaluationKey {
    /// Makes the expansion of a secret key.
    pub fn generate(key: &SecretKey) -> Result<Self, SchemeError> {
        let set = key.parameter_set();
        let part = set
            .parts
            .first()
            .ok_or(SchemeError::NoPacking { set: set.name })?;
        Self::generate_part(key, part.name)
    }

    /// Makes the part called `name`.
    pub fn generate_part(key: &SecretKey, name: &str) -> Result<Self, SchemeError> {
        Self::generate_part_telling(key, name, &mut |_, _| {})
    }

    /// Makes the part called `name` and tells `progress` how many ciphertexts of how many are done,
    /// where there are enough to be waited for: after each one of a bootstrap's.
    pub fn generate_part_telling(
        key: &SecretKey,
        name: &str,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Self, SchemeError> {
        let set = key.parameter_set();
        let part = set.part(name)?;
        let (seed, bodies) = match &part.contents {
            KeyPartContents::Bootstrap(bootstrap) => {
                let seed = *random::seed()?;
                let bodies = bootstrap::key::generate(key, (part, bootstrap), seed, progress)?;
                (seed, bodies)
            }
            _ => Self::encrypt_levelled(key, part)?,
        };
        Ok(Self {
            set,
            part,
            id: key.id(),
            seed,
            bodies,
        })
    }

    /// Seed and bodies of a part in the set's own ring.
    fn encrypt_levelled(
        key: &SecretKey,
        part: &KeyPart,
    ) -> Result<(MaskSeed, Vec<u8>), SchemeError> {
        let set = key.parameter_set();
        let size = set.ring.polynomial_size;
        let mut plaintexts = Zeroizing::new(Vec::with_capacity(part.contents.rows() * size));
        for (message, gadget) in messages(key, &part.contents)
            .iter()
            .zip(part.contents.gadgets())
        {
            append_glev(&mut plaintexts, message, gadget);
        }
        let mut encryptor = Encryptor::new(key)?;
        let mut bodies = Vec::with_capacity(part.payload_len(set));
        for row in plaintexts.chunks_exact_mut(size) {
            encryptor.encrypt(row);
            bits::pack(&mut bodies, row.iter().copied(), set.ring.body_bits);
        }
        Ok((encryptor.seed(), bodies))
    }

    /// Its parameter set.
    pub const fn parameter_set(&self) -> &'static ParameterSet {
        self.set
    }

    /// Id of the secret key that it was made from.
    pub const fn id(&self) -> KeyId {
        self.id
    }

    /// Which part it is.
    pub const fn part(&self) -> &'static KeyPart {
        self.part
    }

    /// Bytes of the file of any expansion of `set`, or `None` where the set has no evaluation key.
    pub fn file_bytes(set: &ParameterSet) -> Option<usize> {
        set.parts.first().map(|part| part.file_bytes(set))
    }

    /// Bytes of the file.
    pub fn file_len(&self) -> usize {
        self.part.file_bytes(self.set)
    }

    /// The file's bytes: a frame whose payload is the part's label, the secret key's id, the seed
    /// and the packed bodies.
    pub fn to_file_bytes(&self) -> Vec<u8> {
        let payload = [
            &self.part.label(self.set),
            self.id.as_bytes().as_slice(),
            &self.seed,
            &self.bodies,
        ]
        .concat();
        frame::encode(
            FrameKind::EvaluationKey,
            self.part.file_version,
            self.set.tag(),
            &payload,
        )
    }

    /// Reads a file of exactly these bytes. Every dimension follows from the parameter set, so a
    /// key of the right length is well formed.
    pub fn from_file_bytes(bytes: &[u8]) -> Result<Self, SchemeError> {
        let sizes = ParameterSet::all()
            .iter()
            .flat_map(|set| set.parts.iter().map(|part| part.payload_len(set)));
        let limit = sizes.max().unwrap_or_default() as u64;
        let frame = frame::decode(bytes, FrameKind::EvaluationKey, &[1, 2], limit)?;
        let set = ParameterSet::by_tag(frame.parameter_set, FrameKind::EvaluationKey.name())?;
        if set.parts.is_empty() {
            return Err(SchemeError::NoPacking { set: set.name });
        }
        let part = set
            .parts
            .iter()
            .find(|part| {
                part.file_version == frame.version && frame.payload.starts_with(&part.label(set))
            })
            .ok_or(SchemeError::UnlabelledKeyPart { set: set.name })?;
        let expected = part.payload_len(set);
        let split = || {
            let payload = frame.payload.get(part.label(set).len()..)?;
            let (id, rest) = payload.split_first_chunk()?;
            let (seed, bodies) = rest.split_first_chunk()?;
            (frame.payload.len() == expected).then_some((*id, *seed, bodies))
        };
        let (id, seed, bodies) = split().ok_or(SchemeError::Length {
            what: FrameKind::EvaluationKey.name(),
            expected,
            found: frame.payload.len(),
        })?;
        Ok(Self {
            set,
            part,
            id: KeyId::from_bytes(id),
            seed,
            bodies: bodies.to_vec(),
        })
    }

    /// Brings an expansion into the Fourier domain, on all threads of the current pool.
    pub fn expand(&self) -> Result<ExpandedEvaluationKey, SchemeError> {
        ExpandedEvaluationKey::new(self)
    }

    pub(super) const fn seed(&self) -> MaskSeed {
        self.seed
    }

    /// The packed bodies.
    pub(super) fn bodies(&self) -> &[u8] {
        &self.bodies
    }

    /// The packed body of each row in the set's own ring.
    pub(super) fn rows(&self) -> impl Iterator<Item = &[u8]> {
        self.bodies.chunks_exact(packed_len(
            self.set.ring.polynomial_size,
            self.set.ring.body_bits,
        ))
    }
}

impl fmt::Debug for EvaluationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EvaluationKey")
            .field("parameter_set", &self.set.name)
            .field("part", &self.part.name)
            .field("file_len", &self.file_len())
            .finish_non_exhaustive()
    }
}

/// What the `GLev` ciphertexts of a part encrypt, in their order.
fn messages(key: &SecretKey, contents: &KeyPartContents) -> Vec<Zeroizing<Vec<u64>>> {
    let size = key.parameter_set().ring.polynomial_size;
    let centred = key.coefficients().iter();
    let centred: Zeroizing<Vec<u64>> =
        Zeroizing::new(centred.map(|bit| (bit << 1).wrapping_sub(1)).collect());
    let image = |exponent: usize| {
        let mut image = Zeroizing::new(vec![0; size]);
        polynomial::automorphism(&mut image, &centred, exponent);
        image
    };
    match contents {
        KeyPartContents::Expansion(packing) => {
            // The key's product with itself as a mask, twice.
            let mut multiplier = key.multiplier();
            let square = multiplier.product(key.coefficients()).iter();
            let square = Zeroizing::new(square.map(|word| word << 1).collect());
            (0..packing.depth().levels())
                .map(|level| image(polynomial::expansion_exponent(size, level)))
                .chain([square])
                .collect()
        }
        KeyPartContents::Inverse { .. } => vec![image(polynomial::inverse_exponent(size))],
        KeyPartContents::Bootstrap(_) => Vec::new(),
    }
}

/// Appends `polynomial` 2^64 / B^i for i = 1 .. levels.
fn append_glev(out: &mut Vec<u64>, polynomial: &[u64], gadget: Gadget) {
    for level in 1..=gadget.levels.get() {
        let shift = 64 - gadget.base_log.get() * level;
        out.extend(polynomial.iter().map(|word| word << shift));
    }
}
