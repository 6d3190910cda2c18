//! The feature vector as the calibration rows show it.

use crate::error::CompileError;
use crate::fills::{Fills, clear};
use crate::mixtures::Mixtures;
use crate::model::Model;
use cipherfn_program::Tensor;
use cipherfn_protocol::specs::InputColumn;
use std::collections::HashMap;

/// What is known of the features besides what the estimators ask of them; one entry a feature.
#[derive(Clone, Debug)]
pub(crate) struct Features {
    /// Names for errors and reports: the column that a feature comes from names it.
    pub names: Vec<String>,
    /// Whether a missing value can reach the feature and means something there, and some calibration
    /// row has one: it takes a bin, and bits, of its own.
    pub missing: Vec<bool>,
    /// Whether a missing value can reach the feature, and no calibration row has one.
    pub spared: Vec<bool>,
    /// Decimals that its values have at most, where that is known.
    pub decimals: Vec<Option<u32>>,
    /// Feature vectors of the calibration rows.
    pub rows: Vec<Vec<f32>>,
    /// Their numbers in the calibration table, from 1.
    pub numbers: Vec<usize>,
    /// Feature vectors of rows that none of these is like, for models that need them.
    pub mixtures: Mixtures,
    /// Values where cells are missing, for models that need them.
    pub fills: Fills,
    /// All split points, decoys among them, of features where these are drawn already.
    pub mixed: HashMap<usize, Vec<f32>>,
    /// Features that hold a category of which the trees ask whether it is in a set.
    pub sets: HashMap<usize, CategorySet>,
}

/// A set of categories that a feature stands for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CategorySet {
    /// The feature that holds the category for all sets of one column.
    pub feature: usize,
    /// Places of the members among the categories, increasing.
    pub members: Vec<u32>,
    /// Number of categories; one more place is for any other.
    pub categories: u32,
}

impl Features {
    /// The features of `model` for calibration rows, given as the inputs of its pre-processing.
    pub(crate) fn of(
        model: &Model,
        columns: &[InputColumn],
        rows: Vec<Vec<Tensor>>,
    ) -> Result<Self, CompileError> {
        let known = missing(model, rows.first())?;
        let mixtures = Mixtures::of(model, &rows);
        let fills = Fills::of(model, &rows);
        let rows = rows.into_iter().map(|row| Ok(model.features_of(row)?));
        let rows: Vec<Vec<f32>> = rows.collect::<Result<_, CompileError>>()?;
        let has_gap = |feature: usize| rows.iter().any(|row| row[feature].is_nan());
        let missing: Vec<bool> = (0..known.len())
            .map(|feature| known[feature] && has_gap(feature))
            .collect();
        let spared = known.iter().zip(&missing);
        let spared = spared.map(|(known, missing)| *known && !missing).collect();
        Ok(Self {
            names: names(model, columns),
            missing,
            spared,
            decimals: vec![None; model.features],
            numbers: (1..=rows.len()).collect(),
            rows,
            mixtures,
            fills,
            mixed: HashMap::new(),
            sets: HashMap::new(),
        })
    }

    /// What the report says of missing values that the model knows and the calibration rows do not
    /// have.
    pub(crate) fn note_on_missing(&self) -> Option<String> {
        let spared = self.spared.iter().zip(&self.names);
        let spared = spared.filter(|(spared, _)| **spared);
        let names: Vec<&str> = spared.map(|(_, name)| name.as_str()).collect();
        names.first().map(|first| {
            format!(
                "the model knows missing values, and the calibration rows have none in {} of its \
                 features ({first:?} is the first): it takes no bits for them, and rows with one \
                 there are refused. Where they should be answered give calibration rows that have \
                 some",
                names.len()
            )
        })
    }

    /// What the report says of missing cells that become values far from those of the calibration rows.
    pub(crate) fn note_on_fills(&self) -> Option<String> {
        let far = |feature: usize| self.fills.far(feature, self.range(feature));
        let features = 0..self.names.len();
        let far: Vec<(usize, f64)> = features
            .filter_map(|feature| Some((feature, far(feature)?)))
            .collect();
        far.first().map(|(feature, value)| {
            format!(
                "a missing cell becomes a value far from those of the calibration rows in {} of the \
                 model's features ({:?} becomes {value}): rows with one are limited to the range and \
                 marked. Where they should be answered give calibration rows that have some",
                far.len(),
                self.names[*feature]
            )
        })
    }

    /// Smallest and largest of the feature's finite values in the calibration rows; 0 where it has
    /// none.
    pub(crate) fn range(&self, feature: usize) -> (f64, f64) {
        let values = self.finite_values(feature).map(f64::from);
        let ends = |(low, high): (f64, f64), own: f64| (low.min(own), high.max(own));
        let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), ends);
        if low <= high { (low, high) } else { (0.0, 0.0) }
    }

    /// The feature's finite values in the calibration rows.
    pub(crate) fn finite_values(&self, feature: usize) -> impl Iterator<Item = f32> + Clone {
        self.rows
            .iter()
            .map(move |row| row[feature])
            .filter(|value| value.is_finite())
    }
}

fn names(model: &Model, columns: &[InputColumn]) -> Vec<String> {
    let origin = |index: usize| {
        let column = model.origins.get(index).copied().flatten();
        column.and_then(|column| columns.get(column as usize))
    };
    let shared = |name: &str, index: usize| {
        (0..model.features)
            .any(|other| other != index && origin(other).is_some_and(|column| column.name == name))
    };
    (0..model.features)
        .map(|index| match origin(index) {
            Some(column) if shared(&column.name, index) => {
                format!("{} (feature {index})", column.name)
            }
            Some(column) => column.name.clone(),
            None => format!("feature {index}"),
        })
        .collect()
}

/// In a row whose columns are empty where they take missing values, and pre-processing may fill them.
/// What it makes of other cells may be an error for values that no row has.
fn missing(model: &Model, row: Option<&Vec<Tensor>>) -> Result<Vec<bool>, CompileError> {
    let Some(row) = row.filter(|_| model.columns.iter().any(|column| column.missing)) else {
        return Ok(vec![false; model.features]);
    };
    let mut empty = row.clone();
    for (cells, column) in empty.iter_mut().zip(&model.columns) {
        if column.missing {
            clear(cells, 0..column.width);
        }
    }
    let features = model.features_of(empty)?;
    Ok(features.into_iter().map(f32::is_nan).collect())
}
