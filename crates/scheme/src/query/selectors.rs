//! Encrypted selector bits on their way to the server.

use super::{GroupShape, encrypt_group, expand_part_of_row, shape_error, split_seed};
use crate::bits::{self, packed_len};
use crate::error::SchemeError;
use crate::keys::{ExpandedEvaluationKey, SecretKey};
use crate::parameters::ParameterSet;
use crate::rows::SeededRows;
use crate::seeded::{Encryptor, MaskSeed, SEED_LEN};
use crate::selectors::{FourierSelectors, GgswShape};
use cipherfn_protocol::specs::{Bits, Gadget, Transport};
use zeroize::Zeroizing;

/// Most selectors of a row.
const MAX_SELECTORS: usize = 1 << 20;

/// Dimensions of a selector query row.
#[derive(Clone, Copy, Debug)]
pub struct SelectorQueryShape {
    /// Parameter set of the ciphertexts.
    pub set: &'static ParameterSet,
    /// Number of selector bits.
    pub selectors: usize,
    /// Gadget of the GGSW ciphertexts.
    pub gadget: Gadget,
    /// Packed, or one seeded GGSW ciphertext a selector.
    pub transport: Transport,
}

impl SelectorQueryShape {
    /// Bytes of one row in ciphertexts of its own: seed, then the bodies of all of them.
    pub const fn row_bytes(&self) -> usize {
        match (self.set.packing(), self.transport) {
            (Some(packing), Transport::Packed) => GroupShape::single(*self, packing).bytes(),
            _ => SEED_LEN.saturating_add(self.ciphertexts().saturating_mul(packed_len(
                self.set.ring.polynomial_size,
                self.set.ring.body_bits,
            ))),
        }
    }

    /// Number of GLWE ciphertexts in such a row.
    pub const fn ciphertexts(&self) -> usize {
        match (self.set.packing(), self.transport) {
            (Some(packing), Transport::Packed) => GroupShape::single(*self, packing).ciphertexts(),
            _ => self
                .selectors
                .saturating_mul(self.gadget.levels.get() as usize)
                .saturating_mul(self.set.ring.glwe_dimension + 1),
        }
    }

    /// Dimensions of each GGSW ciphertext that a row expands to.
    pub const fn ggsw(&self) -> GgswShape {
        GgswShape {
            glwe_dimension: self.set.ring.glwe_dimension,
            polynomial_size: self.set.ring.polynomial_size,
            gadget: self.gadget,
        }
    }

    /// Selectors must be few enough, and their gadget must fit into `available` bits.
    pub(super) fn check_sizes(&self, available: Bits) -> Result<(), SchemeError> {
        let Gadget { base_log, levels } = self.gadget;
        let problem = |problem| Err(shape_error(self.set, "selector query", problem));
        if self.selectors > MAX_SELECTORS {
            return problem(format!("{} selectors", self.selectors));
        }
        if !(1..=available.get()).contains(&self.gadget.bits()) {
            return problem(format!("gadget {base_log} x {levels}"));
        }
        Ok(())
    }

    /// `out` must have the dimensions of a row.
    /// Checks memory for `count` selectors from `first` on.
    pub(super) fn check_memory(
        &self,
        first: usize,
        count: usize,
        out: &FourierSelectors,
    ) -> Result<(), SchemeError> {
        let there = self.selectors.saturating_sub(first);
        if out.len() != count || count > there {
            return Err(SchemeError::Count {
                what: "selectors of memory",
                expected: count.min(there),
                found: out.len(),
            });
        }
        if out.shape() != self.ggsw() {
            return Err(shape_error(
                self.set,
                "selector memory",
                format!("{:?}", out.shape()),
            ));
        }
        Ok(())
    }

    /// A row as a group of its own, for packed transport.
    fn as_group(&self) -> Result<Option<GroupShape>, SchemeError> {
        match self.transport {
            Transport::Packed => {
                let packing = self
                    .set
                    .packing()
                    .ok_or(SchemeError::NoPacking { set: self.set.name })?;
                let group = GroupShape::single(*self, packing);
                group.check()?;
                Ok(Some(group))
            }
            Transport::Ggsw => {
                self.check_sizes(self.set.ring.body_bits)?;
                Ok(None)
            }
        }
    }

