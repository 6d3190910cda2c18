//! Columns and what splits ask of them.

use super::LIBRARY;
use super::file::{Feature, FeaturesInfo, FloatFeature, HashedText, NanTreatment, Split};
use crate::error::CompileError;
use crate::read::features::{
    Cells, Codes, FeatureCollector, FeatureId, FeatureView, Members, Names,
};
use crate::read::library::MAX_COLUMNS;
use cipherfn_program::EntryKind;
use std::collections::{BTreeMap, HashMap};
use std::fmt::Display;

/// Columns by kind and index.
pub(super) struct Columns {
    pub(super) features: FeatureCollector,
    floats: HashMap<usize, (u32, NanTreatment)>,
    categorical: HashMap<usize, u32>,
    /// Known texts of each hash.
    texts: BTreeMap<u32, Vec<String>>,
}

/// A question: a comparison with a threshold, and where missing values go.
pub(super) struct Question {
    pub(super) feature: FeatureId,
    pub(super) threshold: f64,
    pub(super) missing_goes_above: bool,
}

impl Columns {
    pub(super) fn read(info: &FeaturesInfo) -> Result<Self, CompileError> {
        let others = [
            ("text", &info.text_features),
            ("embedding", &info.embedding_features),
        ];
        for (kind, features) in others {
            if let Some(feature) = features.first() {
                return Err(LIBRARY.unsupported(
                    format!("column {} {:?}", feature.column, feature.name),
                    format!("it is a {kind} feature"),
                    "numbers, and categories with one-hot splits",
                ));
            }
        }
        let names = names(info)?;
        let mut features = FeatureCollector::new(LIBRARY, names, EntryKind::F32, Codes::Floor)?;
        let mut floats = HashMap::new();
        for FloatFeature {
            feature,
            nan_value_treatment,
        } in &info.float_features
        {
            let entry = (feature.column as u32, *nan_value_treatment);
            if floats.insert(feature.index, entry).is_some() {
                return Err(twice("float_features", feature));
            }
        }
        let mut categorical = HashMap::new();
        for feature in &info.categorical_features {
            let column = feature.column;
            features.set_cells(column, Cells::Hashed)?;
            if categorical.insert(feature.index, column as u32).is_some() {
                return Err(twice("categorical_features", feature));
            }
        }
        let mut texts: BTreeMap<u32, Vec<String>> = BTreeMap::new();
        for HashedText { hash, value } in &info.cat_features_hash {
            texts.entry(*hash as u32).or_default().push(value.clone());
        }
        for texts in texts.values_mut() {
            texts.sort();
            texts.dedup();
        }
        Ok(Self {
            features,
            floats,
            categorical,
            texts,
        })
    }

    /// What a split asks.
    pub(super) fn question(
        &mut self,
        place: impl Display,
        split: &Split,
    ) -> Result<Question, CompileError> {
        match split.kind.as_str() {
            "FloatFeature" => self.comparison(place, split),
            "OneHotFeature" => self.membership(place, split),
            other => Err(LIBRARY.unsupported(
                place,
                format!("a split of type {other} asks for statistics of hashed categories"),
                "numbers and one-hot splits: train with one_hot_max_size above the number of \
                 categories, or encode the categories before training",
            )),
        }
    }

    fn comparison(&mut self, place: impl Display, split: &Split) -> Result<Question, CompileError> {
        let found = split
            .float_feature_index
            .and_then(|index| self.floats.get(&index));
        let Some(&(column, treatment)) = found else {
            let index = split.float_feature_index;
            return Err(LIBRARY.invalid(place, format!("float_feature_index {index:?}")));
        };
        let border = split
            .border
            .filter(|border| border.is_finite())
            .ok_or_else(|| LIBRARY.invalid(place, "its border is missing"))?;
        Ok(Question {
            feature: self.features.feature(column, FeatureView::Plain),
            // Borders are 32-bit floats, written with all digits.
            threshold: (border as f32).into(),
            missing_goes_above: treatment == NanTreatment::AboveAll,
        })
    }

    fn membership(&mut self, place: impl Display, split: &Split) -> Result<Question, CompileError> {
        let found = split
            .cat_feature_index
            .and_then(|index| self.categorical.get(&index));
        let Some(&column) = found else {
            let index = split.cat_feature_index;
            return Err(LIBRARY.invalid(place, format!("cat_feature_index {index:?}")));
        };
        let value = split
            .value
            .ok_or_else(|| LIBRARY.invalid(&place, "its value is missing"))?;
        let name = self.features.names().show(column as usize);
        let Some(texts) = self.texts.get(&(value as u32)) else {
            return Err(LIBRARY.unsupported(
                place,
                format!(
                    "it asks for the category of {name} with hash {value}, and the file does \
                         not list its text"
                ),
                "a file saved with the training pool: \
                 model.save_model(\"model.json\", format=\"json\", pool=train_pool)",
            ));
        };
        let members = Members::Texts(texts.clone());
        Ok(Question {
            feature: self.features.member(place, column, members)?,
            threshold: 0.5,
            missing_goes_above: false,
        })
    }
}

fn twice(list: &str, feature: &Feature) -> CompileError {
    let problem = format!("feature_index {} stands there twice", feature.index);
    LIBRARY.invalid(format!("features_info.{list}"), problem)
}

/// Names of all columns, if they have any.
fn names(info: &FeaturesInfo) -> Result<Names, CompileError> {
    let floats = info.float_features.iter().map(|float| &float.feature);
    let all: Vec<&Feature> = floats.chain(&info.categorical_features).collect();
    let last = all.iter().map(|feature| feature.column).max();
    let count = last.map_or(0, |last| last.saturating_add(1));
    LIBRARY.count("features_info", count, MAX_COLUMNS, "columns")?;
    let mut names: Vec<Option<&str>> = vec![None; count];
    for feature in &all {
        let column = feature.column;
        if names[column].replace(&feature.name).is_some() {
            let problem = format!("flat_feature_index {column} stands there twice");
            return Err(LIBRARY.invalid("features_info", problem));
        }
    }
    if names.iter().flatten().all(|name| name.is_empty()) {
        return Ok(Names::Position(count));
    }
    let name = |(column, name): (usize, Option<&str>)| {
        name.map(str::to_owned).ok_or_else(|| {
            LIBRARY.invalid("features_info", format!("no feature is column {column}"))
        })
    };
    let names = names.into_iter().enumerate().map(name);
    names.collect::<Result<_, _>>().map(Names::Own)
}
