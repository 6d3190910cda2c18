//! What does not depend on the choice of a key part, steps and gadget: the calibration rows, and how
//! far the points are from them.

use super::super::fidelity::range;
use super::super::grid::Span;
use super::super::rows::fitted_rows;
use crate::error::CompileError;
use crate::families::Setting;
use crate::model::{LinearForm, NeighbourModel};
use cipherfn_protocol::specs::IntegerFeature;
use std::collections::HashMap;

/// How many times as wide as on the calibration rows the range of the distances is.
pub(super) const MARGIN: f64 = 1.5;
/// Most points: two bootstraps each are a minute and more.
const MAX_POINTS: usize = 4096;
/// Most distances of rows that are simulated.
const MAX_DISTANCES: usize = 1 << 18;
/// Fewest rows.
const LEAST_ROWS: usize = 64;
/// A weight that is nothing beside the largest of its feature.
const NOTHING: f64 = 1e-9;

/// Points with calibration rows.
pub(super) struct NeighbourProblem<'a> {
    pub(super) model: &'a NeighbourModel,
    pub(super) setting: &'a Setting<'a>,
    pub(super) spans: Vec<Span>,
    /// Feature vectors of the rows that it is fitted on ...
    pub(super) rows: Vec<&'a [f32]>,
    /// ... with their places among the calibration rows.
    pub(super) indices: Vec<usize>,
    /// The distances without what they have in common, one a point.
    pub(super) forms: Vec<LinearForm>,
    /// Their values, by row.
    pub(super) distances: Vec<Vec<f64>>,
    /// The scores, by row.
    pub(super) scores: Vec<Vec<f64>>,
    /// For each feature: the deviation of its weight over the points.
    pub(super) weights: Vec<f64>,
    /// How many points lie at one place, at most: they have one rank, whatever the row.
    pub(super) alike: usize,
}

impl<'a> NeighbourProblem<'a> {
    pub(super) fn of(
        model: &'a NeighbourModel,
        setting: &'a Setting<'a>,
    ) -> Result<Self, CompileError> {
        let points = model.distances.len();
        let node = format!("node \"{}\"", model.node);
        if points > MAX_POINTS {
            return Err(CompileError::UnsupportedModel {
                problem: format!("{node} ranks {points} points"),
                supported: format!(
                    "at most {MAX_POINTS}; a condensed or sampled training set has fewer"
                ),
            });
        }
        let (mut indices, mut rows) = fitted_rows(setting);
        let most = (MAX_DISTANCES / points.max(1)).max(LEAST_ROWS);
        indices.truncate(most);
        rows.truncate(most);
        let forms = without_mean(&model.distances, setting.features.names.len());
        let values = |row: &&[f32]| -> Vec<f64> { forms.iter().map(|own| own.of(row)).collect() };
        let distances: Vec<Vec<f64>> = rows.iter().map(values).collect();
        if rows.is_empty() || !distances.iter().flatten().all(|own| own.is_finite()) {
            return Err(CompileError::invalid(
                node,
                "distances of calibration rows are not finite numbers, or no row is complete",
            ));
        }
        let scores = rows.iter().map(|row| model.raw_scores(row)).collect();
        let mut squares = vec![0.0_f64; setting.features.names.len()];
        for (feature, weight) in forms.iter().flat_map(|form| &form.weights) {
            squares[*feature as usize] += weight.powi(2);
        }
        let weights = squares.iter();
        let weights = weights.map(|own| (own / points.max(1) as f64).sqrt());
        let weights: Vec<f64> = weights.collect();
        if weights.iter().all(|own| *own == 0.0) {
            return Err(CompileError::invalid(
                node,
                "all its points are the same, so that none is nearer than another",
            ));
        }
        Ok(Self {
            weights,
            alike: most_alike(&model.distances),
            model,
            setting,
            spans: Span::of(setting.features),
            rows,
            indices,
            distances,
            scores,
            forms,
        })
    }

    pub(super) fn points(&self) -> usize {
        self.forms.len()
    }

    /// How far apart the nearest `among` points of a row are, of the row where it is most.
    pub(super) fn spread(&self, among: usize) -> f64 {
        let last = among.clamp(1, self.points()) - 1;
        let of_row = |row: &Vec<f64>| {
            let mut sorted = row.clone();
            sorted.sort_unstable_by(f64::total_cmp);
            sorted[last] - sorted[0]
        };
        let widest = self.distances.iter().map(of_row).fold(0.0, f64::max);
        widest.max(f64::MIN_POSITIVE.sqrt())
    }

    /// Features as integers that together bring an error of so many steps of this size into a
    /// distance. What no distance depends on takes no bits, and no value of it is out of range.
    pub(super) fn grid(&self, step: f64, error: f64) -> Vec<IntegerFeature> {
        let used = self.weights.iter().filter(|own| **own > 0.0).count();
        let own = error * step / (used.max(1) as f64).sqrt();
        let spans = self.spans.iter().zip(&self.weights);
        spans
            .map(|(span, weight)| match *weight {
                0.0 => span.without_bits(),
                weight => span.with_step(own * 12_f64.sqrt() / weight),
            })
            .collect()
    }

    /// For each score: its range over the rows.
    pub(super) fn ranges(&self) -> Vec<f64> {
        (0..self.model.bias.len())
            .map(|score| {
                // The number of votes is k on all rows.
                let constant = self.scores.first().map_or(0.0, |row| row[score].abs());
                match range(&self.scores, score) {
                    own if own > f64::MIN_POSITIVE.sqrt() => own,
                    own => own.max(constant),
                }
            })
            .collect()
    }
}

/// The largest number of forms that are the same to the bit.
pub(super) fn most_alike(forms: &[LinearForm]) -> usize {
    let mut counts: HashMap<Vec<u64>, usize> = HashMap::new();
    for form in forms {
        let weights = form.weights.iter();
        let weights = weights.flat_map(|(feature, weight)| [u64::from(*feature), weight.to_bits()]);
        let key = weights.chain([form.bias.to_bits()]).collect();
        *counts.entry(key).or_default() += 1;
    }
    counts.into_values().max().unwrap_or(0)
}

/// Forms minus their mean: what is equal in all of them falls out.
fn without_mean(forms: &[LinearForm], features: usize) -> Vec<LinearForm> {
    let count = forms.len().max(1) as f64;
    let mut mean = vec![0.0; features];
    let mut largest = vec![0.0_f64; features];
    for (feature, weight) in forms.iter().flat_map(|form| &form.weights) {
        mean[*feature as usize] += weight / count;
        largest[*feature as usize] = largest[*feature as usize].max(weight.abs());
    }
    let bias = forms.iter().map(|form| form.bias).sum::<f64>() / count;
    let own = |form: &LinearForm| {
        let mut weights: Vec<f64> = mean.iter().map(|mean| -mean).collect();
        for (feature, weight) in &form.weights {
            weights[*feature as usize] += weight;
        }
        let weights = weights.into_iter().enumerate();
        LinearForm {
            weights: weights
                .filter(|(feature, weight)| weight.abs() > NOTHING * largest[*feature])
                .map(|(feature, weight)| (feature as u32, weight))
                .collect(),
            bias: form.bias - bias,
        }
    };
    forms.iter().map(own).collect()
}
