//! Functions of one tree's leaf.
//!
//! Exporters write a tree that has no operator of its own (isolation forests, trees with several
//! outputs) as one that gives the number of a leaf, and tables that are looked up by it. What
//! follows from one tree alone has one value a leaf, so it is computed here and is a tree again:
//! the look-up costs nothing, and no rounded score decides it.

use super::place::Place;
use crate::ir::{Atom, Combination, Ensemble, EstimatorCall, Function, Ir};
use crate::model::{Tree, TreeNode};
use cipherfn_program::{EntryKind, Op, Tensor, ValueId, evaluate};
use std::collections::HashMap;
use std::rc::Rc;

/// Most entries that are computed, over all leaves and values.
const MAX_WORK: usize = 1 << 24;

/// A value that follows from one tree alone.
#[derive(Clone)]
struct PerLeaf {
    /// The estimator whose one tree it is.
    estimator: usize,
    /// What the value is at each leaf, in order of the tree's nodes.
    leaves: Rc<[Tensor]>,
    /// Whether a table of numbers was looked up on the way. Only then is it worth another tree:
    /// labels and votes stay decisions, which noise does not move.
    looked_up: bool,
}

/// Values that follow from one tree alone, as far as they were met.
pub(crate) struct Leafwise<'a> {
    ir: &'a Ir,
    values: HashMap<ValueId, PerLeaf>,
    combinations: HashMap<ValueId, Rc<[Combination]>>,
    budget: usize,
}

impl<'a> Leafwise<'a> {
    pub(crate) fn new(ir: &'a Ir) -> Self {
        Self {
            ir,
            values: HashMap::new(),
            combinations: HashMap::new(),
            budget: MAX_WORK,
        }
    }

    /// Computes a step leaf by leaf, if its arguments follow from one tree, and says whether they
    /// do.
    pub(crate) fn visit(&mut self, id: ValueId, op: &Op, places: &[Place]) -> bool {
        let value = self.per_leaf(id, op, places);
        let found = value.is_some();
        self.values.extend(value.map(|value| (id, value)));
        found
    }

    /// A looked-up value as combinations of a new estimator's targets, which is put behind those in
    /// `made`.
    pub(crate) fn combinations(
        &mut self,
        id: ValueId,
        made: &mut Vec<EstimatorCall>,
    ) -> Option<Rc<[Combination]>> {
        if let Some(known) = self.combinations.get(&id) {
            return Some(Rc::clone(known));
        }
        let found = self.make(id, made)?;
        self.combinations.insert(id, Rc::clone(&found));
        Some(found)
    }

    fn make(&self, id: ValueId, made: &mut Vec<EstimatorCall>) -> Option<Rc<[Combination]>> {
        let value = self.values.get(&id).filter(|value| value.looked_up)?;
        let kind = self.ir.program.tensor_type(id).kind;
        if !matches!(kind, EntryKind::F32 | EntryKind::F64) {
            return None;
        }
        let (own, source) = self.tree(value.estimator)?;
        let targets = self.ir.program.tensor_type(id).len;
        let mut values = value.leaves.iter().map(Tensor::to_f64);
        let mut nodes = Vec::with_capacity(source.nodes.len());
        for node in &source.nodes {
            nodes.push(match node {
                TreeNode::Leaf(_) => {
                    let entries = values.next()??;
                    if entries.iter().any(|x| !x.is_finite()) {
                        return None;
                    }
                    TreeNode::Leaf((0..).zip(entries).filter(|&(_, x)| x != 0.0).collect())
                }
                split @ TreeNode::Split { .. } => split.clone(),
            });
        }
        let ensemble = Ensemble {
            trees: vec![Tree { nodes }],
            targets,
            average: false,
            missing: own.missing,
            splits: own.splits.clone(),
        };
        let estimator = (self.ir.estimators.len() + made.len()) as u32;
        made.push(EstimatorCall {
            argument: self.ir.estimators[value.estimator].argument,
            // No step reads its results.
            first: usize::MAX,
            function: Function::Trees(ensemble),
        });
        let target = |target| Combination::of_atom(Atom::Target { estimator, target }, 1.0);
        Some((0..targets as u32).map(target).collect())
    }

    fn tree(&self, estimator: usize) -> Option<(&'a Ensemble, &'a Tree)> {
        match &self.ir.estimators.get(estimator)?.function {
            Function::Trees(ensemble) => match ensemble.trees.as_slice() {
                [tree] => Some((ensemble, tree)),
                _ => None,
            },
            Function::Linear(_)
            | Function::Lookups(_)
            | Function::Nearest(_)
            | Function::Stacked(_) => None,
        }
    }

    fn per_leaf(&mut self, id: ValueId, op: &Op, places: &[Place]) -> Option<PerLeaf> {
        let program = &self.ir.program;
        let mut arguments = Vec::new();
        for argument in op.arguments() {
            arguments.push(match program.constant_value(argument) {
                Some(constant) => Err(constant),
                None => Ok(self.argument(argument, &places[argument.index()])?),
            });
        }
        let own = || arguments.iter().filter_map(|own| own.as_ref().ok());
        let estimator = own().next()?.estimator;
        if own().any(|own| own.estimator != estimator) {
            return None;
        }
        let count = own().next()?.leaves.len();
        let entries = arguments.iter().map(|own| match own {
            Ok(own) => own.leaves.first().map_or(0, Tensor::len),
            Err(constant) => constant.len(),
        });
        let work = entries.sum::<usize>() + program.tensor_type(id).len;
        self.budget = self.budget.checked_sub(work.checked_mul(count)?)?;
        let leaf = |leaf: usize| {
            let arguments: Vec<&Tensor> = arguments
                .iter()
                .map(|own| match own {
                    Ok(own) => &own.leaves[leaf],
                    Err(constant) => *constant,
                })
                .collect();
            evaluate("leaf", op, &arguments).ok()
        };
        Some(PerLeaf {
            estimator,
            leaves: (0..count).map(leaf).collect::<Option<_>>()?,
            looked_up: own().any(|own| own.looked_up) || looks_up(op),
        })
    }

