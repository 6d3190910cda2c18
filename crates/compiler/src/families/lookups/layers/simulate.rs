//! Rows through the network in integers, with noise of the predicted size at each of its places.
//!
//! Behind a table an error is as much larger as the table is steep. How steep it is where a row is
//! says little of rows beside it: a function that is flat on all calibration rows may be steep
//! between them. So every table is taken to be as steep as it is anywhere, with the sign that its
//! slope has at the row, and the error as small next to the curvature as it has to be.

use super::super::curve::Curve;
use super::integers::{FormSum, Integers, TableArgument};
use crate::simulate::Gaussian;
use cipherfn_scheme::noise::{Deviation, Variance};

/// Most products that the rows' variances may take: about a second.
const MAX_PRODUCTS: usize = 1 << 30;
/// Fewest rows that they are taken of.
const LEAST_ROWS: usize = 16;

/// Where noise arises.
#[derive(Clone, Debug)]
pub(super) struct Noise {
    /// Of a number when its table is read: key switch and modulus switch.
    pub(super) switch: Variance,
    /// Of what each table gives.
    pub(super) tables: Vec<Variance>,
    /// Of what each form has of the features: those of functions, then those of scores.
    pub(super) lines: Vec<Variance>,
    /// Of scores on their way to the client.
    pub(super) reply: Deviation,
}

/// A network in integers with its calibration rows.
pub(super) struct SimulatedRows<'a> {
    curves: &'a [Curve],
    integers: &'a Integers,
    /// By how much each table's result moves at most with its number, torus by torus.
    steepness: Vec<f64>,
    /// Entries that it is taken over: as many as a number is off by.
    apart: i64,
}

/// What noise makes of the score and row that it moves most, as variances in parts of the torus.
#[derive(Clone, Debug, Default)]
pub(super) struct WorstRow {
    pub(super) total: f64,
    /// Of the numbers and tables of each layer.
    pub(super) layers: Vec<f64>,
}

impl WorstRow {
    /// The layer that most of it is of.
    pub(super) fn noisiest(&self) -> usize {
        let larger = |best: usize, own: usize| {
            if self.layers[own] > self.layers[best] {
                own
            } else {
                best
            }
        };
        (0..self.layers.len()).fold(0, larger)
    }
}

impl<'a> SimulatedRows<'a> {
    /// `switch`: of a number when its table is read.
    pub(super) fn new(curves: &'a [Curve], integers: &'a Integers, switch: Variance) -> Self {
        let entries = curves.iter().zip(&integers.arguments);
        let entries = entries.filter(|(_, own)| matches!(own, TableArgument::Phase(_)));
        let torus = |curve: &Curve| 2.0 * curve.entries.len() as f64;
        let torus = entries.map(|(curve, _)| torus(curve)).fold(0.0, f64::max);
        let apart = ((switch.deviation().get() * torus) as i64).max(1);
        let steepness = |(curve, own): (&Curve, &f64)| {
            own.abs() * curve.steepness(apart) * 2.0 * curve.entries.len() as f64
        };
        let units = curves.iter().zip(&integers.amplitudes);
        Self {
            curves,
            integers,
            steepness: units.map(steepness).collect(),
            apart,
        }
    }

    /// By how much a table's result moves with its number where a row is.
    fn slope(&self, unit: usize, row: usize) -> f64 {
        let (curve, place) = (&self.curves[unit], self.integers.places[unit][row]);
        let rise = curve.entry(place + self.apart) - curve.entry(place - self.apart);
        let amplitude = self.integers.amplitudes[unit];
        self.steepness[unit] * if rise * amplitude < 0.0 { -1.0 } else { 1.0 }
    }

    /// The scores' phases of a row, in parts of the torus, with noise.
    pub(super) fn phases(&self, row: usize, noise: &Noise, source: &mut Gaussian) -> Vec<f64> {
        let units = self.curves.len();
        let mut errors = vec![0.0; units];
        let mut normal = |variance: Variance| match variance.get() {
            0.0 => 0.0,
            own => own.sqrt() * source.next(),
        };
        let sum = |sum: &FormSum, errors: &[f64]| -> f64 {
            let terms = sum.terms.iter();
            terms
                .map(|(table, weight)| *weight as f64 * errors[*table as usize])
                .sum()
        };
        for unit in (0..units).filter(|unit| self.integers.used[*unit]) {
            let of_number = match &self.integers.arguments[unit] {
                TableArgument::Bits(_) => 0.0,
                TableArgument::Phase(own) => {
                    let error = normal(noise.lines[unit]) + normal(noise.switch);
                    self.slope(unit, row) * (error + sum(own, &errors))
                }
            };
            errors[unit] = of_number + normal(noise.tables[unit]);
        }
        let scores = self.integers.scores.iter().enumerate();
        scores
            .map(|(score, own)| {
                let line = normal(noise.lines[units + score]);
                let reply = normal(Variance::new(noise.reply.get().powi(2)));
                self.integers.phases[row][score] + sum(own, &errors) + line + reply
            })
            .collect()
    }

