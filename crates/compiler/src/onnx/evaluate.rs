//! Partial evaluation of the graph: every value is computed from the row alone (before the
//! estimator), affine in the estimator's sums, or computed from them (behind it). Nothing here
//! knows an exporter.

mod behind;

use super::emitter::{Emitter, Operand};
use super::estimator::Collected;
use super::facts;
use super::scores::{self, Argument, Atom, Combination, Scores};
use super::value::{Data, Facts, Value};
use super::views::{self, Known};
use super::{SUPPORTED, ml, standard};
use crate::error::CompileError;
use crate::read::onnx::graph::Graph;
use crate::read::onnx::node::Node;
use crate::read::onnx::tensor::{Constant, Element};
use cipherfn_program::{Kind, MAX_LEN, ProgramBuilder, Tensor, TensorType};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

/// The state of the evaluation.
pub(crate) struct Evaluator {
    pub(crate) opset: i64,
    pub(crate) before: ProgramBuilder,
    /// Its one input is the raw scores; their number is known at the end.
    pub(crate) after: ProgramBuilder,
    pub(crate) collected: Collected,
    /// Class names met on the way.
    pub(crate) classes: Vec<Vec<String>>,
    values: HashMap<String, Value>,
    /// Work on scores that is still allowed.
    budget: usize,
}

/// Most terms of scores that are worked on, over all nodes.
const MAX_WORK: usize = 1 << 25;

impl Evaluator {
    /// Starts with the graph's inputs and constants.
    pub(crate) fn new(graph: &Graph) -> Result<Self, CompileError> {
        let inputs = graph
            .inputs
            .iter()
            .map(|input| TensorType {
                kind: input.element.kind(),
                len: input.shape.iter().product(),
            })
            .collect();
        let mut before = ProgramBuilder::new(inputs)?;
        let after = ProgramBuilder::new(vec![TensorType {
            kind: Kind::F64,
            len: MAX_LEN,
        }])?;
        let mut values = HashMap::new();
        for (index, input) in graph.inputs.iter().enumerate() {
            let data = Data::Before(before.input(index));
            values.insert(
                input.name.clone(),
                Value {
                    element: input.element,
                    shape: input.shape.clone(),
                    data,
                    facts: Facts::default(),
                },
            );
        }
        for (
            name,
            Constant {
                element,
                shape,
                value,
            },
        ) in sorted(&graph.constants)
        {
            let data = Data::Before(before.constant(name, value.clone())?);
            values.insert(
                name.clone(),
                Value {
                    element: *element,
                    shape: shape.clone(),
                    data,
                    facts: Facts::default(),
                },
            );
        }
        Ok(Self {
            opset: graph.opset,
            before,
            after,
            collected: Collected::default(),
            classes: Vec::new(),
            values,
            budget: MAX_WORK,
        })
    }

    /// Evaluates all nodes.
    pub(crate) fn run(&mut self, graph: &Graph) -> Result<(), CompileError> {
        let before_estimators = ancestors_of_estimators(&graph.nodes);
        for (position, node) in graph.nodes.iter().enumerate() {
            if node.has_subgraph() {
                return Err(node.unsupported("it has a subgraph", SUPPORTED));
            }
            let inputs = node
                .inputs
                .iter()
                .map(|name| self.values.get(name).cloned())
                .collect::<Vec<_>>();
            let outputs = self.node(node, inputs, before_estimators.contains(&position))?;
            for (name, value) in node
                .outputs
                .iter()
                .zip(outputs)
                .filter(|(name, _)| !name.is_empty())
            {
                self.values.insert(name.clone(), value);
            }
        }
        Ok(())
    }

    /// The value of this name.
    pub(crate) fn value(&self, name: &str) -> Result<Value, CompileError> {
        self.values.get(name).cloned().ok_or_else(|| {
            CompileError::invalid(
                format!("output \"{name}\""),
                "its node does not give that many outputs",
            )
        })
    }

    fn node(
        &mut self,
        node: &Node,
        mut inputs: Vec<Option<Value>>,
        before_estimator: bool,
    ) -> Result<Vec<Value>, CompileError> {
        if let Some(value) = inputs
            .iter()
            .flatten()
            .find(|value| matches!(value.data, Data::Map(_)))
        {
            return Err(node.unsupported(
                format!("it takes a sequence of maps of shape {:?}", value.shape),
                "ZipMap as an output of the graph",
            ));
        }
        if let Some(values) = self.estimator(node, &inputs)? {
            return Ok(values);
        }
        if node.ml() == Some("ZipMap") {
            return self.zip_map(node, inputs);
        }
        if !before_estimator && matches!(node.standard(), Some("MatMul" | "Gemm")) {
            self.start_linear(node, &mut inputs)?;
        }
        if inputs
            .iter()
            .flatten()
            .any(|value| matches!(value.data, Data::Scores(_)))
            && let Some(values) = self.affine(node, &inputs)?
        {
            return Ok(values);
        }
        self.steps(node, &inputs)
    }

