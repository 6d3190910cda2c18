//! Specs of refitted leaves, without trees.

use super::{LeafTarget, Structure, StructureNode, boosted, growth};
use crate::error::TrainingError;
use crate::spec::{ColumnV1, Version, list, range, unique};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;

const LEAVES: &str = "leaves";
const BOOSTED: &str = "boosted-leaves";
const GROWN: &str = "tree";
const ALGORITHMS: [&str; 3] = [LEAVES, BOOSTED, GROWN];
/// Most columns, each of which takes some selectors.
const MAX_COLUMNS: usize = 1000;
/// Most cuts of a column: 12 bits.
const MAX_CUTS: usize = (1 << 12) - 1;
/// Most steps of a number: 24 bits, each of which is summed by itself.
const MAX_STEPS: f64 = 16_777_215.0;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LeafSpecV1 {
    pub(super) format: u16,
    pub(super) name: String,
    algorithm: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) rate: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) penalty: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) depth: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) rows_a_leaf: Option<u64>,
    pub(super) column: Vec<CutsV1>,
    target: TargetV1,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CutsV1 {
    pub(super) name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) cuts: Option<Vec<f32>>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TargetV1 {
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    classes: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    low: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    high: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    step: Option<f64>,
}

/// The field by which specs of several trainings differ.
#[derive(Deserialize)]
struct AlgorithmName {
    algorithm: String,
}

/// A checked spec, without trees.
#[derive(Clone, Debug, PartialEq)]
pub struct LeafSpec(pub(super) LeafSpecV1);

impl LeafSpec {
    /// Whether a text is a spec of leaves, as far as its algorithm tells: other trainings have other ones.
    pub fn is_spec(text: &str) -> bool {
        toml::from_str(text)
            .is_ok_and(|named: AlgorithmName| ALGORITHMS.contains(&named.algorithm.as_str()))
    }

    /// Reads a spec, TOML.
    ///
    /// # Errors
    /// Text that is no spec, with the field at fault.
    pub fn from_toml(text: &str) -> Result<Self, TrainingError> {
        let version: Version = toml::from_str(text).map_err(TrainingError::Document)?;
        version.require()?;
        let spec: LeafSpecV1 = toml::from_str(text).map_err(TrainingError::Document)?;
        spec.check()?;
        Ok(Self(spec))
    }

    /// Whether leaves are those of a model whose trees add up: its structure must say what they say.
    pub fn is_boosted(&self) -> bool {
        self.0.is_boosted()
    }

    /// Whether the tree is grown, so that there is no structure.
    pub fn is_grown(&self) -> bool {
        self.0.is_grown()
    }

    /// Cuts of each column with a structure: its thresholds where the spec has no cuts.
    pub(super) fn cuts(&self, structure: &Structure) -> Result<Vec<Vec<f32>>, TrainingError> {
        let columns = &self.0.column;
        if structure.features != columns.len() {
            return Err(TrainingError::field(
                "document",
                format!(
                    "there are {} columns where the structure has {} features; list the columns of its features, in their order",
                    columns.len(),
                    structure.features
                ),
            ));
        }
        let names = structure.names.iter().flatten();
        for (place, (name, column)) in names.zip(columns).enumerate() {
            if *name != column.name {
                let problem = format!(
                    "column {} is {:?} where the structure has {name:?}; list the columns of its features, in their order",
                    place + 1,
                    column.name
                );
                return Err(TrainingError::field("document", problem));
            }
        }
        let mut thresholds = vec![Vec::new(); columns.len()];
        for node in structure.trees.iter().flatten() {
            if let StructureNode::Split {
                feature, threshold, ..
            } = node
            {
                thresholds[*feature as usize].push(*threshold);
            }
        }
        let columns = columns.iter().zip(thresholds);
        Ok(columns
            .map(|(column, mut thresholds)| {
                thresholds.sort_by(f32::total_cmp);
                thresholds.dedup();
                column.cuts.clone().unwrap_or(thresholds)
            })
            .collect())
    }
}

impl LeafSpecV1 {
    pub(super) fn is_boosted(&self) -> bool {
        self.algorithm == BOOSTED
    }

    pub(super) fn is_grown(&self) -> bool {
        self.algorithm == GROWN
    }

