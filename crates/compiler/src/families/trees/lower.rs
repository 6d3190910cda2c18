//! From binned trees to a graph.

use crate::backend::Backend;
use crate::cost::Work;
use crate::families::trees::additive;
use crate::families::trees::binned::{BinnedEnsemble, BinnedTree};
use crate::families::trees::expression::{ExpressionId, Expressions, LeafUnits};
use crate::families::trees::forms::{Form, Selectors};
use crate::families::trees::graph::{Addend, CmuxGraph, GraphBuilder, Merger, compact};
use crate::families::trees::leaves::Layout;
use crate::families::trees::oblivious;
use crate::families::trees::pairs;
use cipherfn_circuit::circuit::{Node, Operand};
use cipherfn_protocol::specs::{Gadget, Selector};

#[cfg(test)]
mod tests;

/// What to make of the trees.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Shape {
    /// Form of each feature.
    pub forms: Vec<Form>,
    /// Whether symmetric trees become tables, and trees of one feature, or many leaves over two,
    /// whose bin index is encrypted.
    pub tables: bool,
}

/// A lowered ensemble.
#[derive(Clone, Debug)]
pub(crate) struct Lowered {
    /// The circuit, constants in units.
    pub graph: CmuxGraph,
    /// The bits that it reads.
    pub selectors: Vec<Selector>,
    /// For each coefficient, the largest sum of rounding errors of leaves, weights among them, in
    /// units.
    pub rounding: Vec<f64>,
}

impl Lowered {
    /// Counts the circuit's work.
    pub(crate) fn work(&self, gadget: Gadget, backend: Backend) -> Work {
        let selectors = self.selectors.len() as u32;
        let mut work = Work {
            selectors,
            slots: backend.slots(selectors, gadget),
            ..Work::default()
        };
        let nodes = self.graph.nodes.iter();
        let sums = nodes.clone().filter_map(Node::as_sum);
        work.nodes = sums.clone().count() as u32;
        work.products = nodes.len() as u32 - work.nodes;
        for select in sums.flat_map(|sum| &sum.selects) {
            match (select.clear, select.set) {
                (Operand::Zero, Operand::Constant(difference)) => {
                    match self.graph.constants[difference.index()].len() {
                        1 => work.scalar_selects += 1,
                        _ => work.polynomial_selects += 1,
                    }
                }
                _ => work.cmuxes += 1,
            }
        }
        work
    }
}

/// Lowers an ensemble. `units` are score units a unit of a leaf's numbers, in the ensemble's layout;
/// `hides_use` keeps selectors that no tree reads.
pub(crate) fn lower(
    ensemble: &BinnedEnsemble,
    shape: &Shape,
    hides_use: bool,
    polynomial_size: u32,
    units: &[f64],
) -> Lowered {
    let selectors = Selectors::new(ensemble, &shape.forms);
    let mut builder = GraphBuilder::new(polynomial_size, ensemble.layout);
    let is_table = |tree: &BinnedTree| {
        shape.tables
            && tree
                .symmetric
                .as_ref()
                .is_some_and(|tree| oblivious::fits(tree, ensemble.coefficients, polynomial_size))
    };
    let mut univariate = Vec::new();
    let mut bivariate = Vec::new();
    let mut others = Vec::new();
    for tree in &ensemble.trees {
        let feature = additive::feature(ensemble, tree, &selectors, polynomial_size);
        let pair = || pairs::pair(ensemble, tree, &selectors, polynomial_size);
        if !shape.tables {
            others.push(tree);
        } else if let Some(feature) = feature {
            univariate.push((feature, tree));
        } else if let Some(pair) = pair() {
            bivariate.push((pair, tree));
        } else {
            others.push(tree);
        }
    }
    let (tables, plain): (Vec<&BinnedTree>, Vec<&BinnedTree>) =
        others.into_iter().partition(|tree| is_table(tree));
    let tables: Vec<_> = tables
        .iter()
        .filter_map(|tree| tree.symmetric.as_ref())
        .collect();
    let round = |leaf: &[f64]| -> LeafUnits {
        leaf.iter()
            .zip(units)
            .map(|(value, unit)| (value / unit).round() as i64)
            .collect()
    };
    let mut addends = plain_sums(ensemble, &plain, &selectors, &mut builder, &round);
    addends.extend(oblivious::lower(
        &mut builder,
        ensemble,
        &selectors,
        &tables,
        &round,
        polynomial_size,
    ));
    addends.extend(additive::lower(
        &mut builder,
        ensemble,
        &selectors,
        &univariate,
        &round,
        polynomial_size,
    ));
    addends.extend(pairs::lower(
        &mut builder,
        ensemble,
        &selectors,
        &bivariate,
        &round,
        polynomial_size,
    ));
    let mut graph = builder.finish(&addends, ensemble.coefficients);
    let selectors = if hides_use {
        selectors.list().to_vec()
    } else {
        keep_used(&mut graph.nodes, selectors.list())
    };
    Lowered {
        graph,
        selectors,
        rounding: rounding(ensemble, units),
    }
}

