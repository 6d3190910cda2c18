//! How classifiers turn sums into a label and scores.

use super::{Labels, operand, scores_value};
use crate::error::CompileError;
use crate::model::TreeNode;
use crate::onnx::evaluate::Evaluator;
use crate::onnx::scores::Combination;
use crate::onnx::trees::{Ensemble, Transform};
use crate::onnx::value::{Data, Facts, Value};
use crate::read::onnx::node::Node;
use crate::read::onnx::tensor::{Constant, Element};
use cipherfn_program::{BinaryFunction, Op, ReduceFunction, Tensor};

/// A classifier's result.
pub(super) struct Decision {
    pub(super) rule: Rule,
    pub(super) scores: Vec<Combination>,
    pub(super) transform: Transform,
}

/// How the label follows from untransformed sums.
pub(super) enum Rule {
    /// One label if the sum exceeds the threshold, else the other one.
    Threshold {
        sum: Combination,
        threshold: f64,
        above: Tensor,
        below: Tensor,
    },
    /// Index of the first largest of these classes' sums.
    Largest {
        classes: Vec<usize>,
        sums: Vec<Combination>,
    },
    /// Of two classes, the second one as soon as the larger sum passes the threshold, whichever it
    /// is; else that of the larger sum.
    LargestAbove {
        sums: Vec<Combination>,
        threshold: f64,
        inclusive: bool,
    },
    /// Index of the first class with the most votes; a pair `i < j` of classes votes for `i` if its
    /// sum is positive.
    Votes {
        pairs: Vec<Combination>,
        classes: usize,
    },
}

/// What decides how ONNX Runtime reads a tree classifier's sums.
pub(super) struct TreeFacts {
    base: Vec<f64>,
    /// Classes that some leaf counts for.
    counted: Vec<bool>,
    positive: bool,
}

impl TreeFacts {
    pub(super) fn of(ensemble: &Ensemble) -> Self {
        let mut counted = vec![false; ensemble.targets];
        let mut positive = true;
        for node in ensemble.trees.iter().flat_map(|tree| &tree.nodes) {
            if let TreeNode::Leaf(values) = node {
                for &(target, value) in values {
                    counted[target as usize] = true;
                    positive &= value >= 0.0;
                }
            }
        }
        Self {
            base: ensemble.base.clone(),
            counted,
            positive,
        }
    }
}

/// Index labels; [`Evaluator::label`] puts the class labels in their place.
fn index(class: usize) -> Tensor {
    Tensor::I64(vec![class as i64])
}

/// A tree classifier of two classes, in all the cases that ONNX Runtime distinguishes.
pub(super) fn two_classes(
    node: &Node,
    mut sums: Vec<Combination>,
    transform: Transform,
    facts: &TreeFacts,
) -> Result<Decision, CompileError> {
    let one_counted = facts.counted.iter().filter(|&&counted| counted).count() == 1;
    let second = facts.counted[1];
    let mut single = false;
    match facts.base.as_slice() {
        [_, base] if second => {
            sums[1] = sums[0].plus(&Combination::of_constant(*base));
            sums[0] = sums[1].scaled(-1.0);
        }
        [first, base] => {
            sums[0].constant += first;
            sums[1].constant += base;
        }
        [base] => {
            sums[0].constant += base;
            single = !second;
        }
        _ => single = !second,
    }
    let deciding = sums[usize::from(second)].clone();
    let all_positive = one_counted && facts.positive;
    let threshold = if all_positive { 0.5 } else { 0.0 };
    // A class that no leaf counts for scores nothing, base values notwithstanding.
    for (sum, counted) in sums.iter_mut().zip(&facts.counted) {
        if !counted {
            *sum = Combination::default();
        }
    }
    let rule = Rule::Threshold {
        sum: deciding.clone(),
        threshold,
        above: index(1),
        below: index(0),
    };
    if !single {
        return Ok(Decision {
            rule,
            scores: sums,
            transform,
        });
    }
    complemented(node, rule, deciding, transform, all_positive)
}

