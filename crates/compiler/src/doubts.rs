//! What the file, the calibration rows and their target show of known losses of exporters, where
//! the library's own predictions are not given.

use crate::causes::{self, sigmoid};
use crate::features::Features;
use crate::labels::same_label;
use crate::model::{Estimator, Model, Test, Tree, TreeEnsemble, TreeNode};
use cipherfn_program::{Op, SoftmaxKind, Tensor};
use cipherfn_protocol::specs::OutputField;
use std::collections::HashSet;

/// Rows that are evaluated: enough for five standard errors of most differences.
const ROWS: usize = 500;
/// Fewest rows with a target that say anything.
const FEWEST_ROWS: usize = 20;
/// Standard errors by which another reading of the file must be better: forest mode has a few
/// readings, the best of which may be better by chance.
const STANDARD_ERRORS: f64 = 5.0;

/// An exported model beside its calibration rows.
pub(crate) struct Doubts<'a> {
    pub(crate) model: &'a Model,
    pub(crate) features: &'a Features,
    /// Cells of the only target, one a row; none if there is no target or several.
    pub(crate) target: Vec<&'a str>,
}

impl Doubts<'_> {
    /// One warning a cause that shows.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let found = [
            self.categories(),
            self.split_points(),
            self.sparse_zeros(),
            self.one_versus_all(),
            self.forest_mode(),
            self.targets(),
            self.exponential(),
            self.deviation(),
        ];
        found.into_iter().flatten().collect()
    }

    /// Codes of categories are whole numbers from 0 on, and no library splits them at 0 alone.
    fn categories(&self) -> Option<String> {
        let is_code = |feature: &usize| {
            let mut codes: Vec<f32> = self.features.finite_values(*feature).collect();
            let are_whole = codes.iter().all(|code| *code >= 0.0 && code.fract() == 0.0);
            codes.sort_unstable_by(f32::total_cmp);
            codes.dedup();
            are_whole && codes.len() > 2
        };
        let feature = causes::compared_with_zero(self.model).find(is_code)?;
        Some(format!(
            "all splits of {:?} compare it with 0, and it has more than two values: {}",
            self.features.names[feature],
            causes::CATEGORIES
        ))
    }

    /// Decimals that round to a split point: the library knows on which side they lie, the file
    /// does not.
    fn split_points(&self) -> Option<String> {
        if !self.compares_64_bits() {
            return None;
        }
        let thresholds = causes::splits(self.model).filter_map(|(feature, test, _)| match test {
            Test::Greater(threshold) => Some((feature, threshold.to_bits())),
            Test::Equal(_) => None,
        });
        let thresholds: HashSet<(usize, u32)> = thresholds.collect();
        let is_rounded = |value: f32| {
            let text = value.to_string();
            text.parse()
                .is_ok_and(|exact: f64| exact.to_bits() != f64::from(value).to_bits())
        };
        let on_split = |row: &Vec<f32>| {
            let mut values = row.iter().enumerate();
            values.position(|(feature, value)| {
                thresholds.contains(&(feature, value.to_bits())) && is_rounded(*value)
            })
        };
        let rows = &self.features.rows;
        let mut found = rows.iter().filter_map(on_split);
        let feature = found.next()?;
        Some(format!(
            "values of {} calibration rows lie on split points (the first in {:?}), and on which \
             side the library has them is not in the file: {}",
            1 + found.count(),
            self.features.names[feature],
            causes::SPLIT_POINTS
        ))
    }

    /// Whether the library compares in 64 bits: LightGBM and scikit-learn's histogram boosting, whose
    /// nodes say where missing values go. XGBoost's split points are 32-bit ones, scikit-learn's other trees
    /// take 32-bit values.
    fn compares_64_bits(&self) -> bool {
        let producer = &self.model.summary.producer;
        let mut sides = causes::splits(self.model).map(|(_, _, goes_yes)| goes_yes);
        producer.starts_with("OnnxMLTools")
            || (producer.starts_with("skl2onnx")
                && sides.clone().any(|goes_yes| goes_yes)
                && sides.any(|goes_yes| !goes_yes))
    }

    /// Splits of zeros and ones that part neither from the other, but both from missing values.
    fn sparse_zeros(&self) -> Option<String> {
        let is_indicator = |feature: usize| {
            let mut values = self.features.rows.iter().map(|row| row[feature]);
            values.all(|value| {
                [0.0_f32, 1.0]
                    .map(f32::to_bits)
                    .contains(&(value + 0.0).to_bits())
            })
        };
        let indicators: Vec<bool> = (0..self.model.features).map(is_indicator).collect();
        let (mut all, mut idle) = (0, Vec::new());
        for (feature, test, missing_goes_yes) in causes::splits(self.model) {
            if indicators[feature] {
                all += 1;
                let side = test.holds(0.0);
                if side == test.holds(1.0) && side != missing_goes_yes {
                    idle.push(feature);
                }
            }
        }
        let first = idle.first().filter(|_| 2 * idle.len() > all)?;
        Some(format!(
            "{} of {all} splits of columns of zeros and ones (the first: {:?}) part neither from \
             the other, but both from missing values: {}",
            idle.len(),
            self.features.names[*first],
            causes::SPARSE_ZEROS
        ))
    }

    /// Scores start at the classes' frequencies: logarithms of them where classes exclude each
    /// other, log odds where each is learned against all others.
    fn one_versus_all(&self) -> Option<String> {
        let [Estimator::Trees(ensemble)] = self.model.estimators.as_slice() else {
            return None;
        };
        let is_softmax = |op: &Op| match op {
            Op::Softmax { variant, .. } => *variant == SoftmaxKind::Softmax,
            _ => false,
        };
        let mut steps = self.model.postprocess.steps().iter();
        if ensemble.scores < 3 || !steps.any(|step| is_softmax(&step.op)) {
            return None;
        }
        let start: Vec<f64> = (0..ensemble.scores as u32)
            .map(|class| self.mean_of_first_tree(ensemble, class))
            .collect::<Option<_>>()?;
        let odds: f64 = start.iter().copied().map(sigmoid).sum();
        let logarithms: f64 = start.iter().map(|x| x.exp()).sum();
        ((odds - 1.0).abs() < 0.05 && (logarithms - 1.0).abs() > 0.2).then(|| {
            format!(
                "the classes' scores start at log odds of their frequencies: {}",
                causes::ONE_VERSUS_ALL
            )
        })
    }

    fn mean_of_first_tree(&self, ensemble: &TreeEnsemble, class: u32) -> Option<f64> {
        let counts = |node: &TreeNode| {
            let leaf = node.as_leaf().unwrap_or_default();
            leaf.iter().any(|(score, _)| *score == class)
        };
        let mut trees = ensemble.trees.iter();
        let tree = trees.find(|tree| tree.nodes.iter().any(counts))?;
        let rows = &self.features.rows[..self.features.rows.len().min(ROWS)];
        let value = |row: &Vec<f32>| {
            let mut leaf = tree.leaf(row).iter();
            leaf.find(|(score, _)| *score == class)
                .map_or(0.0, |(_, value)| *value)
        };
        let sum: f64 = rows.iter().map(value).sum();
        Some(ensemble.base[class as usize] + sum / rows.len() as f64)
    }

    /// Whether classes fit the target far better where trees are given to them in runs.
    fn forest_mode(&self) -> Option<String> {
        let label = (self.model.outputs.iter()).position(|field| *field == OutputField::Label)?;
        let rows = self.rows_with_target()?;
        let ensemble = causes::of_classes(self.model)?;
        // What each tree says of each row: the classes' sums follow from it however trees are given
        // to them.
        let of_tree = |tree: &Tree| -> Vec<f64> {
            let leaf = |(row, _): &(&[f32], &str)| {
                let values = tree.leaf(row).iter();
                values.map(|(_, value)| value).sum()
            };
            rows.iter().map(leaf).collect()
        };
        let of_trees: Vec<Vec<f64>> = ensemble.trees.iter().map(of_tree).collect();
        let in_runs = |parallel: usize, row: usize| {
            let mut scores = ensemble.base.clone();
            for (index, values) in of_trees.iter().enumerate() {
                scores[causes::class_in_runs(ensemble.scores, parallel, index)] += values[row];
            }
            scores
        };
        let right = |scores: &dyn Fn(usize) -> Vec<f64>| -> Option<f64> {
            let is_right = |(row, (_, wanted)): (usize, &(&[f32], &str))| {
                let scores = vec![Tensor::F64(scores(row))];
                let outputs = self.model.postprocess.run(scores).ok()?;
                let label = outputs.get(label)?.to_texts().swap_remove(0);
                Some(f64::from(u8::from(same_label(wanted, &label))))
            };
            rows.iter().enumerate().map(is_right).sum()
        };
        let count = rows.len() as f64;
        let own = right(&|row| self.model.raw_scores(rows[row].0))?;
        for parallel in causes::parallels(ensemble) {
            let other = right(&|row| in_runs(parallel, row))?;
            if other - own > STANDARD_ERRORS * (count / 4.0).sqrt() {
                return Some(format!(
                    "{own} of {count} calibration rows get the label of the target, and {other} \
                     if trees are given to the classes in runs: {}",
                    causes::forest_mode(parallel)
                ));
            }
        }
        None
    }

    /// Whether one of several values is the same in all rows.
    fn targets(&self) -> Option<String> {
        if self.model.outputs != [OutputField::Prediction] {
            return None;
        }
        let predicted = |row: &Vec<f32>| {
            let scores = vec![Tensor::F64(self.model.raw_scores(row))];
            self.model.postprocess.run(scores).ok()?.first()?.to_f64()
        };
        let rows = self.features.rows.iter().take(ROWS);
        let predictions: Vec<Vec<f64>> = rows.map(predicted).collect::<Option<_>>()?;
        let idle = causes::idle_target(&predictions)?;
        Some(format!(
            "prediction_{idle} is the same in all rows: {}",
            causes::TARGETS
        ))
    }

    fn deviation(&self) -> Option<String> {
        causes::has_deviation(self.model).then(|| {
            format!(
                "the second value is no standard deviation: {}",
                causes::DEVIATION
            )
        })
    }

    /// Whether exponentials of the predictions fit the target far better.
    fn exponential(&self) -> Option<String> {
        if self.model.outputs != [OutputField::Prediction] {
            return None;
        }
        let mut gains = Vec::new();
        for (row, wanted) in self.rows_with_target()? {
            let wanted = wanted.parse::<f64>().ok().filter(|wanted| *wanted >= 0.0)?;
            let scores = vec![Tensor::F64(self.model.raw_scores(row))];
            let found = self.model.postprocess.run(scores).ok()?;
            let found = *found.first()?.to_f64()?.first()?;
            gains.push((found - wanted).powi(2) - (found.exp() - wanted).powi(2));
        }
        let count = gains.len() as f64;
        let mean = gains.iter().sum::<f64>() / count;
        let squares = gains.iter().map(|gain| (gain - mean).powi(2)).sum::<f64>();
        (mean > STANDARD_ERRORS * squares.sqrt() / count).then(|| {
            format!(
                "exponentials of the predictions fit the target far better than the predictions \
                 do: {}",
                causes::EXPONENTIAL
            )
        })
    }

    /// Rows whose target is known, if they are enough.
    fn rows_with_target(&self) -> Option<Vec<(&[f32], &str)>> {
        let pairs = self.features.rows.iter().zip(&self.target);
        let known = pairs.map(|(row, target)| (row.as_slice(), target.trim()));
        let rows: Vec<_> = known
            .filter(|(_, cell)| !cell.is_empty())
            .take(ROWS)
            .collect();
        (rows.len() >= FEWEST_ROWS).then_some(rows)
    }
}
