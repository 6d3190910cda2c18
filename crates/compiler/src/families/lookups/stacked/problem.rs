//! What does not depend on the choice of a key part, gadget and steps: the calibration rows, and what
//! numbers and scores are on them.

use super::super::fidelity::Fidelity;
use super::super::grid::Span;
use super::super::layers::BootstrapPart;
use super::super::outputs::{MARGIN_OF_COMPARED, OutputSums};
use super::super::rows::fitted_rows;
use super::forms::ComparedForm;
use super::scores::ComparedScore;
use crate::error::CompileError;
use crate::families::Setting;
use crate::model::{ComparedNumber, StackedModel, TreeNode};
use cipherfn_protocol::specs::Gadget;
use cipherfn_scheme::circuit_bootstrap::comparison_variance;
use cipherfn_scheme::noise::Variance;

/// Part of the torus that the scores fill, over all combinations of leaves.
const FILLED: f64 = 0.75;

/// Trees over numbers, with their calibration rows.
pub(super) struct StackedProblem<'a> {
    pub(super) model: &'a StackedModel,
    pub(super) setting: &'a Setting<'a>,
    pub(super) spans: Vec<Span>,
    /// Feature vectors of the rows that it is fitted on ...
    pub(super) rows: Vec<&'a [f32]>,
    /// ... with their places among the calibration rows,
    pub(super) indices: Vec<usize>,
    /// and the scores.
    pub(super) scores: Vec<Vec<f64>>,
    /// Comparisons of forms of the row.
    pub(super) forms: Vec<ComparedForm<'a>>,
    /// Numbers that are scores of functions.
    pub(super) scored: Vec<ComparedScore>,
    /// For each comparison, its number among these; none for a form of the row.
    pub(super) of_score: Vec<Option<usize>>,
    /// Differences of numbers and thresholds outside of the torus, over all rows.
    pub(super) wrapped: usize,
    /// How scores are read.
    pub(super) sums: OutputSums,
}

impl<'a> StackedProblem<'a> {
    pub(super) fn of(
        model: &'a StackedModel,
        setting: &'a Setting<'a>,
    ) -> Result<Self, CompileError> {
        let trees = &model.trees.trees;
        let nodes = trees.iter().flat_map(|tree| &tree.nodes);
        let splits = nodes.filter(|node| matches!(node, TreeNode::Split { .. }));
        CompileError::check_functions(&model.node, splits.count())?;
        let size = setting.backend.set.ring.polynomial_size;
        if model.trees.scores > size {
            return Err(CompileError::LargeLayer {
                node: model.node.clone(),
                what: "scores",
                found: model.trees.scores as u64,
                most: size as u64,
            });
        }
        let (indices, rows) = fitted_rows(setting);
        let numbers: Vec<Vec<f64>> = rows.iter().map(|row| model.numbers_of(row)).collect();
        let scores: Vec<Vec<f64>> = rows.iter().map(|row| model.raw_scores(row)).collect();
        let thresholds = model.comparisons.iter().map(|own| own.threshold);
        let mut all = numbers.iter().flatten().copied().chain(thresholds);
        if rows.is_empty() || !all.all(f64::is_finite) {
            return Err(CompileError::invalid(
                format!("node \"{}\"", model.node),
                "what it compares is no finite number for calibration rows, or no row is complete",
            ));
        }
        let spans = Span::of(setting.features);
        let mut problem = Self {
            model,
            setting,
            spans,
            rows,
            indices,
            scores,
            forms: Vec::new(),
            scored: Vec::new(),
            of_score: vec![None; model.comparisons.len()],
            wrapped: 0,
            sums: sums(model),
        };
        for (number, own) in model.numbers.iter().enumerate() {
            problem.add(number, own, &numbers)?;
        }
        Ok(problem)
    }

    fn add(
        &mut self,
        number: usize,
        own: &'a ComparedNumber,
        numbers: &[Vec<f64>],
    ) -> Result<(), CompileError> {
        let values = || numbers.iter().map(|row| row[number]);
        let asked = self.model.comparisons.iter().enumerate();
        let asked = asked.filter(|(_, comparison)| comparison.number as usize == number);
        match own {
            ComparedNumber::Form(form) => {
                let size = self.setting.backend.set.ring.polynomial_size;
                let compared = asked.map(|(place, comparison)| {
                    ComparedForm::of(
                        place,
                        form,
                        comparison.threshold,
                        values(),
                        &self.spans,
                        size,
                    )
                });
                self.forms.extend(compared.collect::<Vec<_>>());
            }
            ComparedNumber::Score(estimator) => {
                let thresholds = asked.clone().map(|(_, comparison)| comparison.threshold);
                let ends = |(low, high): (f64, f64), own: f64| (low.min(own), high.max(own));
                let reach = thresholds.fold((f64::INFINITY, f64::NEG_INFINITY), ends);
                let setting = self.setting;
                let score = ComparedScore::of(estimator, setting, &self.rows, reach)?;
                for (place, comparison) in asked {
                    self.of_score[place] = Some(self.scored.len());
                    let away =
                        |value: f64| (value - comparison.threshold).abs() >= score.torus / 2.0;
                    self.wrapped += values().filter(|value| away(*value)).count();
                }
                self.scored.push(score);
            }
        }
        Ok(())
    }

    /// Of the difference of a score and a threshold, when a selector is made of it.
    pub(super) fn compared(
        &self,
        score: &ComparedScore,
        of: BootstrapPart,
        gadget: Gadget,
    ) -> Variance {
        score.variance() + comparison_variance(self.setting.backend.set, of.bootstrap, gadget)
    }

    /// Bits of its range that the least exact number has when it is compared.
    pub(super) fn bits_of_numbers(&self, of: BootstrapPart, gadget: Gadget) -> f64 {
        let scored = self.scored.iter().map(|score| {
            let error = self.compared(score, of, gadget).deviation().get();
            -(error * MARGIN_OF_COMPARED).log2()
        });
        // Steps of a form, on the whole torus.
        let size = self.setting.backend.set.ring.polynomial_size as f64;
        scored.fold((2.0 * size).log2(), f64::min)
    }

    /// The phases of scores, in parts of the torus.
    pub(super) fn phases(&self, scores: &[f64]) -> Vec<f64> {
        let read = self.sums.centres.iter().zip(&self.sums.scales);
        let read = scores.iter().zip(read);
        read.map(|(score, (centre, scale))| (score - centre) / scale)
            .collect()
    }
}

/// Every combination of leaves is on the torus.
fn sums(model: &StackedModel) -> OutputSums {
    let scale = |(low, high): &(f64, f64)| match high - low {
        0.0 => 1.0,
        range => range / FILLED,
    };
    let ends = model.trees.ends();
    let centres = ends.iter().zip(&model.trees.base);
    let centres = centres.map(|((low, high), base)| base + f64::midpoint(*low, *high));
    OutputSums {
        amplitudes: Vec::new(),
        weights: Vec::new(),
        scales: ends.iter().map(scale).collect(),
        centres: centres.collect(),
        constants: Vec::new(),
        slopes: Vec::new(),
    }
}

/// Part of the labels that are the model's, where it gives some.
pub(super) fn labels(fidelity: &Fidelity) -> Option<f64> {
    fidelity.labels.filter(|_| fidelity.has_labels)
}
