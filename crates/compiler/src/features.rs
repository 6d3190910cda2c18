//! The feature vector as the calibration rows show it.

use crate::error::CompileError;
use crate::model::Model;
use cipherfn_program::{EntryKind, Tensor};
use cipherfn_protocol::specs::InputColumn;
use std::collections::HashMap;

/// What is known of the features besides what the estimators ask of them; one entry a feature.
#[derive(Clone, Debug)]
pub(crate) struct Features {
    /// Names for errors and reports: the column that a feature comes from names it.
    pub names: Vec<String>,
    /// Whether a missing value can reach the feature and means something there.
    pub missing: Vec<bool>,
    /// Feature vectors of the calibration rows.
    pub rows: Vec<Vec<f32>>,
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
        let rows = rows.into_iter().map(|row| Ok(model.features_of(row)?));
        Ok(Self {
            names: names(model, columns),
            missing: missing(model)?,
            rows: rows.collect::<Result<_, CompileError>>()?,
            mixed: HashMap::new(),
            sets: HashMap::new(),
        })
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

/// Columns that take missing values are left empty, and pre-processing may fill them.
fn missing(model: &Model) -> Result<Vec<bool>, CompileError> {
    if !model.columns.iter().any(|column| column.missing) {
        return Ok(vec![false; model.features]);
    }
    let inputs = model.preprocess.inputs().iter().zip(&model.columns);
    let empty = inputs.map(|(input, column)| match (input.kind, column.missing) {
        (EntryKind::F32, missing) => {
            Tensor::F32(vec![if missing { f32::NAN } else { 0.0 }; input.len])
        }
        (EntryKind::F64, missing) => {
            Tensor::F64(vec![if missing { f64::NAN } else { 0.0 }; input.len])
        }
        (EntryKind::I64, _) => Tensor::I64(vec![0; input.len]),
        (EntryKind::Text, _) => Tensor::Text(vec![String::new(); input.len]),
    });
    let features = model.features_of(empty.collect())?;
    Ok(features.into_iter().map(f32::is_nan).collect())
}
