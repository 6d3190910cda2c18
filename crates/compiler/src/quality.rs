//! How well predictions fit the target of the calibration rows.
//!
//! A model whose columns are mixed up compiles as well as any other, and agrees with itself; only
//! the target tells.

use crate::labels::{self, same_label};
use crate::model::Model;
use crate::report::{Quality, TargetReport};
use crate::simulate::SimulatedRow;
use cipherfn_program::Tensor;
use cipherfn_protocol::specs::OutputField;
use std::collections::{BTreeMap, BTreeSet};

/// Fewest rows that say anything about chance.
const FEWEST_ROWS: usize = 20;
/// Standard errors above chance that a model must be: one in 40 models without any skill is.
const STANDARD_ERRORS: f64 = 2.0;

/// Most names of classes that a warning shows.
const SHOWN: usize = 8;

/// Targets with their cells in all calibration rows.
pub(crate) struct Targets<'a> {
    /// Names of the columns.
    pub names: &'a [String],
    /// Cells of each row.
    pub cells: &'a [Vec<String>],
}

impl Targets<'_> {
    /// One entry a target, and what to look at before deploying.
    pub(crate) fn assess(
        &self,
        model: &Model,
        rows: &[SimulatedRow],
    ) -> (Vec<TargetReport>, Vec<String>) {
        let mut reports = Vec::new();
        let mut warnings = Vec::new();
        let predicted = predicted(model);
        if !self.names.is_empty() && self.names.len() != predicted.len() {
            warnings.push(format!(
                "the model predicts {} values a row and {} targets are named: they are left out \
                 and not compared",
                predicted.len(),
                self.names.len()
            ));
            return (reports, warnings);
        }
        for (index, (name, (output, entry))) in self.names.iter().zip(predicted).enumerate() {
            let column = TargetColumn {
                model,
                output,
                entry,
                rows: rows
                    .iter()
                    .map(|row| (self.cells[row.index][index].trim(), row))
                    .filter(|(cell, _)| !cell.is_empty())
                    .collect(),
            };
            let (clear, simulated) = (column.quality(exact), column.quality(simulated));
            if let Some(names) = column.unknown_names() {
                warnings.push(format!("the target {name:?} {names}"));
            } else if let Some(problem) = column.problem(&clear) {
                warnings.push(format!(
                    "the model does not predict the target {name:?}: {problem}. Likely causes: \
                     the columns are not in the order of the training, the target is coded \
                     otherwise, or the export lost something; compare with the library's own \
                     predictions"
                ));
            }
            reports.push(TargetReport {
                target: name.clone(),
                rows: column.rows.len() as u64,
                clear: clear.quality,
                simulated: simulated.quality,
            });
        }
        (reports, warnings)
    }
}

/// Output and entry of each label, or of each value where there is no label.
fn predicted(model: &Model) -> Vec<(usize, usize)> {
    let of = |wanted: OutputField| {
        let outputs = model.outputs.iter().zip(model.postprocess.outputs());
        outputs
            .enumerate()
            .filter(|(_, (field, _))| **field == wanted)
            .flat_map(|(output, (_, tensor))| (0..tensor.len).map(move |entry| (output, entry)))
            .collect::<Vec<_>>()
    };
    match of(OutputField::Label) {
        none if none.is_empty() => of(OutputField::Prediction),
        labels => labels,
    }
}

fn exact(row: &SimulatedRow) -> &[Tensor] {
    &row.exact
}

fn simulated(row: &SimulatedRow) -> &[Tensor] {
    &row.simulated
}

/// One target beside its predictions.
struct TargetColumn<'a> {
    model: &'a Model,
    /// The output that predicts it ...
    output: usize,
    /// ... and the entry there.
    entry: usize,
    rows: Vec<(&'a str, &'a SimulatedRow)>,
}

/// A quality, and what is wrong with it.
struct Judged {
    quality: Quality,
    /// Chance explains it.
    is_chance: bool,
    /// It is worse than chance.
    is_inverse: bool,
    /// The label of every row, where the target has several.
    only: Option<String>,
}

