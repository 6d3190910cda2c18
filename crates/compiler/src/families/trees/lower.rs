//! From binned trees to a graph.

use crate::backend::Backend;
use crate::cost::Work;
use crate::families::trees::binned::{BinnedEnsemble, BinnedTree};
use crate::families::trees::expression::{ExpressionId, Expressions, LeafUnits};
use crate::families::trees::forms::{Form, Selectors};
use crate::families::trees::graph::{Addend, Builder, Graph, Merger, compact};
use crate::families::trees::oblivious;
use cipherfn_circuit::circuit::{Operand, Sum as Node};
use cipherfn_protocol::specs::{Gadget, Selector};

#[cfg(test)]
mod tests;

/// What to make of the trees.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Shape {
    /// Form of each feature.
    pub forms: Vec<Form>,
    /// Whether symmetric trees become tables.
    pub tables: bool,
}

/// A lowered ensemble.
#[derive(Clone, Debug)]
pub(crate) struct Lowered {
    /// The circuit, constants in units.
    pub graph: Graph,
    /// The bits that it reads.
    pub selectors: Vec<Selector>,
    /// For each coefficient, the largest sum of rounding errors of leaves, in units.
    pub rounding: Vec<f64>,
}

impl Lowered {
    /// Counts the circuit's work.
    pub(crate) fn work(&self, gadget: Gadget, backend: Backend) -> Work {
        let selectors = self.selectors.len() as u32;
        let mut work = Work {
            selectors,
            slots: backend.slots(selectors, gadget),
            nodes: self.graph.nodes.len() as u32,
            ..Work::default()
        };
        for select in self.graph.nodes.iter().flat_map(|node| &node.selects) {
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

/// Lowers an ensemble. `units` are score units a unit of the result, one a coefficient; `hides_use`
/// keeps selectors that no tree reads.
pub(crate) fn lower(
    ensemble: &BinnedEnsemble,
    shape: &Shape,
    hides_use: bool,
    polynomial_size: u32,
    units: &[f64],
) -> Lowered {
    let selectors = Selectors::new(ensemble, &shape.forms);
    let mut builder = Builder::new(polynomial_size);
    let is_table = |tree: &BinnedTree| {
        shape.tables
            && tree
                .symmetric
                .as_ref()
                .is_some_and(|tree| oblivious::fits(tree, ensemble.coefficients, polynomial_size))
    };
    let (tables, plain): (Vec<&BinnedTree>, Vec<&BinnedTree>) =
        ensemble.trees.iter().partition(|tree| is_table(tree));
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
    builder: &mut Builder,
    round: &impl Fn(&[f64]) -> LeafUnits,
) -> Vec<Addend> {
    let mut expressions = Expressions::default();
    let single: Option<Vec<usize>> = trees.iter().map(|tree| single_coefficient(tree)).collect();
    let Some(of_tree) = single.filter(|_| ensemble.coefficients > 1) else {
        let roots: Vec<ExpressionId> = trees
            .iter()
            .map(|tree| expressions.tree(ensemble, tree, selectors, round))
            .collect();
        return vec![Merger::new(&expressions, &roots, ensemble.coefficients).sum(builder, roots)];
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
    let mut merger = Merger::new(&expressions, &roots.concat(), 1);
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
    node.selects
        .iter_mut()
        .map(|select| &mut select.selector.index)
}

fn rounding(ensemble: &BinnedEnsemble, units: &[f64]) -> Vec<f64> {
    let error = |leaf: &[f64], coefficient: usize| {
        let value = leaf[coefficient] / units[coefficient];
        (value - value.round()).abs()
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
