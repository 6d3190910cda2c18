//! Functions as tables on the torus.
//!
//! A table has N entries, and the entry at i + N is minus the one at i. A function with
//! `f(z) + f(z + R)` linear in z, such as `Relu`, absolute values and their like, is a line plus a
//! function `g` with `g(z + R) = -g(z)`, so its table spans the whole torus in 2N steps of 2R/2N;
//! the line is linear in the row and needs no look-up. Any other function is looked up in N steps
//! on half of the torus. A function that is a line wherever its form may be, as a `Relu` that is
//! always on or always off, needs no table.

use crate::error::CompileError;
use crate::model::reference::functions_of;
use cipherfn_program::RowProgram;

/// How far beyond the calibration rows a form may be.
pub(super) const MARGIN: f64 = 1.5;
/// Entries that a function has to be a line on at least, for it to be taken for one.
const LEAST_ENTRIES: i64 = 4;
/// Least part of the widest form's range that a form is given.
const LEAST_RANGE: f64 = 0.05;
/// Largest departure from a line, in parts of the function's range, that still is one.
const LINE: f64 = 1e-6;
/// What entries are multiples of, so that tables of one function are equal to the last bit whatever
/// the ranges of their forms.
const GRAIN: f64 = 1.0 / (1_u64 << 32) as f64;

/// Functions of one form each, and the node that they are of.
#[derive(Clone, Copy)]
pub(super) struct Functions<'a> {
    pub(super) node: &'a str,
    pub(super) program: &'a RowProgram,
}

/// A function of one form, on a table.
#[derive(Clone, Debug)]
pub(super) struct Curve {
    /// Value of the form at which entry 0 begins.
    pub(super) low: f64,
    /// Part of the form's range that an entry is for.
    pub(super) step: f64,
    /// Entries in the range: N or 2N.
    pub(super) steps: usize,
    /// The line beside the table, `slope z + offset`.
    pub(super) slope: f64,
    pub(super) offset: f64,
    /// N entries, at most 1 in size: what is looked up, in parts of [`Self::size`].
    pub(super) entries: Vec<f64>,
    pub(super) size: f64,
}

impl Curve {
    /// One curve a function, for forms that are as in the calibration rows (`forms`, one list a
    /// row) or up to [`MARGIN`] times as far from their middle, but not outside `bounds`.
    pub(super) fn of(
        functions: Functions<'_>,
        forms: &[Vec<f64>],
        bounds: &[(f64, f64)],
        polynomial_size: usize,
    ) -> Result<Vec<Self>, CompileError> {
        let count = bounds.len();
        let seen: Vec<(f64, f64)> = (0..count).map(|unit| seen(forms, unit)).collect();
        let widest = seen
            .iter()
            .map(|(low, high)| high - low)
            .fold(0.0, f64::max);
        let least = (LEAST_RANGE * widest).max(f64::MIN_POSITIVE);
        let whole = Self::whole(functions, &seen, least, polynomial_size);
        let ranges: Vec<(f64, f64)> = seen
            .iter()
            .zip(bounds)
            .map(|(seen, bounds)| half_range(*seen, *bounds, least))
            .collect();
        let samples = samples(functions, &ranges, polynomial_size);
        let mut curves = Vec::with_capacity(count);
        for (unit, whole) in whole.into_iter().enumerate() {
            let own = samples.iter().map(|values| values[unit]).collect();
            curves.push(match whole {
                Some(whole) => whole,
                None => Self::half(ranges[unit], filled(own, unit, functions.node)?),
            });
        }
        for (curve, range) in curves.iter_mut().zip(ranges) {
            curve.straighten(range);
        }
        Ok(curves)
    }

    /// Lets go of the table where the function is a line all over the range that its form may have.
    fn straighten(&mut self, (low, high): (f64, f64)) {
        let last = self.steps as f64 - 1.0;
        let entry = |form: f64| ((form - self.low) / self.step).floor().clamp(0.0, last) as i64;
        let entries = entry(low)..=entry(high);
        if entries.end() - entries.start() < LEAST_ENTRIES {
            return;
        }
        let at = |entry: i64| self.low + (entry as f64 + 0.5) * self.step;
        let value = |entry: &i64| self.value(at(*entry));
        let (first, end) = (value(entries.start()), value(entries.end()));
        let rise = (end - first) / (at(*entries.end()) - at(*entries.start()));
        let line = |entry: &i64| first + rise * (at(*entry) - at(*entries.start()));
        let mut off = entries.clone().map(|own| (value(&own) - line(&own)).abs());
        if off.any(|off| off > LINE * self.size) {
            return;
        }
        let offset = first - rise * at(*entries.start());
        let count = self.entries.len();
        let step = (high - low) / count as f64;
        *self = Self::scaled(low, step, count, (rise, offset), vec![0.0; count]);
    }

