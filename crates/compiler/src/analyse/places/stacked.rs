//! Trees over what the server computes (stacking): a split compares a sum of features, or of functions,
//! with a threshold.
//!
//! What lies between the sum and the tree, a sigmoid say, is no layer: where it rises or falls all over,
//! the question moves before it. `sigmoid(z) > 1/4` is `z > -ln 3`.

mod threshold;

use super::PlacesPass;
use crate::analyse::lookups::Links;
use crate::analyse::place::Place;
use crate::error::CompileError;
use crate::ir::{Atom, AtomKind, Combination, Ensemble, EstimatorCall, Function, StackedTrees};
use crate::model::{NumberComparison, Test, Tree, TreeNode};
use cipherfn_program::{EntryKind, Op, ValueId};
use std::collections::HashMap;
use std::rc::Rc;
use threshold::{LinkFunction, Side};

/// What trees at the server can follow, for errors.
const SUPPORTED: &str = "trees over the row's own values, over sums of these or of functions of the row \
    (linear models, support vector machines, networks), and over what rises or falls with one such sum, as \
    the probability of one of two classes does; for three and more classes their scores \
    (stack_method=\"decision_function\") in place of probabilities; over neighbours and other trees a linear \
    model (LogisticRegression as final_estimator), or trees of at most 1,024 nodes with --combiner client";

/// Trees with their questions moved before the links.
struct Stacking<'p, 'a> {
    pass: &'p PlacesPass<'a>,
    /// The step of the trees, and what they are over.
    id: ValueId,
    argument: ValueId,
    numbers: Vec<Combination>,
    /// Places of numbers by their terms, in parts of the first one's factor.
    known: HashMap<Vec<(Atom, u32)>, u32>,
    comparisons: Vec<NumberComparison>,
    /// Places of comparisons.
    asked: HashMap<(u32, u64), u32>,
    links: HashMap<ValueId, Rc<LinkFunction>>,
    answers: HashMap<(u32, u32), SplitAnswer>,
}

/// What a split becomes.
#[derive(Clone, Copy)]
enum SplitAnswer {
    Always(bool),
    /// A comparison, which holds where the answer is yes, or, if not `rises`, where it is no.
    Compared {
        comparison: u32,
        rises: bool,
    },
}

/// Where an entry of the trees' argument comes from.
enum EntrySource {
    Constant(f64),
    Sum(Combination),
    Link {
        function: Rc<LinkFunction>,
        unit: u32,
    },
}

impl PlacesPass<'_> {
    /// The targets of trees over what the server computes, as results of a new estimator.
    pub(super) fn stacked(
        &mut self,
        id: ValueId,
        argument: ValueId,
        ensemble: &Ensemble,
    ) -> Result<Rc<[Combination]>, CompileError> {
        let mut stacking = Stacking {
            pass: self,
            id,
            argument,
            numbers: Vec::new(),
            known: HashMap::new(),
            comparisons: Vec::new(),
            asked: HashMap::new(),
            links: HashMap::new(),
            answers: HashMap::new(),
        };
        let trees = ensemble.trees.iter().map(|tree| stacking.tree(tree));
        let trees = trees.collect::<Result<_, _>>()?;
        let Stacking {
            numbers,
            comparisons,
            ..
        } = stacking;
        let estimator = (self.ir.estimators.len() + self.made.len()) as u32;
        let node = self.ir.step(id).map_or("", |step| &step.node).to_owned();
        self.made.push(EstimatorCall {
            argument,
            // No step reads its results.
            first: usize::MAX,
            function: Function::Stacked(StackedTrees {
                node,
                numbers,
                comparisons,
                trees,
                targets: ensemble.targets,
            }),
        });
        let target = |target| {
            let atom = Atom::Chosen { estimator, target };
            Combination::of_atom(atom, ensemble.factor())
        };
        Ok((0..ensemble.targets as u32).map(target).collect())
    }
}

impl Stacking<'_, '_> {
    /// The tree over comparisons.
    fn tree(&mut self, tree: &Tree) -> Result<Tree, CompileError> {
        let mut nodes = vec![TreeNode::Leaf(Vec::new())];
        let mut open = vec![(0_u32, 0_usize)];
        while let Some((mut from, to)) = open.pop() {
            loop {
                let (feature, test, yes, no) = match &tree.nodes[from as usize] {
                    TreeNode::Leaf(values) => {
                        nodes[to] = TreeNode::Leaf(values.clone());
                        break;
                    }
                    &TreeNode::Split {
                        feature,
                        test,
                        yes,
                        no,
                        ..
                    } => (feature, test, yes, no),
                };
                let (comparison, rises) = match self.answer(feature, test)? {
                    SplitAnswer::Always(holds) => {
                        from = if holds { yes } else { no };
                        continue;
                    }
                    SplitAnswer::Compared { comparison, rises } => (comparison, rises),
                };
                let first = nodes.len();
                nodes.extend([TreeNode::Leaf(Vec::new()), TreeNode::Leaf(Vec::new())]);
                nodes[to] = TreeNode::Split {
                    feature: comparison,
                    test: Test::Greater(0.5),
                    missing_goes_yes: false,
                    yes: first as u32,
                    no: first as u32 + 1,
                };
                let (above, below) = if rises { (yes, no) } else { (no, yes) };
                open.extend([(above, first), (below, first + 1)]);
                break;
            }
        }
        Ok(Tree { nodes })
    }

