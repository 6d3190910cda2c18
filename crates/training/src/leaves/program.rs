//! Programs: a spec with trees and the form of their sums.

use super::spec::{LeafSpec, LeafSpecV1};
use super::{
    BoostedStep, Growth, LeafNode, LeafTarget, LeafTree, Structure, StructureNode, TreeSum,
};
use crate::error::TrainingError;
use crate::spec::Version;
use cipherfn_protocol::hash::Hash;
use cipherfn_protocol::specs::{BaseLog, Gadget, Levels};
use serde::{Deserialize, Serialize};

/// Most trees, and most nodes of all of them: minutes a row.
const MAX_TREES: usize = 10_000;
const MAX_NODES: usize = 1 << 20;
/// Most bits that the questions on a row's way ask for: 42 questions on columns of 4,095 cuts, 64 on those of 255.
/// Circuits are made by a recursion of a call a bit, for which a thread has 2 MiB.
const MAX_BITS: usize = 1 << 9;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ProgramV1 {
    format: u16,
    spec: LeafSpecV1,
    sums: SumForm,
    tree: Vec<LeafTree>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    start: Option<TreeSum>,
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

/// Bits of the bins between so many cuts.
const fn bits(cuts: usize) -> u32 {
    usize::BITS - cuts.leading_zeros()
}

/// A checked program. It is public.
#[derive(Clone, Debug, PartialEq)]
pub struct LeafTraining {
    document: ProgramV1,
    target: LeafTarget,
    cuts: Vec<Vec<f32>>,
    hash: Hash,
}

impl LeafSpec {
    /// The program of a structure, with sums of the form that takes least: see
    /// [`LeafTraining::with_sums`].
    ///
    /// # Errors
    /// A structure of other features, or whose thresholds are no cuts of the spec; of boosted leaves one
    /// that does not say what they say.
    pub fn with(&self, structure: &Structure) -> Result<LeafTraining, TrainingError> {
        if self.is_grown() {
            return Err(TrainingError::field(
                "document",
                "its tree is grown, and has no structure before; leave it out",
            ));
        }
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
        let start = if self.is_boosted() {
            structure.sum.clone()
        } else {
            None
        };
        LeafTraining::check(ProgramV1 {
            format: spec.format,
            spec,
            sums: SumForm::LEAST,
            tree,
            start,
        })
    }
}

impl LeafSpec {
    /// The program of a tree that is grown, before its first level.
    ///
    /// # Errors
    /// A spec of another algorithm.
    pub fn seed(&self) -> Result<LeafTraining, TrainingError> {
        if !self.is_grown() {
            return Err(TrainingError::field(
                "document",
                "its leaves are those of a structure; give one",
            ));
        }
        LeafTraining::check(ProgramV1 {
            format: self.0.format,
            spec: self.0.clone(),
            sums: SumForm::LEAST,
            tree: vec![LeafTree::seed()],
            start: None,
        })
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
        let program = Self::check(serde_json::from_slice(bytes).map_err(TrainingError::Program)?)?;
        // Errors and room of all levels are reckoned from here.
        if program.growth().is_some() && program.trees() != [LeafTree::seed()] {
            return Err(TrainingError::field(
                "tree 1",
                "it is grown, and a program begins with one leaf; compile the training again",
            ));
        }
        Ok(program)
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
            let place = format!("tree {}", index + 1);
            tree.check(&place, &counts)?;
            let bits = tree.longest(|column| bits(counts[column]) as usize);
            if bits > MAX_BITS {
                return Err(TrainingError::field(
                    place,
                    format!(
                        "the questions on its longest way ask for {bits} bits, at most {MAX_BITS} are taken; prune it, or give its columns fewer cuts"
                    ),
                ));
            }
        }
        if spec.is_grown() && trees.len() > 1 {
            return field("there are several trees, and one is grown at a time".into());
        }
        match (&document.start, spec.is_boosted()) {
            (Some(start), true) => start.check(trees)?,
            (None, false) => {}
            (None, true) => {
                return field("boosted leaves have no \"start\": what the model says".into());
            }
            (Some(_), false) => return field("a \"start\" is of boosted leaves alone".into()),
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

    /// The same with another tree.
    pub(super) fn with_tree(&self, tree: LeafTree) -> Result<Self, TrainingError> {
        Self::check(ProgramV1 {
            tree: vec![tree],
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
        bits(self.cuts[column].len())
    }

    /// The label.
    pub const fn target(&self) -> &LeafTarget {
        &self.target
    }

    /// The trees.
    pub fn trees(&self) -> &[LeafTree] {
        &self.document.tree
    }

    /// The step that is taken, of boosted leaves.
    pub fn boosted(&self) -> Option<BoostedStep<'_>> {
        let spec = &self.document.spec;
        let start = self.document.start.as_ref()?;
        Some(BoostedStep {
            start,
            rate: spec.rate.unwrap_or(1.0),
            penalty: spec.penalty.unwrap_or(0.0),
        })
    }

    /// How the tree is grown, where it is.
    pub fn growth(&self) -> Option<Growth> {
        let spec = &self.document.spec;
        spec.is_grown().then(|| Growth {
            depth: spec.depth.unwrap_or(1),
            rows_a_leaf: spec.rows_a_leaf.unwrap_or(1),
        })
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
