//! What the specs show of 64-bit split points and of sets of categories.
//!
//! 64-bit values become 32-bit features on the same side of every split point, so the program that
//! the client runs on its row holds the split points; and it looks categories up in the model's
//! sets. A grid and decoys are there to hide such things: for these the program is made anew. In a
//! grid values are only rounded, since thresholds move to the grid's edges anyway; decoys are drawn
//! among the 64-bit split points before these become 32-bit ones; and of a category the client only
//! tells which one it is.

use crate::decoys::{Draw, Grain, Style};
use crate::error::CompileError;
use crate::features::CategorySet;
use crate::model::{Estimator, Model, Test, TreeNode};
use crate::options::FeatureMode;
use cipherfn_program::{Tensor, ValueId, round_down};
use cipherfn_protocol::hash::Hash;
use program::ProgramCopy;
use std::collections::HashMap;

mod program;
mod sets;
#[cfg(test)]
mod tests;

/// A model as the specs may show it.
pub(crate) struct Concealed {
    /// The same model with another program in front, and thresholds of its features.
    pub(crate) model: Model,
    /// All split points of features among which decoys are drawn, increasing.
    pub(crate) mixed: HashMap<usize, Vec<f32>>,
    /// Features that were members of a set, and hold the category instead.
    pub(crate) sets: HashMap<usize, CategorySet>,
}

/// The model without the split points that `mode` hides; `None` where its program holds none, or
/// may show them. `rows` are calibration rows, and decoys are drawn from `seed`, a hash of the model.
pub(crate) fn conceal(
    model: &Model,
    rows: &[Vec<Tensor>],
    mode: FeatureMode,
    seed: Hash,
) -> Result<Option<Concealed>, CompileError> {
    if mode == (FeatureMode::Exact { decoys: 0 }) {
        return Ok(None);
    }
    let program = ProgramCopy::new(&model.preprocess)?;
    let wide = program.wide(model.features);
    let members = program.members(model);
    if wide.is_empty() && members.is_empty() {
        return Ok(None);
    }
    let known = program.categories(&members, rows)?;
    let values = program.values(&wide, rows)?;
    let forms = match mode {
        FeatureMode::Grid { .. } => rounded(&wide, &values),
        FeatureMode::Exact { decoys } => mixed(&wide, &values, decoys, seed),
    };
    let preprocess = program.with(&wide, &forms, &known)?;
    let mut concealed = Concealed {
        model: Model {
            preprocess,
            ..model.clone()
        },
        mixed: HashMap::new(),
        sets: sets::of(&members, &known),
    };
    for (own, form) in wide.iter().zip(&forms) {
        concealed.take(own, form);
    }
    Ok(Some(concealed))
}

/// What the program in front shows of a model that is not concealed.
pub(crate) fn note(model: &Model) -> Result<Option<String>, CompileError> {
    let members = ProgramCopy::new(&model.preprocess)?.members(model);
    Ok((!members.is_empty()).then(|| {
        "the client itself looks categories up in the model's sets: the client specs show the \
         sets; a grid or decoys hide them"
            .to_owned()
    }))
}

/// An entry of the feature vector that was a 64-bit value.
#[derive(Clone, Debug, PartialEq)]
struct Wide {
    feature: usize,
    /// The step that makes 32 bits of it, counted among the program's values ...
    made: ValueId,
    /// ... and the entry there.
    entry: usize,
    /// What is made 32-bit.
    argument: ValueId,
    /// Split points, increasing.
    splits: Vec<f64>,
    /// Whether the feature is the number of split points that the value exceeds, as it is where 32
    /// bits cannot tell them apart, and not the value rounded.
    is_rank: bool,
}

/// What becomes of a wide feature.
#[derive(Clone, Debug, PartialEq)]
enum ConcealedForm {
    /// The value less this centre, rounded.
    Rounded(f64),
    /// As before, among these split points.
    Mixed(Vec<f64>),
}

/// Rounded values. What 32 bits could not tell apart, they can beside the middle of the values.
fn rounded(wide: &[Wide], values: &[Vec<f64>]) -> Vec<ConcealedForm> {
    let form = |(own, values): (&Wide, &Vec<f64>)| {
        let middle = values.get(values.len() / 2).copied().unwrap_or(0.0);
        ConcealedForm::Rounded(if own.is_rank { middle } else { 0.0 })
    };
    wide.iter().zip(values).map(form).collect()
}

/// `decoys` split points a feature beside the real ones, alike for all features.
fn mixed(wide: &[Wide], values: &[Vec<f64>], decoys: u32, seed: Hash) -> Vec<ConcealedForm> {
    let grain = Grain::of(wide.iter().flat_map(|own| own.splits.iter().copied()));
    let pairs = wide.iter().zip(values);
    let pairs = pairs.map(|(own, values)| (own.splits.as_slice(), values.as_slice()));
    let style = Style::of(pairs, grain);
    let form = |(own, values): (&Wide, &Vec<f64>)| {
        let draw = Draw {
            style,
            grain,
            told_by: if own.is_rank {
                Grain::Double
            } else {
                Grain::Single
            },
            model: seed,
        };
        ConcealedForm::Mixed(draw.mix_in(&own.splits, values, decoys, own.feature as u32))
    };
    wide.iter().zip(values).map(form).collect()
}

impl Concealed {
    /// Makes the trees' thresholds of a feature those of its new form.
    fn take(&mut self, own: &Wide, form: &ConcealedForm) {
        let key = |split: f64| match form {
            ConcealedForm::Rounded(centre) => round_down(split - centre).clamp(f32::MIN, f32::MAX),
            ConcealedForm::Mixed(all) => all.partition_point(|other| *other < split) as f32,
        };
        if let ConcealedForm::Mixed(all) = form {
            let keys = all.iter().enumerate().map(|(rank, split)| {
                if own.is_rank {
                    rank as f32
                } else {
                    round_down(*split)
                }
            });
            self.mixed.insert(own.feature, keys.collect());
        }
        if !own.is_rank {
            return;
        }
        let ensembles = self.model.estimators.iter_mut();
        let trees = ensembles.filter_map(|estimator| match estimator {
            Estimator::Trees(ensemble) => Some(&mut ensemble.trees),
            Estimator::LinearTrees(trees) => Some(&mut trees.constants.trees),
            Estimator::Linear(_)
            | Estimator::Lookups(_)
            | Estimator::Layers(_)
            | Estimator::Neighbours(_)
            | Estimator::Stacked(_) => None,
        });
        for node in trees.flatten().flat_map(|tree| &mut tree.nodes) {
            if let TreeNode::Split { feature, test, .. } = node
                && *feature as usize == own.feature
                && let Test::Greater(rank) = test
            {
                *rank = key(own.splits[*rank as usize]);
            }
        }
    }
}