    /// Whether a form of this value is within its range; a line has no end.
    pub(super) fn reaches(&self, form: f64) -> bool {
        let place = (form - self.low) / self.step;
        self.is_line() || (0.0..self.steps as f64).contains(&place)
    }

    /// Whether there is a line only, and nothing to look up.
    pub(super) fn is_line(&self) -> bool {
        self.size == 0.0
    }

    /// By how much a look-up's entry changes at most, an entry, over so many of them.
    pub(super) fn steepness(&self, apart: i64) -> f64 {
        let places = 0..(self.steps as i64 - apart).max(1);
        let changes = places.map(|place| (self.entry(place + apart) - self.entry(place)).abs());
        changes.fold(0.0, f64::max) / apart as f64
    }

    /// On the whole torus, where the function allows it.
    fn whole(
        functions: Functions<'_>,
        seen: &[(f64, f64)],
        least: f64,
        polynomial_size: usize,
    ) -> Vec<Option<Self>> {
        let reach = |&(low, high): &(f64, f64)| MARGIN * low.abs().max(high.abs()).max(least);
        let reaches: Vec<f64> = seen.iter().map(reach).collect();
        let below: Vec<(f64, f64)> = reaches.iter().map(|reach| (-reach, 0.0)).collect();
        let above: Vec<(f64, f64)> = reaches.iter().map(|reach| (0.0, *reach)).collect();
        let below = samples(functions, &below, polynomial_size);
        let above = samples(functions, &above, polynomial_size);
        let curve = |(unit, &reach): (usize, &f64)| {
            let of = |values: &[Vec<f64>]| -> Vec<f64> {
                values.iter().map(|values| values[unit]).collect()
            };
            Self::on_whole_torus(reach, &of(&below), &of(&above))
        };
        reaches.iter().enumerate().map(curve).collect()
    }

    /// From samples of both halves of the range.
    fn on_whole_torus(reach: f64, below: &[f64], above: &[f64]) -> Option<Self> {
        let count = below.len();
        let step = reach / count as f64;
        let at = |entry: usize| (entry as f64 + 0.5) * step - reach;
        let sums: Vec<f64> = below.iter().zip(above).map(|(l, h)| l + h).collect();
        let rise = (sums[count - 1] - sums[0]) / (at(count - 1) - at(0));
        let range = spread(below.iter().chain(above));
        let is_line = sums
            .iter()
            .enumerate()
            .all(|(entry, sum)| (sum - sums[0] - rise * (at(entry) - at(0))).abs() <= LINE * range);
        if !is_line || !range.is_finite() {
            return None;
        }
        let slope = rise / 2.0;
        let offset = (sums[0] - slope * (2.0 * at(0) + reach)) / 2.0;
        let entries = below.iter().enumerate();
        let entries = entries.map(|(entry, value)| value - slope * at(entry) - offset);
        Some(Self::scaled(
            -reach,
            step,
            2 * count,
            (slope, offset),
            entries.collect(),
        ))
    }

    fn half((low, high): (f64, f64), values: Vec<f64>) -> Self {
        let count = values.len();
        let (least, most) = ends(values.iter());
        let middle = f64::midpoint(least, most);
        let entries = values.into_iter().map(|value| value - middle).collect();
        let step = (high - low) / count as f64;
        Self::scaled(low, step, count, (0.0, middle), entries)
    }

    fn scaled(
        low: f64,
        step: f64,
        steps: usize,
        (slope, offset): (f64, f64),
        mut entries: Vec<f64>,
    ) -> Self {
        let size = entries
            .iter()
            .fold(0.0, |most: f64, own| most.max(own.abs()));
        if size > 0.0 {
            for entry in &mut entries {
                *entry = (*entry / size / GRAIN).round() * GRAIN;
            }
        }
        Self {
            low,
            step,
            steps,
            slope,
            offset,
            entries,
            size,
        }
    }

    /// The table's entry at any place.
    pub(super) fn entry(&self, place: i64) -> f64 {
        let count = self.entries.len() as i64;
        let value = self.entries[place.rem_euclid(count) as usize];
        if place.div_euclid(count) % 2 == 0 {
            value
        } else {
            -value
        }
    }

