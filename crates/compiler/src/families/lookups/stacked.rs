//! Trees over what the server computes: stacking with trees on top.
//!
//! ```text
//! StackedModel + calibration rows
//!   forms      comparisons of linear forms of the row, looked up by its bits
//!   scores     numbers that are scores of functions, each planned by its own family
//!   problem    rows, what numbers and scores are on them
//!   simulate   the rows with noise in every number and in the trees' leaves
//!   choice     one key part, gadget, steps, with what it costs and gives
//!   search     the cheapest that is faithful enough
//!   circuit    numbers, selectors of their comparisons, trees from the leaves to the root
//! ```
//!
//! A comparison takes a bootstrap, which makes a selector of a number, and is off by 0.2 to 0.8 % of the
//! torus. A number that is a form of the row is looked up by bits before that, in a table that is a step:
//! the bootstrap reads one of two values that are half of the torus apart, and is never wrong. Of any
//! other number the torus has to hold its distance to every threshold. Its error is one of the row, and
//! the same for all thresholds: the switches see the same mask.

mod choice;
mod circuit;
mod forms;
mod problem;
mod scores;
mod search;
mod simulate;

use super::answers::Answers;
use super::fidelity;
use super::inexact_scores;
use super::outputs::MARGIN_OF_COMPARED;
use super::plan::feature_report;
use crate::cost::{Costs, Work};
use crate::error::CompileError;
use crate::families::{Facts, Family, Plan, Reading, Setting};
use crate::model::StackedModel;
use crate::report::{Bound, DeepReport, FeatureReport, LayerReport, WorkReport};
use choice::StackedChoice;
use cipherfn_protocol::specs::Encoding;
use cipherfn_scheme::query::InputShape;
use problem::{StackedProblem, labels};

impl Family for StackedModel {
    fn name(&self) -> &'static str {
        "trees over scores"
    }

    fn plan(&self, setting: &Setting<'_>) -> Result<Plan, CompileError> {
        let problem = StackedProblem::of(self, setting)?;
        let choice = problem.choose()?;
        choice.answers().check(setting.options, || {
            format!("node \"{}\" limits it, by {}", self.node, choice.limit())
        })?;
        Ok(problem.plan(choice))
    }
}

impl StackedProblem<'_> {
    fn plan(&self, choice: StackedChoice) -> Plan {
        let backend = self.setting.backend;
        let report = self.report(&choice);
        let own_forms = choice
            .forms
            .as_ref()
            .map(|forms| Encoding::Integers(forms.encoding(backend)));
        let of_scores = self
            .scored
            .iter()
            .flat_map(|own| own.plan.encodings.clone());
        let encodings: Vec<Encoding> = own_forms.into_iter().chain(of_scores).collect();
        let scored_plans = self.scored.iter().map(|own| &own.plan);
        let relations = scored_plans.flat_map(|plan| plan.relations.clone());
        let shapes = encodings.iter();
        let shapes = shapes.map(|encoding| InputShape::of(backend.set, encoding));
        let shapes: Vec<InputShape> = shapes.collect();
        let (coefficients, reply_bits) = (self.model.trees.scores, choice.budget.reply_bits);
        let bits = choice.bits().max(0.0);
        let Answers { labels, error } = choice.answers();
        let inexact = inexact_scores(labels, error, self.setting.options);
        let own = Facts {
            target_bits: bits,
            bits,
            range_of: "the calibration rows",
            bound: Bound::Comparisons,
            features: feature_report(choice.forms.as_ref().map_or(&[], |own| &own.grid), true),
            work: WorkReport::of(
                choice.forms.as_ref().map(|_| forms::GADGET),
                Some(choice.work),
                &choice.stages,
                Vec::new(),
            ),
            trees: None,
            layers: vec![report],
            query_bytes: shapes.iter().map(InputShape::row_bytes).sum(),
            reply_bytes: backend.reply_bytes(coefficients, reply_bits),
            shared: backend.shared(&shapes, [coefficients], reply_bits),
            key_parts: backend.expansion().iter().chain([choice.of.part]).collect(),
            warnings: inexact.into_iter().collect(),
        };
        let scored: Vec<Facts> = self.scored.iter().map(|own| own.facts(choice.of)).collect();
        let joined = scored
            .iter()
            .fold(own.clone(), |facts, other| facts.join(other));
        let counts = scored.iter().filter_map(|facts| facts.work.counts);
        let encoded = scored
            .iter()
            .flat_map(|facts| facts.features.encoded.clone());
        let layers = scored.iter().flat_map(|facts| facts.layers.clone());
        Plan {
            reading: Reading {
                scores: fidelity::decodings(&choice.sums, choice.budget, &choice.largest),
                deviation: choice.budget.deviation,
            },
            facts: Facts {
                features: FeatureReport {
                    encoded: own
                        .features
                        .encoded
                        .iter()
                        .cloned()
                        .chain(encoded)
                        .collect(),
                    ..own.features
                },
                layers: layers.chain(own.layers).collect(),
                work: WorkReport {
                    counts: Some(counts.fold(choice.work, Work::with)),
                    ..joined.work
                },
                key_parts: joined.key_parts,
                warnings: joined.warnings,
                ..own
            },
            encodings,
            relations: relations.collect(),
            circuit: choice.circuit,
        }
    }

    fn report(&self, choice: &StackedChoice) -> LayerReport {
        let fidelity = &choice.fidelity;
        let backend = self.setting.backend;
        let costs = Costs::of(backend.set).with_bootstrap(choice.of.bootstrap);
        let thresholds = self.model.comparisons.iter().map(|own| own.threshold);
        let ends = |(low, high): (f64, f64), own: f64| (low.min(own), high.max(own));
        LayerReport {
            nodes: vec![self.model.node.clone()],
            lookups: 0,
            on_whole_torus: 0,
            selectors: 0,
            cmuxes: choice.work.number_choices,
            margin: MARGIN_OF_COMPARED,
            wrapped: fidelity.wrapped as u64,
            rows: fidelity.rows as u64,
            labels: labels(fidelity),
            error: fidelity.error,
            error_without_noise: fidelity.exact_error,
            limit: choice.limit().into(),
            deep: Some(DeepReport {
                bootstraps: 0,
                choices: choice.work.number_choices as usize,
                range: thresholds.fold((f64::INFINITY, f64::NEG_INFINITY), ends),
                bits: self.bits_of_numbers(choice.of, choice.gadget),
                share: choice.share_of_comparisons(),
                microseconds: costs.number_choices(choice.work.number_choices, choice.gadget),
                memory: costs.values(choice.work.number_choices as usize),
            }),
        }
    }
}
