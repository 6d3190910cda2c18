//! Layout of the file, in as far as it is read. Numbers of parameters are texts there.

use super::LIBRARY;
use crate::error::CompileError;
use crate::read::json::Float;
use serde::Deserialize;
use serde::de::{self, Deserializer, SeqAccess, Visitor};
use std::collections::BTreeMap;
use std::fmt;

#[derive(Debug, Deserialize)]
pub(super) struct XgboostFile {
    pub(super) learner: Learner,
    #[serde(default)]
    pub(super) version: Vec<u64>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Learner {
    #[serde(default)]
    pub(super) attributes: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) feature_names: Vec<String>,
    #[serde(default)]
    pub(super) feature_types: Vec<String>,
    pub(super) gradient_booster: Booster,
    #[serde(rename = "learner_model_param")]
    pub(super) parameters: Parameters,
    pub(super) objective: ObjectiveName,
}

#[derive(Debug, Deserialize)]
pub(super) struct ObjectiveName {
    pub(super) name: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Parameters {
    pub(super) base_score: Scalar,
    #[serde(default)]
    pub(super) num_class: Scalar,
    pub(super) num_feature: Scalar,
    #[serde(default)]
    pub(super) num_target: Scalar,
}

/// What is boosted. One shape for all kinds: an enum tagged by `name` would keep the whole model in
/// serde's buffer first, since the name comes last in the file.
#[derive(Debug, Deserialize)]
struct BoosterFields {
    name: String,
    #[serde(default)]
    model: Option<ModelFields>,
    /// The trees of `dart`.
    #[serde(default)]
    gbtree: Option<Inner>,
    /// One factor a tree of `dart`.
    #[serde(default)]
    weight_drop: Vec<Float>,
}

/// What is boosted.
#[derive(Debug, Deserialize)]
#[serde(try_from = "BoosterFields")]
pub(super) enum Booster {
    Trees {
        model: Trees,
        /// One factor a tree.
        weights: Option<Vec<Float>>,
    },
    Linear {
        weights: Vec<Float>,
    },
}

impl TryFrom<BoosterFields> for Booster {
    type Error = String;

    fn try_from(fields: BoosterFields) -> Result<Self, String> {
        let missing = |name: &str| format!("gradient_booster has no {name}");
        let trees = |model: Option<ModelFields>| {
            let model = model.ok_or_else(|| missing("model"))?;
            Ok::<_, String>(Trees {
                cats: model.cats,
                parameters: model.gbtree_model_param,
                iteration_indptr: model.iteration_indptr,
                tree_info: model.tree_info.ok_or_else(|| missing("tree_info"))?,
                list: model.trees.ok_or_else(|| missing("trees"))?,
            })
        };
        match fields.name.as_str() {
            "gbtree" => Ok(Self::Trees {
                model: trees(fields.model)?,
                weights: None,
            }),
            "dart" => Ok(Self::Trees {
                model: trees(fields.gbtree.and_then(|inner| inner.model))?,
                weights: Some(fields.weight_drop),
            }),
            "gblinear" => Ok(Self::Linear {
                weights: fields
                    .model
                    .and_then(|model| model.weights)
                    .ok_or_else(|| missing("weights"))?,
            }),
            other => Err(format!(
                "gradient_booster is {other:?}, none of gbtree, dart, gblinear"
            )),
        }
    }
}

impl Booster {
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Trees { weights: None, .. } => "gbtree",
            Self::Trees { .. } => "dart",
            Self::Linear { .. } => "gblinear",
        }
    }
}

#[derive(Debug, Deserialize)]
struct Inner {
    model: Option<ModelFields>,
}

#[derive(Debug, Deserialize)]
struct ModelFields {
    #[serde(default)]
    cats: Option<Categories>,
    #[serde(default)]
    gbtree_model_param: TreesParameters,
    #[serde(default)]
    iteration_indptr: Vec<usize>,
    tree_info: Option<Vec<i64>>,
    trees: Option<Vec<FileTree>>,
    /// Of `gblinear`.
    weights: Option<Vec<Float>>,
}