    /// Whether a place is inside the range.
    pub(super) fn holds(&self, place: i64) -> bool {
        (0..self.steps as i64).contains(&place)
    }

    /// The function's value, table and line.
    pub(super) fn value(&self, form: f64) -> f64 {
        let place = ((form - self.low) / self.step).floor() as i64;
        self.slope * form + self.offset + self.size * self.entry(place)
    }
}

/// Smallest and largest value of a form.
fn seen(forms: &[Vec<f64>], unit: usize) -> (f64, f64) {
    let values = || forms.iter().map(|row| row[unit]);
    (
        values().fold(f64::INFINITY, f64::min),
        values().fold(f64::NEG_INFINITY, f64::max),
    )
}

/// The range of a table on half of the torus.
fn half_range(seen: (f64, f64), bounds: (f64, f64), least: f64) -> (f64, f64) {
    let middle = f64::midpoint(seen.0, seen.1);
    let half = MARGIN * ((seen.1 - seen.0) / 2.0).max(least);
    let (low, high) = (middle - half, middle + half);
    // Half a step of every feature is within these.
    let slack = 0.01 * (bounds.1 - bounds.0);
    (low.max(bounds.0 - slack), high.min(bounds.1 + slack))
}

/// The functions' values in the middle of `count` parts of each range.
fn samples(functions: Functions<'_>, ranges: &[(f64, f64)], count: usize) -> Vec<Vec<f64>> {
    let at = |entry: usize| {
        let place = (entry as f64 + 0.5) / count as f64;
        let of_range = |(low, high): &(f64, f64)| low + (high - low) * place;
        ranges.iter().map(of_range).collect()
    };
    (0..count)
        .map(|entry| functions_of(functions.program, at(entry)))
        .collect()
}

/// Values with those that are no number taken from their neighbours: a root has none below zero,
/// where the range's margin may reach.
fn filled(mut values: Vec<f64>, unit: usize, node: &str) -> Result<Vec<f64>, CompileError> {
    let Some(first) = values.iter().position(|value| value.is_finite()) else {
        let problem = format!("its function {unit} has no finite value in its range");
        return Err(CompileError::invalid(format!("node \"{node}\""), problem));
    };
    let mut last = values[first];
    for value in &mut values {
        if value.is_finite() {
            last = *value;
        } else {
            *value = last;
        }
    }
    Ok(values)
}

fn ends<'a>(values: impl Iterator<Item = &'a f64>) -> (f64, f64) {
    values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
        (low.min(*value), high.max(*value))
    })
}

fn spread<'a>(values: impl Iterator<Item = &'a f64>) -> f64 {
    let (low, high) = ends(values);
    high - low
}

#[cfg(test)]
mod tests {
    use super::super::testing::relu;
    use super::{Curve, Functions};

    /// Of forms on these ranges.
    fn curves(ranges: &[(f64, f64)]) -> Vec<Curve> {
        let forms = [0, 1].map(|end| {
            let own = ranges.iter();
            own.map(|(low, high)| if end == 0 { *low } else { *high })
                .collect::<Vec<f64>>()
        });
        let program = relu(ranges.len());
        let functions = Functions {
            node: "relu",
            program: &program,
        };
        let bounds = vec![(f64::NEG_INFINITY, f64::INFINITY); ranges.len()];
        Curve::of(functions, &forms, &bounds, 1024).unwrap()
    }

    #[test]
    fn functions_without_a_kink_in_reach_are_lines() {
        let found = curves(&[(-90.0, -30.0), (40.0, 90.0), (-3.0, 3.0), (-9.0, -1.0)]);
        let lines: Vec<bool> = found.iter().map(Curve::is_line).collect();
        // The last one's kink is within one and a half times its range.
        assert_eq!(lines, [true, true, false, false]);
        for (curve, form, value) in [(&found[0], -50.0, 0.0), (&found[1], 50.0, 50.0)] {
            assert!((curve.value(form) - value).abs() < 1e-6);
            assert!(!curve.holds(((200.0 - curve.low) / curve.step) as i64));
        }
    }

    #[test]
    fn tables_of_one_function_are_equal_whatever_their_ranges() {
        let found = curves(&[(-3.0, 3.0), (-0.7, 1.1), (-12.3, 45.6)]);
        assert!(found.iter().all(|own| own.entries == found[0].entries));
        let steepness = found[0].steepness(1);
        // |z| from 1 to -1 and back in 2048 steps.
        assert!((steepness - 2.0 / 1023.5).abs() < 1e-5, "{steepness}");
    }
}
