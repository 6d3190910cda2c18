//! What the server evaluates: collected while the graph is evaluated, put together at the end.

use super::emitter::Emitter;
use super::range::Range;
use super::scores::{Atom, Combination};
use super::trees::Ensemble;
use crate::error::CompileError;
use crate::model::{Estimator, LinearModel, Tree, TreeEnsemble, TreeNode};
use crate::read::onnx::node::Node;
use cipherfn_program::{Kind, Op, ProgramBuilder, Tensor, ValueId};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Most weights of a linear model, or leaf values of an ensemble.
const MAX_WEIGHTS: usize = 1 << 23;

/// A tree ensemble and where its features come from.
pub(crate) struct Source {
    pub(crate) ensemble: Ensemble,
    pub(crate) value: ValueId,
}

/// For each ensemble and target, the raw scores that it counts in, with factors.
type Uses = BTreeMap<u32, BTreeMap<u32, Vec<(u32, f64)>>>;

/// Ensembles and raw scores found so far.
#[derive(Default)]
pub(crate) struct Collected {
    pub(crate) ensembles: Vec<Source>,
    scores: Vec<Combination>,
    /// Raw scores by their terms, divided by the first factor.
    known: HashMap<String, usize>,
}

/// A score as `offset + factor * raw score`.
pub(crate) struct Placed {
    pub(crate) raw: usize,
    pub(crate) factor: f64,
    pub(crate) offset: f64,
}

impl Collected {
    /// Combinations that differ by factor and offset alone share a raw score.
    pub(crate) fn place(&mut self, combination: &Combination) -> Option<Placed> {
        let &(_, factor) = combination.terms.first()?;
        let terms: Vec<(Atom, f64)> = combination
            .terms
            .iter()
            .map(|&(atom, own)| (atom, own / factor))
            .collect();
        let key = format!("{terms:?}");
        let next = self.scores.len();
        let raw = *self.known.entry(key).or_insert(next);
        if raw == next {
            self.scores.push(combination.clone());
        }
        let own = &self.scores[raw];
        let factor = factor / own.terms.first().map_or(1.0, |&(_, first)| first);
        Some(Placed {
            raw,
            factor,
            offset: combination.constant - factor * own.constant,
        })
    }

    /// Keeps these raw scores only, in this order.
    pub(crate) fn keep(&mut self, raw: &[u32]) {
        self.scores = raw
            .iter()
            .map(|&raw| std::mem::take(&mut self.scores[raw as usize]))
            .collect();
        self.known.clear();
    }

    /// Nodes of all trees.
    pub(crate) fn tree_nodes(&self) -> usize {
        self.ensembles
            .iter()
            .flat_map(|source| &source.ensemble.trees)
            .map(|tree| tree.nodes.len())
            .sum()
    }

    /// Range of a combination over all leaves; `None` where it is not a sum of trees.
    pub(crate) fn bounds(&self, combination: &Combination) -> Option<Range> {
        let mut range = Range::of(combination.constant);
        let mut factors: BTreeMap<u32, BTreeMap<u32, f64>> = BTreeMap::new();
        for &(atom, factor) in &combination.terms {
            let Atom::Target { ensemble, target } = atom else {
                return None;
            };
            factors.entry(ensemble).or_default().insert(target, factor);
        }
        for (ensemble, factors) in factors {
            let weigh = |leaf: &[(u32, f64)]| {
                leaf.iter()
                    .map(|(target, x)| factors.get(target).map_or(0.0, |factor| factor * x))
                    .sum()
            };
            range = range.add(self.ensembles[ensemble as usize].ensemble.bounds(weigh));
        }
        Some(range)
    }

    /// The estimator, the feature vector (a value of `before`) and its length.
    pub(crate) fn finish(
        &self,
        before: &mut ProgramBuilder,
        node: &Node,
    ) -> Result<(Estimator, ValueId, usize), CompileError> {
        let atoms = || {
            self.scores
                .iter()
                .flat_map(|score| &score.terms)
                .map(|&(atom, _)| atom)
        };
        let linear = atoms().any(|atom| matches!(atom, Atom::Feature { .. }));
        let trees = atoms().any(|atom| matches!(atom, Atom::Target { .. }));
        match (linear, trees) {
            (true, false) => self.linear(before, node),
            (false, true) => self.trees(before, node),
            (true, true) => Err(CompileError::UnsupportedModel {
                problem: "it sums linear functions and decision trees".into(),
                supported: "sums of trees, or sums of linear functions".into(),
            }),
            (false, false) => Err(CompileError::UnsupportedModel {
                problem: "its outputs depend on no estimator".into(),
                supported: super::SUPPORTED.into(),
            }),
        }
    }