    /// What an argument is at each leaf.
    fn argument(&self, id: ValueId, place: &Place) -> Option<PerLeaf> {
        let Place::Affine(entries) = place else {
            return self.values.get(&id).cloned();
        };
        let mut atoms = entries.iter().flat_map(|own| &own.terms);
        let estimator = match atoms.next()?.0 {
            Atom::Target { estimator, .. } => estimator,
            Atom::Feature { .. }
            | Atom::LookUp { .. }
            | Atom::Vote { .. }
            | Atom::Chosen { .. } => return None,
        };
        let same = |atom| matches!(atom, Atom::Target { estimator: own, .. } if own == estimator);
        if !atoms.all(|&(atom, _)| same(atom)) {
            return None;
        }
        let (_, tree) = self.tree(estimator as usize)?;
        let kind = self.ir.program.tensor_type(id).kind;
        let leaves = tree.nodes.iter().filter_map(TreeNode::as_leaf);
        let leaves = leaves.map(|leaf| {
            let numbers: Vec<f64> = entries.iter().map(|own| at_leaf(own, leaf)).collect();
            match kind {
                EntryKind::F32 => Some(Tensor::F32(numbers.iter().map(|&x| x as f32).collect())),
                EntryKind::F64 => Some(Tensor::F64(numbers)),
                EntryKind::I64 | EntryKind::Text => None,
            }
        });
        Some(PerLeaf {
            estimator: estimator as usize,
            leaves: leaves.collect::<Option<_>>()?,
            looked_up: false,
        })
    }
}

/// A combination of one tree's targets at a leaf of it.
fn at_leaf(combination: &Combination, leaf: &[(u32, f64)]) -> f64 {
    let of_target = |wanted: u32| {
        let own = leaf.iter().find(|(target, _)| *target == wanted);
        own.map_or(0.0, |(_, value)| *value)
    };
    let term = |&(atom, factor): &(Atom, f64)| match atom {
        Atom::Target { target, .. } => factor * of_target(target),
        Atom::Feature { .. } | Atom::LookUp { .. } | Atom::Vote { .. } | Atom::Chosen { .. } => 0.0,
    };
    combination.constant + combination.terms.iter().map(term).sum::<f64>()
}

/// Whether the operation reads a table of numbers. One entry picked from a list is a label.
fn looks_up(op: &Op) -> bool {
    match op {
        Op::Encode { values, .. } => matches!(values.kind(), EntryKind::F32 | EntryKind::F64),
        Op::Pick { inner, .. } => *inner > 1,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use crate::analyse::place::Place;
    use crate::analyse::places::places;
    use crate::ir::{Function, Ir};
    use cipherfn_program::{BinaryFunction, EntryKind, Op, Tensor, ValueId};

    /// The number of a stump's leaf, and what a table has for it.
    fn looked_up(ir: &mut Ir, table: &[f32]) -> ValueId {
        let source = ir.stump(&[0.0], &[1.0]);
        let kind = EntryKind::I64;
        let argument = ir.add(Op::Cast { source, kind });
        ir.add(Op::Encode {
            argument,
            keys: Tensor::I64(vec![0, 1]),
            values: Tensor::F32(table.to_vec()),
            default: None,
        })
    }

    #[test]
    fn tables_of_leaves_become_leaves() {
        let mut ir = Ir::sample();
        let (left, right) = (
            looked_up(&mut ir, &[3.0, 4.0]),
            looked_up(&mut ir, &[5.0, 7.0]),
        );
        let function = BinaryFunction::Add;
        let sum = ir.add(Op::Binary {
            function,
            left,
            right,
        });
        let ir = ir.giving(sum);
        let found = places(&ir).unwrap();
        assert!(matches!(found.places[sum.index()], Place::Affine(_)));
        assert!(matches!(found.places[left.index()], Place::Unused));
        let leaves = found.made.iter().flat_map(|made| match &made.function {
            Function::Trees(trees) => trees.leaves().collect::<Vec<_>>(),
            Function::Linear(_)
            | Function::Lookups(_)
            | Function::Nearest(_)
            | Function::Stacked(_) => Vec::new(),
        });
        let values: Vec<f64> = leaves.flatten().map(|&(_, value)| value).collect();
        assert_eq!(values, [3.0, 4.0, 5.0, 7.0]);
    }

    #[test]
    fn decisions_of_one_tree_stay_decisions() {
        let mut ir = Ir::sample();
        let vote = |ir: &mut Ir| {
            let (left, right) = (ir.stump(&[0.0], &[1.0]), ir.numbers(&[0.5]));
            let function = BinaryFunction::Greater;
            let source = ir.add(Op::Binary {
                function,
                left,
                right,
            });
            let kind = EntryKind::F32;
            ir.add(Op::Cast { source, kind })
        };
        let (left, right) = (vote(&mut ir), vote(&mut ir));
        let function = BinaryFunction::Add;
        let votes = ir.add(Op::Binary {
            function,
            left,
            right,
        });
        let found = places(&ir.giving(votes)).unwrap();
        assert!(matches!(found.places[votes.index()], Place::Behind { .. }));
        assert!(found.made.is_empty());
    }
}
