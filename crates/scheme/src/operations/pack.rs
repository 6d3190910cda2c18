//! Merging wanted coefficients of many ciphertexts into one ("packing LWEs", Chen, Dai, Kim and
//! Song, <https://eprint.iacr.org/2020/015>), in centred form and with the division by N first.

use crate::centred::{Centred, shift_variance};
use crate::error::SchemeError;
use crate::glwe::Glwe;
use crate::keys::ExpandedEvaluationKey;
use crate::memory::Memory;
use crate::noise::{self, Variance};
use crate::operations::{require_levels, require_size};
use crate::parameters::{Packing, ParameterSet};
use crate::polynomial;

/// Merges of this many ciphertexts or fewer stay on one thread: about a millisecond of work.
const SEQUENTIAL_ITEMS: usize = 32;

/// Puts the coefficients at multiples of 2^`levels` of each ciphertext, its *items*, into one, and
/// clears all others: those of ciphertext i are moved up by i 2^`levels` / n, for n ciphertexts, a
/// power of two or rounded up to one. None counts as zero.
///
/// For c = (even, odd), of half the ciphertexts each, merged already, and j = `levels` - log2 n:
///
/// ```text
/// o = X^(2^j) odd
/// c = even + o + key switch of (even - o)(X^(N/2^j + 1))
/// ```
///
/// doubles what stands at multiples of 2^(j+1) in even and at odd multiples of 2^j in o, and clears
/// the rest. The keys' order is forced: coarse first. When one ciphertext is left, the levels below
/// j clear what stands between its items.
pub(crate) fn pack(
    key: &ExpandedEvaluationKey,
    levels: u32,
    items: &[Option<Glwe>],
) -> Result<Glwe, SchemeError> {
    let set = key.parameter_set();
    items
        .iter()
        .flatten()
        .try_for_each(|glwe| require_size(set, glwe))?;
    let height = items.len().next_power_of_two().ilog2();
    let merger = Merger { key, levels, items };
    let merged = merger.tree(height, 0, 1);
    let mut node = merged.unwrap_or_else(|| Centred::zero(set.ring.polynomial_size));
    key.with_memory(|memory| {
        for level in (0..levels - height).rev() {
            key.fold(level, &mut node, &mut memory.work);
        }
    });
    Ok(node.into_glwe())
}

/// Puts the constant coefficient of each ciphertext into one, that of ciphertext i at i N / n for n
/// ciphertexts, a power of two or rounded up to one, and clears everything else. None counts as
/// zero. Needs a set whose key [can](require).
pub fn pack_constants(
    key: &ExpandedEvaluationKey,
    set: &'static ParameterSet,
    items: &[Option<Glwe>],
) -> Result<Glwe, SchemeError> {
    pack_multiples(key, set, set.ring.polynomial_size.ilog2(), items)
}

/// Puts the coefficients at multiples of 2^`levels` of each ciphertext into one, those of ciphertext i
/// moved up by i 2^`levels` / n for n ciphertexts, a power of two or rounded up to one, and clears
/// everything else. None counts as zero. Needs a set whose key [can](require_spaced).
pub fn pack_multiples(
    key: &ExpandedEvaluationKey,
    set: &'static ParameterSet,
    levels: u32,
    items: &[Option<Glwe>],
) -> Result<Glwe, SchemeError> {
    require_spaced(set, levels)?;
    set.require("evaluation key", key.parameter_set())?;
    pack(key, levels, items)
}

/// Refuses a set whose key cannot clear everything beside a constant coefficient.
pub fn require(set: &'static ParameterSet) -> Result<&'static Packing, SchemeError> {
    require_spaced(set, set.ring.polynomial_size.ilog2())
}

/// Refuses a set whose key cannot clear everything between coefficients that are 2^`levels` apart.
pub fn require_spaced(
    set: &'static ParameterSet,
    levels: u32,
) -> Result<&'static Packing, SchemeError> {
    let packing = set
        .packing()
        .ok_or(SchemeError::NoPacking { set: set.name })?;
    require_levels(set, packing, levels)?;
    Ok(packing)
}

/// Variance that packing by at most all levels adds to each coefficient. The number of ciphertexts
/// does not matter.
pub fn variance(set: &ParameterSet, packing: &Packing) -> Variance {
    variance_spaced(set, packing, packing.depth().levels())
}

/// Variance that packing coefficients 2^`levels` apart adds to each: the key switch of level j is
/// doubled by each of the j levels after it, `sum 4^j V_ks(j)`, and the shift's rounding.
pub fn variance_spaced(set: &ParameterSet, packing: &Packing, levels: u32) -> Variance {
    let switches = packing.key_switch[..levels as usize]
        .iter()
        .zip(0..)
        .map(|(gadget, later)| 4f64.powi(later) * noise::key_switch(set, *gadget))
        .sum::<Variance>();
    switches + shift_variance(set.ring.polynomial_size, levels)
}

struct Merger<'a> {
    key: &'a ExpandedEvaluationKey,
    levels: u32,
    items: &'a [Option<Glwe>],
}

impl Merger<'_> {
    /// Merges the 2^height ciphertexts first, first + step, ...
    fn tree(&self, height: u32, first: usize, step: usize) -> Option<Centred> {
        if height == 0 {
            let item = self.items.get(first)?.as_ref()?;
            return Some(Centred::divided(item, self.levels));
        }
        let even = || self.tree(height - 1, first, 2 * step);
        let odd = || self.tree(height - 1, first + step, 2 * step);
        let (even, odd) = if 1 << height > SEQUENTIAL_ITEMS {
            rayon::join(even, odd)
        } else {
            (even(), odd())
        };
        let level = self.levels - height;
        self.key.with_memory(|memory| match (even, odd) {
            (None, None) => None,
            (Some(mut even), None) => {
                self.key.fold(level, &mut even, &mut memory.work);
                Some(even)
            }
            (even, Some(odd)) => Some(self.merge(level, even, &odd, memory)),
        })
    }

    fn merge(
        &self,
        level: u32,
        even: Option<Centred>,
        odd: &Centred,
        memory: &mut Memory,
    ) -> Centred {
        let size = odd.mask.len();
        let mut sum = even.unwrap_or_else(|| Centred::zero(size));
        let mut difference = Centred::zero(size);
        for (sum, difference, odd) in [
            (&mut sum.mask, &mut difference.mask, &odd.mask),
            (&mut sum.body, &mut difference.body, &odd.body),
        ] {
            let odd = polynomial::rotate(odd, 1 << level);
            for ((sum, difference), odd) in sum.iter_mut().zip(difference).zip(odd) {
                *difference = sum.wrapping_sub(odd);
                *sum = sum.wrapping_add(odd);
            }
        }
        let automorphism = self.key.automorphism(level);
        let transform = self.key.transform();
        sum.add(&automorphism.image(&difference, transform, &mut memory.work));
        sum
    }
}
