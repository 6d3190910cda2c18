//! Forms in the row's own values and in tables (the dense form).
//!
//! A function on the whole torus is a line and a table. The table's argument, behind the first
//! layer, is at the scale of the whole torus and cannot be multiplied by a small number, so the line
//! cannot be added to it: it is put into the forms behind, as what the line's own form is made of,
//! back to the row. So every form is `L x + c + sum of M |z|` over all functions before it.

use super::super::curve::Curve;
use crate::error::CompileError;
use crate::model::{LayeredModel, LinearForm};

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

/// The forms of all functions, then the scores, over so many features.
pub(super) fn composites(
    model: &LayeredModel,
    features: usize,
    curves: &[Curve],
) -> Result<Vec<Composite>, CompileError> {
    let mut all: Vec<Composite> = Vec::with_capacity(curves.len() + model.bias.len());
    let mut sum = Accumulator::new(features, curves.len());
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

#[cfg(test)]
mod tests {
    use super::super::super::curve::{Curve, Functions};
    use super::super::super::testing::relu;
    use super::composites;
    use crate::model::{FunctionLayer, LayeredModel, LinearForm};

    fn layer(forms: &[[f64; 3]], inner: Vec<Vec<(u32, f64)>>) -> FunctionLayer {
        let form = |&[a, b, bias]: &[f64; 3]| LinearForm {
            weights: vec![(0, a), (1, b)],
            bias,
        };
        FunctionLayer {
            node: "relu".into(),
            forms: forms.iter().map(form).collect(),
            functions: relu(forms.len()),
            inner,
        }
    }

    /// What a form is of features and tables is what it is of features and functions.
    #[test]
    fn lines_are_put_into_the_forms_behind() {
        let first = layer(&[[1.0, -2.0, 0.5], [0.5, 1.5, -0.25]], vec![vec![]; 2]);
        let second = layer(&[[0.25, 0.0, 0.1]], vec![vec![(0, 1.5), (1, -2.0)]]);
        let third = layer(&[[0.0, 0.0, -0.2]], vec![vec![(1, 0.5), (2, 3.0)]]);
        let model = LayeredModel {
            layers: vec![first, second, third],
            weights: vec![vec![0.0, 1.0, 0.0, -2.0]],
            bias: vec![0.75],
        };
        let place = |index: usize| index as f32 / 7.0 - 1.0;
        let rows = (0..15).flat_map(|x| (0..15).map(move |y| [place(x), place(y)]));
        let rows: Vec<[f32; 2]> = rows.collect();
        let forms = rows.iter().map(|row| model.forms_and_scores(row).0);
        let forms: Vec<Vec<f64>> = forms.collect();
        let mut curves = Vec::new();
        for layer in &model.layers {
            let (start, end) = (curves.len(), curves.len() + layer.forms.len());
            let seen: Vec<Vec<f64>> = forms.iter().map(|row| row[start..end].to_vec()).collect();
            let bounds = vec![(f64::NEG_INFINITY, f64::INFINITY); layer.forms.len()];
            let functions = Functions {
                node: &layer.node,
                program: &layer.functions,
            };
            curves.extend(Curve::of(functions, &seen, &bounds, 1024).unwrap());
        }
        let found = composites(&model, 2, &curves).unwrap();
        assert_eq!(found[0].tables, []);
        assert_eq!(found[3].tables.len(), 3, "over all tables before it");
        for (row, forms) in rows.iter().zip(&forms) {
            let table = |unit: usize| {
                let curve = &curves[unit];
                curve.entry(((forms[unit] - curve.low) / curve.step).floor() as i64)
            };
            let wanted = forms.iter().copied().chain(model.raw_scores(row));
            for (own, wanted) in found.iter().zip(wanted) {
                let features = own.features.iter();
                let features = features.map(|(at, w)| w * f64::from(row[*at as usize]));
                let tables = own.tables.iter().map(|(at, w)| w * table(*at as usize));
                let value = own.constant + features.sum::<f64>() + tables.sum::<f64>();
                assert!((value - wanted).abs() < 0.02, "{value} for {wanted}");
            }
        }
    }
}
