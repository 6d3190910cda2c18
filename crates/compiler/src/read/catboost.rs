//! CatBoost's JSON files (`save_model(..., format="json")`).
//!
//! Values are 32-bit floats, `x > border` goes right; a missing value is treated as the feature
//! says. A category is known by its hash alone, so that one-hot splits need the texts that the file
//! lists when it is saved with its training pool; what is computed from hashes of unseen texts
//! (counters) is refused.

mod columns;
mod file;
mod loss;
mod trees;

use super::answer;
use super::answer::ClassNames;
use super::library::{Library, MAX_SCORES};
use super::source::{ReadingHints, UnansweredModel};
use crate::error::CompileError;
use crate::model::Model;
use columns::Columns;
use file::CatBoostFile;

const LIBRARY: Library = Library::CatBoost;

/// Reads a model.
pub(super) fn read(bytes: &[u8], reading: ReadingHints<'_>) -> Result<Model, CompileError> {
    let file: CatBoostFile =
        super::json::from_slice(bytes).map_err(|error| LIBRARY.invalid("the file", error))?;
    let info = file.model_info.unwrap_or_default();
    let (scale, bias) = file
        .scale_and_bias
        .map_or((1.0, vec![0.0]), |(scale, bias)| (scale, bias.0));
    let scores = LIBRARY.count("scale_and_bias", bias.len(), MAX_SCORES, "scores")?;
    if scores == 0 || !scale.is_finite() || bias.iter().any(|bias| !bias.is_finite()) {
        let problem = format!("scale {scale}, bias {bias:?}");
        return Err(LIBRARY.invalid("scale_and_bias", problem));
    }
    let mut columns = Columns::read(&file.features_info)?;
    let forest = match (&file.oblivious_trees, &file.trees) {
        (Some(trees), None) => trees::oblivious(trees, scale, scores, &mut columns)?,
        (None, Some(trees)) => trees::linked(trees, scale, scores, &mut columns)?,
        _ => {
            let problem = "it has neither oblivious_trees nor trees, or both";
            return Err(LIBRARY.invalid("the file", problem));
        }
    };
    let name = info.loss_function()?;
    let answer = loss::answer(&name, scores, info.threshold()?)?;
    let (columns, preprocess, vector) = columns.features.finish()?;
    let estimator = forest.finish(bias, &vector);
    let classes: ClassNames = info.class_names()?.or_given(reading.classes);
    let behind = answer::behind(LIBRARY, scores, &answer, &classes)?;
    let source = UnansweredModel {
        producer: info.producer(),
        graph: name,
        columns,
        preprocess,
        features: vector.len(),
        estimator,
        averages: Some(false),
        notes: Vec::new(),
    };
    Ok(source.model(behind))
}
