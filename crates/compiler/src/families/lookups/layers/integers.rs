//! The network in integers: sizes of tables, whole weights, what each form's phase begins with.
//!
//! ```text
//! phase = constant + slopes x features + sum of weight * amplitude * table      (parts of the torus)
//! ```

use super::super::curve::Curve;
use super::super::layer::Unit;
use super::super::rounding::Moments;
use super::composite::Composite;
use super::problem::{FirstLayer, LayersProblem};
use std::collections::{BTreeMap, HashMap};

/// Largest amplitude of a table, in parts of the torus.
const MOST_AMPLITUDE: f64 = 0.25;
/// How much of the error of plain rounding is left where it knows the weights before.
const ROUNDING: f64 = 0.3;
/// Weights of a layer that are all smaller than this are left out.
const LEAST_WEIGHT: f64 = 0.05;

/// A form as the server evaluates it.
#[derive(Clone, Debug)]
pub(super) struct FormSum {
    /// In parts of the torus.
    pub(super) constant: f64,
    /// Features with what they add, in the torus a unit.
    pub(super) slopes: Vec<(u32, f64)>,
    /// Tables with integers that are not zero.
    pub(super) terms: Vec<(u32, i64)>,
}

/// How a table's argument is found.
#[derive(Clone, Debug)]
pub(super) enum TableArgument {
    /// By the row's bits.
    Bits(Unit),
    /// By a number that the server computed.
    Phase(FormSum),
}

/// A network in integers.
pub(super) struct Integers {
    /// Size of each table, in parts of the torus.
    pub(super) amplitudes: Vec<f64>,
    /// One a table.
    pub(super) arguments: Vec<TableArgument>,
    /// One a score.
    pub(super) scores: Vec<FormSum>,
    /// Whether any score follows from the table; the others are not evaluated.
    pub(super) used: Vec<bool>,
    /// For each table, the entry that each row asks for, without noise.
    pub(super) places: Vec<Vec<i64>>,
    /// The scores' phases on the rows, without noise.
    pub(super) phases: Vec<Vec<f64>>,
    /// Arguments outside of their tables on the rows.
    pub(super) wrapped: Vec<usize>,
}

impl Integers {
    /// Products of weights and tables, of a row.
    pub(super) fn terms(&self) -> usize {
        let arguments = self.arguments.iter().filter_map(|own| match own {
            TableArgument::Phase(sum) => Some(sum),
            TableArgument::Bits(_) => None,
        });
        arguments
            .chain(&self.scores)
            .map(|sum| sum.terms.len())
            .sum()
    }
}

/// What a network in integers is made of.
pub(super) struct Fitting<'a> {
    pub(super) problem: &'a LayersProblem<'a>,
    pub(super) curves: &'a [Curve],
    pub(super) composites: &'a [Composite],
    pub(super) first: FirstLayer,
    /// Look-ups of the first functions, and the rows' bits.
    pub(super) lookups: &'a [Unit],
    pub(super) bits: &'a [Vec<bool>],
    /// Features of the rows, limited to their ranges.
    pub(super) features: &'a [Vec<f64>],
    /// Variances of what tables give.
    pub(super) variances: &'a [f64],
}