    fn linear(
        &self,
        before: &mut ProgramBuilder,
        node: &Node,
    ) -> Result<(Estimator, ValueId, usize), CompileError> {
        let used: BTreeSet<(ValueId, u32)> = self
            .scores
            .iter()
            .flat_map(|score| &score.terms)
            .filter_map(|&(atom, _)| {
                if let Atom::Feature { value, entry } = atom {
                    Some((value, entry))
                } else {
                    None
                }
            })
            .collect();
        let features = Features::gather(before, node, &used, &HashMap::new())?;
        if features.places.len().saturating_mul(self.scores.len()) > MAX_WEIGHTS {
            return Err(node.invalid(format!(
                "the linear model has more than {MAX_WEIGHTS} weights"
            )));
        }
        let weights = self
            .scores
            .iter()
            .map(|score| {
                let mut row = vec![0.0; features.places.len()];
                for (atom, factor) in &score.terms {
                    if let Atom::Feature { value, entry } = atom {
                        row[features.places[&(*value, *entry)] as usize] = *factor;
                    }
                }
                row
            })
            .collect();
        let model = LinearModel {
            weights,
            bias: self.scores.iter().map(|score| score.constant).collect(),
        };
        Ok((
            Estimator::Linear(model),
            features.vector,
            features.places.len(),
        ))
    }

    fn trees(
        &self,
        before: &mut ProgramBuilder,
        node: &Node,
    ) -> Result<(Estimator, ValueId, usize), CompileError> {
        let mut uses = Uses::new();
        for (raw, score) in self.scores.iter().enumerate() {
            for &(atom, factor) in &score.terms {
                if let Atom::Target { ensemble, target } = atom {
                    uses.entry(ensemble)
                        .or_default()
                        .entry(target)
                        .or_default()
                        .push((raw as u32, factor));
                }
            }
        }
        let mut used = BTreeSet::new();
        let mut splits: HashMap<(ValueId, u32), Vec<f64>> = HashMap::new();
        for &ensemble in uses.keys() {
            let source = &self.ensembles[ensemble as usize];
            // All entries, asked for or not: which ones the trees use is for the quantisation to
            // show or hide.
            if source
                .ensemble
                .trees
                .iter()
                .any(|tree| tree.nodes.len() > 1)
            {
                let entries = before.tensor_type(source.value).len as u32;
                used.extend((0..entries).map(|entry| (source.value, entry)));
            }
            for (feature, own) in &source.ensemble.splits {
                let all = splits.entry((source.value, *feature)).or_default();
                all.extend(own);
                all.sort_by(f64::total_cmp);
                all.dedup();
            }
        }
        if used.is_empty() {
            return Err(CompileError::UnsupportedModel {
                problem: "its trees ask for no feature: it always gives the same answer".into(),
                supported: "trees with at least one split".into(),
            });
        }
        self.bound_leaves(node, &uses)?;
        let features = Features::gather(before, node, &used, &splits)?;
        let mut trees = Vec::new();
        for (ensemble, targets) in &uses {
            let source = &self.ensembles[*ensemble as usize];
            for tree in &source.ensemble.trees {
                trees.push(placed(tree, targets, |feature| {
                    features.places[&(source.value, feature)]
                }));
            }
        }
        let base = self.scores.iter().map(|score| score.constant).collect();
        Ok((
            Estimator::Trees(TreeEnsemble {
                scores: self.scores.len(),
                base,
                trees,
            }),
            features.vector,
            features.places.len(),
        ))
    }
}

impl Collected {
    /// Refuses leaves that would count for too many raw scores.
    fn bound_leaves(&self, node: &Node, uses: &Uses) -> Result<(), CompileError> {
        let mut values = 0_usize;
        for (ensemble, targets) in uses {
            let count = |target: &u32| targets.get(target).map_or(0, Vec::len);
            for leaf in self.ensembles[*ensemble as usize]
                .ensemble
                .trees
                .iter()
                .flat_map(|tree| &tree.nodes)
            {
                if let TreeNode::Leaf(own) = leaf {
                    values = own
                        .iter()
                        .fold(values, |sum, (target, _)| sum.saturating_add(count(target)));
                }
            }
        }
        if values > MAX_WEIGHTS {
            return Err(node.invalid(format!("the leaves have more than {MAX_WEIGHTS} values")));
        }
        Ok(())
    }
}

