//! Results of several rows in one reply ciphertext.

use super::{ReplyShape, compress_at, count, decrypt_at};
use crate::error::SchemeError;
use crate::glwe::Glwe;
use crate::keys::{ExpandedEvaluationKey, SecretKey};
use crate::operations::{self, require_all_levels};
use crate::polynomial;

/// Dimensions of a packed reply.
///
/// What the other coefficients of a row's result hold, sums of weights or entries of a table, the
/// key holder must not learn: packing clears it, which takes a key of log2 N levels.
#[derive(Clone, Copy, Debug)]
pub struct PackedShape {
    /// A row's result as it would travel alone: which coefficients, with how many bits.
    pub row: ReplyShape,
    /// Number of rows, at most [`PackedShape::most_rows`].
    pub rows: usize,
}

/// Where the items of [`operations::pack`] stand.
#[derive(Clone, Copy)]
struct Layout {
    /// Levels that packing takes: items are coefficients at multiples of 2^levels.
    levels: u32,
    /// Whether a row's coefficients stay together in one item; otherwise each is one.
    together: bool,
}

impl PackedShape {
    /// Most rows that one ciphertext has room for, 0 if the set has no key that clears the rest.
    pub fn most_rows(row: &ReplyShape) -> usize {
        let Some(packing) = row.set.packing() else {
            return 0;
        };
        if require_all_levels(row.set, packing).is_err() {
            return 0;
        }
        let layout = Layout::of(row);
        (1 << layout.levels) / layout.items_a_row(row.coefficients).max(1)
    }

    /// Bytes of the reply.
    pub const fn bytes(&self) -> usize {
        ReplyShape {
            coefficients: self.rows.saturating_mul(self.row.coefficients),
            ..self.row
        }
        .row_bytes()
    }

    fn layout(&self) -> Result<Layout, SchemeError> {
        self.row.check()?;
        let set = self.row.set;
        let packing = set
            .packing()
            .ok_or(SchemeError::NoPacking { set: set.name })?;
        require_all_levels(set, packing)?;
        if self.rows == 0 || self.rows > Self::most_rows(&self.row) {
            return Err(SchemeError::Shape {
                what: "packed reply",
                problem: format!(
                    "{} rows of {} coefficients",
                    self.rows, self.row.coefficients
                ),
                set: set.name,
            });
        }
        Ok(Layout::of(&self.row))
    }

    /// Positions of the results in the order of travel, ascending, and for each its place in the
    /// rows' results one after the other.
    fn places(&self, layout: Layout) -> impl Iterator<Item = (usize, usize)> {
        let Self { row, rows, .. } = *self;
        let items = rows * layout.items_a_row(row.coefficients);
        let step = (1 << layout.levels) / items.next_power_of_two();
        let (outer, inner) = if layout.together {
            (row.coefficients, rows)
        } else {
            (rows, row.coefficients)
        };
        (0..outer).flat_map(move |i| {
            (0..inner).map(move |j| {
                if layout.together {
                    (i * row.stride + j * step, j * row.coefficients + i)
                } else {
                    ((i * inner + j) * step, i * inner + j)
                }
            })
        })
    }
}

impl Layout {
    /// A row's coefficients stay together, for one key switch a row, where they stand at multiples
    /// of a power of two and are all that stand there.
    fn of(row: &ReplyShape) -> Self {
        let size = row.set.ring.polynomial_size;
        let span = row.stride.saturating_mul(row.coefficients);
        let together = row.coefficients > 1 && row.stride.is_power_of_two() && span == size;
        let slots = if together { row.stride } else { size };
        Self {
            levels: slots.ilog2(),
            together,
        }
    }

    const fn items_a_row(self, coefficients: usize) -> usize {
        if self.together { 1 } else { coefficients }
    }
}

/// Packs the results of rows, None for a row without one, and compresses the reply to exactly
/// [`PackedShape::bytes`] bytes. A row without result reads as zero, a plausible score: say beside
/// the reply which rows have one.
///
/// The error of [`operations::pack::variance`] comes on top of each result's own.
pub fn pack(
    key: &ExpandedEvaluationKey,
    shape: &PackedShape,
    results: &[Option<Glwe>],
) -> Result<Vec<u8>, SchemeError> {
    let layout = shape.layout()?;
    let ReplyShape { set, bits, .. } = shape.row;
    set.require("evaluation key", key.parameter_set())?;
    count("rows", shape.rows, results.len())?;
    let packed = if layout.together {
        operations::pack::pack(key, layout.levels, results)?
    } else {
        let items: Vec<_> = results
            .iter()
            .flat_map(|result| {
                shape
                    .row
                    .positions()
                    .map(|position| result.as_ref().map(|glwe| down(glwe, position)))
            })
            .collect();
        operations::pack::pack(key, layout.levels, &items)?
    };
    let positions = shape.places(layout).map(|(position, _)| position);
    Ok(compress_at(
        set,
        bits,
        &packed.mask,
        &packed.body,
        positions,
    ))
}

/// The phases of the rows' results one after the other, in units of 2^-64, signed. As noisy as
/// those of [`super::decrypt`].
pub fn decrypt_packed(
    key: &SecretKey,
    shape: &PackedShape,
    reply: &[u8],
) -> Result<Vec<i64>, SchemeError> {
    let layout = shape.layout()?;
    let ReplyShape { set, bits, .. } = shape.row;
    set.require("secret key", key.parameter_set())?;
    let (positions, places): (Vec<_>, Vec<_>) = shape.places(layout).unzip();
    let phases = decrypt_at(key, bits, reply, &positions)?;
    let mut results = vec![0; phases.len()];
    places
        .into_iter()
        .zip(phases)
        .for_each(|(place, phase)| results[place] = phase);
    Ok(results)
}

/// X^-position times the ciphertext.
fn down(glwe: &Glwe, position: usize) -> Glwe {
    let turn = 2 * glwe.body.len() - position;
    let [mask, body] =
        [&glwe.mask, &glwe.body].map(|words| polynomial::rotate(words, turn % (2 * words.len())));
    Glwe { mask, body }
}

#[cfg(test)]
mod tests;