impl Fitting<'_> {
    pub(super) fn integers(&self) -> Integers {
        let problem = self.problem;
        let units = problem.units();
        let amplitudes = self.amplitudes();
        let rows = problem.rows.len();
        // What each table gives, in parts of its size, by row.
        let mut given: Vec<Vec<f64>> = vec![vec![0.0; rows]; units];
        let mut arguments = Vec::with_capacity(units);
        let mut all_places = Vec::with_capacity(units);
        let mut wrapped = vec![0; problem.model.layers.len()];
        let mut moments = LayerMoments::default();
        for (index, layer) in problem.model.layers.iter().enumerate() {
            for unit in problem.starts[index]..problem.starts[index + 1] {
                let curve = &self.curves[unit];
                let (argument, places) = if LayersProblem::looks_up(layer, self.first) {
                    let own = &self.lookups[unit];
                    let places = self.bits.iter().map(|bits| own.place(bits));
                    (
                        TableArgument::Bits(own.clone()),
                        places.collect::<Vec<i64>>(),
                    )
                } else {
                    let wanted = |row: &Vec<f64>| (row[unit] - curve.low) / whole(curve);
                    let wanted: Vec<f64> = problem.forms.iter().map(wanted).collect();
                    let scale = Scale {
                        zero: curve.low,
                        torus: whole(curve),
                    };
                    let (sum, phases) =
                        self.sum(unit, scale, &wanted, (&amplitudes, &given), &mut moments);
                    let places = phases.iter().map(|phase| place(curve, *phase));
                    (TableArgument::Phase(sum), places.collect())
                };
                wrapped[index] += places.iter().filter(|own| !curve.holds(**own)).count();
                given[unit] = places.iter().map(|place| curve.entry(*place)).collect();
                arguments.push(argument);
                all_places.push(places);
            }
        }
        let mut phases = vec![Vec::new(); rows];
        let mut scores = Vec::new();
        for score in 0..problem.scales.len() {
            let (zero, torus) = (problem.centres[score], problem.scales[score]);
            let wanted = |row: &Vec<f64>| (row[score] - zero) / torus;
            let wanted: Vec<f64> = problem.scores.iter().map(wanted).collect();
            let scale = Scale { zero, torus };
            let tables = (amplitudes.as_slice(), given.as_slice());
            let (sum, own) = self.sum(units + score, scale, &wanted, tables, &mut moments);
            scores.push(sum);
            phases
                .iter_mut()
                .zip(own)
                .for_each(|(all, own)| all.push(own));
        }
        Integers {
            amplitudes,
            used: used(&arguments, &scores),
            places: all_places,
            arguments,
            scores,
            phases,
            wrapped,
        }
    }

    /// Whole weights of a form, and its phases on the rows.
    fn sum(
        &self,
        form: usize,
        scale: Scale,
        wanted: &[f64],
        (amplitudes, given): (&[f64], &[Vec<f64>]),
        moments: &mut LayerMoments,
    ) -> (FormSum, Vec<f64>) {
        let composite = &self.composites[form];
        let slopes: Vec<(u32, f64)> = composite
            .features
            .iter()
            .map(|(feature, weight)| (*feature, weight / scale.torus))
            .collect();
        let mut by_layer: BTreeMap<usize, Vec<(u32, f64)>> = BTreeMap::new();
        for (table, weight) in &composite.tables {
            let exact = weight / (scale.torus * amplitudes[*table as usize]);
            let layer = self.problem.layer_of(*table as usize);
            by_layer.entry(layer).or_default().push((*table, exact));
        }
        let mut terms = Vec::new();
        for exact in by_layer.into_values() {
            if exact.iter().any(|(_, weight)| weight.abs() >= LEAST_WEIGHT) {
                terms.extend(moments.round(&exact, amplitudes, given));
            }
        }
        let mut sum = FormSum {
            constant: (composite.constant - scale.zero) / scale.torus,
            slopes,
            terms,
        };
        let mut phases: Vec<f64> = self
            .features
            .iter()
            .map(|features| sum.of_features(features))
            .collect();
        for (table, weight) in &sum.terms {
            let factor = *weight as f64 * amplitudes[*table as usize];
            for (phase, own) in phases.iter_mut().zip(&given[*table as usize]) {
                *phase += factor * own;
            }
        }
        // What is off on average is taken off the constant.
        let off = wanted.iter().zip(&phases).map(|(wanted, own)| wanted - own);
        let off = off.sum::<f64>() / phases.len().max(1) as f64;
        sum.constant += off;
        for phase in &mut phases {
            *phase += off;
        }
        (sum, phases)
    }

    /// Amplitudes at which the tables' errors, times the weights, are as large as what rounding the
    /// weights loses. Where a table has one user, its weight is 1.
    fn amplitudes(&self) -> Vec<f64> {
        let problem = self.problem;
        let units = problem.units();
        let mut wanted: Vec<Vec<f64>> = vec![Vec::new(); units];
        for (form, composite) in self.composites.iter().enumerate() {
            let torus = match form.checked_sub(units) {
                Some(score) => problem.scales[score],
                None => match &self.curves[form] {
                    _ if self.is_looked_up(form) => continue,
                    curve => whole(curve),
                },
            };
            for (table, weight) in &composite.tables {
                wanted[*table as usize].push((weight / torus).abs());
            }
        }
        (0..units)
            .map(|unit| self.amplitude(unit, &wanted[unit]))
            .collect()
    }

    fn is_looked_up(&self, unit: usize) -> bool {
        let layer = &self.problem.model.layers[self.problem.layer_of(unit)];
        LayersProblem::looks_up(layer, self.first)
    }

    fn amplitude(&self, unit: usize, wanted: &[f64]) -> f64 {
        if let [only] = wanted {
            let weight = (only / MOST_AMPLITUDE).ceil().max(1.0);
            return (only / weight).max(f64::from(-24).exp2());
        }
        let curve = &self.curves[unit];
        let forms = self.problem.forms.iter();
        let values: Vec<f64> = forms
            .map(|row| curve.entry(((row[unit] - curve.low) / curve.step).floor() as i64))
            .collect();
        let rows = values.len().max(1) as f64;
        let mean = values.iter().sum::<f64>() / rows;
        let off = values.iter().map(|value| (value - mean).powi(2));
        let spread = (off.sum::<f64>() / rows).max(1e-4);
        let square = wanted.iter().map(|own| own * own).sum::<f64>();
        let mut users = wanted.len() as f64;
        let mut amplitude = MOST_AMPLITUDE;
        // Users whose weight is rounded to nothing lose the weight and no more.
        for _ in 0..4 {
            let best = 12.0 * self.variances[unit] * square / (users.max(1.0) * spread * ROUNDING);
            // Few sizes, so that tables of one function are one constant.
            let power = (2.0 * best.max(f64::MIN_POSITIVE).powf(0.25).log2()).round() / 2.0;
            amplitude = power.exp2().clamp(f64::from(-24).exp2(), MOST_AMPLITUDE);
            let half = amplitude / 2.0;
            users = wanted.iter().filter(|own| **own > half).count() as f64;
        }
        amplitude
    }
}