    /// The first matrix product with constant weights starts a linear estimator.
    fn start_linear(&self, node: &Node, inputs: &mut [Option<Value>]) -> Result<(), CompileError> {
        let [Some(left), Some(right), ..] = inputs else {
            return Ok(());
        };
        let constant = |value: &Value| matches!(value.data, Data::Before(id) if self.before.constant_value(id).is_some());
        if constant(left) && constant(right) {
            return Ok(());
        }
        if let Some(nonlinear) = left
            .facts
            .nonlinear
            .clone()
            .or_else(|| right.facts.nonlinear.clone())
        {
            let problem = format!(
                "a nonlinear function between two layers (the next one is node \"{}\")",
                node.name.name
            );
            return Err(CompileError::Unsupported {
                node: nonlinear,
                problem,
                supported: SUPPORTED.into(),
            });
        }
        if !constant(right) {
            return Err(node.unsupported("its second factor is not constant", SUPPORTED));
        }
        if let Data::Before(id) = left.data
            && left.element.is_float()
        {
            let entries = (0..self.before.tensor_type(id).len as u32)
                .map(|entry| Combination::of_atom(Atom::Feature { value: id, entry }))
                .collect();
            left.data = Data::Scores(Rc::new(Scores {
                shape: left.shape.clone(),
                entries,
            }));
        }
        Ok(())
    }

    /// Counts work on scores.
    fn charge(&mut self, node: &Node, work: usize) -> Result<(), CompileError> {
        let left = self.budget.checked_sub(work);
        self.budget = left.ok_or_else(|| {
            node.invalid("the graph works on scores too often, or on too many at once")
        })?;
        Ok(())
    }

    fn affine(
        &mut self,
        node: &Node,
        inputs: &[Option<Value>],
    ) -> Result<Option<Vec<Value>>, CompileError> {
        let mut arguments = Vec::with_capacity(inputs.len());
        for input in inputs {
            arguments.push(match input {
                None => None,
                Some(Value {
                    data: Data::Scores(scores),
                    ..
                }) => Some(Argument::Scores(scores)),
                Some(Value {
                    data: Data::Before(id),
                    shape,
                    ..
                }) => match self.before.constant_value(*id) {
                    Some(value) => Some(Argument::Constant { shape, value }),
                    None => return Ok(None),
                },
                Some(_) => return Ok(None),
            });
        }
        let work = arguments
            .iter()
            .flatten()
            .map(|argument| {
                if let Argument::Scores(scores) = argument {
                    scores.size()
                } else {
                    0
                }
            })
            .sum();
        let results = scores::apply(node, &arguments)?;
        self.charge(node, work)?;
        let Some(results) = results else {
            return Ok(None);
        };
        self.charge(node, results.iter().map(Scores::size).sum())?;
        if results
            .iter()
            .flat_map(|scores| &scores.entries)
            .any(Combination::is_mixed)
        {
            return Err(node.unsupported(
                "it adds linear functions and decision trees",
                "sums of trees, or sums of linear functions",
            ));
        }
        let first = inputs
            .iter()
            .flatten()
            .find(|value| matches!(value.data, Data::Scores(_)));
        let element = match node.int("to", 0) {
            Ok(11) if node.standard() == Some("Cast") => Element::F64,
            Ok(1) if node.standard() == Some("Cast") => Element::F32,
            _ => first.map_or(Element::F32, |value| value.element),
        };
        let classes = first.and_then(|value| value.facts.classes.clone());
        let value = |scores: Scores| {
            let classes = classes
                .clone()
                .filter(|classes| classes.len() == scores.entries.len());
            Value {
                element,
                shape: scores.shape.clone(),
                data: Data::Scores(Rc::new(scores)),
                facts: Facts {
                    classes,
                    ..Facts::default()
                },
            }
        };
        Ok(Some(results.into_iter().map(value).collect()))
    }

    /// Adds the node's steps to the program before or behind the estimator.
    fn steps(&mut self, node: &Node, inputs: &[Option<Value>]) -> Result<Vec<Value>, CompileError> {
        let behind = inputs
            .iter()
            .flatten()
            .any(|value| matches!(value.data, Data::Scores(_) | Data::After(_)));
        let mut placed = Vec::with_capacity(inputs.len());
        for input in inputs {
            placed.push(match input {
                Some(value) if behind => Some(self.behind(node, value)?),
                other => other.clone(),
            });
        }
        let operands: Vec<Option<Operand>> = placed
            .iter()
            .map(|value| value.as_ref().and_then(operand))
            .collect();
        let mut emitter = if behind {
            self.after(node)
        } else {
            self.before(node)
        };
        let (results, moved) = match move_entries(&mut emitter, &operands)? {
            Some(results) => (results, true),
            None => match one_result(&mut emitter, &operands)? {
                Some(result) => (vec![result], false),
                None => return Err(node.unsupported("this operator", SUPPORTED)),
            },
        };
        let mut values = Vec::with_capacity(results.len());
        for result in results {
            let builder = if behind { &self.after } else { &self.before };
            let facts = facts::of(
                node,
                inputs,
                &placed,
                &result,
                moved,
                builder,
                &mut self.classes,
            );
            let data = if behind {
                Data::After(result.id)
            } else {
                Data::Before(result.id)
            };
            values.push(Value {
                element: result.element,
                shape: result.shape,
                data,
                facts,
            });
        }
        Ok(values)
    }