    pub(super) fn check(&self) -> Result<LeafTarget, TrainingError> {
        let field = |problem: String| TrainingError::field("document", problem);
        if !ALGORITHMS.contains(&self.algorithm.as_str()) {
            return Err(field(format!(
                "\"algorithm\" is {:?}, not {LEAVES:?}, {BOOSTED:?} or {GROWN:?}",
                self.algorithm
            )));
        }
        if self.is_boosted() {
            boosted::check_step(self.rate, self.penalty)?;
        } else if self.rate.is_some() || self.penalty.is_some() {
            return Err(field(format!(
                "\"rate\" and \"penalty\" are of \"algorithm\" {BOOSTED:?}; leave them out"
            )));
        }
        if self.is_grown() {
            growth::check_depth(self.depth, self.rows_a_leaf)?;
        } else if self.depth.is_some() || self.rows_a_leaf.is_some() {
            return Err(field(format!(
                "\"depth\" and \"rows_a_leaf\" are of \"algorithm\" {GROWN:?}; leave them out"
            )));
        }
        if !(1..=MAX_COLUMNS).contains(&self.column.len()) {
            return Err(field(format!(
                "there are {} columns, not 1 to {MAX_COLUMNS}",
                self.column.len()
            )));
        }
        let target = ColumnV1 {
            name: self.target.name.clone(),
            low: self.target.low,
            high: self.target.high,
            categories: None,
            classes: self.target.classes.clone(),
        };
        let named: Vec<ColumnV1> = self.column.iter().map(CutsV1::named).collect();
        let mut names = HashSet::new();
        for (column, own) in self.column.iter().zip(&named) {
            let place = format!("column {:?}", column.name);
            unique(&mut names, own, &place)?;
            let cuts = column.cuts.as_deref().unwrap_or_default();
            if self.is_grown() && cuts.is_empty() {
                let problem = "it has no \"cuts\", between which a tree could be split; give some, or leave the column out";
                return Err(TrainingError::field(place, problem));
            }
            if cuts.len() > MAX_CUTS {
                let problem = format!("it has {} cuts, at most {MAX_CUTS}", cuts.len());
                return Err(TrainingError::field(place, problem));
            }
            let rise = cuts.windows(2).all(|pair| pair[0] < pair[1]);
            if !(rise && cuts.iter().all(|cut| cut.is_finite())) {
                let problem = "its \"cuts\" are no finite numbers that rise; sort them, each once";
                return Err(TrainingError::field(place, problem));
            }
        }
        let place = format!("target {:?}", target.name);
        unique(&mut names, &target, &place)?;
        if let Some(classes) = &target.classes {
            if self.is_boosted() {
                let problem = "boosted leaves take a step of squared error, which is one of numbers; give \"low\" and \"high\" instead of \"classes\"";
                return Err(TrainingError::field(place, problem));
            }
            if self.target.step.is_some() {
                let problem = "it has \"classes\" and a \"step\"; give one of them";
                return Err(TrainingError::field(place, problem));
            }
            let listed = list(&target, classes, &place)?;
            return Ok(LeafTarget::Classes {
                name: listed.name,
                classes: listed.categories,
            });
        }
        let classes = (!self.is_boosted()).then_some("classes");
        let mut own = range(&target, &place, classes)?;
        if self.is_boosted() {
            // What is left of a number in the range by one in the range.
            let length = own.high - own.low;
            (own.low, own.high) = (-length, length);
        }
        let step = self.target.step.unwrap_or(1.0);
        let steps = ((own.high - own.low) / step).round();
        if !(step > 0.0 && (1.0..=MAX_STEPS).contains(&steps)) {
            let problem = format!(
                "its range has {steps} steps of {step}, not 1 to {MAX_STEPS}; give another \"step\""
            );
            return Err(TrainingError::field(place, problem));
        }
        Ok(LeafTarget::Number {
            name: own.name,
            low: own.low,
            step,
            steps: steps as u64,
        })
    }

    /// The place of a threshold among a column's cuts.
    pub(super) fn cut(&self, column: usize, threshold: f32) -> Result<u32, TrainingError> {
        let column = &self.column[column];
        let cuts = column.cuts.as_deref().unwrap_or_default();
        let after = cuts.partition_point(|cut| *cut < threshold);
        if cuts.get(after) == Some(&threshold) {
            return Ok(after as u32);
        }
        Err(TrainingError::field(
            format!("column {:?}", column.name),
            format!(
                "the structure asks for {threshold}, which is none of its \"cuts\"; rows that were encrypted with these cannot tell: train the structure on values between the cuts, or leave \"cuts\" out"
            ),
        ))
    }
}

impl CutsV1 {
    fn named(&self) -> ColumnV1 {
        ColumnV1 {
            name: self.name.clone(),
            low: None,
            high: None,
            categories: None,
            classes: None,
        }
    }
}
