//! Trees over sets of bins.

use crate::families::scores::ScoreMap;
use crate::families::trees::bins::BinSet;
use crate::families::trees::inputs::Inputs;
use crate::families::trees::leaves::Layout;
use crate::families::trees::quantisation::Quantisation;
use crate::model::{Tree, TreeEnsemble, TreeNode};
use cipherfn_protocol::specs::Quantiser;
use std::collections::HashMap;

/// Index into [`BinnedEnsemble::predicates`].
pub(crate) type PredicateId = u32;

/// A question about a bin index: is it in the set? Bin 0 is in no set: a predicate and its opposite
/// are one, with the branches swapped.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Predicate {
    /// Index of the quantiser.
    pub quantiser: u32,
    /// The bins.
    pub set: BinSet,
}

/// An ensemble over bins.
#[derive(Clone, Debug)]
pub(crate) struct BinnedEnsemble {
    /// Every predicate of the trees as they were given.
    pub predicates: Vec<Predicate>,
    /// Bins of each quantiser.
    pub bins: Vec<u32>,
    /// The one of missing values among them.
    pub missing: Vec<Option<u32>>,
    /// The trees.
    pub trees: Vec<BinnedTree>,
    /// Number of scores that leaves count for.
    pub coefficients: usize,
    /// Numbers of a leaf.
    pub layout: Layout,
}

/// One tree in two forms.
#[derive(Clone, Debug)]
pub(crate) struct BinnedTree {
    /// Nodes with children before their parents, the root last, without the nodes that their
    /// ancestors decide.
    pub nodes: Vec<BinnedNode>,
    /// The tree as a table, where all nodes of a level ask the same.
    pub symmetric: Option<SymmetricTree>,
}

impl BinnedTree {
    /// The leaves, in the ensemble's layout.
    pub(crate) fn leaves(&self) -> impl Iterator<Item = &[f64]> {
        self.nodes.iter().filter_map(|node| match node {
            BinnedNode::Leaf(values) => Some(values.as_slice()),
            BinnedNode::Split { .. } => None,
        })
    }
}

/// A node.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum BinnedNode {
    /// Its numbers, in the ensemble's layout.
    Leaf(Vec<f64>),
    /// A question.
    Split {
        /// Which.
        predicate: PredicateId,
        /// Bins of the predicate's quantiser that reach this node.
        allowed: BinSet,
        /// Node for bins outside the set.
        clear: u32,
        /// Node for bins in the set.
        set: u32,
    },
}

/// A tree all of whose nodes of a level ask the same.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SymmetricTree {
    /// From the root down.
    pub levels: Vec<PredicateId>,
    /// `2^levels` leaves; the root's answer is the most significant bit of the index.
    pub leaves: Vec<Vec<f64>>,
}

impl BinnedEnsemble {
    /// Bins `trees`, with one leaf value a carried score, and weights of `inputs`.
    pub(crate) fn new(
        trees: &TreeEnsemble,
        quantisation: &Quantisation,
        scores: &ScoreMap,
        inputs: Option<&Inputs<'_>>,
    ) -> Self {
        let bins: Vec<u32> = quantisation
            .quantisers
            .iter()
            .map(Quantiser::bins)
            .collect();
        let mut binner = Binner {
            quantisation,
            scores,
            inputs,
            bins: &bins,
            predicates: Vec::new(),
            ids: HashMap::new(),
        };
        let trees = trees.trees.iter().enumerate();
        let trees = trees
            .map(|(index, tree)| binner.tree(index, tree))
            .collect();
        let predicates = binner.predicates;
        let missing = quantisation.quantisers.iter().map(Quantiser::missing_bin);
        Self {
            predicates,
            missing: missing.collect(),
            bins,
            trees,
            coefficients: scores.carried.len(),
            layout: Layout {
                coefficients: scores.carried.len(),
                inputs: inputs.map_or(0, Inputs::len),
            },
        }
    }
}

struct Binner<'a> {
    quantisation: &'a Quantisation,
    scores: &'a ScoreMap,
    inputs: Option<&'a Inputs<'a>>,
    bins: &'a [u32],
    predicates: Vec<Predicate>,
    ids: HashMap<Predicate, PredicateId>,
}

/// The predicate of a split and its children, (clear, set).
type BinnedQuestion = (PredicateId, u32, u32);