    /// The row and score that noise moves most; `starts`: first table of each layer.
    pub(super) fn worst(&self, noise: &Noise, starts: &[usize]) -> WorstRow {
        let integers = self.integers;
        let forms = integers.arguments.iter().filter_map(|own| match own {
            TableArgument::Phase(sum) => Some(sum),
            TableArgument::Bits(_) => None,
        });
        let terms: usize = forms.map(|sum| sum.terms.len() + 1).sum();
        let of_a_row = (terms * integers.scores.len()).max(1);
        let all = integers.phases.len();
        let every = all
            .div_ceil((MAX_PRODUCTS / of_a_row).max(LEAST_ROWS))
            .max(1);
        let mut worst = WorstRow::default();
        for row in (0..all).step_by(every) {
            for score in 0..integers.scores.len() {
                let own = self.variance(row, score, noise, starts);
                if own.total > worst.total {
                    worst = own;
                }
            }
        }
        worst.layers.resize(starts.len() - 1, 0.0);
        worst
    }

    /// Back from a score: what each place of noise moves it by.
    fn variance(&self, row: usize, score: usize, noise: &Noise, starts: &[usize]) -> WorstRow {
        let integers = self.integers;
        let units = self.curves.len();
        let mut weights = vec![0.0; units];
        for (table, weight) in &integers.scores[score].terms {
            weights[*table as usize] += *weight as f64;
        }
        let mut layers = vec![0.0; starts.len() - 1];
        for (layer, start) in starts[..starts.len() - 1].iter().enumerate().rev() {
            for unit in (*start..starts[layer + 1]).rev() {
                let weight = weights[unit];
                if weight == 0.0 {
                    continue;
                }
                layers[layer] += weight.powi(2) * noise.tables[unit].get();
                if let TableArgument::Phase(sum) = &integers.arguments[unit] {
                    let weight = weight * self.slope(unit, row);
                    let of_number = noise.switch + noise.lines[unit];
                    layers[layer] += weight.powi(2) * of_number.get();
                    for (table, own) in &sum.terms {
                        weights[*table as usize] += weight * *own as f64;
                    }
                }
            }
        }
        WorstRow {
            total: layers.iter().sum::<f64>() + noise.lines[units + score].get(),
            layers,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::curve::{Curve, Functions};
    use super::super::super::layer::Unit;
    use super::super::integers::{FormSum, Integers, TableArgument};
    use super::{Noise, SimulatedRows};
    use crate::simulate::Gaussian;
    use cipherfn_program::{EntryKind, Op, ProgramBuilder, TensorType, UnaryFunction};
    use cipherfn_protocol::hash::Hash;
    use cipherfn_scheme::noise::{Deviation, Variance};

    /// A steep step on all of whose calibration rows it is flat: what is stated covers the rows
    /// between.
    #[test]
    fn a_step_between_calibration_rows_counts_as_steep_as_it_is() {
        let kind = EntryKind::F64;
        let mut builder = ProgramBuilder::new(vec![TensorType { kind, len: 1 }]).unwrap();
        let (function, argument) = (UnaryFunction::Tanh, builder.input(0));
        let tanh = Op::Unary { function, argument };
        let tanh = builder.push("tanh", tanh).unwrap();
        let program = builder.finish(&[tanh]).unwrap();
        let functions = Functions {
            node: "tanh",
            program: &program,
        };
        let bounds = [(f64::NEG_INFINITY, f64::INFINITY)];
        let rows = [vec![-30.0], vec![30.0]];
        let step = Curve::of(functions, &rows, &bounds, 1024)
            .unwrap()
            .remove(0);
        let amplitude = 0.125;
        let places = vec![170, 853];
        let sum = |constant, terms| FormSum {
            constant,
            slopes: Vec::new(),
            terms,
        };
        let integers = Integers {
            amplitudes: vec![amplitude, amplitude],
            arguments: vec![
                TableArgument::Bits(Unit::default()),
                TableArgument::Phase(sum(0.0, vec![(0, 1)])),
            ],
            scores: vec![sum(0.0, vec![(1, 2)])],
            used: vec![true; 2],
            phases: places
                .iter()
                .map(|place| vec![2.0 * amplitude * step.entry(*place)])
                .collect(),
            places: vec![places.clone(), places],
            wrapped: vec![0; 2],
        };
        let curves = [step.clone(), step.clone()];
        let noise = Noise {
            switch: Variance::new(1e-6),
            tables: vec![Variance::new(4e-7), Variance::new(1e-8)],
            lines: vec![Variance::default(); 3],
            reply: Deviation::default(),
        };
        let simulated = SimulatedRows::new(&curves, &integers, noise.switch);
        let stated = simulated.worst(&noise, &[0, 1, 2]).total;
        let mut source = Gaussian::new(Hash::of(b"between"));
        let mut off = |middle: i64| -> f64 {
            let mut draw = || {
                let moved = 2048.0 * 1.4e-6_f64.sqrt() * source.next();
                let exact = step.entry(middle);
                let found = step.entry((middle as f64 + moved).floor() as i64);
                (2.0 * amplitude * (found - exact)).powi(2) + 4e-8
            };
            (0..2000).map(|_| draw()).sum::<f64>() / 2000.0
        };
        let (flat, between) = (off(170), off(512));
        assert!(flat < 0.01 * between, "{flat} {between}");
        for middle in [170, 500, 512, 520, 600] {
            let found = off(middle);
            assert!(
                found <= 1.1 * stated,
                "at {middle}: {found}, stated {stated}"
            );
        }
        assert!(stated < 4.0 * between, "{stated} {between}");
        // What labels are counted with is the same.
        let mut moved = |row: usize| {
            let found = simulated.phases(row, &noise, &mut source)[0];
            (found - integers.phases[row][0]).powi(2)
        };
        let counted = (0..2000).map(|_| moved(0)).sum::<f64>() / 2000.0;
        assert!((counted / stated - 1.0).abs() < 0.2, "{counted} {stated}");
    }
}
