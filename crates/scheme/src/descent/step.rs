//! A step of descent, on ciphertexts.

use super::{Batch, BatchShape, Residual, Watch, Weights};
use crate::bootstrap::rotate::BATCH;
use crate::bootstrap::{BootstrapKey, Lwe, Output};
use crate::centred::Centred;
use crate::error::SchemeError;
use crate::glwe::Glwe;
use crate::keys::ExpandedEvaluationKey;
use crate::operations::{invert, isolate};
use crate::polynomial;
use rayon::prelude::*;
use std::ops::Range;

/// One step on some rows of a batch, on all threads of the current pool; the same bits on any number of
/// them. Rows that are not among them have no part in it, beside the noise of their features. The key has its
/// parts `inverse` and `bootstrap`. `watch` is added to what the rows' forms say of the table.
///
/// # Errors
/// A key that lacks a part, another number of levels; rows that a batch has no room for.
pub fn step(
    key: &ExpandedEvaluationKey,
    bootstrap: &BootstrapKey,
    batch: &Batch,
    rows: Range<usize>,
    residual: &Residual,
    (weights, watch): (&mut Weights, Option<&mut Watch>),
) -> Result<(), SchemeError> {
    let shape = &batch.shape;
    shape.set.require("evaluation key", key.parameter_set())?;
    if rows.end > shape.samples() {
        return Err(SchemeError::Count {
            what: "rows of a batch",
            expected: shape.samples(),
            found: rows.end,
        });
    }
    let forms = batch.times(&weights.0);
    let all: Vec<usize> = rows.collect();
    let share = all
        .len()
        .div_ceil(rayon::current_num_threads())
        .clamp(1, BATCH);
    let sums: Vec<(Glwe, Lwe<Output>)> = all
        .par_chunks(share)
        .map(|rows| residuals(key, bootstrap, &forms, rows, residual))
        .collect::<Result<_, _>>()?;
    let mut sum = Weights::zero(shape).0;
    let mut within = Lwe::zero(bootstrap.parameters());
    for (own, own_within) in &sums {
        sum.add(own)?;
        within.add_multiple(own_within, 1)?;
    }
    if let Some(watch) = watch {
        watch.add(bootstrap, &within)?;
    }
    let gradient = gradient(key, shape, &batch.times(&sum))?;
    let own = [&mut weights.0.mask, &mut weights.0.body];
    for (own, gradient) in own.into_iter().zip([&gradient.mask, &gradient.body]) {
        for (own, gradient) in own.iter_mut().zip(gradient) {
            *own = own.wrapping_sub(*gradient);
        }
    }
    Ok(())
}

/// The sum of `r_i X^-i` over some rows, and that of what their tables say a quarter of the torus further.
fn residuals(
    key: &ExpandedEvaluationKey,
    bootstrap: &BootstrapKey,
    forms: &Glwe,
    rows: &[usize],
    residual: &Residual,
) -> Result<(Glwe, Lwe<Output>), SchemeError> {
    let size = forms.body.len();
    let number = |row: &usize| {
        let mut number = Lwe::extract(forms, *row);
        // The table begins at -1/4.
        number.add_constant(1 << 62);
        (number, residual.0[*row % 2].0.clone())
    };
    let turned = bootstrap.rotate_levelled(&rows.iter().map(number).collect::<Vec<_>>())?;
    let mut sum = Glwe {
        mask: vec![0; forms.mask.len()],
        body: vec![0; size],
    };
    let mut within = Lwe::zero(bootstrap.parameters());
    for (row, turned) in rows.iter().zip(turned) {
        within.add_multiple(&Watch::of(bootstrap, &turned), 1)?;
        let mut value = bootstrap.to_levelled(&turned.extract(0))?;
        let (_, constant) = &residual.0[row % 2];
        value.body[0] = value.body[0].wrapping_add(*constant);
        let alone = isolate::isolate(key, &value, 0)?;
        let turn = (2 * size - row) % (2 * size);
        sum.add(&Glwe {
            mask: polynomial::rotate(&alone.mask, turn),
            body: polynomial::rotate(&alone.body, turn),
        })?;
    }
    Ok((sum, within))
}

/// What is at multiples of S, under X^-1.
fn gradient(
    key: &ExpandedEvaluationKey,
    shape: &BatchShape,
    product: &Glwe,
) -> Result<Glwe, SchemeError> {
    let levels = shape.samples().ilog2();
    let mut node = Centred::divided(product, levels);
    key.with_memory(|memory| {
        for level in 0..levels {
            key.fold(level, &mut node, &mut memory.work);
        }
    });
    invert::invert(key, &node.into_glwe())
}