/// A tree with features and leaves in terms of the whole model.
fn placed(
    tree: &Tree,
    targets: &BTreeMap<u32, Vec<(u32, f64)>>,
    place: impl Fn(u32) -> u32,
) -> Tree {
    let leaf = |values: &[(u32, f64)]| {
        let mut sums: BTreeMap<u32, f64> = BTreeMap::new();
        for (target, value) in values {
            for &(raw, factor) in targets.get(target).map_or(&[][..], Vec::as_slice) {
                *sums.entry(raw).or_default() += factor * value;
            }
        }
        sums.into_iter()
            .filter(|&(_, value)| value != 0.0)
            .collect()
    };
    let nodes = tree
        .nodes
        .iter()
        .map(|node| match node {
            TreeNode::Leaf(values) => TreeNode::Leaf(leaf(values)),
            &TreeNode::Split {
                feature,
                test,
                missing_goes_yes,
                yes,
                no,
            } => TreeNode::Split {
                feature: place(feature),
                test,
                missing_goes_yes,
                yes,
                no,
            },
        })
        .collect();
    Tree { nodes }
}

/// The feature vector.
struct Features {
    vector: ValueId,
    /// Where an entry of a value is in it.
    places: HashMap<(ValueId, u32), u32>,
}

impl Features {
    /// Puts the used entries of all values side by side, as 32-bit floats.
    fn gather(
        before: &mut ProgramBuilder,
        node: &Node,
        used: &BTreeSet<(ValueId, u32)>,
        splits: &HashMap<(ValueId, u32), Vec<f64>>,
    ) -> Result<Self, CompileError> {
        let mut by_value: BTreeMap<ValueId, Vec<u32>> = BTreeMap::new();
        for &(value, entry) in used {
            by_value.entry(value).or_default().push(entry);
        }
        let mut parts = Vec::new();
        for (&value, entries) in &by_value {
            let name = &node.name.name;
            let source = before.tensor_type(value);
            let whole = entries.iter().copied().eq(0..source.len as u32);
            let selected = if whole {
                value
            } else {
                before.push(
                    name,
                    Op::Select {
                        source: value,
                        entries: entries.clone(),
                    },
                )?
            };
            let narrow: Vec<Vec<f64>> = entries
                .iter()
                .map(|&entry| splits.get(&(value, entry)).cloned().unwrap_or_default())
                .collect();
            parts.push(match source.kind {
                Kind::F32 => selected,
                Kind::F64 => before.push(
                    name,
                    Op::Narrow {
                        argument: selected,
                        splits: narrow,
                    },
                )?,
                _ => before.push(
                    name,
                    Op::Cast {
                        source: selected,
                        kind: Kind::F32,
                    },
                )?,
            });
        }
        let vector = match parts.as_slice() {
            [] => before.constant(&node.name.name, Tensor::F32(Vec::new()))?,
            [only] => *only,
            _ => before.push(&node.name.name, Op::Concat(parts))?,
        };
        let places = used
            .iter()
            .enumerate()
            .map(|(place, &key)| (key, place as u32))
            .collect();
        Ok(Self { vector, places })
    }
}

/// Steps that turn raw scores into the values of combinations.
pub(crate) fn materialise(
    collected: &mut Collected,
    emitter: &mut Emitter<'_>,
    combinations: &[Combination],
) -> Result<Option<ValueId>, CompileError> {
    if combinations.is_empty() {
        return Ok(None);
    }
    let placed: Vec<Placed> = combinations
        .iter()
        .map(|combination| {
            collected.place(combination).unwrap_or(Placed {
                raw: 0,
                factor: 0.0,
                offset: combination.constant,
            })
        })
        .collect();
    let name = &emitter.node.name.name;
    let builder = &mut *emitter.builder;
    let entries = placed.iter().map(|score| score.raw as u32).collect();
    let mut result = builder.push(
        name,
        Op::Select {
            source: ValueId(0),
            entries,
        },
    )?;
    let steps = [
        (
            cipherfn_program::BinaryFunction::Mul,
            placed.iter().map(|score| score.factor).collect::<Vec<_>>(),
            1.0,
        ),
        (
            cipherfn_program::BinaryFunction::Add,
            placed.iter().map(|score| score.offset).collect(),
            0.0,
        ),
    ];
    for (function, numbers, neutral) in steps {
        if numbers
            .iter()
            .any(|x: &f64| x.to_bits() != f64::to_bits(neutral))
        {
            let right = builder.constant(name, Tensor::F64(numbers))?;
            result = builder.push(
                name,
                Op::Binary {
                    function,
                    left: result,
                    right,
                },
            )?;
        }
    }
    Ok(Some(result))
}