impl Binner<'_> {
    fn tree(&mut self, index: usize, tree: &Tree) -> BinnedTree {
        let questions: Vec<Option<BinnedQuestion>> =
            tree.nodes.iter().map(|node| self.question(node)).collect();
        let mut allowed: Vec<BinSet> = self
            .bins
            .iter()
            .map(|bins| BinSet::range(0, *bins))
            .collect();
        let leaves: Vec<Vec<f64>> = (0..)
            .zip(&tree.nodes)
            .map(|(node, own)| self.leaf(index, node, own))
            .collect();
        let mut nodes = Vec::new();
        self.prune(&leaves, &questions, 0, &mut allowed, &mut nodes);
        BinnedTree {
            nodes,
            symmetric: match self.inputs {
                None => symmetric(&leaves, &questions),
                Some(_) => None,
            },
        }
    }

    fn question(&mut self, node: &TreeNode) -> Option<BinnedQuestion> {
        let TreeNode::Split {
            feature,
            test,
            missing_goes_yes,
            yes,
            no,
        } = node
        else {
            return None;
        };
        let (quantiser, answer) = self
            .quantisation
            .question(*feature, *test, *missing_goes_yes)
            .expect("every feature of a split has a quantiser");
        let (set, clear, yes) = if answer.contains(0) {
            (answer.complement(self.bins[quantiser as usize]), *yes, *no)
        } else {
            (answer, *no, *yes)
        };
        let predicate = Predicate { quantiser, set };
        let id = *self.ids.entry(predicate).or_insert_with_key(|predicate| {
            self.predicates.push(predicate.clone());
            self.predicates.len() as PredicateId - 1
        });
        Some((id, clear, yes))
    }

    /// Appends the sub-tree at `node` and returns its index.
    fn prune(
        &self,
        leaves: &[Vec<f64>],
        questions: &[Option<BinnedQuestion>],
        node: u32,
        allowed: &mut [BinSet],
        out: &mut Vec<BinnedNode>,
    ) -> u32 {
        let built = match questions[node as usize] {
            None => BinnedNode::Leaf(leaves[node as usize].clone()),
            Some((predicate, clear, set)) => {
                let Predicate {
                    quantiser,
                    set: bins,
                } = &self.predicates[predicate as usize];
                let quantiser = *quantiser as usize;
                let here = allowed[quantiser].clone();
                let (outside, inside) = (
                    here.intersection(&bins.complement(self.bins[quantiser])),
                    here.intersection(bins),
                );
                if inside.is_empty() {
                    return self.prune(leaves, questions, clear, allowed, out);
                }
                if outside.is_empty() {
                    return self.prune(leaves, questions, set, allowed, out);
                }
                allowed[quantiser] = outside;
                let clear = self.prune(leaves, questions, clear, allowed, out);
                allowed[quantiser] = inside;
                let set = self.prune(leaves, questions, set, allowed, out);
                allowed[quantiser].clone_from(&here);
                BinnedNode::Split {
                    predicate,
                    allowed: here,
                    clear,
                    set,
                }
            }
        };
        out.push(built);
        out.len() as u32 - 1
    }

    /// The numbers of a leaf, none for a split.
    fn leaf(&self, tree: usize, index: u32, node: &TreeNode) -> Vec<f64> {
        let TreeNode::Leaf(values) = node else {
            return Vec::new();
        };
        let value = |score: &u32| {
            values
                .iter()
                .find(|(index, _)| index == score)
                .map_or(0.0, |(_, value)| *value)
        };
        let values = self.scores.carried.iter().map(value).collect();
        match self.inputs {
            None => values,
            Some(inputs) => inputs.leaf(tree, index, &self.scores.carried, values),
        }
    }
}

/// A tree as a table, where all nodes of a level ask the same.
fn symmetric(leaves: &[Vec<f64>], questions: &[Option<BinnedQuestion>]) -> Option<SymmetricTree> {
    let mut levels = Vec::new();
    let mut level = vec![0_u32];
    while let Some((predicate, ..)) = questions[level[0] as usize] {
        levels.push(predicate);
        let children = level.iter().map(|node| match questions[*node as usize] {
            Some((other, clear, set)) if other == predicate => Some([clear, set]),
            _ => None,
        });
        level = children
            .collect::<Option<Vec<_>>>()?
            .into_iter()
            .flatten()
            .collect();
    }
    let all_leaves = level.iter().all(|node| questions[*node as usize].is_none());
    (all_leaves && levels.len() > 1).then(|| SymmetricTree {
        levels,
        leaves: level
            .iter()
            .map(|node| leaves[*node as usize].clone())
            .collect(),
    })
}
