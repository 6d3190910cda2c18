//! Scores of models whose weights only whoever evaluates has: sums of columns with hidden weights.
//!
//! The model says `offset + unit * sum of w (F(x) - centre) / half width` with integers w, of which the sizes
//! add up to `reach / unit` at most. Here that is `offset + rest + sum of W (x - origin)`, in units of 10^-places:
//! W and the rest, which is what the sum gives at the origins of the columns, are rounded integers that
//! whoever has w computes; everybody else knows how large they can be.

use super::weight::MAX_HIDDEN;
use super::{Atom, Linear, Presence, Resolver, TableColumn, Weight};
use crate::answer::ResultType;
use crate::diagram::Diagram;
use crate::number::MAX_PLACES;
use crate::plan::{Expression, NamedModel, PlanError, PublishedScore, check_features, not_given};

/// Part of the error that `predict` guarantees which rounding of weights may add: to decimals, and of what
/// they are multiplied with to a power of two.
const ROUNDING_PART: f64 = 0.25;

/// What a model takes of a row, in units of `10^-places`.
struct Entry {
    places: u8,
    /// Where all that it is made of is zero.
    origin: i128,
    /// Least and largest.
    range: (i128, i128),
}

impl Entry {
    /// Largest distance from the origin.
    fn span(&self) -> f64 {
        let (low, high) = self.range;
        (high - self.origin).max(self.origin - low) as f64
    }

    fn in_ones(&self, units: i128) -> f64 {
        units as f64 / power(self.places)
    }
}

/// A score for columns of certain ranges.
struct ScoreForm {
    places: u8,
    constant: i128,
    /// Of the entries.
    weights: Vec<Weight>,
    /// What is added whatever the entries are.
    rest: Weight,
    /// Largest size of all that is hidden together.
    hidden: i128,
    /// What rounding may still add.
    slack: i128,
}

impl Resolver<'_> {
    /// The score of a published model.
    pub(super) fn score(
        &mut self,
        model: &NamedModel,
        features: &[Expression],
    ) -> Result<TableColumn, PlanError> {
        let Some(score) = model.score() else {
            return Err(self.invalid(not_given(model.name())));
        };
        check_features(model.name(), score.entries(), features.len())
            .map_err(|problem| self.invalid(problem))?;
        let mut columns = Vec::with_capacity(features.len());
        for feature in features {
            let column = self.number(feature)?;
            let Some(value) = column.value else {
                return Err(self.invalid("a model of what cannot be added"));
            };
            columns.push((value, column.presence));
        }
        let entries = columns.iter().map(|(value, _)| Entry {
            places: value.places,
            origin: value.constant,
            range: self.done.range(value),
        });
        let form = ScoreForm::new(score, &entries.collect::<Vec<_>>());
        let form = form.map_err(|problem| self.invalid(problem))?;
        let mut presence: Vec<Presence> = Vec::new();
        for own in columns.iter().flat_map(|(_, presence)| presence) {
            if !presence.contains(own) {
                presence.push(*own);
            }
        }
        // Sums of so many rows as are allowed fill a coefficient: digits of weights have no room beside them.
        let joins = presence.iter().filter_map(|own| match own {
            Presence::Matched(join) | Presence::Looked { join, .. } => Some(*join),
            Presence::Stored(_) | Presence::Function(_) => None,
        });
        if let Some(join) = joins.into_iter().find(|join| self.done.adds_rows(*join)) {
            return Err(self.invalid(format!(
                "model {:?} takes a column that is looked up in {:?}, which adds rows of equal keys, and sums leave no room for weights; have equal keys refused (duplicates = \"refuse\") when it is encrypted",
                model.name(),
                self.done.frames[join + 1].name()
            )));
        }
        let mut linear = Linear {
            terms: vec![(Atom::Function(Diagram::Terminal(1)), form.rest)],
            constant: form.constant,
            places: form.places,
            hidden: form.hidden,
            slack: form.slack,
        };
        let error = |()| self.invalid(too_fine(model.name()));
        for ((value, _), weight) in columns.into_iter().zip(form.weights) {
            for (atom, factor) in value.terms {
                let Weight::Known(factor) = factor else {
                    return Err(self.invalid(format!(
                        "model {:?} takes the score of another published model; take scores of the decrypted answer",
                        model.name()
                    )));
                };
                linear.add(atom, weight.times(factor).ok_or(()).map_err(error)?);
            }
        }
        Ok(TableColumn {
            name: String::new(),
            kind: ResultType::Number {
                places: form.places,
            },
            key: None,
            value: Some(linear),
            presence,
        })
    }
}