    /// log2 of q / B^i for the stored level `level`, which counts from the last.
    pub(super) const fn factor_log2(&self, level: usize) -> u32 {
        64 - self.gadget.base_log.get() * (self.gadget.levels.get() - level as u32)
    }
}

/// Encrypts one row of selector bits. Gives exactly [`SelectorQueryShape::row_bytes`] bytes.
pub fn encrypt_selectors(
    key: &SecretKey,
    shape: &SelectorQueryShape,
    bits: &[bool],
) -> Result<Vec<u8>, SchemeError> {
    if let Some(group) = shape.as_group()? {
        return encrypt_group(key, &group, &[bits]);
    }
    shape.set.require("secret key", key.parameter_set())?;
    if bits.len() != shape.selectors {
        return Err(SchemeError::Count {
            what: "selector bits",
            expected: shape.selectors,
            found: bits.len(),
        });
    }
    let mut plaintexts = ggsw_plaintexts(key, shape, bits);
    let mut encryptor = Encryptor::new(key)?;
    let mut row = Vec::with_capacity(shape.row_bytes());
    row.extend_from_slice(&encryptor.seed());
    for body in plaintexts.chunks_exact_mut(shape.set.ring.polynomial_size) {
        encryptor.encrypt(body);
        bits::pack(&mut row, body.iter().copied(), shape.set.ring.body_bits);
    }
    Ok(row)
}

/// Brings one row into GGSW form, on all threads of the current pool: `out` has `shape.ggsw()` and
/// one entry a selector. Packed rows need the evaluation key.
pub fn expand_selectors(
    key: Option<&ExpandedEvaluationKey>,
    shape: &SelectorQueryShape,
    row: &[u8],
    out: &mut FourierSelectors,
) -> Result<(), SchemeError> {
    shape.check_memory(0, shape.selectors, out)?;
    expand_part_of_selectors(key, shape, row, 0, out)
}

/// [`expand_selectors`] from `first` on, as many as `out` has room for: bit for bit the same.
pub fn expand_part_of_selectors(
    key: Option<&ExpandedEvaluationKey>,
    shape: &SelectorQueryShape,
    row: &[u8],
    first: usize,
    out: &mut FourierSelectors,
) -> Result<(), SchemeError> {
    let group = shape.as_group()?;
    shape.check_memory(first, out.len(), out)?;
    let (seed, bodies) = split_seed(row, shape.row_bytes(), "query row")?;
    match group {
        Some(group) => {
            let key = key.ok_or(SchemeError::EvaluationKeyMissing {
                set: shape.set.name,
            })?;
            expand_part_of_row(key, None, &group, row, 0, first, out)
        }
        None => transform_ggsws(shape, seed, bodies, first, out),
    }
}

/// The rows of GGSW ciphertexts in the order of [`FourierSelectors`].
fn ggsw_plaintexts(
    key: &SecretKey,
    shape: &SelectorQueryShape,
    bits: &[bool],
) -> Zeroizing<Vec<u64>> {
    let size = shape.set.ring.polynomial_size;
    let mut plaintexts = Zeroizing::new(Vec::with_capacity(shape.ciphertexts() * size));
    for bit in bits {
        for level in 0..shape.gadget.levels.get() as usize {
            let scaled = u64::from(*bit) << shape.factor_log2(level);
            plaintexts.extend(
                key.coefficients()
                    .iter()
                    .map(|s| s.wrapping_mul(scaled).wrapping_neg()),
            );
            let body = plaintexts.len();
            plaintexts.resize(body + size, 0);
            plaintexts[body] = scaled;
        }
    }
    plaintexts
}

fn transform_ggsws(
    shape: &SelectorQueryShape,
    seed: MaskSeed,
    bodies: &[u8],
    first: usize,
    out: &mut FourierSelectors,
) -> Result<(), SchemeError> {
    let ring = &shape.set.ring;
    let skipped = first * shape.gadget.levels.get() as usize * (ring.glwe_dimension + 1);
    let rows = SeededRows {
        what: "query row",
        dimension: ring.glwe_dimension,
        size: ring.polynomial_size,
        body_bits: ring.body_bits,
        seed,
        masks_from: skipped * shape.set.mask_len(),
        bodies: &bodies[skipped * packed_len(ring.polynomial_size, ring.body_bits)..],
    };
    rows.transform(out.values_mut())
}
