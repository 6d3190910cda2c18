//! Numbers that are scores of functions: circuits of their own, whose result stays at the server.

use super::super::layers::BootstrapPart;
use crate::error::CompileError;
use crate::families::{Facts, Plan, Reference, Setting};
use crate::model::{Estimator, Model};
use crate::options::Options;
use crate::simulate;
use cipherfn_engine::ClearCircuit;
use cipherfn_scheme::noise::Variance;
use cipherfn_scheme::parameters::KeyPartContents;

/// A number that is a score of functions.
pub(super) struct ComparedScore {
    pub(super) plan: Plan,
    /// What a whole torus stands for, and the number at phase zero.
    pub(super) torus: f64,
    pub(super) zero: f64,
    /// Its phases on the rows without noise, in parts of the torus.
    pub(super) phases: Vec<f64>,
}

impl ComparedScore {
    /// Planned by its family, with room for its distances to values from `reach.0` to `reach.1`.
    pub(super) fn of(
        estimator: &Estimator,
        setting: &Setting<'_>,
        rows: &[&[f32]],
        reach: (f64, f64),
    ) -> Result<Self, CompileError> {
        let exact = setting
            .features
            .rows
            .iter()
            .take(setting.reference.scores.len());
        let exact: Vec<Vec<f64>> = exact.map(|row| estimator.raw_scores(row)).collect();
        // Nothing is asked of the number's own labels, and precision is not what counts.
        let model = Model {
            outputs: Vec::new(),
            ..setting.reference.model.clone()
        };
        let options = Options {
            precision: None,
            ..setting.options.clone()
        };
        let plan = estimator.family().plan(&Setting {
            options: &options,
            reference: Reference {
                model: &model,
                scores: &exact,
                region: &[0],
            },
            reach: Some(reach),
            ..*setting
        })?;
        let circuit = ClearCircuit::new(plan.circuit.clone())?;
        let results = simulate::results(&circuit, &plan.encodings, rows);
        let phase = |result: Option<Vec<u64>>| {
            let phase = result.and_then(|own| own.first().copied()).unwrap_or(0);
            phase as i64 as f64 * f64::from(-64).exp2()
        };
        let decoding = &plan.reading.scores[0];
        Ok(Self {
            torus: decoding.scale.get(),
            zero: decoding.offset.get(),
            phases: results.into_iter().map(phase).collect(),
            plan,
        })
    }

    /// A value as a phase, in parts of the torus.
    pub(super) fn phase(&self, value: f64) -> f64 {
        (value - self.zero) / self.torus
    }

    /// Of the number, before it is compared.
    pub(super) fn variance(&self) -> Variance {
        Variance::new(self.plan.reading.deviation.get().powi(2))
    }

    /// Whether the circuit can take its own bootstraps by this part: tables of the same size, and no
    /// more noise.
    pub(super) fn allows(&self, of: BootstrapPart) -> bool {
        let parts = self.plan.facts.key_parts.iter();
        let mut own = parts.filter_map(|part| match &part.contents {
            KeyPartContents::Bootstrap(own) => Some(own),
            _ => None,
        });
        own.all(|own| {
            own.output == of.bootstrap.output
                && own.small == of.bootstrap.small
                && own.rotation.levels.get() <= of.bootstrap.rotation.levels.get()
        })
    }

    /// What the report says, with its bootstraps by this part.
    pub(super) fn facts(&self, of: BootstrapPart) -> Facts {
        let mut facts = self.plan.facts.clone();
        for part in &mut facts.key_parts {
            if matches!(part.contents, KeyPartContents::Bootstrap(_)) {
                *part = of.part;
            }
        }
        facts
    }
}
