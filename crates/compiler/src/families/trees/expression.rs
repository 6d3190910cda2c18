//! Trees over selector bits.
//!
//! A node is a multiplexer of one encrypted bit; equal sub-expressions of all trees are one.

use crate::families::trees::binned::{BinnedEnsemble, BinnedNode, BinnedTree};
use crate::families::trees::diagram::Diagram;
use crate::families::trees::forms::Selectors;
use std::collections::HashMap;

/// Index into [`Expressions::nodes`].
pub(crate) type ExpressionId = u32;

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
        selectors: &Selectors<'_>,
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
                    let (no, yes) = (ids[*clear as usize], ids[*set as usize]);
                    let at_leaves = self.is_leaf(no) && self.is_leaf(yes);
                    let predicate = &ensemble.predicates[*predicate as usize];
                    let decision = selectors.decision(predicate, allowed, at_leaves);
                    self.decide(&decision, no, yes)
                }
            };
            ids.push(id);
        }
        *ids.last().expect("a tree has a root")
    }

    /// Whether a node is a leaf.
    pub(crate) fn is_leaf(&self, id: ExpressionId) -> bool {
        matches!(self.nodes[id as usize], Expression::Leaf(_))
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