impl FormSum {
    /// What it is of features alone.
    pub(super) fn of_features(&self, features: &[f64]) -> f64 {
        let terms = self.slopes.iter();
        let terms = terms.map(|(feature, slope)| slope * features[*feature as usize]);
        self.constant + terms.sum::<f64>()
    }
}

/// Which tables scores follow from. What a line stands in for is not, nor are tables whose weights
/// are too small to count.
fn used(arguments: &[TableArgument], scores: &[FormSum]) -> Vec<bool> {
    let mut used = vec![false; arguments.len()];
    let mark = |used: &mut Vec<bool>, sum: &FormSum| {
        for (table, _) in &sum.terms {
            used[*table as usize] = true;
        }
    };
    for sum in scores {
        mark(&mut used, sum);
    }
    for (unit, argument) in arguments.iter().enumerate().rev() {
        if let (true, TableArgument::Phase(sum)) = (used[unit], argument) {
            mark(&mut used, sum);
        }
    }
    used
}

/// A form's value at phase zero, and what a whole torus stands for.
#[derive(Clone, Copy)]
struct Scale {
    zero: f64,
    torus: f64,
}

/// What a whole torus of a bootstrapped function's form stands for: twice as many steps as the
/// table has entries.
pub(super) fn whole(curve: &Curve) -> f64 {
    2.0 * curve.entries.len() as f64 * curve.step
}

/// The table's entry at a phase.
pub(super) fn place(curve: &Curve, phase: f64) -> i64 {
    (phase * 2.0 * curve.entries.len() as f64).floor() as i64
}

/// How tables of a layer move together, for each set of them that a form is of.
#[derive(Default)]
struct LayerMoments {
    known: HashMap<Vec<u32>, Moments>,
}

impl LayerMoments {
    /// Integers near the weights of these tables.
    fn round(
        &mut self,
        exact: &[(u32, f64)],
        amplitudes: &[f64],
        given: &[Vec<f64>],
    ) -> Vec<(u32, i64)> {
        let tables: Vec<u32> = exact.iter().map(|(table, _)| *table).collect();
        let moments = self.known.entry(tables.clone()).or_insert_with(|| {
            let count = given.first().map_or(0, Vec::len);
            let of_row = |row: usize| {
                let own = tables.iter().map(|table| *table as usize);
                own.map(|table| amplitudes[table] * given[table][row])
                    .collect()
            };
            let rows: Vec<Vec<f64>> = (0..count).map(of_row).collect();
            Moments::of(&rows)
        });
        let weights: Vec<f64> = exact.iter().map(|(_, weight)| *weight).collect();
        let rounded = tables.into_iter().zip(moments.round(&weights));
        rounded.filter(|(_, weight)| *weight != 0).collect()
    }
}
