//! Numbers with hidden weights, in few digits that come back exactly.
//!
//! The bits of a cell times those of a weight are more than a score is worth: each piece of a cell is
//! multiplied with a weight that is rounded to one grain, of all pieces alike. What is a ciphertext as it
//! comes has an error that a digit multiplies, so its digits are small; what is chosen by bits has one that
//! does not depend on the digit, and that a fine unit would show. So the two go apart.

use super::RowGraph;
use super::load::{Load, MAX_DIGIT_BITS, Piece};
use crate::resolve::{Atom, Linear, Weight};

/// Largest unit of what is chosen by bits: its error is below half of an integer there, up to some tens of
/// choices one behind the other.
const CHOSEN_UNIT: u32 = 12;
/// What digits may have together, in quadrature, at the unit of limbs of 8 bits: a value's error is a 24th of
/// an integer at 2^-40 over some thousand rows.
const CARRIED_DIGITS: f64 = 8.0;
/// Bits of the smallest digits, with a sign.
const FEWEST_BITS: u32 = 2;
/// The unit of limbs of 8 bits.
const CARRIED_UNIT: u32 = 20;

impl Load {
    /// Numbers that make up the terms with hidden weights, with their shifts; nothing where they have no
    /// room.
    pub(super) fn hidden(rows: &RowGraph<'_>, linear: &Linear) -> Option<Vec<(u32, Self)>> {
        let hidden = linear.terms.iter().filter(|(_, weight)| weight.is_hidden());
        let pieces = hidden.flat_map(|(atom, weight)| {
            let pieces = rows.pieces(atom).into_iter();
            pieces.map(|(shift, piece)| (shift, piece, *weight))
        });
        let pieces: Vec<(u32, Piece, Weight)> = pieces.collect();
        let grain = grain(&pieces, linear.slack);
        let (mut carried, mut chosen) = (Self::default(), Self::default());
        for (shift, piece, weight) in pieces {
            let weight = weight.at_grain(shift, grain)?;
            let own = if is_carried(&piece.atom) {
                &mut carried
            } else {
                &mut chosen
            };
            own.pieces.push((piece, weight));
        }
        let carried_bits = carried.bits(|load| load.digits_together() <= CARRIED_DIGITS);
        let chosen_bits = chosen.bits(|load| load.unit(1).is_some_and(|own| own <= CHOSEN_UNIT));
        let mut digits = carried.digits(grain, carried_bits);
        digits.extend(chosen.digits(grain, chosen_bits));
        Some(digits)
    }

    /// The most bits of digits that have room, and of which something holds; the fewest where none do.
    fn bits(&self, holds: impl Fn(&Self) -> bool) -> u32 {
        let fits = |bits: &u32| {
            let digits = self.digits(0, *bits);
            let mut digits = digits.iter();
            digits.all(|(_, load)| load.unit(1).is_some() && holds(load))
        };
        let mut bits = (FEWEST_BITS..=MAX_DIGIT_BITS).rev();
        bits.find(fits).unwrap_or(FEWEST_BITS)
    }

    /// Sizes of the digits of values, in quadrature, as much as they count beside limbs of 8 bits.
    fn digits_together(&self) -> f64 {
        let digits = self.pieces.iter().map(|(piece, weight)| {
            let native = piece.native.unwrap_or(CARRIED_UNIT);
            let size = weight.size() as f64 * 2f64.powi(native as i32 - CARRIED_UNIT as i32);
            size * size
        });
        digits.sum::<f64>().sqrt()
    }
}

/// Whether an atom is a ciphertext of the row as it comes.
const fn is_carried(atom: &Atom) -> bool {
    matches!(atom, Atom::Limbs(_))
}

/// The largest power of two to multiples of which all products may be rounded.
fn grain(pieces: &[(u32, Piece, Weight)], slack: i128) -> u32 {
    let rounding = |grain: u32| -> i128 {
        let coarser = pieces.iter().filter(|(shift, ..)| *shift < grain);
        let each = coarser.map(|(_, piece, _)| piece.min.abs().max(piece.max.abs()));
        each.fold(0, i128::saturating_add)
            .saturating_mul(1 << (grain - 1))
    };
    let mut grains = (1..i64::BITS - 1).rev();
    let found = grains.find(|grain| rounding(*grain) <= slack);
    found.unwrap_or(0)
}
