//! Estimators of the machine-learning domain: sums that the server evaluates, and what ONNX Runtime
//! 1.2x makes of them afterwards (`core/providers/cpu/ml`: tree ensembles, linear models, support
//! vector machines).

mod decision;
mod transform;

use super::emitter::Operand;
use super::estimator::Source;
use super::evaluate::Evaluator;
use super::linear::{self, SvmClassifier};
use super::scores::{Atom, Combination, Scores};
use super::trees::{self, Ensemble, MAX_NODES, SourceKind, Transform, TreeInput};
use super::value::{Data, Facts, Value};
use crate::error::CompileError;
use crate::read::onnx::node::Node;
use crate::read::onnx::tensor::Element;
use cipherfn_program::{Tensor, ValueId};
use decision::Decision;
use std::rc::Rc;

/// The operators of this module.
pub(crate) const OPERATORS: &[&str] = &[
    "LinearClassifier",
    "LinearRegressor",
    "SVMClassifier",
    "SVMRegressor",
    "TreeEnsemble",
    "TreeEnsembleClassifier",
    "TreeEnsembleRegressor",
];

/// Whether the node is an estimator of the machine-learning domain.
pub(crate) fn is_estimator(node: &Node) -> bool {
    node.ml()
        .is_some_and(|operator| OPERATORS.contains(&operator))
}

/// The features of an estimator.
struct FeatureInput {
    value: ValueId,
    len: usize,
    kind: SourceKind,
}

/// Class labels: texts, or integers.
pub(crate) struct Labels {
    pub(crate) values: Tensor,
}

impl Labels {
    fn read(node: &Node, integers: &str) -> Result<Self, CompileError> {
        let texts = node.texts("classlabels_strings")?;
        let values = if texts.is_empty() {
            Tensor::I64(node.ints(integers)?.to_vec())
        } else {
            Tensor::Text(texts)
        };
        if values.is_empty() {
            return Err(node.invalid("it has no class labels"));
        }
        Ok(Self { values })
    }

    fn len(&self) -> usize {
        self.values.len()
    }
}

impl Evaluator {
    /// The outputs of an estimator of the machine-learning domain; `None` if the node is none.
    pub(crate) fn estimator(
        &mut self,
        node: &Node,
        inputs: &[Option<Value>],
    ) -> Result<Option<Vec<Value>>, CompileError> {
        if !is_estimator(node) {
            return Ok(None);
        }
        let input = self.feature_input(node, inputs)?;
        match node.name.operator.as_str() {
            "TreeEnsembleClassifier" => self.tree_classifier(node, &input),
            "TreeEnsembleRegressor" => {
                let ensemble = trees::regressor(node, &self.tree_input(input.kind, input.len))?;
                self.tree_regressor(node, &input, ensemble, Element::F32)
            }
            "TreeEnsemble" => {
                let ensemble = trees::ensemble(node, &self.tree_input(input.kind, input.len))?;
                let element = if input.kind == SourceKind::Double {
                    Element::F64
                } else {
                    Element::F32
                };
                self.tree_regressor(node, &input, ensemble, element)
            }
            "LinearRegressor" => {
                let scores = linear::regressor(node, input.len)?.of(input.value);
                self.regression(node, scores, Transform::of(node)?, Element::F32)
            }
            "SVMRegressor" => {
                let scores = linear::svm_regressor(node, input.len)?.of(input.value);
                let values = self.regression(node, scores, Transform::None, Element::F32)?;
                if node.int("one_class", 0)? == 0 {
                    Ok(values)
                } else {
                    self.sign(node, values)
                }
            }
            "LinearClassifier" => self.linear_classifier(node, &input),
            _ => self.svm_classifier(node, &input),
        }
        .map(Some)
    }

    fn feature_input(
        &self,
        node: &Node,
        inputs: &[Option<Value>],
    ) -> Result<FeatureInput, CompileError> {
        let Some(Some(input)) = inputs.first() else {
            return Err(node.invalid("input 0 is missing"));
        };
        let Data::Before(value) = input.data else {
            let first = input
                .facts
                .nonlinear
                .as_ref()
                .map_or_else(String::new, |name| format!(" through {name}"));
            return Err(node.unsupported(
                format!("its input comes from another estimator{first}"),
                "one layer of estimators",
            ));
        };
        if input.element == Element::Text {
            return Err(node.invalid("its input is text"));
        }
        if self.before.constant_value(value).is_some() {
            return Err(node.invalid("its input is constant"));
        }
        let len = self.before.tensor_type(value).len;
        if !matches!(input.shape.as_slice(), [_] | [1, _]) || len == 0 {
            return Err(node.unsupported(
                format!("its input has shape {:?} for one row", input.shape),
                "[rows, features]",
            ));
        }
        let kind = if input.element == Element::F64 {
            SourceKind::Double
        } else {
            SourceKind::Single
        };
        Ok(FeatureInput { value, len, kind })
    }

    fn tree_input(&self, kind: SourceKind, features: usize) -> TreeInput {
        TreeInput {
            kind,
            features,
            room: MAX_NODES.saturating_sub(self.collected.tree_nodes()),
        }
    }

