//! Layout of the file, in as far as it is read.

use super::LIBRARY;
use crate::error::CompileError;
use crate::read::answer::ClassNames;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

#[derive(Debug, Deserialize)]
pub(super) struct CatBoostFile {
    pub(super) features_info: FeaturesInfo,
    #[serde(default)]
    pub(super) model_info: Option<ModelInfo>,
    #[serde(default)]
    pub(super) oblivious_trees: Option<Vec<ObliviousTree>>,
    #[serde(default)]
    pub(super) trees: Option<Vec<LinkedNode>>,
    /// Factor of the sum of leaves, and what is added to it.
    #[serde(default)]
    pub(super) scale_and_bias: Option<(f64, OneOrMany)>,
}

/// A number a score; one score's stands alone in some places.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "Numbers")]
pub(super) struct OneOrMany(pub(super) Vec<f64>);

#[derive(Deserialize)]
#[serde(untagged)]
enum Numbers {
    One(f64),
    Many(Vec<f64>),
}

impl From<Numbers> for OneOrMany {
    fn from(numbers: Numbers) -> Self {
        Self(match numbers {
            Numbers::One(number) => vec![number],
            Numbers::Many(numbers) => numbers,
        })
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct FeaturesInfo {
    #[serde(default, deserialize_with = "or_empty")]
    pub(super) float_features: Vec<FloatFeature>,
    #[serde(default, deserialize_with = "or_empty")]
    pub(super) categorical_features: Vec<Feature>,
    #[serde(default, deserialize_with = "or_empty")]
    pub(super) text_features: Vec<Feature>,
    #[serde(default, deserialize_with = "or_empty")]
    pub(super) embedding_features: Vec<Feature>,
    /// Texts of categories, where the file was saved with the training pool.
    #[serde(default, deserialize_with = "or_empty")]
    pub(super) cat_features_hash: Vec<HashedText>,
}

/// A list that some versions write as null where it is empty.
fn or_empty<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[derive(Debug, Deserialize)]
pub(super) struct HashedText {
    /// 32 bits, signed or not.
    pub(super) hash: i64,
    pub(super) value: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Feature {
    /// Name of the column, possibly empty.
    #[serde(default, rename = "feature_id")]
    pub(super) name: String,
    /// Place among the features of its kind.
    #[serde(rename = "feature_index")]
    pub(super) index: usize,
    /// Place among all columns.
    #[serde(rename = "flat_feature_index")]
    pub(super) column: usize,
}

#[derive(Debug, Deserialize)]
pub(super) struct FloatFeature {
    #[serde(flatten)]
    pub(super) feature: Feature,
    #[serde(default)]
    pub(super) nan_value_treatment: NanTreatment,
}

/// What a missing value is in `x > border`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) enum NanTreatment {
    /// NaN: it exceeds nothing.
    #[default]
    #[serde(rename = "AsIs")]
    Kept,
    #[serde(rename = "AsFalse")]
    BelowAll,
    #[serde(rename = "AsTrue")]
    AboveAll,
}

/// A tree that asks the same question of all nodes of a level: the answer to split `i` is bit `i`
/// of the leaf's number.
#[derive(Debug, Deserialize)]
pub(super) struct ObliviousTree {
    /// The values of each leaf, one a score, leaf by leaf.
    pub(super) leaf_values: Vec<f64>,
    /// Absent or null in a tree of one leaf.
    #[serde(default)]
    pub(super) splits: Option<Vec<Split>>,
}

/// A node of any other tree: `value`, or `split` with both children.
#[derive(Debug, Deserialize)]
pub(super) struct LinkedNode {
    #[serde(default)]
    pub(super) value: Option<OneOrMany>,
    #[serde(default)]
    pub(super) split: Option<Split>,
    #[serde(default)]
    pub(super) left: Option<Box<LinkedNode>>,
    #[serde(default)]
    pub(super) right: Option<Box<LinkedNode>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Split {
    #[serde(rename = "split_type")]
    pub(super) kind: String,
    #[serde(default)]
    pub(super) float_feature_index: Option<usize>,
    #[serde(default)]
    pub(super) border: Option<f64>,
    #[serde(default)]
    pub(super) cat_feature_index: Option<usize>,
    /// Hash of a category.
    #[serde(default)]
    pub(super) value: Option<i64>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct ModelInfo {
    #[serde(default)]
    params: Value,
    #[serde(default)]
    class_params: Value,
    #[serde(default)]
    binclass_probability_threshold: Value,
    #[serde(default)]
    catboost_version_info: String,
}

/// Some versions keep parts of the information as JSON inside a text.
fn unpacked(value: &Value, place: &str) -> Result<Value, CompileError> {
    match value {
        Value::String(text) => {
            serde_json::from_str(text).map_err(|error| LIBRARY.invalid(place, error))
        }
        value => Ok(value.clone()),
    }
}

impl ModelInfo {
    /// Name of the loss that the model was trained with.
    pub(super) fn loss_function(&self) -> Result<String, CompileError> {
        let place = "model_info.params.loss_function.type";
        let params = unpacked(&self.params, place)?;
        let name = params
            .pointer("/loss_function/type")
            .and_then(Value::as_str);
        name.map(str::to_owned).ok_or_else(|| {
            LIBRARY.invalid(place, "it is missing, and it says what the model predicts")
        })
    }

    /// Probability above which the second of two classes is predicted, if it is not 1/2.
    pub(super) fn threshold(&self) -> Result<Option<f64>, CompileError> {
        let text = match &self.binclass_probability_threshold {
            Value::Null => return Ok(None),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let threshold = text.parse().ok().filter(|p: &f64| *p > 0.0 && *p < 1.0);
        threshold.map(Some).ok_or_else(|| {
            let place = "model_info.binclass_probability_threshold";
            LIBRARY.invalid(place, format!("{text:?} is no probability between 0 and 1"))
        })
    }

    /// Names of the classes in the order of the scores.
    pub(super) fn class_names(&self) -> Result<ClassNames, CompileError> {
        let place = "model_info.class_params.class_names";
        let params = unpacked(&self.class_params, place)?;
        let Some(names) = params.get("class_names").and_then(Value::as_array) else {
            return Ok(ClassNames::Numbered);
        };
        if names.is_empty() {
            return Ok(ClassNames::Numbered);
        }
        let integers: Option<Vec<i64>> = names.iter().map(Value::as_i64).collect();
        if let Some(integers) = integers {
            return Ok(ClassNames::Integers(integers));
        }
        let text = |name: &Value| match name {
            Value::String(text) => Ok(text.clone()),
            Value::Number(number) => Ok(number.to_string()),
            Value::Bool(true) => Ok("True".to_owned()),
            Value::Bool(false) => Ok("False".to_owned()),
            other => Err(LIBRARY.invalid(place, format!("{other} names no class"))),
        };
        names
            .iter()
            .map(text)
            .collect::<Result<_, _>>()
            .map(ClassNames::Texts)
    }

    /// Library and version.
    pub(super) fn producer(&self) -> String {
        let version = self
            .catboost_version_info
            .lines()
            .find_map(|line| line.trim().strip_prefix("Branch: tags/v"));
        version.map_or_else(
            || LIBRARY.to_string(),
            |version| format!("{LIBRARY} {}", version.trim()),
        )
    }
}
