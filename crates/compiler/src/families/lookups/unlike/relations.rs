//! Relations that clients hold rows to: the directions of the data that tell most of the rows that leave
//! a table from calibration rows, and hardly any other.

use super::super::curve::MARGIN;
use super::directions::{DataDirection, directions};
use crate::features::Features;
use cipherfn_protocol::specs::Relation;
use std::collections::BTreeSet;

/// Relations of a model, at most.
const MOST: usize = 16;
/// Their terms together, at most: some 30 KB of specs.
const MOST_TERMS: usize = 2_048;
/// Calibration rows, at least: the largest distance of fewer says little of other rows'.
const LEAST_ROWS: usize = 100;
/// Calibration rows that directions are found and compared on, at most.
const MOST_ROWS: usize = 2_048;
/// Part of the rows that the limits know nothing of that may be beyond them.
const MOST_MARKED: f64 = 0.01;
/// Part of the lost rows that a further relation has to tell, at least.
const LEAST_GAIN: f64 = 0.005;
/// What rounding to 32-bit floats adds to a feature, in parts of it, with room.
const ROUNDED: f64 = 1.0 / (1_u64 << 20) as f64;

/// A relation that may be chosen.
struct RelationCandidate {
    relation: Relation,
    /// Which of the lost rows break it.
    tells: Vec<bool>,
    /// Calibration rows that would break it if its limits were those of all others.
    marks: Vec<usize>,
}

/// Relations that all calibration rows keep, chosen by how many of `lost` break them: rows that leave
/// a table, and whose features are in range.
pub(super) fn choose(features: &Features, lost: &[&[f32]]) -> Vec<Relation> {
    let is_finite = |row: &&[f32]| row.iter().all(|value| value.is_finite());
    let all = features.rows.iter().map(Vec::as_slice).filter(is_finite);
    let all: Vec<&[f32]> = all.collect();
    if all.len() < LEAST_ROWS {
        return Vec::new();
    }
    let step = all.len().div_ceil(MOST_ROWS);
    let sample: Vec<&[f32]> = all.iter().step_by(step).copied().collect();
    // Directions fit the rows that they are found on better than any others.
    let fitted: Vec<&[f32]> = sample.iter().step_by(2).copied().collect();
    let others: Vec<&[f32]> = sample.iter().skip(1).step_by(2).copied().collect();
    let candidates = directions(&fitted).into_iter().map(|direction| {
        let relation = relation(direction, &sample, &features.names);
        RelationCandidate {
            tells: lost
                .iter()
                .map(|row| relation.distance(row) > 1.0)
                .collect(),
            marks: alone(&relation, &others),
            relation,
        }
    });
    let mut chosen = greedy(candidates.collect(), lost.len(), others.len());
    for own in &mut chosen {
        (own.centre, own.limit) = limits(&own.terms, &all);
    }
    chosen
}

/// Takes what tells most of the rows that are left, as long as calibration rows are hardly marked.
fn greedy(mut candidates: Vec<RelationCandidate>, lost: usize, others: usize) -> Vec<Relation> {
    let most_marked = (MOST_MARKED * others as f64) as usize;
    let least_gain = ((LEAST_GAIN * lost as f64) as usize).max(1);
    let mut told = vec![false; lost];
    let mut marked = BTreeSet::new();
    let mut room = MOST_TERMS;
    let mut chosen = Vec::new();
    while chosen.len() < MOST {
        let gain = |own: &RelationCandidate| {
            let rows = own.tells.iter().zip(&told);
            rows.filter(|(tells, told)| **tells && !**told).count()
        };
        // What is too much now is so later.
        candidates.retain(|own| {
            let further = own.marks.iter().filter(|row| !marked.contains(*row));
            own.relation.terms.len() <= room
                && marked.len() + further.count() <= most_marked
                && gain(own) >= least_gain
        });
        // Of equal ones the first, which has fewer terms.
        let places = (0..candidates.len()).rev();
        let Some(best) = places.max_by_key(|place| gain(&candidates[*place])) else {
            break;
        };
        let best = candidates.remove(best);
        for (told, tells) in told.iter_mut().zip(&best.tells) {
            *told |= tells;
        }
        marked.extend(best.marks);
        room -= best.relation.terms.len();
        chosen.push(best.relation);
    }
    chosen
}

