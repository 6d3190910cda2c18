//! LightGBM's own text files (`save_model`), versions 3 and 4 of the format.
//!
//! Values and thresholds are 64-bit, `x <= threshold` goes left. A node says whether missing values
//! are none (they count as zero), zeros, or NaN; sets of categories are bit sets, and their members
//! go left.

mod categories;
mod linear;
mod objective;
mod text;
mod trees;

use super::answer;
use super::features::{Codes, FeatureCollector, Names};
use super::library::{Library, MAX_SCORES};
use super::source::{ReadingHints, UnansweredModel};
use crate::error::CompileError;
use crate::model::Model;
use cipherfn_program::EntryKind;
use text::LightGbmFile;

const LIBRARY: Library = Library::LightGbm;

/// Reads a model.
pub(super) fn read(bytes: &[u8], reading: ReadingHints<'_>) -> Result<Model, CompileError> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        LIBRARY.invalid(
            "the file",
            format!("byte {} is no text", error.valid_up_to()),
        )
    })?;
    let file = LightGbmFile::parse(text)?;
    let header = &file.header;
    let scores = header.count("num_tree_per_iteration")?.max(1);
    LIBRARY.count("num_tree_per_iteration", scores, MAX_SCORES, "scores")?;
    let columns = header.count("max_feature_idx")?.saturating_add(1);
    let names: Vec<String> = header
        .required("feature_names")?
        .split(' ')
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect();
    if names.len() != columns {
        let problem = format!("{} names, max_feature_idx is {}", names.len(), columns - 1);
        return Err(LIBRARY.invalid("feature_names", problem));
    }
    // What the library calls columns that have no names.
    let unnamed = names
        .iter()
        .enumerate()
        .all(|(at, name)| *name == format!("Column_{at}"));
    let names = if unnamed {
        Names::Position(columns)
    } else {
        Names::Own(names)
    };
    let mut features = FeatureCollector::new(LIBRARY, names, EntryKind::F64, Codes::Truncate)?;
    categories::read(&file, &mut features)?;
    let answer = objective::answer(header.get("objective"), scores)?;
    let forest = trees::read(&file, scores, &mut features)?;
    let (columns, preprocess, vector) = features.finish()?;
    let estimator = forest.finish(vec![0.0; scores], &vector);
    let classes = answer::ClassNames::Numbered.or_given(reading.classes);
    let behind = answer::behind(LIBRARY, scores, &answer, &classes)?;
    let source = UnansweredModel {
        producer: format!(
            "{LIBRARY}, format {}",
            header.get("version").unwrap_or("unknown")
        ),
        graph: header.get("objective").unwrap_or("no objective").to_owned(),
        columns,
        preprocess,
        features: vector.len(),
        estimator,
        averages: Some(trees::averages(&file)),
        notes: Vec::new(),
    };
    Ok(source.model(behind))
}