/// The sum of trees that are no tables: one sum, or one for each coefficient if no tree has leaves
/// in two.
fn plain_sums(
    ensemble: &BinnedEnsemble,
    trees: &[&BinnedTree],
    selectors: &Selectors<'_>,
    builder: &mut GraphBuilder,
    round: &impl Fn(&[f64]) -> LeafUnits,
) -> Vec<Addend> {
    let mut expressions = Expressions::default();
    let single: Option<Vec<usize>> = trees.iter().map(|tree| single_coefficient(tree)).collect();
    let is_moved = ensemble.coefficients > 1 && !ensemble.layout.is_linear();
    let Some(of_tree) = single.filter(|_| is_moved) else {
        let roots: Vec<ExpressionId> = trees
            .iter()
            .map(|tree| expressions.tree(ensemble, tree, selectors, round))
            .collect();
        return vec![Merger::new(&expressions, &roots, ensemble.layout).sum(builder, roots)];
    };
    // Sums are made at coefficient 0 and moved to their coefficient at the end: choices between
    // constants stay scalar.
    let mut roots: Vec<Vec<ExpressionId>> = vec![Vec::new(); ensemble.coefficients];
    for (tree, coefficient) in trees.iter().zip(&of_tree) {
        roots[*coefficient].push(
            expressions.tree(ensemble, tree, selectors, &|leaf: &[f64]| {
                vec![round(leaf)[*coefficient]]
            }),
        );
    }
    let mut merger = Merger::new(&expressions, &roots.concat(), Layout::constants(1));
    let mut moved = |(coefficient, roots): (usize, Vec<ExpressionId>)| {
        let Addend {
            value,
            ranges: range,
        } = merger.sum(builder, roots);
        let mut ranges = vec![(0, 0); ensemble.coefficients];
        ranges[coefficient] = range[0];
        Addend {
            value: builder.rotate(&value, coefficient as u32),
            ranges,
        }
    };
    roots.into_iter().enumerate().map(&mut moved).collect()
}

/// The coefficient that a tree adds to, if it is only one.
fn single_coefficient(tree: &BinnedTree) -> Option<usize> {
    let coefficient = tree
        .leaves()
        .find_map(|leaf| leaf.iter().position(|value| *value != 0.0))
        .unwrap_or(0);
    tree.leaves()
        .all(|leaf| {
            leaf.iter()
                .enumerate()
                .all(|(index, value)| index == coefficient || *value == 0.0)
        })
        .then_some(coefficient)
}

/// Renumbers the selectors that nodes read, and returns those.
fn keep_used(nodes: &mut [Node], selectors: &[Selector]) -> Vec<Selector> {
    let mut used = vec![false; selectors.len()];
    nodes
        .iter_mut()
        .flat_map(selector_ids)
        .for_each(|id| used[*id as usize] = true);
    let moved = compact(&used);
    nodes
        .iter_mut()
        .flat_map(selector_ids)
        .for_each(|id| *id = moved[*id as usize]);
    selectors
        .iter()
        .zip(used)
        .filter(|(_, used)| *used)
        .map(|(selector, _)| selector.clone())
        .collect()
}

fn selector_ids(node: &mut Node) -> impl Iterator<Item = &mut u32> {
    let (selects, turns) = match node {
        Node::Sum(sum) => (sum.selects.as_mut_slice(), &mut [][..]),
        Node::Lookup(lookup) => (&mut [][..], lookup.form.as_mut_slice()),
        _ => (&mut [][..], &mut [][..]),
    };
    let selects = selects.iter_mut().map(|select| &mut select.selector);
    let turns = turns.iter_mut().map(|turn| &mut turn.selector);
    selects.chain(turns).map(|selector| &mut selector.index)
}

fn rounding(ensemble: &BinnedEnsemble, units: &[f64]) -> Vec<f64> {
    // Inputs are at most 1.
    let error = |leaf: &[f64], coefficient: usize| {
        let weights = ensemble.layout.weights(coefficient);
        let numbers = std::iter::once(coefficient).chain(weights);
        let errors = numbers.map(|at| {
            let value = leaf[at] / units[at];
            (value - value.round()).abs() * units[at]
        });
        errors.sum::<f64>() / units[coefficient]
    };
    let worst = |tree: &BinnedTree, coefficient: usize| {
        let errors = tree.leaves().map(|leaf| error(leaf, coefficient));
        errors.fold(0.0, f64::max)
    };
    (0..ensemble.coefficients)
        .map(|coefficient| {
            ensemble
                .trees
                .iter()
                .map(|tree| worst(tree, coefficient))
                .sum()
        })
        .collect()
}