/// A direction with the limits that these rows keep, with a margin.
fn relation(direction: DataDirection, rows: &[&[f32]], names: &[String]) -> Relation {
    let (centre, limit) = limits(&direction.terms, rows);
    let heaviest = direction.heaviest.iter();
    Relation {
        terms: direction.terms,
        centre,
        limit,
        names: heaviest.map(|own| names[*own as usize].clone()).collect(),
    }
}

/// Middle and largest distance from it, with a margin, of a form on rows.
fn limits(terms: &[(u32, f32)], rows: &[&[f32]]) -> (f64, f64) {
    let form = FormValues::of(terms, rows);
    let ends = (form.values.iter()).fold((f64::INFINITY, f64::NEG_INFINITY), |ends, own| {
        (own.min(ends.0), own.max(ends.1))
    });
    form.limits(ends)
}

/// Rows that are beyond the limits of all others: of each, only the largest and the smallest value may
/// be.
fn alone(relation: &Relation, rows: &[&[f32]]) -> Vec<usize> {
    let form = FormValues::of(&relation.terms, rows);
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_by(|one, other| form.values[*one].total_cmp(&form.values[*other]));
    let [first, middle @ .., last] = order.as_slice() else {
        return Vec::new();
    };
    let second = middle.first().unwrap_or(last);
    let last_but_one = middle.last().unwrap_or(first);
    let value = |row: &usize| form.values[*row];
    let is_beyond = |row: &usize, (low, high): (&usize, &usize)| {
        let (centre, limit) = form.limits((value(low), value(high)));
        (value(row) - centre).abs() > limit
    };
    let ends = [(first, (second, last)), (last, (first, last_but_one))];
    let ends = ends.into_iter().filter(|(row, rest)| is_beyond(row, *rest));
    ends.map(|(row, _)| *row).collect()
}

/// A form on rows.
struct FormValues {
    values: Vec<f64>,
    /// What rounding of the features leaves undecided.
    rounded: f64,
}

impl FormValues {
    fn of(terms: &[(u32, f32)], rows: &[&[f32]]) -> Self {
        let mut largest = 0.0_f64;
        let value = |row: &&[f32]| {
            let (mut sum, mut size) = (0.0, 0.0);
            for (feature, weight) in terms {
                let term = f64::from(*weight) * f64::from(row[*feature as usize]);
                sum += term;
                size += term.abs();
            }
            largest = largest.max(size);
            sum
        };
        Self {
            values: rows.iter().map(value).collect(),
            rounded: (ROUNDED * largest).max(f64::MIN_POSITIVE),
        }
    }

    /// Middle and largest distance from it, with a margin, of values between two.
    fn limits(&self, (low, high): (f64, f64)) -> (f64, f64) {
        let half = MARGIN * (high - low) / 2.0;
        (f64::midpoint(low, high), half.max(self.rounded))
    }
}

#[cfg(test)]
mod tests {
    use super::{MARGIN, RelationCandidate, alone, choose, greedy};
    use crate::features::Features;
    use crate::fills::Fills;
    use crate::mixtures::Mixtures;
    use cipherfn_protocol::specs::Relation;
    use std::collections::HashMap;

    /// `high` is `low` and up to 0.05 more, `third` has nothing to do with them.
    fn features(rows: u16) -> Features {
        let row = |row: u16| {
            let low = f32::from(row * 37 % 101) / 10.0;
            let more = 0.05 * f32::from(row * 11 % 13) / 13.0;
            vec![low, low + more, f32::from(row * 53 % 97)]
        };
        Features {
            names: ["low", "high", "third"].map(str::to_owned).to_vec(),
            missing: vec![false; 3],
            spared: Vec::new(),
            decimals: vec![None; 3],
            rows: (0..rows).map(row).collect(),
            numbers: Vec::new(),
            mixtures: Mixtures::default(),
            fills: Fills::default(),
            mixed: HashMap::new(),
            sets: HashMap::new(),
        }
    }

