//! XGBoost's own files (`save_model`), JSON and UBJSON, of versions 1 to 3.
//!
//! Values are compared as the library does: 32-bit, `x < threshold` goes left, a missing value goes
//! where the node says. Raw scores are margins: the intercept through the objective's link, and one
//! leaf of every tree.

mod categories;
mod file;
mod intercept;
mod linear;
mod objective;
mod rounds;
mod trees;

use super::answer;
use super::features::{Codes, FeatureCollector, Names};
use super::library::{Library, MAX_SCORES};
use super::source::{ReadingHints, UnansweredModel};
use crate::error::CompileError;
use crate::model::{Estimator, Model};
use cipherfn_program::EntryKind;
use file::{Booster, XgboostFile};
use objective::Objective;

const LIBRARY: Library = Library::XgBoost;

/// Reads a model from its JSON form.
pub(super) fn read_json(bytes: &[u8], reading: ReadingHints<'_>) -> Result<Model, CompileError> {
    let file =
        super::json::from_slice(bytes).map_err(|error| LIBRARY.invalid("the file", error))?;
    read(file, reading)
}

/// Reads a model from its UBJSON form.
pub(super) fn read_ubjson(bytes: &[u8], reading: ReadingHints<'_>) -> Result<Model, CompileError> {
    let file =
        super::ubjson::from_slice(bytes).map_err(|error| LIBRARY.invalid("the file", error))?;
    read(file, reading)
}

fn read(file: XgboostFile, reading: ReadingHints<'_>) -> Result<Model, CompileError> {
    let learner = file.learner;
    let parameters = &learner.parameters;
    let features = parameters.num_feature.at("num_feature")?;
    let classes = parameters.num_class.at("num_class")?;
    let targets = parameters.num_target.at("num_target")?;
    let scores = classes.max(targets).max(1);
    LIBRARY.count("num_class and num_target", scores, MAX_SCORES, "scores")?;
    let objective = Objective::of(&learner.objective.name)?;
    let base = intercept::margins(&parameters.base_score, scores, &objective)?;
    let names = match learner.feature_names {
        names if names.is_empty() => Names::Position(features),
        names if names.len() == features => Names::Own(names),
        names => {
            let problem = format!("{} names, num_feature is {features}", names.len());
            return Err(LIBRARY.invalid("feature_names", problem));
        }
    };
    let mut columns = FeatureCollector::new(LIBRARY, names, EntryKind::F32, Codes::Floor)?;
    let mut notes = Vec::new();
    let booster = learner.gradient_booster;
    let kind = booster.name();
    let (columns, preprocess, features, estimator, averages) = match booster {
        Booster::Linear { weights } => {
            let (linear, columns, preprocess) = linear::read(&weights, &columns, &base)?;
            let features = linear.weights[0].len();
            let estimator = Estimator::Linear(linear);
            (columns, preprocess, features, estimator, None)
        }
        Booster::Trees { model, weights } => {
            let rounds = rounds::used(&model, &learner.attributes, scores, &mut notes)?;
            let averages = Some(rounds::are_one(&model, &rounds, scores)?);
            let types = &learner.feature_types;
            categories::read(model.cats.as_ref(), types, &mut columns, &mut notes)?;
            let forest = trees::read(&model, weights.as_deref(), rounds, scores, &mut columns)?;
            let (columns, preprocess, vector) = columns.finish()?;
            let estimator = forest.finish(base, &vector);
            (columns, preprocess, vector.len(), estimator, averages)
        }
    };
    let answer = objective.answer(scores);
    let classes = answer::ClassNames::Numbered.or_given(reading.classes);
    let behind = answer::behind(LIBRARY, scores, &answer, &classes)?;
    let version: Vec<String> = file.version.iter().map(ToString::to_string).collect();
    let source = UnansweredModel {
        producer: format!("{LIBRARY} {}", version.join(".")),
        graph: format!("{kind}, {}", learner.objective.name),
        columns,
        preprocess,
        features,
        estimator,
        averages,
        notes,
    };
    Ok(source.model(behind))
}