/// Two scores from one: `[1 - s, s]` for probabilities, else `[-s, s]`. Of the transforms only
/// LOGISTIC is applied.
fn complemented(
    node: &Node,
    rule: Rule,
    sum: Combination,
    transform: Transform,
    probability: bool,
) -> Result<Decision, CompileError> {
    let opposite = sum.scaled(-1.0);
    let (first, transform) = match transform {
        Transform::Probit => {
            return Err(node.unsupported(
                "PROBIT of a single score for two classes",
                "NONE, LOGISTIC, SOFTMAX, SOFTMAX_ZERO",
            ));
        }
        Transform::Logistic => (opposite, Transform::Logistic),
        _ if probability => (
            opposite.plus(&Combination::of_constant(1.0)),
            Transform::None,
        ),
        _ => (opposite, Transform::None),
    };
    Ok(Decision {
        rule,
        scores: vec![first, sum],
        transform,
    })
}

/// A tree classifier of more than two classes: the largest sum among the classes that get one.
pub(super) fn many_classes(
    mut sums: Vec<Combination>,
    transform: Transform,
    facts: &TreeFacts,
) -> Decision {
    for (sum, base) in sums.iter_mut().zip(&facts.base) {
        sum.constant += base;
    }
    let classes: Vec<usize> = (0..sums.len())
        .filter(|&class| facts.counted[class] || class < facts.base.len())
        .collect();
    let rule = Rule::Largest {
        sums: classes.iter().map(|&class| sums[class].clone()).collect(),
        classes,
    };
    Decision {
        rule,
        scores: sums,
        transform,
    }
}

/// `LinearClassifier`.
pub(super) fn linear(
    node: &Node,
    scores: Vec<Combination>,
    transform: Transform,
    labels: &Labels,
) -> Result<Decision, CompileError> {
    if let [sum] = scores.as_slice() {
        let rule = Rule::Threshold {
            sum: sum.clone(),
            threshold: 0.0,
            above: index(1),
            below: index(0),
        };
        if labels.len() != 2 {
            return Err(node.unsupported(
                format!("one score for {} class labels", labels.len()),
                "one score for two classes, or one a class",
            ));
        }
        return complemented(node, rule, sum.clone(), transform, true);
    }
    if scores.len() != labels.len() {
        return Err(node.invalid(format!(
            "it has {} intercepts for {} class labels",
            scores.len(),
            labels.len()
        )));
    }
    let rule = Rule::Largest {
        classes: (0..scores.len()).collect(),
        sums: scores.clone(),
    };
    Ok(Decision {
        rule,
        scores,
        transform,
    })
}

/// `SVMClassifier` without support vectors.
pub(super) fn svm_one_a_class(
    scores: Vec<Combination>,
    transform: Transform,
    positive: bool,
) -> Decision {
    let rule = if scores.len() == 2 {
        Rule::LargestAbove {
            sums: scores.clone(),
            threshold: if positive { 0.5 } else { 0.0 },
            inclusive: positive,
        }
    } else {
        Rule::Largest {
            classes: (0..scores.len()).collect(),
            sums: scores.clone(),
        }
    };
    Decision {
        rule,
        scores,
        transform,
    }
}

/// `SVMClassifier` with one function for each pair of classes.
pub(super) fn svm_pairs(
    node: &Node,
    pairs: Vec<Combination>,
    transform: Transform,
    classes: usize,
) -> Result<Decision, CompileError> {
    let rule = Rule::Votes {
        pairs: pairs.clone(),
        classes,
    };
    match <[Combination; 1]>::try_from(pairs) {
        Ok([one]) => complemented(node, rule, one, transform, transform != Transform::None),
        Err(scores) => Ok(Decision {
            rule,
            scores,
            transform,
        }),
    }
}