type Outputs = fn(&SimulatedRow) -> &[Tensor];

impl TargetColumn<'_> {
    fn quality(&self, outputs: Outputs) -> Judged {
        if self.model.outputs[self.output] == OutputField::Label {
            self.classification(outputs)
        } else {
            self.regression(outputs)
        }
    }

    /// That the target holds names where the model's labels are numbers of classes.
    fn unknown_names(&self) -> Option<String> {
        let (_, first) = self.rows.first()?;
        let is_number = matches!(exact(first).get(self.output), Some(Tensor::I64(_)));
        if !is_number || self.model.outputs[self.output] != OutputField::Label {
            return None;
        }
        let names: BTreeSet<&str> = self.rows.iter().map(|(cell, _)| *cell).collect();
        if names.iter().any(|name| labels::number(name).is_some()) {
            return None;
        }
        let sorted: Vec<&str> = names.into_iter().collect();
        let shown = sorted
            .iter()
            .take(SHOWN)
            .copied()
            .collect::<Vec<_>>()
            .join(", ");
        let more = match sorted.len().saturating_sub(SHOWN) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        Some(if self.model.summary.exported {
            format!(
                "holds names of classes ({shown}{more}), and the model was trained on numbers in \
                 their place, so that they cannot be compared: name a column of these numbers"
            )
        } else {
            format!(
                "holds names of classes ({shown}{more}), and the file none: compile it with names \
                 of the classes, in the order of the training, in which label encoders sort \
                 them: {:?}",
                sorted.join(",")
            )
        })
    }

    fn problem(&self, judged: &Judged) -> Option<String> {
        let quality = &judged.quality;
        let figures = quality.to_string();
        if judged.is_inverse && self.rows.len() >= FEWEST_ROWS {
            return Some(format!(
                "{figures}: its scores run against the target, as they do where the names of two \
                 classes are exchanged"
            ));
        }
        if quality.accuracy == Some(0.0) && !self.rows.is_empty() {
            let (wanted, row) = self.rows[0];
            return Some(format!(
                "no row has its label (the first row's target is {wanted:?}, the model says {:?})",
                self.label(row, exact)
            ));
        }
        if self.rows.len() < FEWEST_ROWS {
            return None;
        }
        if let Some(only) = &judged.only {
            return Some(format!(
                "{figures}: it says {only:?} for every row, and the target differs"
            ));
        }
        judged
            .is_chance
            .then(|| format!("{figures} is no better than chance"))
    }

    fn label(&self, row: &SimulatedRow, outputs: Outputs) -> String {
        outputs(row)[self.output].to_texts().swap_remove(self.entry)
    }

    fn classification(&self, outputs: Outputs) -> Judged {
        let count = self.rows.len() as f64;
        let mut right = 0.0;
        let mut classes: BTreeMap<String, (f64, f64)> = BTreeMap::new();
        for (wanted, row) in &self.rows {
            let label = self.label(row, outputs);
            // A target that means the label is counted under the label's own name.
            let is_right = same_label(wanted, &label);
            right += f64::from(u8::from(is_right));
            let wanted = if is_right { label.as_str() } else { wanted };
            classes.entry(wanted.to_owned()).or_default().0 += 1.0;
            classes.entry(label).or_default().1 += 1.0;
        }
        // Labels drawn with the model's frequencies would be right that often (Cohen's kappa).
        let chance: f64 = classes.values().map(|(a, b)| a * b / (count * count)).sum();
        let error = (chance * (1.0 - chance) / count).sqrt();
        let one_class = classes.values().filter(|(wanted, _)| *wanted > 0.0).count() < 2;
        let every_row = classes.iter().find(|(_, (_, given))| count - *given < 0.5);
        let only = every_row.filter(|_| !one_class);
        let accuracy = right / count;
        let single = predicted(self.model).len() == 1;
        let auc = self.auc(outputs).filter(|_| single);
        Judged {
            is_chance: !one_class
                && accuracy - chance <= STANDARD_ERRORS * error
                && auc.is_none_or(|(auc, error)| auc - 0.5 <= STANDARD_ERRORS * error),
            is_inverse: auc.is_some_and(|(auc, error)| 0.5 - auc > STANDARD_ERRORS * error),
            only: only.map(|(label, _)| label.clone()),
            quality: Quality {
                accuracy: (count > 0.0).then_some(accuracy),
                auc: auc.map(|(auc, _)| auc),
                r2: None,
            },
        }
    }

    /// Area under the receiver's curve of a model of two classes, and its standard error without
    /// any skill.
    fn auc(&self, outputs: Outputs) -> Option<(f64, f64)> {
        let (output, positive) =
            self.model
                .outputs
                .iter()
                .enumerate()
                .find_map(|(index, field)| match field {
                    OutputField::Probabilities(classes) | OutputField::Scores(classes) => {
                        let [_, positive] = classes.as_slice() else {
                            return None;
                        };
                        Some((index, positive))
                    }
                    OutputField::Label | OutputField::Prediction | OutputField::Deviation(_) => {
                        None
                    }
                })?;
        let mut ranked: Vec<(f64, bool)> = Vec::with_capacity(self.rows.len());
        for (wanted, row) in &self.rows {
            ranked.push((
                number(&outputs(row)[output], 1)?,
                same_label(wanted, positive),
            ));
        }
        // Scores may speak for the first class: ONNX Runtime has a support vector machine's so. The model's own
        // labels tell.
        let own = |positives: bool| {
            let labels = self.rows.iter().map(|(_, row)| self.label(row, outputs));
            let of_them = labels
                .zip(&ranked)
                .filter(|(label, _)| same_label(positive, label) == positives)
                .map(|(_, (score, _))| *score);
            let (sum, count) =
                of_them.fold((0.0, 0), |(sum, count), score| (sum + score, count + 1));
            (count > 0).then(|| sum / f64::from(count))
        };
        if own(true) < own(false) && own(true).is_some() {
            for (score, _) in &mut ranked {
                *score = -*score;
            }
        }
        ranked.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        let positives = ranked.iter().filter(|(_, positive)| *positive).count() as f64;
        let negatives = ranked.len() as f64 - positives;
        // Mann-Whitney: the ranks of the positives, ties at their mean.
        let mut ranks = 0.0;
        let mut below = 0.0;
        for tie in ranked.chunk_by(|a, b| a.0.total_cmp(&b.0).is_eq()) {
            let own = tie.iter().filter(|(_, positive)| *positive).count() as f64;
            ranks += own * (below + f64::midpoint(1.0, tie.len() as f64));
            below += tie.len() as f64;
        }
        let pairs = positives * negatives;
        let area = (ranks - positives * (positives + 1.0) / 2.0) / pairs;
        let error = ((positives + negatives + 1.0) / (12.0 * pairs)).sqrt();
        (pairs > 0.0).then_some((area, error))
    }

    fn regression(&self, outputs: Outputs) -> Judged {
        let pairs: Vec<(f64, f64)> = self
            .rows
            .iter()
            .filter_map(|(wanted, row)| {
                Some((
                    wanted.parse().ok()?,
                    number(&outputs(row)[self.output], self.entry)?,
                ))
            })
            .collect();
        let mean = pairs.iter().map(|(wanted, _)| wanted).sum::<f64>() / pairs.len() as f64;
        let squares = |of: fn(f64, f64, f64) -> f64| {
            let terms = pairs
                .iter()
                .map(|(wanted, found)| of(*wanted, *found, mean));
            terms.map(|difference| difference * difference).sum::<f64>()
        };
        let spread = squares(|wanted, _, mean| wanted - mean);
        let rest = squares(|wanted, found, _| wanted - found);
        let r2 = (spread > 0.0).then_some(1.0 - rest / spread);
        Judged {
            is_chance: r2.is_some_and(|r2| r2 <= 0.0),
            is_inverse: false,
            only: None,
            quality: Quality {
                accuracy: None,
                auc: None,
                r2,
            },
        }
    }
}

fn number(tensor: &Tensor, entry: usize) -> Option<f64> {
    tensor.to_f64()?.get(entry).copied()
}
