//! What the report says of the numbers of one hidden layer.

use super::choice::{LayerProblem, LookupChoice};
use super::curve::Curve;
use super::layer::BitColumns;
use crate::cost::{Costs, Work};
use crate::report::DeepReport;

/// Bits of a number that is exact, or of none.
pub(super) const MOST_BITS: f64 = 64.0;

impl LayerProblem<'_> {
    /// Range and bits of the forms, and what the look-ups take.
    pub(super) fn numbers(&self, choice: &LookupChoice) -> DeepReport {
        let fidelity = &choice.fidelity;
        let (all, exact) = (fidelity.error.powi(2), fidelity.exact_error.powi(2));
        let costs = Costs::of(self.setting.backend.set);
        let own = Work {
            selectors: 0,
            slots: 0,
            key_switches: 0,
            ..choice.work
        };
        DeepReport {
            bootstraps: 0,
            choices: 0,
            range: reach(&self.curves),
            bits: self.bits(choice),
            share: (1.0 - exact / all.max(f64::MIN_POSITIVE)).clamp(0.0, 1.0),
            microseconds: costs.of_layer(&own, choice.gadget),
            memory: costs.values(choice.work.lookups as usize),
        }
    }

    /// Bits of the least exact form that is looked up: its table's range over how far off its entry
    /// is on the calibration rows, root mean square.
    fn bits(&self, choice: &LookupChoice) -> f64 {
        let columns = BitColumns::of(&choice.grid, &self.rows);
        let mut squares = vec![0.0; self.curves.len()];
        for (bits, forms) in columns.rows.iter().zip(&self.forms) {
            for (unit, curve) in self.curves.iter().enumerate() {
                let place = choice.units[unit].place(bits) as f64 + 0.5;
                squares[unit] += (curve.low + place * curve.step - forms[unit]).powi(2);
            }
        }
        let rows = self.rows.len().max(1) as f64;
        let looked_up = self.curves.iter().zip(&squares);
        let bits = looked_up.filter(|(curve, _)| !curve.is_line());
        let bits = bits.map(|(curve, sum)| {
            let range = curve.step * curve.steps as f64;
            (range / (sum / rows).sqrt()).log2()
        });
        bits.fold(MOST_BITS, f64::min)
    }
}

/// What tables reach from and to, zero among it.
pub(super) fn reach(curves: &[Curve]) -> (f64, f64) {
    curves.iter().fold((0.0, 0.0), |(low, high), curve| {
        let end = curve.low + curve.step * curve.steps as f64;
        (curve.low.min(low), end.max(high))
    })
}
