//! Rows through the network in integers, with noise of the predicted size at each of its places.

use super::super::curve::Curve;
use super::integers::{FormSum, Integers, TableArgument, place};
use crate::simulate::Gaussian;
use cipherfn_scheme::noise::{Deviation, Variance};

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

impl Noise {
    /// None but that of one layer's numbers and tables.
    pub(super) fn of_layer(&self, tables: std::ops::Range<usize>) -> Self {
        let only = |variances: &[Variance]| {
            let own = variances.iter().enumerate();
            own.map(|(place, own)| {
                if tables.contains(&place) {
                    *own
                } else {
                    Variance::default()
                }
            })
            .collect()
        };
        Self {
            switch: self.switch,
            tables: only(&self.tables),
            lines: only(&self.lines),
            reply: Deviation::default(),
        }
    }
}

/// A network in integers with rows that it is evaluated on.
pub(super) struct SimulatedRows<'a> {
    pub(super) curves: &'a [Curve],
    pub(super) integers: &'a Integers,
    /// Features of the rows, limited to their ranges.
    pub(super) features: &'a [Vec<f64>],
    pub(super) bits: &'a [Vec<bool>],
}

/// Functions whose numbers have noise: all, or those of a layer.
type NoisyUnits = std::ops::Range<usize>;

impl SimulatedRows<'_> {
    /// The scores' phases of a row, in parts of the torus. Numbers are switched with noise where
    /// they are `noisy`.
    pub(super) fn phases(
        &self,
        row: usize,
        noise: &Noise,
        noisy: &NoisyUnits,
        source: &mut Gaussian,
    ) -> Vec<f64> {
        let mut tables: Vec<f64> = Vec::with_capacity(self.curves.len());
        let mut normal = |variance: Variance| match variance.get() {
            0.0 => 0.0,
            own => own.sqrt() * source.next(),
        };
        for (unit, argument) in self.integers.arguments.iter().enumerate() {
            let curve = &self.curves[unit];
            let place = match argument {
                TableArgument::Bits(own) => own.place(&self.bits[row]),
                TableArgument::Phase(sum) => {
                    let mut error = normal(noise.lines[unit]);
                    if noisy.contains(&unit) {
                        error += normal(noise.switch);
                    }
                    place(curve, self.phase(sum, row, &tables) + error)
                }
            };
            let own = self.integers.amplitudes[unit] * curve.entry(place);
            tables.push(own + normal(noise.tables[unit]));
        }
        let scores = self.integers.scores.iter().enumerate();
        scores
            .map(|(score, sum)| {
                let line = normal(noise.lines[self.curves.len() + score]);
                let reply = normal(Variance::new(noise.reply.get().powi(2)));
                self.phase(sum, row, &tables) + line + reply
            })
            .collect()
    }

    fn phase(&self, sum: &FormSum, row: usize, tables: &[f64]) -> f64 {
        let terms = sum.terms.iter();
        let terms = terms.map(|(table, weight)| *weight as f64 * tables[*table as usize]);
        sum.of_features(&self.features[row]) + terms.sum::<f64>()
    }

    /// Mean square of what the noise moves a score's phase by: of the score that is moved most, in
    /// parts of the torus.
    pub(super) fn variance(&self, noise: &Noise, noisy: &NoisyUnits, source: &mut Gaussian) -> f64 {
        let mut squares = vec![0.0; self.integers.scores.len()];
        for (row, exact) in self.integers.phases.iter().enumerate() {
            let found = self.phases(row, noise, noisy, source);
            for (square, (own, exact)) in squares.iter_mut().zip(found.iter().zip(exact)) {
                *square += (own - exact).powi(2);
            }
        }
        let rows = self.integers.phases.len().max(1) as f64;
        squares.into_iter().fold(0.0, f64::max) / rows
    }
}
