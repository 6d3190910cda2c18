//! What is known to make an exported model another one than the library's.
//!
//! Most causes are tried on the rows that differ: the model is evaluated as if the export had kept
//! what it is known to lose.

use super::{Cell, Disagreement, cells};
use crate::causes::{self, sigmoid};
use crate::error::CompileError;
use crate::model::Test;
use cipherfn_program::Tensor;

/// Part of the rows that differ which a cause must explain to be named.
const EXPLAINED: f64 = 0.9;

/// Causes in words, with the way out.
pub(super) fn of(comparison: &Disagreement<'_>) -> Result<String, CompileError> {
    if !comparison.model.summary.exported {
        return own_file(comparison);
    }
    let tried = [
        link(comparison),
        one_versus_all(comparison)?,
        split_points(comparison)?,
        zeros(comparison)?,
        forest_mode(comparison)?,
        targets(comparison),
        deviation(comparison),
        directions(comparison)?,
        categories(comparison),
    ];
    let known: Vec<String> = tried.into_iter().flatten().collect();
    Ok(if known.is_empty() {
        "no known cause explains it; known are: forest mode and multi-target trees with the wrong \
         classes, one class against all others, categorical splits as `<= 0`, dropped directions \
         of missing values, exponentials left out, 64-bit split points, zeros of sparse columns, \
         columns in another order, a binary SVC inside OneVsRest, Bagging or Stacking (skl2onnx \
         writes another model), equal distances of nearest neighbours (all of them vote). Give \
         the library's own model file, or export the model anew"
            .to_owned()
    } else {
        known.join("\n")
    })
}

/// Nothing is lost in the library's own file.
fn own_file(comparison: &Disagreement<'_>) -> Result<String, CompileError> {
    Ok(if with_missing_zeros(comparison)? {
        "with missing values in place of zeros the model gives what is expected: the predictions \
         were made on a sparse matrix, whose zeros the library takes as missing. Leave the cells \
         of zeros empty in all rows, or train on dense columns"
            .to_owned()
    } else {
        "this is the library's own file, in which nothing is lost: check that the predictions are \
         this model's, with all of its rounds, for these rows in this order"
            .to_owned()
    })
}

impl Disagreement<'_> {
    /// Whether most of the rows that differ are as expected if their scores are `scores` of their
    /// features.
    fn explained_by(&self, scores: impl Fn(Vec<f32>) -> Vec<f64>) -> Result<bool, CompileError> {
        let mut explained = 0;
        for row in &self.differing {
            let scores = Tensor::F64(scores(self.features(*row)?));
            let outputs = self.model.postprocess.run(vec![scores])?;
            let found = cells(outputs, &self.model.outputs);
            explained += usize::from(self.agrees(*row, &found));
        }
        Ok(self.is_most(explained))
    }

    fn features(&self, row: usize) -> Result<Vec<f32>, CompileError> {
        Ok(self.model.features_of(self.rows[row].clone())?)
    }

    fn is_most(&self, explained: usize) -> bool {
        explained as f64 >= EXPLAINED * self.differing.len() as f64
    }
}

/// Objectives with a logarithmic link.
fn link(comparison: &Disagreement<'_>) -> Option<String> {
    let exponentials = |row: usize| -> Vec<Cell> {
        let cells = comparison.found[row].iter().map(|cell| match cell {
            Cell::Number(number) => Cell::Number(number.exp()),
            Cell::Label(label) => Cell::Label(label.clone()),
        });
        cells.collect()
    };
    let rows = comparison.differing.iter();
    let explained = rows.filter(|row| comparison.agrees(**row, &exponentials(**row)));
    comparison.is_most(explained.count()).then(|| {
        format!(
            "the expected values are the exponentials of the model's: {}",
            causes::EXPONENTIAL
        )
    })
}

/// Scores of classes that do not exclude each other, each through a logistic function.
fn one_versus_all(comparison: &Disagreement<'_>) -> Result<Option<String>, CompileError> {
    if comparison.model.scores() < 3 {
        return Ok(None);
    }
    let mut explained = 0;
    for row in &comparison.differing {
        let features = comparison.features(*row)?;
        let scores = comparison.model.raw_scores(&features);
        let mut probabilities = scores.into_iter().map(sigmoid);
        let cells = comparison.found[*row].iter().map(|cell| match cell {
            Cell::Number(number) => Cell::Number(probabilities.next().unwrap_or(*number)),
            Cell::Label(label) => Cell::Label(label.clone()),
        });
        let cells: Vec<Cell> = cells.collect();
        explained += usize::from(comparison.agrees(*row, &cells));
    }
    Ok(comparison
        .is_most(explained)
        .then(|| causes::ONE_VERSUS_ALL.to_owned()))
}

