//! Trees over selector bits.
//!
//! A node is a multiplexer of one encrypted bit; equal sub-expressions of all trees are one.

use crate::families::trees::binned::{
    BinnedEnsemble, BinnedNode, BinnedTree, Predicate, PredicateId,
};
use crate::families::trees::bins::BinSet;
use crate::families::trees::diagram::Diagram;
use cipherfn_protocol::specs::{Predicate as SelectorPredicate, Selector};
use std::collections::{BTreeSet, HashMap};

/// Index into [`Expressions::nodes`].
pub(crate) type ExpressionId = u32;

/// In what form a feature is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Form {
    /// The bits of the bin index; a comparison is a chain of multiplexers.
    Index,
    /// One bit a predicate; a comparison is one multiplexer.
    Thermometer,
}

/// Encrypted bits and what they decide.
pub(crate) struct Selectors {
    list: Vec<Selector>,
    ids: HashMap<Selector, u32>,
    forms: Vec<Form>,
}

impl Selectors {
    /// The bits for features in `forms`; `None` where a form is not available.
    pub(crate) fn new(ensemble: &BinnedEnsemble, forms: &[Form], hides_use: bool) -> Option<Self> {
        let mut used: Vec<BTreeSet<&BinSet>> = vec![BTreeSet::new(); forms.len()];
        for predicate in &ensemble.predicates {
            used[predicate.quantiser as usize].insert(&predicate.set);
        }
        let mut list = Vec::new();
        for (index, form) in forms.iter().enumerate() {
            let bins = ensemble.bins[index];
            let predicates: Vec<SelectorPredicate> = match form {
                Form::Index => (0..index_bits(bins)).map(SelectorPredicate::Bit).collect(),
                Form::Thermometer if hides_use => {
                    family(&used[index], bins)?.iter().map(within).collect()
                }
                Form::Thermometer => used[index].iter().map(|set| within(set)).collect(),
            };
            list.extend(predicates.into_iter().map(|predicate| Selector {
                quantiser: index as u32,
                predicate,
            }));
        }
        let ids = list.iter().cloned().zip(0..).collect();
        Some(Self {
            list,
            ids,
            forms: forms.to_vec(),
        })
    }

    /// The bits in order.
    pub(crate) fn list(&self) -> &[Selector] {
        &self.list
    }

    fn id(&self, quantiser: u32, predicate: SelectorPredicate) -> u32 {
        self.ids[&Selector {
            quantiser,
            predicate,
        }]
    }

    /// How the bits answer a predicate, for bins in `allowed`: a diagram whose tests name
    /// selectors.
    pub(crate) fn decision(&self, predicate: &Predicate, allowed: &BinSet, bins: u32) -> Diagram {
        let Predicate { quantiser, set } = predicate;
        match self.forms[*quantiser as usize] {
            Form::Index => self.name_bits(*quantiser, Diagram::new(set, allowed, index_bits(bins))),
            Form::Thermometer if set.is_empty() => Diagram::Answer(false),
            Form::Thermometer => {
                let bit = self.id(*quantiser, within(set));
                Diagram::Bit {
                    bit,
                    clear: Box::new(Diagram::Answer(false)),
                    set: Box::new(Diagram::Answer(true)),
                }
            }
        }
    }

    fn name_bits(&self, quantiser: u32, diagram: Diagram) -> Diagram {
        match diagram {
            Diagram::Answer(answer) => Diagram::Answer(answer),
            Diagram::Bit { bit, clear, set } => Diagram::Bit {
                bit: self.id(quantiser, SelectorPredicate::Bit(bit)),
                clear: Box::new(self.name_bits(quantiser, *clear)),
                set: Box::new(self.name_bits(quantiser, *set)),
            },
        }
    }
}

/// Bits of an index of `bins` bins.
pub(crate) const fn index_bits(bins: u32) -> u32 {
    u32::BITS - (bins - 1).leading_zeros()
}

fn within(set: &BinSet) -> SelectorPredicate {
    SelectorPredicate::Within(set.ranges().to_vec())
}

