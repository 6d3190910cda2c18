//! Specs of refitted leaves, and programs: a spec with trees and the form of their sums.

use super::{LeafNode, LeafTarget, LeafTree, Structure, StructureNode};
use crate::error::TrainingError;
use crate::spec::{ColumnV1, Version, list, range, unique};
use cipherfn_protocol::hash::Hash;
use cipherfn_protocol::specs::{BaseLog, Gadget, Levels};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;

const ALGORITHM: &str = "leaves";
/// Most columns, each of which takes some selectors.
const MAX_COLUMNS: usize = 1000;
/// Most cuts of a column: 12 bits.
const MAX_CUTS: usize = (1 << 12) - 1;
/// Most trees, and most nodes of all of them: minutes a row.
const MAX_TREES: usize = 10_000;
const MAX_NODES: usize = 1 << 20;
/// Most steps of a number: 24 bits, each of which is summed by itself.
const MAX_STEPS: f64 = 16_777_215.0;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LeafSpecV1 {
    format: u16,
    name: String,
    algorithm: String,
    column: Vec<CutsV1>,
    target: TargetV1,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CutsV1 {
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cuts: Option<Vec<f32>>,
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

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ProgramV1 {
    format: u16,
    spec: LeafSpecV1,
    sums: SumForm,
    tree: Vec<LeafTree>,
}

/// The field by which specs of several trainings differ.
#[derive(Deserialize)]
struct AlgorithmName {
    algorithm: String,
}

/// The field that programs of leaves have, and no others.
#[derive(Deserialize)]
struct SumsOnly {
    #[serde(rename = "sums")]
    _sums: SumForm,
}

/// Form of encrypted rows and of sums over them: what makes these exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SumForm {
    /// Bits of a digit of selectors.
    pub base_log: u32,
    /// Digits of selectors.
    pub levels: u32,
    /// Bits of a count: a sum is over fewer than two to that many rows.
    pub count_bits: u32,
}

impl SumForm {
    /// Two digits, and a row a sum.
    const LEAST: Self = Self {
        base_log: 9,
        levels: 2,
        count_bits: 1,
    };

    /// Gadget of the selectors.
    pub const fn gadget(self) -> Gadget {
        Gadget::new(BaseLog::new(self.base_log), Levels::new(self.levels))
    }

    /// Most rows of a sum.
    pub const fn rows(self) -> usize {
        (1 << self.count_bits) - 1
    }
}

/// A checked spec, without trees.
#[derive(Clone, Debug, PartialEq)]
pub struct LeafSpec(LeafSpecV1);

/// A checked program. It is public.
#[derive(Clone, Debug, PartialEq)]
pub struct LeafTraining {
    document: ProgramV1,
    target: LeafTarget,
    cuts: Vec<Vec<f32>>,
    hash: Hash,
}

impl LeafSpec {
    /// Whether a text is a spec of leaves, as far as its algorithm tells: other trainings have other ones.
    pub fn is_spec(text: &str) -> bool {
        toml::from_str(text).is_ok_and(|named: AlgorithmName| named.algorithm == ALGORITHM)
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

    /// Cuts of each column with a structure: its thresholds where the spec has no cuts.
    fn cuts(&self, structure: &Structure) -> Result<Vec<Vec<f32>>, TrainingError> {
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

    /// The program of a structure, with sums of the form that takes least: see
    /// [`LeafTraining::with_sums`].
    ///
    /// # Errors
    /// A structure of other features, or whose thresholds are no cuts of the spec.
    pub fn with(&self, structure: &Structure) -> Result<LeafTraining, TrainingError> {
        let cuts = self.cuts(structure)?;
        let mut spec = self.0.clone();
        for (column, cuts) in spec.column.iter_mut().zip(&cuts) {
            column.cuts = Some(cuts.clone());
        }
        let node = |node: &StructureNode| {
            Ok::<_, TrainingError>(match *node {
                StructureNode::Leaf => LeafNode::Leaf,
                StructureNode::Split {
                    feature,
                    threshold,
                    above,
                    below,
                    missing_above,
                } => LeafNode::Split {
                    column: feature,
                    cut: spec.cut(feature as usize, threshold)?,
                    above,
                    below,
                    missing_above,
                },
            })
        };
        let trees = structure.trees.iter().map(|nodes| {
            let nodes = nodes.iter().map(node);
            Ok::<_, TrainingError>(LeafTree {
                nodes: nodes.collect::<Result<_, TrainingError>>()?,
            })
        });
        let tree = trees.collect::<Result<_, TrainingError>>()?;
        LeafTraining::check(ProgramV1 {
            format: spec.format,
            spec,
            sums: SumForm::LEAST,
            tree,
        })
    }
}

impl LeafSpecV1 {
    fn check(&self) -> Result<LeafTarget, TrainingError> {
        let field = |problem: String| TrainingError::field("document", problem);
        if self.algorithm != ALGORITHM {
            return Err(field(format!(
                "\"algorithm\" is {:?}, not {ALGORITHM:?}",
                self.algorithm
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
        let own = range(&target, &place, Some("classes"))?;
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
    fn cut(&self, column: usize, threshold: f32) -> Result<u32, TrainingError> {
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

impl LeafTraining {
    /// Whether bytes are a program of leaves, as far as its sums tell.
    pub fn is_program(bytes: &[u8]) -> bool {
        serde_json::from_slice::<SumsOnly>(bytes).is_ok()
    }

    /// Reads a program, JSON.
    ///
    /// # Errors
    /// Bytes that are no program, with the field at fault.
    pub fn from_json(bytes: &[u8]) -> Result<Self, TrainingError> {
        let version: Version = serde_json::from_slice(bytes).map_err(TrainingError::Program)?;
        version.require()?;
        Self::check(serde_json::from_slice(bytes).map_err(TrainingError::Program)?)
    }

    fn check(document: ProgramV1) -> Result<Self, TrainingError> {
        let spec = &document.spec;
        if spec.format != document.format {
            return Err(TrainingError::Format { found: spec.format });
        }
        let target = spec.check()?;
        let cuts = spec.column.iter().map(|column| {
            let missing =
                || TrainingError::field(format!("column {:?}", column.name), "it has no \"cuts\"");
            column.cuts.clone().ok_or_else(missing)
        });
        let cuts = cuts.collect::<Result<Vec<_>, _>>()?;
        let counts: Vec<usize> = cuts.iter().map(Vec::len).collect();
        let field = |problem: String| Err(TrainingError::field("document", problem));
        let trees = &document.tree;
        if !(1..=MAX_TREES).contains(&trees.len()) {
            return field(format!(
                "there are {} trees, not 1 to {MAX_TREES}",
                trees.len()
            ));
        }
        let nodes: usize = trees.iter().map(|tree| tree.nodes.len()).sum();
        if nodes > MAX_NODES {
            return field(format!("the trees have {nodes} nodes, at most {MAX_NODES}"));
        }
        for (index, tree) in trees.iter().enumerate() {
            tree.check(&format!("tree {}", index + 1), &counts)?;
        }
        let SumForm {
            base_log,
            levels,
            count_bits,
        } = document.sums;
        let is_form = (1..=24).contains(&base_log)
            && (1..=16).contains(&levels)
            && base_log * levels <= 48
            && (1..=20).contains(&count_bits)
            && count_bits <= base_log * levels;
        if !is_form {
            return Err(TrainingError::field(
                "sums",
                "no selectors have this form; compile the training again",
            ));
        }
        let canonical = serde_json::to_vec(&document).map_err(TrainingError::Program)?;
        Ok(Self {
            document,
            target,
            cuts,
            hash: Hash::of(&canonical),
        })
    }

    /// The program's file, JSON.
    ///
    /// # Errors
    /// None that a checked program has.
    pub fn to_json(&self) -> Result<Vec<u8>, TrainingError> {
        serde_json::to_vec(&self.document).map_err(TrainingError::Program)
    }

    /// The same with sums of another form.
    ///
    /// # Errors
    /// A form that no selectors have.
    pub fn with_sums(&self, sums: SumForm) -> Result<Self, TrainingError> {
        Self::check(ProgramV1 {
            sums,
            ..self.document.clone()
        })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.document.spec.name
    }

    /// Hash of everything in it.
    pub const fn hash(&self) -> Hash {
        self.hash
    }

    /// Names of the columns.
    pub fn columns(&self) -> impl ExactSizeIterator<Item = &str> {
        let columns = self.document.spec.column.iter();
        columns.map(|column| column.name.as_str())
    }

    /// Cuts of each column, rising. A value's bin is the number of cuts below it.
    pub fn cuts(&self) -> &[Vec<f32>] {
        &self.cuts
    }

    /// Bits of a column's bins.
    pub fn bin_bits(&self, column: usize) -> u32 {
        usize::BITS - self.cuts[column].len().leading_zeros()
    }

    /// The label.
    pub const fn target(&self) -> &LeafTarget {
        &self.target
    }

    /// The trees.
    pub fn trees(&self) -> &[LeafTree] {
        &self.document.tree
    }

    /// Form of the sums.
    pub const fn sums(&self) -> SumForm {
        self.document.sums
    }

    /// Selectors of a row: bits of its bins, column by column with the lowest first, then of its label.
    pub fn selectors(&self) -> usize {
        let bits = (0..self.cuts.len()).map(|column| self.bin_bits(column) as usize);
        bits.sum::<usize>() + self.target.bits()
    }
}