/// Split points of 64 bits that values of 64 bits lie on: in 32 bits both are another number.
fn split_points(comparison: &Disagreement<'_>) -> Result<Option<String>, CompileError> {
    let order = |a: &(usize, f32), b: &(usize, f32)| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1));
    let mut thresholds: Vec<(usize, f32)> = causes::splits(comparison.model)
        .filter_map(|(feature, test, _)| match test {
            Test::Greater(threshold) => Some((feature, threshold)),
            Test::Equal(_) => None,
        })
        .collect();
    thresholds.sort_unstable_by(order);
    let is_split = |feature: usize, value: f32| {
        let near = [value.next_down(), value, value.next_up()];
        let is_one = |value| thresholds.binary_search_by(|split| order(split, &(feature, value)));
        near.into_iter().any(|value| is_one(value + 0.0).is_ok())
    };
    let mut lying = 0;
    for row in &comparison.differing {
        let mut features = comparison.features(*row)?.into_iter().enumerate();
        lying += usize::from(features.any(|(feature, value)| is_split(feature, value)));
    }
    Ok(comparison.is_most(lying).then(|| {
        format!(
            "values of these rows lie on split points: {}",
            causes::SPLIT_POINTS
        )
    }))
}

/// Whether the model gives what is expected with missing values in place of zeros.
fn with_missing_zeros(comparison: &Disagreement<'_>) -> Result<bool, CompileError> {
    if causes::ensembles(comparison.model).next().is_none() {
        return Ok(false);
    }
    let missing = |value: f32| if value == 0.0 { f32::NAN } else { value };
    comparison.explained_by(|features| {
        let features: Vec<f32> = features.into_iter().map(missing).collect();
        comparison.model.raw_scores(&features)
    })
}

/// Zeros of a sparse matrix, which are missing values for XGBoost and LightGBM.
fn zeros(comparison: &Disagreement<'_>) -> Result<Option<String>, CompileError> {
    let explained = with_missing_zeros(comparison)?;
    Ok(explained.then(|| {
        format!(
            "with missing values in place of zeros the model gives what is expected: {}",
            causes::SPARSE_ZEROS
        )
    }))
}

/// Several trees a round and class, given to the classes in turn.
fn forest_mode(comparison: &Disagreement<'_>) -> Result<Option<String>, CompileError> {
    for (parallel, regrouped) in causes::forest_modes(comparison.model) {
        if comparison.explained_by(|features| regrouped.raw_scores(&features))? {
            return Ok(Some(causes::forest_mode(parallel)));
        }
    }
    Ok(None)
}

/// Trees of several targets, all given to one of them.
fn targets(comparison: &Disagreement<'_>) -> Option<String> {
    let numbers = |cells: &Vec<Cell>| {
        let numbers = cells.iter().filter_map(|cell| match cell {
            Cell::Number(number) => Some(*number),
            Cell::Label(_) => None,
        });
        numbers.collect()
    };
    let rows: Vec<Vec<f64>> = comparison.found.iter().map(numbers).collect();
    let idle = causes::idle_target(&rows)?;
    Some(format!(
        "prediction_{idle} is the same in all rows: {}",
        causes::TARGETS
    ))
}

/// A standard deviation without a factor.
fn deviation(comparison: &Disagreement<'_>) -> Option<String> {
    causes::has_deviation(comparison.model)
        .then(|| format!("its second column differs: {}", causes::DEVIATION))
}

/// Missing values in a file that does not say where they go.
fn directions(comparison: &Disagreement<'_>) -> Result<Option<String>, CompileError> {
    // A comparison with a missing value is false: without directions all go to one side.
    let mut sides = causes::splits(comparison.model).map(|(_, _, goes_yes)| goes_yes);
    let first = sides.next();
    if first.is_none() || sides.any(|side| Some(side) != first) {
        return Ok(None);
    }
    let mut missing = 0;
    for row in &comparison.differing {
        let features = comparison.features(*row)?;
        missing += usize::from(features.iter().any(|value| value.is_nan()));
    }
    Ok(comparison.is_most(missing).then(|| {
        format!(
            "these rows have missing values, and no node of the file says where missing values \
             go: {}",
            causes::DIRECTIONS
        )
    }))
}

/// Categorical splits that became comparisons with zero.
fn categories(comparison: &Disagreement<'_>) -> Option<String> {
    let feature = causes::compared_with_zero(comparison.model).next()?;
    Some(format!(
        "all splits of feature {feature} compare it with 0: {}",
        causes::CATEGORIES
    ))
}