    fn answer(&mut self, feature: u32, test: Test) -> Result<SplitAnswer, CompileError> {
        let Test::Greater(threshold) = test else {
            return Err(self.unsupported("it asks whether a computed number is equal to another"));
        };
        if let Some(known) = self.answers.get(&(feature, threshold.to_bits())) {
            return Ok(*known);
        }
        let answer = match self.source(feature)? {
            EntrySource::Constant(value) => SplitAnswer::Always(test.holds(value as f32)),
            EntrySource::Sum(sum) => match sum.as_constant() {
                Some(value) => SplitAnswer::Always(test.holds(value as f32)),
                None => self.compared(&sum, f64::from(threshold), true)?,
            },
            EntrySource::Link { function, unit } => match function.side(unit, threshold) {
                Side::Always(holds) => SplitAnswer::Always(holds),
                Side::Of { form, rises } => {
                    let sum = function.lookups.forms[unit as usize].clone();
                    self.compared(&sum, form, rises)?
                }
                Side::Neither => {
                    let node = self.named(&function.lookups.node);
                    return Err(self.unsupported(format!(
                        "its input follows from a function that both rises and falls, {node}"
                    )));
                }
            },
        };
        self.answers.insert((feature, threshold.to_bits()), answer);
        Ok(answer)
    }

    /// Whether a sum is above a threshold, in terms of the sum divided by its first factor.
    fn compared(
        &mut self,
        sum: &Combination,
        threshold: f64,
        rises: bool,
    ) -> Result<SplitAnswer, CompileError> {
        let kind = |wanted: AtomKind| sum.terms.iter().all(|(atom, _)| atom.kind() == wanted);
        if !kind(AtomKind::Linear) && !kind(AtomKind::Lookups) {
            return Err(self.unsupported(
                "its input is a sum of what several kinds of estimators give, or of trees or votes",
            ));
        }
        let factor = sum.terms.first().map_or(1.0, |term| term.1);
        let number = Combination {
            constant: 0.0,
            terms: sum
                .terms
                .iter()
                .map(|(atom, own)| (*atom, own / factor))
                .collect(),
        };
        let key = number
            .terms
            .iter()
            .map(|(atom, own)| (*atom, (*own as f32).to_bits()));
        let next = self.numbers.len() as u32;
        let place = *self.known.entry(key.collect()).or_insert(next);
        if place == next {
            self.numbers.push(number);
        }
        let threshold = (threshold - sum.constant) / factor;
        let next = self.comparisons.len() as u32;
        let comparison = *self
            .asked
            .entry((place, threshold.to_bits()))
            .or_insert(next);
        if comparison == next {
            self.comparisons.push(NumberComparison {
                number: place,
                threshold,
            });
        }
        Ok(SplitAnswer::Compared {
            comparison,
            rises: rises == (factor > 0.0),
        })
    }

    /// Back through what moves entries, to a sum or to a function of one.
    fn source(&mut self, feature: u32) -> Result<EntrySource, CompileError> {
        let ir = self.pass.ir;
        let (mut value, mut entry) = (self.argument, feature);
        loop {
            if let Some(constant) = ir.program.constant_value(value) {
                let numbers = constant.to_f64().unwrap_or_default();
                let own = numbers.get(entry as usize).copied();
                return Ok(EntrySource::Constant(own.unwrap_or(f64::NAN)));
            }
            match self.pass.of(value) {
                Place::Affine(entries) => {
                    return Ok(EntrySource::Sum(entries[entry as usize].clone()));
                }
                Place::Before => {
                    let own = self.pass.features(value)[entry as usize].clone();
                    return Ok(EntrySource::Sum(own));
                }
                _ => {}
            }
            let step = ir.step(value).map(|step| &step.op);
            let is_estimate =
                matches!(step, Some(Op::Select { source, .. }) if *source == ir.results());
            if !is_estimate && let Some(moved) = ir.moved_from(value, entry) {
                (value, entry) = moved;
                continue;
            }
            if let Some(function) = self.link(value)? {
                return Ok(match function.units[entry as usize] {
                    Some(unit) => EntrySource::Link { function, unit },
                    None => EntrySource::Constant(function.constants[entry as usize]),
                });
            }
            match step {
                Some(Op::Cast {
                    source,
                    kind: EntryKind::F32 | EntryKind::F64,
                }) if self.pass.is_float(*source) => value = *source,
                _ => {
                    let node = ir.step(value).map_or("", |step| &step.node);
                    let node = self.named(node);
                    return Err(self.unsupported(format!(
                        "the server cannot compare what it takes of other estimators through {node}"
                    )));
                }
            }
        }
    }

    fn link(&mut self, value: ValueId) -> Result<Option<Rc<LinkFunction>>, CompileError> {
        if let Some(known) = self.links.get(&value) {
            return Ok(Some(Rc::clone(known)));
        }
        let Some(links) = self.pass.formwise.links(value, &self.pass.places)? else {
            return Ok(None);
        };
        let Links {
            units,
            constants,
            lookups,
        } = links;
        let function = Rc::new(LinkFunction::of(units, constants, lookups));
        self.links.insert(value, Rc::clone(&function));
        Ok(Some(function))
    }

    fn named(&self, step: &str) -> String {
        let node = self.pass.ir.nodes.get(step);
        node.map_or_else(|| "another estimator".to_owned(), ToString::to_string)
    }

    fn unsupported(&self, problem: impl Into<String>) -> CompileError {
        self.pass.ir.unsupported(self.id, problem, SUPPORTED)
    }
}