    /// Adds steps before the estimator.
    pub(crate) fn before<'a>(&'a mut self, node: &'a Node) -> Emitter<'a> {
        Emitter {
            builder: &mut self.before,
            node,
            opset: self.opset,
        }
    }

    /// Adds steps behind the estimator.
    pub(crate) fn after<'a>(&'a mut self, node: &'a Node) -> Emitter<'a> {
        Emitter {
            builder: &mut self.after,
            node,
            opset: self.opset,
        }
    }

    /// A map from class to value: the values, with the classes' names.
    fn zip_map(
        &mut self,
        node: &Node,
        inputs: Vec<Option<Value>>,
    ) -> Result<Vec<Value>, CompileError> {
        let mut value = inputs
            .into_iter()
            .next()
            .flatten()
            .ok_or_else(|| node.invalid("input 0 is missing"))?;
        let mut names = node.texts("classlabels_strings")?;
        if names.is_empty() {
            names = node
                .ints("classlabels_int64s")?
                .iter()
                .map(ToString::to_string)
                .collect();
        }
        let entries: usize = value.shape.iter().product();
        if names.len() != entries {
            return Err(node.invalid(format!(
                "it names {} classes for {entries} values",
                names.len()
            )));
        }
        self.classes.push(names.clone());
        value.facts.classes = Some(names);
        let shape = value.shape.clone();
        Ok(vec![Value {
            element: value.element,
            shape,
            facts: Facts::default(),
            data: Data::Map(Box::new(value)),
        }])
    }
}

fn sorted<T>(map: &HashMap<String, T>) -> Vec<(&String, &T)> {
    let mut entries: Vec<_> = map.iter().collect();
    entries.sort_by_key(|(name, _)| *name);
    entries
}

/// Positions of nodes that an estimator of the ML domain depends on: a matrix product among them is
/// pre-processing.
fn ancestors_of_estimators(nodes: &[Node]) -> HashSet<usize> {
    let mut wanted: HashSet<&str> = HashSet::new();
    let mut ancestors = HashSet::new();
    for (position, node) in nodes.iter().enumerate().rev() {
        let needed = node
            .outputs
            .iter()
            .any(|name| wanted.contains(name.as_str()));
        if needed {
            ancestors.insert(position);
        }
        if needed || super::estimators::is_estimator(node) {
            wanted.extend(node.inputs.iter().map(String::as_str));
        }
    }
    ancestors
}

fn operand(value: &Value) -> Option<Operand> {
    match value.data {
        Data::Before(id) | Data::After(id) => Some(Operand {
            id,
            element: value.element,
            shape: value.shape.clone(),
        }),
        Data::Scores(_) | Data::Map(_) => None,
    }
}

fn one_result(
    emitter: &mut Emitter<'_>,
    operands: &[Option<Operand>],
) -> Result<Option<Operand>, CompileError> {
    match standard::apply(emitter, operands)? {
        Some(result) => Ok(Some(result)),
        None => ml::apply(emitter, operands),
    }
}

fn move_entries(
    emitter: &mut Emitter<'_>,
    operands: &[Option<Operand>],
) -> Result<Option<Vec<Operand>>, CompileError> {
    let constants: Vec<Option<Tensor>> = operands
        .iter()
        .map(|operand| {
            operand
                .as_ref()
                .and_then(|operand| emitter.constant_value(operand))
                .cloned()
        })
        .collect();
    let known: Vec<Option<Known<'_>>> = operands
        .iter()
        .zip(&constants)
        .map(|(operand, constant)| {
            operand.as_ref().map(|operand| Known {
                shape: &operand.shape,
                constant: constant.as_ref(),
            })
        })
        .collect();
    let Some(views) = views::views(emitter.node, &known)? else {
        return Ok(None);
    };
    let data = views::data_inputs(emitter.node, operands.len());
    let mut parts: Vec<Operand> = operands[..data].iter().flatten().cloned().collect();
    if emitter.node.ml() == Some("FeatureVectorizer") {
        parts = parts
            .iter()
            .map(|part| emitter.cast(part, Element::F32))
            .collect::<Result<_, _>>()?;
    }
    if parts.iter().any(|part| part.element != parts[0].element) {
        return Err(emitter.node.invalid("it joins values of different types"));
    }
    let joined = emitter.join(&parts)?;
    views
        .into_iter()
        .map(|view| emitter.select(&joined, view))
        .collect::<Result<Vec<_>, _>>()
        .map(Some)
}
