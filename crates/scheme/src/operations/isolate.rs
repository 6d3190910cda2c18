//! Clearing all coefficients of a ciphertext but one.

use crate::centred::{Centred, shift_variance};
use crate::error::SchemeError;
use crate::glwe::Glwe;
use crate::keys::ExpandedEvaluationKey;
use crate::noise::{self, Variance};
use crate::operations::{require_all_levels, require_size};
use crate::parameters::{Packing, ParameterSet};
use crate::polynomial;

/// An encryption of coefficient `position` of the message as the constant coefficient, and of zero
/// elsewhere. A duty before a result is handed out whose other coefficients hold a table or weights
/// that the key holder must not see.
///
/// With c' = X^-position c / 2^(log2 N), for j = 0, 1, ...: `c' <- c' + c'(X^(N/2^j + 1))`, which
/// doubles the coefficients at multiples of 2^(j+1) and clears the others; after log2 N levels the
/// constant one is left, times N. Fine keys come first, as the first levels' errors grow most.
pub fn isolate(
    key: &ExpandedEvaluationKey,
    glwe: &Glwe,
    position: usize,
) -> Result<Glwe, SchemeError> {
    Ok(isolated(key, glwe, position)?.into_glwe())
}

/// [`isolate`], in centred form.
pub(crate) fn isolated(
    key: &ExpandedEvaluationKey,
    glwe: &Glwe,
    position: usize,
) -> Result<Centred, SchemeError> {
    let set = key.parameter_set();
    require_all_levels(set, key.packing())?;
    require_size(set, glwe)?;
    let size = set.ring.polynomial_size;
    let turned = 2 * size - position % size;
    let glwe = Glwe {
        mask: polynomial::rotate(&glwe.mask, turned % (2 * size)),
        body: polynomial::rotate(&glwe.body, turned % (2 * size)),
    };
    let depth = key.packing().depth().levels();
    let mut node = Centred::divided(&glwe, depth);
    key.with_memory(|memory| {
        for level in 0..depth {
            key.fold(level, &mut node, &mut memory.work);
        }
    });
    Ok(node)
}

/// Variance that it adds to the coefficient: the key switch of level j is doubled by each of the
/// m - 1 - j levels after it, so `sum 4^(m-1-j) V_ks(j)`, and the shift's rounding.
pub fn variance(set: &ParameterSet, packing: &Packing) -> Variance {
    let shift = shift_variance(set.ring.polynomial_size, packing.depth().levels());
    switches(set, packing, 4.0) + shift
}

/// Mean of the variance that it adds over all coefficients: of a key switch's error, each later level
/// clears half of the coefficients and doubles the others; the shift's is left at the constant one.
#[cfg(not(target_family = "wasm"))]
pub(crate) fn mean_variance(set: &ParameterSet, packing: &Packing) -> Variance {
    let size = set.ring.polynomial_size;
    let shift = shift_variance(size, packing.depth().levels());
    switches(set, packing, 2.0) + 1.0 / size as f64 * shift
}

/// Errors of the key switches, of which each later level multiplies the variance by `growth`.
fn switches(set: &ParameterSet, packing: &Packing, growth: f64) -> Variance {
    let gadgets = packing.key_switch.iter().rev();
    gadgets
        .zip(0..)
        .map(|(gadget, later)| growth.powi(later) * noise::key_switch(set, *gadget))
        .sum()
}
