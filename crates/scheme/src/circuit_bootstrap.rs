//! Circuit bootstraps: a number that the server computed becomes a selector ("LWE to GGSW", Chillotti,
//! Gama, Georgieva and Izabachène, <https://eprint.iacr.org/2018/421>, section 4.4).
//!
//! The bit is b = 1 for a number z in [0, 1/2) and b = 0 for z in [-1/2, 0): the whole torus, so that
//! z = x - t compares x with t.
//!
//! ```text
//! z -- bootstrap -->  +-q/(2 B^j)  for all levels j, side by side in one rotated table, under S2
//!   -- extract, switch to S1, isolate -->  the same as constant coefficients, zero elsewhere
//!   -- + q/(2 B^j) -->  b q/B^j, the body row of level j
//!   -- scheme switch -->  the mask row
//! ```
//!
//! One rotation gives all levels: the modulus switch is as many times coarser. To isolate is to shift
//! right and to trace with the automorphism keys of the expansion, and the scheme switch is the
//! expansion's, so that there is no key beside the parts that are there.
//!
//! A selector's error is the rotation's, which is why the bootstrap must be of a gadget of two levels
//! (2^-22), and its gadget of a small base: see [`noise`].

use crate::bootstrap::{self, BootstrapKey, Levelled, Lwe, Rotated, Table};
use crate::bootstrap::{module_switch, modulus_switch};
use crate::error::SchemeError;
use crate::expand;
use crate::fourier::c64;
use crate::keys::ExpandedEvaluationKey;
use crate::noise::{SelectorNoise, Variance, scheme_switch};
use crate::operations::{isolate, require_all_levels};
use crate::parameters::{Bootstrap, Packing, ParameterSet};
use crate::selectors::{FourierSelectors, GgswShape};
use cipherfn_protocol::specs::Gadget;

#[cfg(test)]
mod tests;

/// Selectors of the bits that say which numbers are in [0, 1/2): on this thread, all at once
/// ([`BATCH`](bootstrap::rotate::BATCH) of them at best).
///
/// # Errors
/// A key that cannot isolate; a gadget of 64 bits and more, or of more levels than a table has entries;
/// numbers of another ring.
pub fn selectors(
    key: &ExpandedEvaluationKey,
    bootstrap: &BootstrapKey,
    gadget: Gadget,
    numbers: &[Lwe<Levelled>],
) -> Result<FourierSelectors, SchemeError> {
    let set = key.parameter_set();
    require_all_levels(set, key.packing())?;
    let halves = halves(set, gadget)?;
    let table = Table::of_signs(bootstrap.parameters(), &halves)?;
    let small = |number| Ok((bootstrap.from_levelled(number)?, &table));
    let small = numbers.iter().map(small);
    let rotated = bootstrap.rotate_batch(&small.collect::<Result<Vec<_>, SchemeError>>()?)?;
    let shape = GgswShape {
        glwe_dimension: set.ring.glwe_dimension,
        polynomial_size: set.ring.polynomial_size,
        gadget,
    };
    let mut selectors = FourierSelectors::zeroed(shape, numbers.len());
    let ggsws = selectors.values_mut().chunks_exact_mut(shape.ggsw_len());
    for (rotated, ggsw) in rotated.iter().zip(ggsws) {
        complete(key, bootstrap, (rotated, &halves), ggsw)?;
    }
    Ok(selectors)
}

/// Half of q / B^j for each level j, the last one first, as a GGSW ciphertext has them.
fn halves(set: &ParameterSet, gadget: Gadget) -> Result<Vec<u64>, SchemeError> {
    if !(1..u64::BITS).contains(&gadget.bits()) {
        return Err(SchemeError::Shape {
            what: "selector of a number",
            problem: format!("a gadget of {} bits", gadget.bits()),
            set: set.name,
        });
    }
    let levels = (1..=gadget.levels.get()).rev();
    let half = |level| 1_u64 << (u64::BITS - 1 - gadget.base_log.get() * level);
    Ok(levels.map(half).collect())
}

/// Writes all rows of a GGSW ciphertext.
fn complete(
    key: &ExpandedEvaluationKey,
    bootstrap: &BootstrapKey,
    (rotated, halves): (&Rotated, &[u64]),
    ggsw: &mut [c64],
) -> Result<(), SchemeError> {
    let levels = ggsw.chunks_exact_mut(ggsw.len() / halves.len());
    for (level, (half, rows)) in halves.iter().zip(levels).enumerate() {
        let sign = bootstrap.to_levelled(&rotated.extract(level))?;
        let mut bit = isolate::isolated(key, &sign, 0)?;
        bit.body[0] = bit.body[0].wrapping_add(*half);
        expand::complete_rows(key, &bit, rows);
    }
    Ok(())
}

/// Variance of the error with which z is compared with zero: that of the key switch to s, and of a
/// modulus switch to steps that are as many times as long as the gadget has levels, rounded up to a
/// power of two.
pub fn comparison_variance(set: &ParameterSet, bootstrap: &Bootstrap, gadget: Gadget) -> Variance {
    let functions_log2 = gadget.levels.get().next_power_of_two().ilog2();
    module_switch::variance_to_small(set, bootstrap)
        + modulus_switch::variance_shared(bootstrap, functions_log2)
}

/// Errors of the selector. Rotation and switch back leave an error in the body row's constant
/// coefficient alone, isolation one in all of them. Times the key, N/2 of the coefficients' errors add
/// up in each of the mask row's: of the constant coefficient's a half.
pub fn noise(set: &ParameterSet, packing: &Packing, bootstrap: &Bootstrap) -> SelectorNoise {
    let size = set.ring.polynomial_size as f64;
    let result = bootstrap::result_variance(set, bootstrap);
    let body = 1.0 / size * result + isolate::mean_variance(set, packing);
    SelectorNoise {
        body,
        body_constant: result + isolate::variance(set, packing),
        mask: size / 2.0 * body + scheme_switch(set, packing.scheme_switch),
    }
}