#[derive(Debug)]
pub(super) struct Trees {
    /// Categories of the columns as they stand in a data frame (version 3.1 and later).
    pub(super) cats: Option<Categories>,
    pub(super) parameters: TreesParameters,
    /// First tree of each round, and the number of trees (version 2 and later).
    pub(super) iteration_indptr: Vec<usize>,
    /// Score of each tree.
    pub(super) tree_info: Vec<i64>,
    pub(super) list: Vec<FileTree>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct TreesParameters {
    #[serde(default)]
    pub(super) num_parallel_tree: Scalar,
}

#[derive(Debug, Deserialize)]
pub(super) struct Categories {
    /// One a column.
    #[serde(default)]
    pub(super) enc: Vec<Encoding>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Encoding {
    /// Ends of the texts in `values`, from 0; absent where the categories are numbers.
    #[serde(default)]
    pub(super) offsets: Option<Vec<usize>>,
    /// Bytes of the texts, or numbers.
    pub(super) values: Vec<f64>,
}

/// A tree: one entry a node in each list.
#[derive(Debug, Deserialize)]
pub(super) struct FileTree {
    pub(super) left_children: Vec<i64>,
    pub(super) right_children: Vec<i64>,
    pub(super) split_indices: Vec<i64>,
    /// Threshold of a split, value of a leaf.
    pub(super) split_conditions: Vec<Float>,
    pub(super) default_left: Vec<Flag>,
    /// 0 for numbers, 1 for sets of categories; absent before version 1.3.
    #[serde(default)]
    pub(super) split_type: Vec<i64>,
    /// Categories of all sets, one after the other; those of a set go right.
    #[serde(default)]
    pub(super) categories: Vec<i64>,
    /// Node of each set.
    #[serde(default)]
    pub(super) categories_nodes: Vec<i64>,
    /// Where each set starts.
    #[serde(default)]
    pub(super) categories_segments: Vec<i64>,
    /// How many categories each set has.
    #[serde(default)]
    pub(super) categories_sizes: Vec<i64>,
    #[serde(default)]
    pub(super) tree_param: TreeParameters,
    /// Values of leaves with a value a target (version 3.2 and later): leaf `i` is what the right
    /// child of its node says.
    #[serde(default)]
    pub(super) leaf_weights: Vec<Float>,
    /// Values of all nodes with a value a target (before version 3.2).
    #[serde(default)]
    pub(super) base_weights: Vec<Float>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct TreeParameters {
    #[serde(default)]
    pub(super) size_leaf_vector: Scalar,
}

/// 0, 1, true or false.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Flag(pub(super) bool);

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Flags;
        impl Visitor<'_> for Flags {
            type Value = Flag;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("0, 1, true or false")
            }
            fn visit_bool<E: de::Error>(self, value: bool) -> Result<Flag, E> {
                Ok(Flag(value))
            }
            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Flag, E> {
                Ok(Flag(value != 0))
            }
            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Flag, E> {
                Ok(Flag(value != 0))
            }
        }
        deserializer.deserialize_any(Flags)
    }
}

/// A parameter: a text, a number or a list of numbers, kept as the text that the library writes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Scalar(pub(super) Option<String>);

impl Scalar {
    /// The parameter as a count; an absent one is 0.
    pub(super) fn at(&self, name: &str) -> Result<usize, CompileError> {
        self.0.as_ref().map_or(Ok(0), |text| {
            let problem = || LIBRARY.invalid(name, format!("{text:?} is not a count"));
            text.trim().parse().map_err(|_| problem())
        })
    }
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Scalars;
        impl<'de> Visitor<'de> for Scalars {
            type Value = Scalar;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a parameter as text or number")
            }
            fn visit_str<E: de::Error>(self, value: &str) -> Result<Scalar, E> {
                Ok(Scalar(Some(value.to_owned())))
            }
            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Scalar, E> {
                Ok(Scalar(Some(value.to_string())))
            }
            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Scalar, E> {
                Ok(Scalar(Some(value.to_string())))
            }
            fn visit_f32<E: de::Error>(self, value: f32) -> Result<Scalar, E> {
                Ok(Scalar(Some(value.to_string())))
            }
            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Scalar, E> {
                Ok(Scalar(Some(value.to_string())))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Scalar, A::Error> {
                let mut all = Vec::new();
                while let Some(value) = seq.next_element::<f64>()? {
                    all.push(value.to_string());
                }
                Ok(Scalar(Some(format!("[{}]", all.join(",")))))
            }
        }
        deserializer.deserialize_any(Scalars)
    }
}