impl Evaluator {
    /// The predicted label, of shape `[1]`.
    pub(super) fn label(
        &mut self,
        node: &Node,
        decision: &Decision,
        labels: &Labels,
    ) -> Result<Value, CompileError> {
        let index = match &decision.rule {
            Rule::Threshold {
                sum,
                threshold,
                above,
                below,
            } => {
                let value = self.behind(node, &scores_value(vec![sum.clone()], Element::F32))?;
                let sum = operand(node, &value)?;
                let mut emitter = self.after(node);
                let threshold = emitter.number(Element::F32, *threshold)?;
                let exceeds = emitter.binary(BinaryFunction::Greater, &sum, &threshold)?;
                let [above, below] = [
                    emitter.vector(above.clone())?,
                    emitter.vector(below.clone())?,
                ];
                emitter.choose(&exceeds, &above, &below)?
            }
            Rule::Largest { classes, sums } => {
                let value = self.behind(node, &scores_value(sums.clone(), Element::F32))?;
                let sums = operand(node, &value)?;
                let mut emitter = self.after(node);
                let largest = Op::ArgMax {
                    argument: sums.id,
                    group: sums.len(),
                    last: false,
                };
                let largest = emitter.push(largest, Element::Int, vec![1])?;
                if classes.iter().copied().eq(0..labels.len()) {
                    largest
                } else {
                    let table = emitter.vector(Tensor::I64(
                        classes.iter().map(|&class| class as i64).collect(),
                    ))?;
                    emitter.push(
                        Op::Pick {
                            table: table.id,
                            index: largest.id,
                            inner: 1,
                        },
                        Element::Int,
                        vec![1],
                    )?
                }
            }
            Rule::LargestAbove {
                sums,
                threshold,
                inclusive,
            } => {
                let value = self.behind(node, &scores_value(sums.clone(), Element::F32))?;
                let sums = operand(node, &value)?;
                let mut emitter = self.after(node);
                let second = emitter.vector(index(1))?;
                let threshold = emitter.number(Element::F32, *threshold)?;
                let top = emitter.reduce(ReduceFunction::Max, &sums, &[1], false)?;
                let compare = if *inclusive {
                    BinaryFunction::GreaterOrEqual
                } else {
                    BinaryFunction::Greater
                };
                let passes = emitter.binary(compare, &top, &threshold)?;
                let largest = emitter.push(
                    Op::ArgMax {
                        argument: sums.id,
                        group: 2,
                        last: false,
                    },
                    Element::Int,
                    vec![1],
                )?;
                emitter.choose(&passes, &second, &largest)?
            }
            Rule::Votes { pairs, classes } => {
                let value = self.behind(node, &scores_value(pairs.clone(), Element::F32))?;
                let sums = operand(node, &value)?;
                self.most_votes(node, &sums, *classes)?
            }
        };
        let mut emitter = self.after(node);
        let table = emitter.vector(labels.values.clone())?;
        let label = emitter.push(
            Op::Pick {
                table: table.id,
                index: index.id,
                inner: 1,
            },
            table.element,
            vec![1],
        )?;
        let facts = Facts {
            label: true,
            nonlinear: Some(node.name.clone()),
            ..Facts::default()
        };
        Ok(Value {
            element: label.element,
            shape: label.shape,
            data: Data::After(label.id),
            facts,
        })
    }

    /// Index of the first class with the most votes.
    fn most_votes(
        &mut self,
        node: &Node,
        sums: &crate::onnx::emitter::Operand,
        classes: usize,
    ) -> Result<crate::onnx::emitter::Operand, CompileError> {
        let mut emitter = self.after(node);
        let zero = emitter.number(Element::F32, 0.0)?;
        let first = emitter.binary(BinaryFunction::Greater, sums, &zero)?;
        let first = emitter.cast(&first, Element::Int)?;
        let pairs: Vec<(usize, usize)> = (0..classes)
            .flat_map(|i| (i + 1..classes).map(move |j| (i, j)))
            .collect();
        // votes = for_second + won_by_first * (for_first - for_second), one row a pair.
        let mut changes = vec![0_i64; pairs.len() * classes];
        let mut start = vec![0_i64; classes];
        for (row, &(i, j)) in pairs.iter().enumerate() {
            changes[row * classes + i] = 1;
            changes[row * classes + j] = -1;
            start[j] += 1;
        }
        let changes = Constant {
            element: Element::Int,
            shape: vec![pairs.len(), classes],
            value: Tensor::I64(changes),
        };
        let changes = emitter.constant(changes)?;
        let changed = crate::onnx::standard::mat_mul(&mut emitter, &first, &changes)?;
        let start = emitter.vector(Tensor::I64(start))?;
        let votes = emitter.binary(BinaryFunction::Add, &changed, &start)?;
        emitter.push(
            Op::ArgMax {
                argument: votes.id,
                group: classes,
                last: false,
            },
            Element::Int,
            vec![1],
        )
    }
}