/// All comparisons with a split, of the one kind that the trees use; `None` if they use several
/// kinds, since the choice of a kind for each split would tell which splits are used.
fn family(used: &BTreeSet<&BinSet>, bins: u32) -> Option<Vec<BinSet>> {
    let families: [Vec<BinSet>; 3] = [
        (1..bins).map(|start| BinSet::range(start, bins)).collect(),
        (1..bins - 1)
            .map(|start| BinSet::range(start, bins - 1))
            .collect(),
        (2..=bins).map(|end| BinSet::range(1, end)).collect(),
    ];
    families.into_iter().find(|family| {
        used.iter()
            .all(|set| set.is_empty() || family.contains(set))
    })
}

/// A node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Expression {
    /// Index into [`Expressions::leaves`].
    Leaf(u32),
    /// A multiplexer.
    Select {
        /// The bit.
        selector: u32,
        /// Where it is 0.
        clear: ExpressionId,
        /// Where it is 1.
        set: ExpressionId,
    },
}

/// Leaf values of all coefficients, in units that the caller chose.
pub(crate) type LeafUnits = Vec<i64>;

/// All trees of an ensemble.
#[derive(Default)]
pub(crate) struct Expressions {
    /// Nodes, operands before users.
    pub nodes: Vec<Expression>,
    /// Distinct leaves.
    pub leaves: Vec<LeafUnits>,
    node_ids: HashMap<Expression, ExpressionId>,
    leaf_ids: HashMap<LeafUnits, u32>,
}

impl Expressions {
    /// Adds a tree and returns its root.
    pub(crate) fn tree(
        &mut self,
        ensemble: &BinnedEnsemble,
        tree: &BinnedTree,
        selectors: &Selectors,
        units: &impl Fn(&[f64]) -> LeafUnits,
    ) -> ExpressionId {
        let mut ids: Vec<ExpressionId> = Vec::with_capacity(tree.nodes.len());
        for node in &tree.nodes {
            let id = match node {
                BinnedNode::Leaf(values) => self.leaf(units(values)),
                BinnedNode::Split {
                    predicate,
                    allowed,
                    clear,
                    set,
                } => {
                    let decision = decision(ensemble, selectors, *predicate, allowed);
                    self.decide(&decision, ids[*clear as usize], ids[*set as usize])
                }
            };
            ids.push(id);
        }
        *ids.last().expect("a tree has a root")
    }

    fn leaf(&mut self, units: LeafUnits) -> ExpressionId {
        let leaf = *self.leaf_ids.entry(units).or_insert_with_key(|units| {
            self.leaves.push(units.clone());
            self.leaves.len() as u32 - 1
        });
        self.intern(Expression::Leaf(leaf))
    }

    fn decide(&mut self, decision: &Diagram, no: ExpressionId, yes: ExpressionId) -> ExpressionId {
        match decision {
            Diagram::Answer(answer) => {
                if *answer {
                    yes
                } else {
                    no
                }
            }
            Diagram::Bit { bit, clear, set } => {
                let clear = self.decide(clear, no, yes);
                let set = self.decide(set, no, yes);
                if clear == set {
                    clear
                } else {
                    self.intern(Expression::Select {
                        selector: *bit,
                        clear,
                        set,
                    })
                }
            }
        }
    }

    fn intern(&mut self, node: Expression) -> ExpressionId {
        *self.node_ids.entry(node).or_insert_with(|| {
            self.nodes.push(node);
            self.nodes.len() as ExpressionId - 1
        })
    }
}

/// How encrypted bits answer a predicate of the ensemble.
pub(crate) fn decision(
    ensemble: &BinnedEnsemble,
    selectors: &Selectors,
    predicate: PredicateId,
    allowed: &BinSet,
) -> Diagram {
    let predicate = &ensemble.predicates[predicate as usize];
    selectors.decision(
        predicate,
        allowed,
        ensemble.bins[predicate.quantiser as usize],
    )
}