    #[test]
    fn rows_that_break_a_rule_are_told_by_the_columns_that_it_is_of() {
        let lost: Vec<Vec<f32>> = (0..40_u8)
            .map(|row| vec![f32::from(row % 5), 5.0 + f32::from(row % 4), 30.0])
            .collect();
        let lost: Vec<&[f32]> = lost.iter().map(Vec::as_slice).collect();
        let features = features(300);
        let found = choose(&features, &lost);
        let [relation] = found.as_slice() else {
            panic!("{found:?}")
        };
        let mut names = relation.names.clone();
        names.sort();
        assert_eq!(names, ["high", "low"]);
        let distance = |row: &Vec<f32>| relation.distance(row);
        let largest = features.rows.iter().map(distance).fold(0.0, f64::max);
        // The largest distance of a calibration row, with the margin.
        assert!((largest * MARGIN - 1.0).abs() < 1e-3, "{largest}");
        assert!(lost.iter().all(|row| relation.distance(row) > 1.0));
    }

    #[test]
    fn few_rows_and_no_rule_give_none() {
        let lost: [&[f32]; 1] = [&[0.0, 9.0, 30.0]];
        assert!(choose(&features(99), &lost).is_empty());
        // Like the calibration rows.
        let lost: [&[f32]; 1] = [&[5.0, 5.02, 30.0]];
        assert!(choose(&features(300), &lost).is_empty());
    }

    fn candidate(tells: [bool; 6], marks: &[usize]) -> RelationCandidate {
        RelationCandidate {
            relation: Relation {
                terms: vec![(0, 1.0)],
                centre: 0.0,
                limit: 1.0,
                names: vec![format!("{tells:?}")],
            },
            tells: tells.to_vec(),
            marks: marks.to_vec(),
        }
    }

    #[test]
    fn what_tells_most_is_taken_unless_it_marks_other_rows() {
        let [no, yes] = [false, true];
        let names = |chosen: Vec<Relation>| -> Vec<String> {
            chosen.into_iter().map(|own| own.names[0].clone()).collect()
        };
        let all = || {
            vec![
                candidate([yes, no, no, no, no, no], &[]),
                candidate([yes, yes, yes, yes, yes, yes], &[1, 2]),
                candidate([no, no, yes, yes, yes, no], &[1]),
                candidate([yes, yes, no, no, yes, no], &[1]),
                candidate([no, no, no, no, no, yes], &[7]),
            ]
        };
        let one = format!("{:?}", [yes, yes, yes, yes, yes, yes]);
        assert_eq!(names(greedy(all(), 6, 200)), [one]);
        // One row in a hundred, the same one.
        let several = [[no, no, yes, yes, yes, no], [yes, yes, no, no, yes, no]];
        let several = several.map(|own| format!("{own:?}"));
        assert_eq!(names(greedy(all(), 6, 100)), several);
        let none = format!("{:?}", [yes, no, no, no, no, no]);
        assert_eq!(names(greedy(all(), 6, 99)), [none]);
    }

    #[test]
    fn a_row_apart_from_all_others_is_found() {
        let relation = Relation {
            terms: vec![(0, 1.0)],
            centre: 0.0,
            limit: 1.0,
            names: Vec::new(),
        };
        let values = [1.0_f32, 4.0, 2.0, 3.0, 0.5, 3.4];
        let rows: Vec<[f32; 1]> = values.iter().map(|own| [*own]).collect();
        let mut rows: Vec<&[f32]> = rows.iter().map(<[f32; 1]>::as_slice).collect();
        assert!(alone(&relation, &rows).is_empty());
        rows[1] = &[4.6];
        assert_eq!(alone(&relation, &rows), [1]);
        assert!(alone(&relation, &rows[..1]).is_empty());
    }
}
