//! Comparisons of linear forms of the row: each is looked up by the row's bits, in a table that is 1 on
//! one half of the torus and -1 on the other.

use super::super::choice::{MAX_TURNS, bounds, gadget};
use super::super::curve::MARGIN;
use super::super::grid::{Span, grids};
use super::super::layer::{BitColumns, Unit, UnitFits};
use crate::backend::Backend;
use crate::error::CompileError;
use crate::model::LinearForm;
use cipherfn_protocol::specs::{Gadget, IntegerEncoding, IntegerFeature};

/// log2 of the errors that quantised features may bring into a form, in parts of the torus. Coarser ones
/// would save little beside the bootstraps, and other rows than those of the calibration are closer to
/// thresholds that were learned from these.
pub(super) const ERRORS: [f64; 3] = [-10.0, -11.0, -12.0];
/// Of the selectors. What is looked up is half of the torus apart, so the cheapest gadget does.
pub(super) const GADGET: Gadget = gadget(9, 2);

/// A comparison of a form of the row.
#[derive(Debug)]
pub(super) struct ComparedForm<'a> {
    /// Which of the model's comparisons.
    pub(super) comparison: usize,
    form: &'a LinearForm,
    threshold: f64,
    /// What an entry of its table is for.
    step: f64,
}

/// Comparisons of forms in integers.
pub(super) struct FittedForms {
    pub(super) grid: Vec<IntegerFeature>,
    /// By comparison of the model; none of other numbers.
    pub(super) units: Vec<Option<Unit>>,
    /// Answers of the rows, by row and comparison of the model; those of other numbers mean nothing.
    pub(super) above: Vec<Vec<bool>>,
    /// Number of bits.
    pub(super) selectors: u32,
    /// Forms of rows outside their tables.
    pub(super) wrapped: usize,
}

impl<'a> ComparedForm<'a> {
    /// With these values of the form on the rows.
    pub(super) fn of(
        comparison: usize,
        form: &'a LinearForm,
        threshold: f64,
        values: impl Iterator<Item = f64>,
        spans: &[Span],
        size: usize,
    ) -> Self {
        let ends = |(low, high): (f64, f64), own: f64| (low.min(own), high.max(own));
        let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), ends);
        let (middle, half) = (f64::midpoint(low, high), MARGIN * (high - low) / 2.0);
        let (least, most) = bounds(form, spans);
        // A little more than what features within their ranges allow: bits round them.
        let slack = 0.01 * (most - least);
        let low = (middle - half).max(least - slack);
        let high = (middle + half).min(most + slack);
        let reach = (high - threshold).abs().max((low - threshold).abs());
        Self {
            comparison,
            form,
            threshold,
            step: reach.max(f64::MIN_POSITIVE) / size as f64,
        }
    }
}

/// Comparisons of forms with features in steps that bring this error, in parts of the torus.
pub(super) fn fitted(
    forms: &[ComparedForm<'_>],
    comparisons: usize,
    spans: &[Span],
    rows: &[&[f32]],
    (error, size): (f64, usize),
    node: &str,
) -> Result<FittedForms, CompileError> {
    let mut squares = vec![0.0; spans.len()];
    for own in forms {
        for (feature, weight) in &own.form.weights {
            squares[*feature as usize] += (weight / own.step / (2.0 * size as f64)).powi(2);
        }
    }
    let gradient = |sum: &f64| (sum / forms.len().max(1) as f64).sqrt();
    let gradients: Vec<f64> = squares.iter().map(gradient).collect();
    let grid = grids(spans, &gradients, error);
    let of_form = |own: &ComparedForm<'_>| {
        let features = own.form.weights.iter();
        features
            .map(|(feature, _)| u64::from(grid[*feature as usize].bits))
            .sum::<u64>()
    };
    let turns: u64 = forms.iter().map(of_form).sum();
    if turns > MAX_TURNS {
        return Err(CompileError::LargeLayer {
            node: node.to_owned(),
            what: "CMUXes",
            found: turns,
            most: MAX_TURNS,
        });
    }
    let bits = BitColumns::of(&grid, rows);
    let selectors = bits.count() as u32;
    let mut fits = UnitFits::of(&bits);
    let mut units = vec![None; comparisons];
    let mut above = vec![vec![false; comparisons]; rows.len()];
    let mut wrapped = 0;
    let size = size as i64;
    for own in forms {
        let places: Vec<f64> = rows
            .iter()
            .map(|row| (own.form.of(row) - own.threshold) / own.step)
            .collect();
        // A place is the whole number below: an entry is the form in its middle.
        let middles = places.iter().map(|place| place - 0.5);
        let unit = fits.unit(own.form, own.step, middles);
        for (row, (bits, exact)) in bits.rows.iter().zip(&places).enumerate() {
            let place = unit.place(bits);
            above[row][own.comparison] = place.rem_euclid(2 * size) < size;
            wrapped += usize::from(exact.abs() >= size as f64);
        }
        units[own.comparison] = Some(unit);
    }
    drop(fits);
    drop(bits);
    Ok(FittedForms {
        grid,
        units,
        above,
        selectors,
        wrapped,
    })
}

impl FittedForms {
    /// CMUXes of all look-ups.
    pub(super) fn cmuxes(&self) -> u32 {
        let units = self.units.iter().flatten();
        units.map(|unit| unit.turns.len() as u32).sum()
    }

    pub(super) fn encoding(&self, backend: Backend) -> IntegerEncoding {
        IntegerEncoding {
            features: self.grid.clone(),
            gadget: GADGET,
            transport: backend.transport(),
        }
    }
}
