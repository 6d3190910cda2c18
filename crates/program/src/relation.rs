//! Relations between features that the calibration rows keep, and rows that break them.
//!
//! Each value of a row may be as those of the calibration rows are, and the row like none of them: an
//! opening price from one day and the closing price of another. What a compiled model gives there
//! means nothing, as nothing that the server looks up reaches so far.

use crate::encoding::Encoding;

/// A linear form of the feature vector, and how far it is from the middle of its values at most in rows
/// that are like the calibration rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Relation {
    /// Entries of the feature vector with their weights, in increasing order of the entries.
    pub terms: Vec<(u32, f32)>,
    /// The form's middle value over the calibration rows.
    pub centre: f64,
    /// Largest distance from the middle, positive.
    pub limit: f64,
    /// Names of the features that weigh most, one to three.
    pub names: Vec<String>,
}

impl Relation {
    /// The form's value. Entries that a feature vector lacks count as 0.
    pub fn value(&self, features: &[f32]) -> f64 {
        let term = |(feature, weight): &(u32, f32)| {
            let value = features.get(*feature as usize).copied().unwrap_or(0.0);
            f64::from(*weight) * f64::from(value)
        };
        self.terms.iter().map(term).sum()
    }

    /// How far a row is from the middle, in parts of the limit: it breaks the relation beyond 1.
    pub fn distance(&self, features: &[f32]) -> f64 {
        (self.value(features) - self.centre).abs() / self.limit
    }
}

/// Of relations the one that a row breaks most, with its distance; `None` if it keeps all of them. The
/// row counts as it is encoded: with values limited to their ranges.
pub fn broken<'a>(
    relations: &'a [Relation],
    inputs: &[Encoding],
    features: &[f32],
) -> Option<(&'a Relation, f64)> {
    if relations.is_empty() {
        return None;
    }
    let mut limited = features.to_vec();
    for encoding in inputs {
        encoding.limit(&mut limited);
    }
    let distances = relations.iter().map(|own| (own, own.distance(&limited)));
    distances
        .filter(|(_, distance)| *distance > 1.0)
        .max_by(|one, other| one.1.total_cmp(&other.1))
}

#[cfg(test)]
mod tests {
    use super::{Relation, broken};
    use crate::encoding::{Encoding, Gadget, IntegerEncoding, IntegerFeature, Transport};
    use crate::{BaseLog, Levels};

    fn difference(one: u32, other: u32, limit: f64) -> Relation {
        Relation {
            terms: vec![(one, 1.0), (other, -1.0)],
            centre: 0.5,
            limit,
            names: vec![format!("x{one}"), format!("x{other}")],
        }
    }

    /// Two features from 0 to 15.
    fn inputs() -> Vec<Encoding> {
        let feature = |feature: u32| IntegerFeature {
            feature,
            name: format!("x{feature}"),
            low: 0.0,
            step: 1.0,
            bits: 4,
            tolerance: None,
        };
        vec![Encoding::Integers(IntegerEncoding {
            features: vec![feature(0), feature(1)],
            gadget: Gadget::new(BaseLog::new(8), Levels::new(3)),
            transport: Transport::Packed,
        })]
    }

    #[test]
    fn the_relation_that_is_broken_most_is_told() {
        let relations = [difference(0, 1, 2.0), difference(0, 2, 1.0)];
        let found = |row: [f32; 3]| broken(&relations, &inputs(), &row);
        assert_eq!(found([3.0, 1.0, 2.5]), None);
        assert_eq!(found([5.0, 2.0, 4.0]), Some((&relations[0], 1.25)));
        assert_eq!(found([5.0, 2.0, 2.0]), Some((&relations[1], 2.5)));
        assert_eq!(broken(&[], &inputs(), &[9.0, 0.0, 0.0]), None);
    }

    /// What the server gets is the limited value, and that is what the relation is of.
    #[test]
    fn values_outside_their_range_count_as_limited() {
        let relations = [difference(0, 1, 2.0)];
        let found = |row: [f32; 2]| broken(&relations, &inputs(), &row);
        assert_eq!(found([1e6, 14.0]), None);
        assert_eq!(found([f32::INFINITY, 14.0]), None);
        assert_eq!(found([f32::INFINITY, 10.0]), Some((&relations[0], 2.5)));
    }
}