    /// Target sums of an ensemble, averages divided, without base values.
    fn targets(&mut self, input: &FeatureInput, ensemble: Ensemble) -> Vec<Combination> {
        let factor = if ensemble.average {
            1.0 / ensemble.trees.len() as f64
        } else {
            1.0
        };
        let id = self.collected.ensembles.len() as u32;
        let targets = ensemble.targets as u32;
        self.collected.ensembles.push(Source {
            ensemble,
            value: input.value,
        });
        (0..targets)
            .map(|target| {
                Combination::of_atom(Atom::Target {
                    ensemble: id,
                    target,
                })
                .scaled(factor)
            })
            .collect()
    }

    fn tree_regressor(
        &mut self,
        node: &Node,
        input: &FeatureInput,
        ensemble: Ensemble,
        element: Element,
    ) -> Result<Vec<Value>, CompileError> {
        let (base, transform) = (ensemble.base.clone(), ensemble.transform);
        let mut scores = self.targets(input, ensemble);
        // Base values of another number are ignored.
        if base.len() == scores.len() {
            for (score, base) in scores.iter_mut().zip(base) {
                score.constant += base;
            }
        }
        self.regression(node, scores, transform, element)
    }

    /// Scores of shape `[1, targets]`, transformed. ONNX Runtime transforms a single target by
    /// `PROBIT` alone.
    fn regression(
        &mut self,
        node: &Node,
        scores: Vec<Combination>,
        transform: Transform,
        element: Element,
    ) -> Result<Vec<Value>, CompileError> {
        let transform = if scores.len() == 1 && transform != Transform::Probit {
            Transform::None
        } else {
            transform
        };
        let value = scores_value(scores, element);
        Ok(vec![self.transformed(node, value, transform)?])
    }

    /// 1 for positive values, -1 for others.
    fn sign(&mut self, node: &Node, values: Vec<Value>) -> Result<Vec<Value>, CompileError> {
        values
            .into_iter()
            .map(|value| self.one_class(node, &value))
            .collect()
    }

    fn tree_classifier(
        &mut self,
        node: &Node,
        input: &FeatureInput,
    ) -> Result<Vec<Value>, CompileError> {
        let labels = Labels::read(node, "classlabels_int64s")?;
        let ensemble =
            trees::classifier(node, &self.tree_input(input.kind, input.len), labels.len())?;
        let transform = ensemble.transform;
        let facts = decision::TreeFacts::of(&ensemble);
        let sums = self.targets(input, ensemble);
        let decision = match labels.len() {
            1 => return Err(node.unsupported("it has one class", "two or more classes")),
            2 => decision::two_classes(node, sums, transform, &facts)?,
            _ => decision::many_classes(sums, transform, &facts),
        };
        self.classified(node, decision, &labels)
    }

    fn linear_classifier(
        &mut self,
        node: &Node,
        input: &FeatureInput,
    ) -> Result<Vec<Value>, CompileError> {
        let labels = Labels::read(node, "classlabels_ints")?;
        let scores = linear::classifier(node, input.len)?.of(input.value);
        let transform = Transform::of(node)?;
        let decision = decision::linear(node, scores, transform, &labels)?;
        self.classified(node, decision, &labels)
    }

    fn svm_classifier(
        &mut self,
        node: &Node,
        input: &FeatureInput,
    ) -> Result<Vec<Value>, CompileError> {
        if node.has("prob_a") || node.has("prob_b") {
            return Err(node.unsupported(
                "it couples pairwise probabilities",
                "SVC without probabilities (probability=False), LinearSVC, logistic regression",
            ));
        }
        let labels = Labels::read(node, "classlabels_ints")?;
        let transform = Transform::of(node)?;
        let positive = node.floats("coefficients")?.iter().all(|&x| x >= 0.0);
        let decision = match linear::svm_classifier(node, input.len, labels.len())? {
            SvmClassifier::OneAClass(functions) => {
                decision::svm_one_a_class(functions.of(input.value), transform, positive)
            }
            SvmClassifier::Pairs(functions) => {
                decision::svm_pairs(node, functions.of(input.value), transform, labels.len())?
            }
        };
        self.classified(node, decision, &labels)
    }

    /// Label and scores of a classifier.
    fn classified(
        &mut self,
        node: &Node,
        decision: Decision,
        labels: &Labels,
    ) -> Result<Vec<Value>, CompileError> {
        let names = labels.values.to_texts();
        self.classes.push(names.clone());
        let label = self.label(node, &decision, labels)?;
        let mut scores = scores_value(decision.scores, Element::F32);
        scores.facts.classes =
            Some(names).filter(|names| Some(names.len()) == scores.shape.last().copied());
        let scores = self.transformed(node, scores, decision.transform)?;
        Ok(vec![label, scores])
    }
}

/// Combinations as a value of shape `[1, scores]`.
fn scores_value(entries: Vec<Combination>, element: Element) -> Value {
    let shape = vec![1, entries.len()];
    Value {
        element,
        shape: shape.clone(),
        data: Data::Scores(Rc::new(Scores { shape, entries })),
        facts: Facts::default(),
    }
}

/// The operand of a value behind the estimator.
fn operand(node: &Node, value: &Value) -> Result<Operand, CompileError> {
    match value.data {
        Data::After(id) => Ok(Operand {
            id,
            element: value.element,
            shape: value.shape.clone(),
        }),
        _ => Err(node.invalid("its scores are not behind the estimator")),
    }
}
