//! Distances in integers: by how much each bit of a row turns each point's table.

use super::super::layer::{BitColumns, Unit, UnitFits};
use super::problem::NeighbourProblem;

/// Distances in steps of one size.
pub(super) struct DistanceSteps {
    /// One a point.
    pub(super) units: Vec<Unit>,
    /// By row, one a point: the distance in steps.
    pub(super) rows: Vec<Vec<i64>>,
}

impl DistanceSteps {
    pub(super) fn of(problem: &NeighbourProblem<'_>, bits: &BitColumns<'_>, step: f64) -> Self {
        let mut fits = UnitFits::of(bits);
        let unit = |(point, form)| {
            let rows = problem.distances.iter();
            fits.unit(form, step, rows.map(|row| row[point] / step))
        };
        let units: Vec<Unit> = problem.forms.iter().enumerate().map(unit).collect();
        let rows = bits.rows.iter();
        let rows = rows.map(|row| units.iter().map(|unit| unit.place(row)).collect());
        Self {
            rows: rows.collect(),
            units,
        }
    }

    /// Turns of all points.
    pub(super) fn turns(&self) -> usize {
        self.units.iter().map(|unit| unit.turns.len()).sum()
    }

    /// Turns of the point that has most.
    pub(super) fn most_turns(&self) -> usize {
        let turns = self.units.iter().map(|unit| unit.turns.len());
        turns.max().unwrap_or(0)
    }
}

/// Of each point, the sum of the counts of those that are nearer, as a histogram of `size`
/// coefficients whose two ends are joined gives it: point j counts for point i where
/// `u_i - u_j` is in `1 ..= size` modulo `2 size`. That is the sum over all smaller places where no two
/// places are `size` apart.
pub(super) fn nearer(places: &[i64], counts: &[i64], size: usize) -> Vec<i64> {
    let turn = 2 * size;
    let at = |place: i64| place.rem_euclid(turn as i64) as usize;
    // Twice around, so that no window crosses the end.
    let mut sums = vec![0_i64; 2 * turn + 1];
    for (place, count) in places.iter().zip(counts) {
        sums[at(*place) + 1] += count;
        sums[at(*place) + turn + 1] += count;
    }
    for place in 0..2 * turn {
        sums[place + 1] += sums[place];
    }
    let own = |place: &i64| {
        let end = at(*place) + turn;
        sums[end] - sums[end - size]
    };
    places.iter().map(own).collect()
}
