//! Forms in the row's own values and in tables (the dense form).
//!
//! A function on the whole torus is a line and a table. The table's argument, behind the first
//! layer, is at the scale of the whole torus and cannot be multiplied by a small number, so the line
//! cannot be added to it: it is put into the forms behind, as what the line's own form is made of,
//! back to the row. So every form is `L x + c + sum of M |z|` over all functions before it.

use super::super::curve::Curve;
use super::problem::LayersProblem;
use crate::error::CompileError;
use crate::model::LinearForm;

/// Most terms of all forms together.
const MAX_TERMS: usize = 1 << 23;

/// A form in features and what tables give, in parts of their sizes.
#[derive(Clone, Debug)]
pub(super) struct Composite {
    pub(super) constant: f64,
    /// Features with weights that are not zero, increasing.
    pub(super) features: Vec<(u32, f64)>,
    /// Functions with weights that are not zero, increasing.
    pub(super) tables: Vec<(u32, f64)>,
}

/// The forms of all functions, then the scores.
pub(super) fn composites(
    problem: &LayersProblem<'_>,
    curves: &[Curve],
) -> Result<Vec<Composite>, CompileError> {
    let model = problem.model;
    let mut all: Vec<Composite> = Vec::with_capacity(curves.len() + model.bias.len());
    let mut sum = Accumulator::new(problem.spans.len(), curves.len());
    let mut terms = 0;
    for layer in &model.layers {
        for (form, inner) in layer.forms.iter().zip(&layer.inner) {
            let own = sum.of(form, inner, curves, &all);
            terms += own.features.len() + own.tables.len();
            if terms > MAX_TERMS {
                return Err(CompileError::invalid(
                    format!("node \"{}\"", layer.node),
                    format!("with the layers before it, it has more than {MAX_TERMS} weights"),
                ));
            }
            all.push(own);
        }
    }
    for (weights, bias) in model.weights.iter().zip(&model.bias) {
        let form = LinearForm {
            weights: Vec::new(),
            bias: *bias,
        };
        let inner: Vec<(u32, f64)> = (0..)
            .zip(weights.iter().copied())
            .filter(|(_, weight)| *weight != 0.0)
            .collect();
        all.push(sum.of(&form, &inner, curves, &all));
    }
    Ok(all)
}

/// Sums with room for every feature and table.
struct Accumulator {
    features: Vec<f64>,
    tables: Vec<f64>,
}

impl Accumulator {
    fn new(features: usize, tables: usize) -> Self {
        Self {
            features: vec![0.0; features],
            tables: vec![0.0; tables],
        }
    }

    fn of(
        &mut self,
        form: &LinearForm,
        inner: &[(u32, f64)],
        curves: &[Curve],
        before: &[Composite],
    ) -> Composite {
        let mut constant = form.bias;
        for (feature, weight) in &form.weights {
            self.features[*feature as usize] += weight;
        }
        for (unit, weight) in inner {
            let curve = &curves[*unit as usize];
            constant += weight * curve.offset;
            self.tables[*unit as usize] += weight * curve.size;
            let factor = weight * curve.slope;
            if factor != 0.0 {
                let own = &before[*unit as usize];
                constant += factor * own.constant;
                for (feature, weight) in &own.features {
                    self.features[*feature as usize] += factor * weight;
                }
                for (table, weight) in &own.tables {
                    self.tables[*table as usize] += factor * weight;
                }
            }
        }
        Composite {
            constant,
            features: taken(&mut self.features),
            tables: taken(&mut self.tables),
        }
    }
}

/// The entries that are not zero, which they become.
fn taken(sums: &mut [f64]) -> Vec<(u32, f64)> {
    let mut terms = Vec::new();
    for (place, sum) in (0..).zip(sums) {
        if *sum != 0.0 {
            terms.push((place, std::mem::take(sum)));
        }
    }
    terms
}
