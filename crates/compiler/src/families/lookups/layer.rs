//! The hidden layer in integers: by how much each bit of a row turns each table.

use super::curve::Curve;
use super::grid::bits_of;
use super::rounding::Moments;
use crate::model::LinearForm;
use cipherfn_protocol::specs::IntegerFeature;
use std::collections::HashMap;

/// A look-up: where its table begins, and by how many entries each bit moves on.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Unit {
    pub(super) start: i64,
    /// Selectors with what they move by, increasing and not zero.
    pub(super) turns: Vec<(u32, i64)>,
}

impl Unit {
    /// The table's entry that a row asks for.
    pub(super) fn place(&self, bits: &[bool]) -> i64 {
        let chosen = self
            .turns
            .iter()
            .filter(|(selector, _)| bits[*selector as usize]);
        self.start + chosen.map(|(_, turn)| turn).sum::<i64>()
    }
}

/// The bits of all features, in order.
pub(super) struct BitColumns<'a> {
    grid: &'a [IntegerFeature],
    /// First selector of each feature, and the number of all.
    starts: Vec<usize>,
    /// By row.
    pub(super) rows: Vec<Vec<bool>>,
}

impl<'a> BitColumns<'a> {
    pub(super) fn of(grid: &'a [IntegerFeature], rows: &[&[f32]]) -> Self {
        let mut starts = vec![0];
        for own in grid {
            starts.push(starts[starts.len() - 1] + own.bits as usize);
        }
        Self {
            grid,
            starts,
            rows: rows.iter().map(|row| bits_of(grid, row)).collect(),
        }
    }

    /// Number of selectors.
    pub(super) fn count(&self) -> usize {
        self.starts[self.grid.len()]
    }

    fn selectors(&self, feature: u32) -> std::ops::Range<usize> {
        self.starts[feature as usize]..self.starts[feature as usize + 1]
    }
}

/// One look-up a function, which moves by nothing where the function is a line, of forms that have these values, one list a row.
pub(super) fn units(
    forms: &[LinearForm],
    curves: &[Curve],
    bits: &BitColumns<'_>,
    values: &[Vec<f64>],
) -> Vec<Unit> {
    let mut fits = UnitFits::of(bits);
    let unit = |(unit, curve): (usize, &Curve)| {
        if curve.is_line() {
            return Unit::default();
        }
        // An entry is the function in its middle.
        let places = values.iter();
        let places = places.map(|values| (values[unit] - curve.low) / curve.step - 0.5);
        fits.unit(&forms[unit], curve.step, places)
    };
    curves.iter().enumerate().map(unit).collect()
}

/// Forms in integers, by how the bits of the rows move together.
pub(super) struct UnitFits<'a> {
    bits: &'a BitColumns<'a>,
    /// By the features that a form has.
    moments: HashMap<Vec<u32>, Moments>,
}

impl<'a> UnitFits<'a> {
    pub(super) fn of(bits: &'a BitColumns<'a>) -> Self {
        Self {
            bits,
            moments: HashMap::new(),
        }
    }

    /// A form in steps of this size, at these places on the rows.
    pub(super) fn unit(
        &mut self,
        form: &LinearForm,
        step: f64,
        places: impl Iterator<Item = f64>,
    ) -> Unit {
        let bits = self.bits;
        let features: Vec<u32> = form.weights.iter().map(|(feature, _)| *feature).collect();
        let selectors = || features.iter().flat_map(|own| bits.selectors(*own));
        let moments = self.moments.entry(features.clone()).or_insert_with(|| {
            let of_row = |row: &Vec<bool>| -> Vec<f64> {
                selectors().map(|at| f64::from(u8::from(row[at]))).collect()
            };
            let rows: Vec<Vec<f64>> = bits.rows.iter().map(of_row).collect();
            Moments::of(&rows)
        });
        let weights = form.weights.iter().flat_map(|(feature, weight)| {
            let own = &bits.grid[*feature as usize];
            let unit = weight * own.step / step;
            (0..own.bits).map(move |bit| unit * f64::from(bit).exp2())
        });
        let weights: Vec<f64> = weights.collect();
        let turns = selectors().zip(moments.round(&weights));
        let turns = turns.filter(|(_, turn)| *turn != 0);
        let mut own = Unit {
            start: 0,
            turns: turns
                .map(|(selector, turn)| (selector as u32, turn))
                .collect(),
        };
        // What rounding moves on average is taken off.
        let rows = bits.rows.iter().zip(places);
        let off = rows.map(|(bits, place)| place - own.place(bits) as f64);
        own.start = (off.sum::<f64>() / bits.rows.len().max(1) as f64).round() as i64;
        own
    }
}
