//! Sums of pieces times integers, in numbers that have room in one coefficient.

use super::RowGraph;
use crate::answer::Lane;
use crate::resolve::{Atom, Linear, Weight};

/// Bits of the largest digits of integers: more have no room beside a limb.
pub(super) const MAX_DIGIT_BITS: u32 = 10;

/// A number of a row that becomes an integer of the results.
#[derive(Clone, Debug, Default)]
pub(super) struct Load {
    /// What is added: pieces of atoms, with integers.
    pub(super) pieces: Vec<(Piece, Weight)>,
    /// A constant.
    pub(super) constant: i64,
}

/// Some bits of an atom.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub(super) atom: Atom,
    /// Which, from the least significant on.
    pub(super) index: u32,
    pub(super) min: i128,
    pub(super) max: i128,
    /// Unit at which it comes; none of what is made of constants.
    pub(super) native: Option<u32>,
}

impl Load {
    /// The number 1.
    pub(super) fn one() -> Self {
        Self {
            pieces: Vec::new(),
            constant: 1,
        }
    }

    /// Numbers with their shifts. The constant is left to whoever decrypts; nothing where hidden weights have
    /// no room.
    pub(super) fn split(rows: &RowGraph<'_>, linear: &Linear) -> Option<Vec<(u32, Self)>> {
        let mut loads: Vec<(u32, Self)> = Vec::new();
        let known = linear.terms.iter().filter(|term| !term.1.is_hidden());
        for (atom, weight) in known {
            for (shift, piece) in rows.pieces(atom) {
                match loads.iter_mut().find(|load| load.0 == shift) {
                    Some(load) => load.1.pieces.push((piece, *weight)),
                    None => loads.push((
                        shift,
                        Self {
                            pieces: vec![(piece, *weight)],
                            constant: 0,
                        },
                    )),
                }
            }
        }
        loads.sort_by_key(|load| load.0);
        let loads = loads.into_iter();
        let mut loads: Vec<(u32, Self)> = loads
            .flat_map(|(shift, load)| load.in_digits(shift))
            .collect();
        loads.extend(Self::hidden(rows, linear)?);
        Some(loads)
    }

    /// The same as several numbers, of digits of the integers that pieces are multiplied with, where
    /// their sum has no room in one coefficient.
    fn in_digits(self, shift: u32) -> Vec<(u32, Self)> {
        if self.unit(1).is_some() {
            return vec![(shift, self)];
        }
        // The fewest numbers are the largest digits.
        let split = (2..=MAX_DIGIT_BITS).rev().find_map(|bits| {
            let digits = self.digits(shift, bits);
            let has_room = digits.iter().all(|(_, load)| load.unit(1).is_some());
            has_room.then_some(digits)
        });
        split.unwrap_or_else(|| vec![(shift, self)])
    }

    /// Numbers whose integers have so many bits, with a sign.
    pub(super) fn digits(&self, shift: u32, bits: u32) -> Vec<(u32, Self)> {
        let mut rest: Vec<Weight> = self.pieces.iter().map(|(_, weight)| *weight).collect();
        let mut digits = Vec::new();
        for place in 0.. {
            if rest.iter().all(|weight| weight.is_nothing()) {
                break;
            }
            let mut own = Self::default();
            for (weight, (piece, _)) in rest.iter_mut().zip(&self.pieces) {
                let digit;
                (digit, *weight) = weight.cut(bits);
                if !digit.is_nothing() {
                    own.pieces.push((piece.clone(), digit));
                }
            }
            if !own.pieces.is_empty() {
                digits.push((shift + place * bits, own));
            }
        }
        digits
    }

    /// Which part a number has of the ranges of what it is split into: what the hidden weights of a model
    /// have together is known, and less than what each of them may have.
    pub(super) fn filled(rows: &RowGraph<'_>, linear: &Linear, loads: &[(u32, Self)]) -> f64 {
        if linear.hidden == 0 {
            return 1.0;
        }
        let spans = loads.iter().map(|(shift, load)| {
            let (min, max) = load.range();
            (max - min) as f64 * f64::from(*shift).exp2()
        });
        let (min, max) = rows.resolved.range(linear);
        (max.saturating_sub(min) as f64 / spans.sum::<f64>()).min(1.0)
    }

    /// A sum of numbers of one piece each: conditions.
    pub(super) fn conditions(rows: &RowGraph<'_>, atoms: &[Atom]) -> Self {
        let pieces = atoms.iter().flat_map(|atom| rows.pieces(atom));
        Self {
            pieces: pieces.map(|(_, piece)| (piece, Weight::Known(1))).collect(),
            constant: 0,
        }
    }

    /// Smallest and largest number, zero included.
    pub(super) fn range(&self) -> (i128, i128) {
        let constant = i128::from(self.constant);
        let mut range = (constant.min(0), constant.max(0));
        for (piece, weight) in &self.pieces {
            let (min, max) = weight.range_of((piece.min, piece.max));
            range.0 += min.min(0);
            range.1 += max.max(0);
        }
        range
    }

    /// The unit at which the sum of so many rows has half the torus, if there is one: the pieces are
    /// multiplied by powers of two as far as that, so that noise counts least.
    pub(super) fn unit(&self, rows: u32) -> Option<u32> {
        let (min, max) = self.range();
        let span = u128::try_from((max - min).max(1)).ok()? * u128::from(rows) * 2;
        let unit = span.next_power_of_two().trailing_zeros();
        let is_possible = self
            .pieces
            .iter()
            .all(|(piece, _)| piece.native.is_none_or(|native| unit <= native));
        // Words have noise above 2^-40: more bits would say nothing.
        (is_possible && unit <= 40).then_some(unit)
    }

    /// A lane of it, for the sum of so many rows.
    pub(super) fn lane(&self, output: usize, offset: u32, rows: u32) -> Option<Lane> {
        let (min, max) = self.range();
        let bound = |end: i128| i64::try_from(end * i128::from(rows)).ok();
        Some(Lane {
            output,
            offset,
            unit: self.unit(rows)?,
            min: bound(min)?,
            max: bound(max)?,
        })
    }

    /// Whether it is the same for every row.
    pub(super) const fn is_constant(&self) -> bool {
        self.pieces.is_empty()
    }
}