impl ScoreForm {
    fn new(score: &PublishedScore, entries: &[Entry]) -> Result<Self, String> {
        let spans: f64 = entries.iter().map(Entry::span).sum();
        let finest = entries.iter().map(|own| own.places).max();
        // Each weight is off by half, and so is the rest.
        let rounding = 0.5 * spans + 0.5;
        let allowed = ROUNDING_PART * score.precision();
        let mut places = finest.unwrap_or(0)..=MAX_PLACES;
        let places = places.find(|places| rounding <= allowed * power(*places));
        let places = places.ok_or_else(|| too_fine(score.name()))?;
        let scale = power(places);
        let reach = score.reach() * scale;

        // Largest size of an entry's weight, of the rest, and of the whole: of all weights one takes all that
        // they have together, in the worst case.
        let mut gains = vec![0.0f64; entries.len()];
        let (mut rest, mut whole) = (0.0f64, 0.0f64);
        let mut at_origins = Vec::with_capacity(score.features().len());
        for feature in score.features() {
            let (mut at_origin, mut low, mut high) =
                (feature.constant, feature.constant, feature.constant);
            for (entry, weight) in &feature.terms {
                let own = &entries[*entry];
                at_origin += weight * own.in_ones(own.origin);
                let ends = [own.range.0, own.range.1].map(|end| weight * own.in_ones(end));
                low += ends[0].min(ends[1]);
                high += ends[0].max(ends[1]);
                gains[*entry] = gains[*entry].max(weight.abs() / feature.half_width);
            }
            let from_centre = |at: f64| (at - feature.centre) / feature.half_width;
            rest = rest.max(from_centre(at_origin).abs());
            whole = whole
                .max(from_centre(low).abs())
                .max(from_centre(high).abs());
            at_origins.push(from_centre(at_origin));
        }
        let bound = |size: f64| {
            let size = size.ceil() + 1.0;
            (size <= MAX_HIDDEN as f64)
                .then_some(size as i64)
                .ok_or_else(|| too_fine(score.name()))
        };
        let (unit, values) = (score.unit() * scale, score.weights());
        let mut weights = Vec::with_capacity(entries.len());
        let mut of_entries = vec![0.0f64; entries.len()];
        for (feature, value) in score.features().iter().zip(values.unwrap_or_default()) {
            for (entry, own) in &feature.terms {
                of_entries[*entry] += unit * *value as f64 / feature.half_width * own;
            }
        }
        for ((gain, own), value) in gains.iter().zip(entries).zip(of_entries) {
            let in_units = power(own.places);
            weights.push(Weight::Hidden {
                bound: bound(gain * reach / in_units)?,
                value: values.map(|_| (value / in_units).round() as i64),
            });
        }
        let rest = Weight::Hidden {
            bound: bound(rest * reach)?,
            value: values.map(|values| {
                let terms = values.iter().zip(&at_origins);
                let sum: f64 = terms.map(|(value, at)| unit * *value as f64 * at).sum();
                sum.round() as i64
            }),
        };
        let hidden = (whole * reach + allowed * scale).ceil() + 1.0;
        let constant = (score.offset() * scale).round();
        if hidden.max(constant.abs()) > 2f64.powi(96) {
            return Err(too_fine(score.name()));
        }
        Ok(Self {
            places,
            constant: constant as i128,
            weights,
            rest,
            hidden: hidden as i128,
            slack: (allowed * scale - rounding) as i128,
        })
    }
}

/// `10^places`, exactly: the same on every machine, which client and server rely on.
fn power(places: u8) -> f64 {
    (0..places).fold(1.0, |power, _| power * 10.0)
}

fn too_fine(name: &str) -> String {
    format!(
        "the weights of model {name:?} leave no room beside its columns' ranges and decimals; narrow those in the schema, or scale what the model takes by a constant"
    )
}
