//! What does not depend on the choice of a key part, steps and gadget: the calibration rows, and
//! what each form and function is on them.

use super::super::choice::bounds;
use super::super::curve::{Curve, Functions};
use super::super::grid::Span;
use super::super::outputs::{check_scores, ranges};
use super::super::rows::{check_finite, fitted_rows};
use crate::error::CompileError;
use crate::families::Setting;
use crate::model::{FunctionLayer, LayeredModel};
use cipherfn_scheme::parameters::Bootstrap;

/// Rows that gradients are taken from, at most.
const GRADIENT_ROWS: usize = 128;

/// How the layer over the row's own values is evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FirstLayer {
    /// By look-ups of the row's bits.
    Lookups,
    /// As all others.
    Bootstraps,
}

/// A network with its calibration rows.
pub(super) struct LayersProblem<'a> {
    pub(super) model: &'a LayeredModel,
    pub(super) setting: &'a Setting<'a>,
    pub(super) spans: Vec<Span>,
    /// Feature vectors of the rows that it is fitted on ...
    pub(super) rows: Vec<&'a [f32]>,
    /// ... with their places among the calibration rows,
    pub(super) indices: Vec<usize>,
    /// the values of all forms
    pub(super) forms: Vec<Vec<f64>>,
    /// and the scores.
    pub(super) scores: Vec<Vec<f64>>,
    /// For each score: what a whole torus stands for.
    pub(super) scales: Vec<f64>,
    /// For each score: its value at phase zero.
    pub(super) centres: Vec<f64>,
    /// First function of each layer, and the number of all.
    pub(super) starts: Vec<usize>,
}

impl<'a> LayersProblem<'a> {
    pub(super) fn of(
        model: &'a LayeredModel,
        setting: &'a Setting<'a>,
    ) -> Result<Self, CompileError> {
        let mut functions = 0;
        for layer in &model.layers {
            functions += layer.forms.len();
            CompileError::check_functions(&layer.node, functions)?;
        }
        let features = setting.features;
        let (indices, rows) = fitted_rows(setting);
        let values = rows.iter().map(|row| model.forms_and_scores(row));
        let (forms, scores): (Vec<Vec<f64>>, Vec<Vec<f64>>) = values.unzip();
        let first = model.layers.first().map_or("", |layer| &layer.node);
        check_finite(first, (setting, &indices), &forms)?;
        check_finite(first, (setting, &indices), &scores)?;
        let last = model.layers.last().map_or("", |layer| &layer.node);
        check_scores(last, &scores, &model.weights)?;
        let mut starts = vec![0];
        for layer in &model.layers {
            starts.push(starts[starts.len() - 1] + layer.forms.len());
        }
        let (scales, centres) = ranges(&scores, setting.reach);
        Ok(Self {
            model,
            setting,
            spans: Span::of(features),
            rows,
            indices,
            forms,
            scores,
            scales,
            centres,
            starts,
        })
    }

    /// Number of functions.
    pub(super) fn units(&self) -> usize {
        self.starts[self.model.layers.len()]
    }

    /// The layer of a function.
    pub(super) fn layer_of(&self, unit: usize) -> usize {
        self.starts.partition_point(|start| *start <= unit) - 1
    }

    /// Whether a layer's functions can be looked up by the row's bits.
    pub(super) fn is_first(layer: &FunctionLayer) -> bool {
        layer.inner.iter().all(Vec::is_empty)
    }

    /// Whether a layer's functions are looked up.
    pub(super) fn looks_up(layer: &FunctionLayer, first: FirstLayer) -> bool {
        first == FirstLayer::Lookups && Self::is_first(layer)
    }

    /// The functions as tables and lines.
    pub(super) fn curves(
        &self,
        first: FirstLayer,
        bootstrap: &Bootstrap,
    ) -> Result<Vec<Curve>, CompileError> {
        let mut curves = Vec::with_capacity(self.units());
        for (layer, start) in self.model.layers.iter().zip(&self.starts) {
            let range = *start..*start + layer.forms.len();
            let seen: Vec<Vec<f64>> = self
                .forms
                .iter()
                .map(|row| row[range.clone()].to_vec())
                .collect();
            let is_first = Self::is_first(layer);
            let bounds: Vec<(f64, f64)> = layer
                .forms
                .iter()
                .map(|form| {
                    if is_first {
                        bounds(form, &self.spans)
                    } else {
                        (f64::NEG_INFINITY, f64::INFINITY)
                    }
                })
                .collect();
            let size = if Self::looks_up(layer, first) {
                self.setting.backend.set.ring.polynomial_size
            } else {
                bootstrap.output.polynomial_size
            };
            let functions = Functions {
                node: &layer.node,
                program: &layer.functions,
            };
            curves.extend(Curve::of(functions, &seen, &bounds, size)?);
        }
        Ok(curves)
    }

    /// How much each feature moves the scores, in the torus a unit of the feature: root mean square
    /// over rows and scores.
    pub(super) fn gradients(&self, curves: &[Curve]) -> Vec<f64> {
        let mut squares = vec![0.0; self.spans.len()];
        let rows = self.forms.iter().take(GRADIENT_ROWS);
        for forms in rows.clone() {
            let slope = |(curve, z): (&Curve, &f64)| {
                // Over a few entries: kinks weigh as often as rows are near them.
                let reach = 8.0 * curve.step;
                (curve.value(z + reach) - curve.value(z - reach)) / (2.0 * reach)
            };
            let slopes: Vec<f64> = curves.iter().zip(forms).map(slope).collect();
            for (weights, scale) in self.model.weights.iter().zip(&self.scales) {
                let gradient = self.gradient(weights, &slopes);
                for (square, own) in squares.iter_mut().zip(gradient) {
                    *square += (own / scale).powi(2);
                }
            }
        }
        let count = (rows.len() * self.scores[0].len()).max(1) as f64;
        squares
            .into_iter()
            .map(|sum| (sum / count).sqrt())
            .collect()
    }

    /// Of one score for one row, back through the layers.
    fn gradient(&self, weights: &[f64], slopes: &[f64]) -> Vec<f64> {
        let mut of_units = weights.to_vec();
        let mut of_features = vec![0.0; self.spans.len()];
        for (layer, start) in self.model.layers.iter().zip(&self.starts).rev() {
            for (place, (form, inner)) in layer.forms.iter().zip(&layer.inner).enumerate() {
                let own = of_units[start + place] * slopes[start + place];
                if own != 0.0 {
                    for (feature, weight) in &form.weights {
                        of_features[*feature as usize] += own * weight;
                    }
                    for (unit, weight) in inner {
                        of_units[*unit as usize] += own * weight;
                    }
                }
            }
        }
        of_features
    }
}
