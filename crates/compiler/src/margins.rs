//! How precise scores have to be for the labels' sake.

use crate::error::CompileError;
use crate::families::Lattice;
use crate::model::{Estimator, Model};
use crate::simulate::Gaussian;
use cipherfn_program::Tensor;
use cipherfn_protocol::hash::Hash;
use cipherfn_protocol::specs::OutputField;

/// Fewest bits of the score range that are guaranteed when nothing else is asked for.
const LEAST: f64 = 7.0;
/// Distance of the numbers of bits that are tried.
const STEP: f64 = 0.5;
/// Errors tried on each row whose label an error may change.
const DRAWS: usize = 8;
/// Standard deviations of the noise in a precision: 7.1 that it exceeds with a probability of 2^-40,
/// and half as much for the rounding of the result.
const DEVIATIONS: f64 = 10.7;
/// The rounding, as a part of the precision to either side.
const ROUNDING: f64 = 1.0 / 3.0;

/// The fewest bits of the trees' score ranges, up to `most`, with which no calibration row gets
/// another label when errors of that size are simulated (`scores` are the model's for as many rows as
/// are simulated), or up to one more than these if that gives the scores themselves; `None` for a
/// model that gives no labels, and without rows to tell.
pub(crate) fn bits_for_labels(
    model: &Model,
    rows: (&[Vec<f32>], &[Vec<f64>]),
    seed: Hash,
    most: f64,
) -> Result<Option<f64>, CompileError> {
    let Some(bits) = bits_under_errors(model, rows, seed, most)? else {
        return Ok(None);
    };
    let exact = bits_without_errors(model).filter(|exact| *exact <= (bits + 1.0).min(most));
    Ok(Some(exact.unwrap_or(bits)))
}

/// The fewest bits with which rounding leaves no error of any score; `None` where scores are not
/// multiples of one number.
fn bits_without_errors(model: &Model) -> Option<f64> {
    let lattices = model.estimators.iter().flat_map(Lattice::of);
    lattices
        .map(|lattice| lattice.map(|lattice| lattice.bits()))
        .try_fold(LEAST, |most, bits| Some(bits?.max(most)))
}

fn bits_under_errors(
    model: &Model,
    (rows, scores): (&[Vec<f32>], &[Vec<f64>]),
    seed: Hash,
    most: f64,
) -> Result<Option<f64>, CompileError> {
    if !model.outputs.contains(&OutputField::Label) {
        return Ok(None);
    }
    let ranges = score_ranges(model, rows);
    let errors = |bits: f64| -> Vec<f64> {
        let part = (-bits).exp2();
        ranges.iter().map(|range| range * part).collect()
    };
    let mut tried = 0;
    let mut near = Vec::new();
    for scores in scores {
        if scores.iter().all(|score| score.is_finite()) {
            let outputs = outputs(model, scores)?;
            tried += 1;
            if can_change(model, scores, &outputs, &errors(LEAST)) {
                near.push((scores.clone(), outputs));
            }
        }
    }
    if tried == 0 {
        return Ok(None);
    }
    let steps = ((most - LEAST) / STEP).floor().max(0.0) as u32;
    for bits in (0..steps).map(|step| LEAST + STEP * f64::from(step)) {
        if keeps_labels(model, &near, &errors(bits), seed)? {
            return Ok(Some(bits));
        }
    }
    Ok(Some(most))
}

/// What the report says of bits that [`bits_for_labels`] chose.
pub(crate) fn note(bits: f64, rows: u64) -> String {
    format!(
        "{bits} bits of the scores are guaranteed: with errors of that size simulated, {rows} of \
         {rows} calibration rows keep their labels. Ask for more where scores or probabilities \
         themselves matter"
    )
}

/// What the report says where [`bits_for_labels`] chose as many as leave no error.
pub(crate) fn note_without_errors(bits: f64) -> String {
    format!(
        "all scores are multiples of one number, as the votes of trees are, and {bits:.1} bits are \
         enough to round them to it: labels and scores come back without an error"
    )
}

/// The outputs that the client computes from raw scores.
pub(crate) fn outputs(model: &Model, scores: &[f64]) -> Result<Vec<Tensor>, CompileError> {
    let scores = Tensor::F64(scores.to_vec());
    Ok(model.postprocess.run(vec![scores])?)
}

/// Whether two rows' outputs have the same labels.
pub(crate) fn same_labels(model: &Model, one: &[Tensor], other: &[Tensor]) -> bool {
    let mut outputs = one.iter().zip(other).zip(&model.outputs);
    outputs.all(|((one, other), field)| *field != OutputField::Label || one == other)
}

/// Whether errors up to `errors`, one a score, can change the labels: tried at the corners that move
/// one score against all others.
pub(crate) fn can_change(
    model: &Model,
    scores: &[f64],
    outputs_of_scores: &[Tensor],
    errors: &[f64],
) -> bool {
    for risen in 0..scores.len() {
        for sign in [1.0, -1.0] {
            let moved = |(index, score): (usize, &f64)| {
                score + errors[index] * if index == risen { sign } else { -sign }
            };
            let moved: Vec<f64> = scores.iter().enumerate().map(moved).collect();
            // Moved scores may have no outputs at all.
            let is_same = outputs(model, &moved)
                .is_ok_and(|moved| same_labels(model, outputs_of_scores, &moved));
            if !is_same {
                return true;
            }
        }
    }
    false
}

/// Whether rows keep their labels under simulated errors of these precisions, one a score.
fn keeps_labels(
    model: &Model,
    rows: &[(Vec<f64>, Vec<Tensor>)],
    errors: &[f64],
    seed: Hash,
) -> Result<bool, CompileError> {
    let mut noise = Gaussian::new(seed);
    for (scores, exact) in rows {
        for _ in 0..DRAWS {
            let mut moved = |(score, error): (&f64, &f64)| {
                let rounding = ROUNDING * (2.0 * noise.unit() - 1.0);
                score + error * (noise.next() / DEVIATIONS + rounding)
            };
            let moved: Vec<f64> = scores.iter().zip(errors).map(&mut moved).collect();
            if !same_labels(model, exact, &outputs(model, &moved)?) {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// The range of each raw score of which bits are guaranteed: over all combinations of leaves, where
/// these are linear over the calibration rows; zero for those of linear models, whose precision
/// depends on other things.
fn score_ranges(model: &Model, rows: &[Vec<f32>]) -> Vec<f64> {
    let of = |estimator: &Estimator| match estimator {
        Estimator::Trees(trees) => trees.ranges(),
        Estimator::Linear(_)
        | Estimator::Lookups(_)
        | Estimator::Layers(_)
        | Estimator::Neighbours(_)
        | Estimator::Stacked(_) => {
            vec![0.0; estimator.scores()]
        }
        Estimator::LinearTrees(trees) => trees.seen(rows),
    };
    model.estimators.iter().flat_map(of).collect()
}
