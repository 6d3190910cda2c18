//! How ONNX Runtime 1.2x (`core/providers/cpu/ml`) turns the sums of a classifier into a label and
//! scores.

use super::emitter::{Emitter, Operand, reshaped};
use super::shapes::View;
use super::transform::Transform;
use crate::error::CompileError;
use crate::ir::Ensemble;
use crate::read::onnx::node::Node;
use crate::read::onnx::tensor::{Constant, Element};
use cipherfn_program::{BinaryFunction, ReduceFunction, Tensor};

/// Class labels: texts, or integers.
pub(crate) struct Labels(Tensor);

impl Labels {
    /// Reads `classlabels_strings`, or else the attribute `integers`.
    pub(crate) fn read(node: &Node, integers: &str) -> Result<Self, CompileError> {
        let texts = node.texts("classlabels_strings")?;
        let values = if texts.is_empty() {
            Tensor::I64(node.ints(integers)?)
        } else {
            Tensor::Text(texts)
        };
        if values.is_empty() {
            return Err(node.invalid("it has no class labels"));
        }
        Ok(Self(values))
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

/// A classifier's result before its post-transform. Sums are 64-bit floats.
pub(crate) struct Decision {
    /// Index of the predicted class, of shape `[1]`.
    index: Operand,
    /// Of shape `[1, scores]`.
    scores: Operand,
    transform: Transform,
}

/// What decides how ONNX Runtime reads a tree classifier's sums.
pub(crate) struct TreeFacts {
    base: Vec<f64>,
    /// Classes that some leaf counts for.
    counted: Vec<bool>,
    positive: bool,
}

impl TreeFacts {
    pub(crate) fn of(ensemble: &Ensemble, base: Vec<f64>) -> Self {
        let mut counted = vec![false; ensemble.targets];
        let mut positive = true;
        for &(target, value) in ensemble.leaves().flatten() {
            counted[target as usize] = true;
            positive &= value >= 0.0;
        }
        Self {
            base,
            counted,
            positive,
        }
    }
}

impl Emitter<'_> {
    /// Label and scores of a classifier.
    pub(super) fn classified(
        &mut self,
        decision: &Decision,
        labels: &Labels,
    ) -> Result<Vec<Operand>, CompileError> {
        let table = self.vector(labels.0.clone())?;
        let label = self.pick(&table, &decision.index, 1, vec![1])?;
        let scores = self.transformed(&decision.scores, decision.transform, Element::F32)?;
        if labels.len() == scores.columns() {
            self.ir.classes.insert(scores.id, labels.0.to_texts());
        }
        Ok(vec![label, scores])
    }

    /// A tree classifier of two classes, in all the cases that ONNX Runtime distinguishes.
    pub(super) fn two_classes(
        &mut self,
        sums: &Operand,
        transform: Transform,
        facts: &TreeFacts,
    ) -> Result<Decision, CompileError> {
        let one_counted = facts.counted.iter().filter(|&&counted| counted).count() == 1;
        let second = facts.counted[1];
        let mut sums = [self.entry(sums, 0)?, self.entry(sums, 1)?];
        let mut single = false;
        match *facts.base.as_slice() {
            [_, base] if second => {
                sums[1] = self.plus(&sums[0], base)?;
                sums[0] = self.times(&sums[1], -1.0)?;
            }
            [first, base] => sums = [self.plus(&sums[0], first)?, self.plus(&sums[1], base)?],
            [base] => {
                sums[0] = self.plus(&sums[0], base)?;
                single = !second;
            }
            _ => single = !second,
        }
        let deciding = sums[usize::from(second)].clone();
        // ONNX Runtime asks for 0.5 whatever comes behind, and so gives label 0 beside a probability
        // above one half; of a logistic function 0 is the middle, as libraries have it.
        let logistic = transform == Transform::Logistic;
        let all_positive = one_counted && facts.positive && !logistic;
        if one_counted && facts.positive && logistic {
            self.ir.notes.push(format!(
                "{}: labels follow the probability, as in the library; ONNX Runtime gives label 0 \
                 up to a score of 0.5, because all leaves are positive",
                self.node.name
            ));
        }
        let index = self.exceeds(&deciding, if all_positive { 0.5 } else { 0.0 })?;
        if single {
            return self.complemented(index, &deciding, transform, all_positive);
        }
        // A class that no leaf counts for scores nothing, base values notwithstanding.
        for (sum, counted) in sums.iter_mut().zip(&facts.counted) {
            if !counted {
                *sum = self.vector(Tensor::F64(vec![0.0]))?;
            }
        }
        let scores = self.join(&sums)?;
        Ok(Decision {
            index,
            scores: reshaped(&scores, vec![1, 2]),
            transform,
        })
    }

    /// A tree classifier of more than two classes: the largest sum among the classes that get one.
    pub(super) fn many_classes(
        &mut self,
        sums: &Operand,
        transform: Transform,
        facts: &TreeFacts,
    ) -> Result<Decision, CompileError> {
        let base = |class: usize| facts.base.get(class).copied().unwrap_or(0.0);
        let base = self.vector(Tensor::F64((0..sums.len()).map(base).collect()))?;
        let scores = self.binary(BinaryFunction::Add, sums, &base)?;
        let classes: Vec<u32> = (0..scores.len() as u32)
            .filter(|&class| facts.counted[class as usize] || (class as usize) < facts.base.len())
            .collect();
        let view = View {
            shape: vec![1, classes.len()],
            entries: classes.clone(),
        };
        let candidates = self.select(&scores, view)?;
        let candidates = self.cast(&candidates, Element::F32)?;
        let mut index = self.largest(&candidates)?;
        if classes.len() < scores.len() {
            let classes = classes.iter().map(|&class| i64::from(class)).collect();
            let table = self.vector(Tensor::I64(classes))?;
            index = self.pick(&table, &index, 1, vec![1])?;
        }
        Ok(Decision {
            index,
            scores,
            transform,
        })
    }

    /// `LinearClassifier`.
    pub(super) fn linear_classes(
        &mut self,
        scores: Operand,
        transform: Transform,
        labels: &Labels,
    ) -> Result<Decision, CompileError> {
        if scores.len() == 1 {
            if labels.len() != 2 {
                return Err(self.node.unsupported(
                    format!("one score for {} class labels", labels.len()),
                    "one score for two classes, or one a class",
                ));
            }
            let index = self.exceeds(&scores, 0.0)?;
            return self.complemented(index, &scores, transform, true);
        }
        if scores.len() != labels.len() {
            return Err(self.node.invalid(format!(
                "it has {} intercepts for {} class labels",
                scores.len(),
                labels.len()
            )));
        }
        let single = self.cast(&scores, Element::F32)?;
        Ok(Decision {
            index: self.largest(&single)?,
            scores,
            transform,
        })
    }

    /// `SVMClassifier` without support vectors. Of two classes it takes the second one as soon as
    /// the larger sum passes the threshold, whichever it is; else that of the larger sum.
    pub(super) fn one_function_a_class(
        &mut self,
        scores: Operand,
        transform: Transform,
        positive: bool,
    ) -> Result<Decision, CompileError> {
        let sums = self.cast(&scores, Element::F32)?;
        let mut index = self.largest(&sums)?;
        if scores.len() == 2 {
            let (threshold, compare) = if positive {
                (0.5, BinaryFunction::GreaterOrEqual)
            } else {
                (0.0, BinaryFunction::Greater)
            };
            let second = self.vector(Tensor::I64(vec![1]))?;
            let threshold = self.number(Element::F32, threshold)?;
            let top = self.reduce(ReduceFunction::Max, &sums, &[1], false)?;
            let passes = self.binary(compare, &top, &threshold)?;
            index = self.choose(&passes, &second, &index)?;
        }
        Ok(Decision {
            index,
            scores,
            transform,
        })
    }

    /// `SVMClassifier` with one function for each pair of classes `i < j`, which votes for `i` if
    /// it is positive: the first class with the most votes.
    pub(super) fn one_function_a_pair(
        &mut self,
        pairs: Operand,
        transform: Transform,
        classes: usize,
    ) -> Result<Decision, CompileError> {
        let index = self.most_votes(&pairs, classes)?;
        if pairs.len() == 1 {
            return self.complemented(index, &pairs, transform, transform != Transform::None);
        }
        Ok(Decision {
            index,
            scores: pairs,
            transform,
        })
    }

    /// Two scores from one: `[1 - s, s]` for probabilities, else `[-s, s]`. Of the transforms only
    /// LOGISTIC is applied.
    fn complemented(
        &mut self,
        index: Operand,
        sum: &Operand,
        transform: Transform,
        probability: bool,
    ) -> Result<Decision, CompileError> {
        let opposite = self.times(sum, -1.0)?;
        let (first, transform) = match transform {
            Transform::Probit => {
                return Err(self.node.unsupported(
                    "PROBIT of a single score for two classes",
                    "NONE, LOGISTIC, SOFTMAX, SOFTMAX_ZERO",
                ));
            }
            Transform::Logistic => (opposite, Transform::Logistic),
            _ if probability => (self.plus(&opposite, 1.0)?, Transform::None),
            _ => (opposite, Transform::None),
        };
        let scores = self.join(&[first, sum.clone()])?;
        Ok(Decision {
            index,
            scores: reshaped(&scores, vec![1, 2]),
            transform,
        })
    }

    /// 1 if the sum, as ONNX Runtime's 32-bit float, exceeds the threshold, else 0.
    fn exceeds(&mut self, sum: &Operand, threshold: f64) -> Result<Operand, CompileError> {
        let sum = self.cast(sum, Element::F32)?;
        let threshold = self.number(Element::F32, threshold)?;
        let exceeds = self.binary(BinaryFunction::Greater, &sum, &threshold)?;
        let [above, below] = [
            self.vector(Tensor::I64(vec![1]))?,
            self.vector(Tensor::I64(vec![0]))?,
        ];
        let exceeds = reshaped(&exceeds, vec![1]);
        self.choose(&exceeds, &above, &below)
    }

    fn most_votes(&mut self, pairs: &Operand, classes: usize) -> Result<Operand, CompileError> {
        let sums = self.cast(pairs, Element::F32)?;
        let zero = self.number(Element::F32, 0.0)?;
        let first = self.binary(BinaryFunction::Greater, &sums, &zero)?;
        let first = self.cast(&first, Element::Int)?;
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
        let changes = self.constant(Constant {
            element: Element::Int,
            shape: vec![pairs.len(), classes],
            value: Tensor::I64(changes),
        })?;
        let changed = self.mat_mul(&first, &changes)?;
        let start = self.vector(Tensor::I64(start))?;
        let votes = self.binary(BinaryFunction::Add, &changed, &start)?;
        self.largest(&votes)
    }

    /// One entry, of shape `[1]`.
    fn entry(&mut self, sums: &Operand, at: u32) -> Result<Operand, CompileError> {
        let view = View {
            shape: vec![1],
            entries: vec![at],
        };
        self.select(sums, view)
    }

    fn plus(&mut self, sum: &Operand, x: f64) -> Result<Operand, CompileError> {
        let x = self.number(sum.element, x)?;
        self.binary(BinaryFunction::Add, sum, &x)
    }

    fn times(&mut self, sum: &Operand, x: f64) -> Result<Operand, CompileError> {
        let x = self.number(sum.element, x)?;
        self.binary(BinaryFunction::Mul, sum, &x)
    }
}
