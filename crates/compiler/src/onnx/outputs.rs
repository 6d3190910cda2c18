//! Meaning of the graph's outputs, and the finished model.

use super::evaluate::Evaluator;
use super::value::{Data, Value};
use super::{SUPPORTED, exact, origins};
use crate::error::CompileError;
use crate::model::{Column, Estimator, Model, Summary, Task};
use crate::read::onnx::graph::Graph;
use crate::read::onnx::tensor::Element;
use cipherfn_program::{Op, RowProgram, Tensor, UnaryFunction, ValueId};
use cipherfn_protocol::specs::{ColumnKind, OutputField};
use std::collections::BTreeSet;

/// Puts the model together.
pub(crate) fn finish(mut evaluator: Evaluator, graph: &Graph) -> Result<Model, CompileError> {
    let mut values = Vec::with_capacity(graph.outputs.len());
    for name in &graph.outputs {
        let value = evaluator.value(name)?;
        let value = match value.data {
            Data::Map(value) => *value,
            _ => value,
        };
        // The last node names the steps that no node asked for.
        let last = graph
            .nodes
            .last()
            .ok_or_else(|| CompileError::invalid("the graph", "no node computes its outputs"))?;
        if matches!(value.data, Data::Before(_)) {
            let problem = format!("output \"{name}\" does not depend on an estimator");
            return Err(unsupported(graph, name, problem, SUPPORTED));
        }
        values.push((name, evaluator.behind(last, &value)?));
    }
    let last = &graph.nodes[graph.nodes.len() - 1];
    let ids: Vec<ValueId> = values
        .iter()
        .filter_map(|(_, value)| {
            if let Data::After(id) = value.data {
                Some(id)
            } else {
                None
            }
        })
        .collect();
    let postprocess = without_unused_scores(&mut evaluator, &ids)?;
    exact::check(&postprocess, graph)?;
    let (estimator, vector, features) = evaluator.collected.finish(&mut evaluator.before, last)?;
    let preprocess = evaluator.before.finish(&[vector])?;
    let task = task(&values);
    let parts = one_a_class(&values, &evaluator.classes);
    let mut outputs = Vec::with_capacity(values.len());
    for ((name, value), part) in values.iter().zip(parts) {
        outputs.push(field(graph, name, value, task, part, &evaluator.classes)?);
    }
    let missing = missing(&evaluator, &estimator, &preprocess);
    let empty = knows_empty(&preprocess);
    let columns = graph
        .inputs
        .iter()
        .map(|input| Column {
            name: input.name.clone(),
            kind: column_kind(input.element),
            width: input.shape.iter().product(),
            missing: if input.element == Element::Text {
                empty
            } else {
                missing && input.element.is_float()
            },
        })
        .collect();
    let summary = Summary {
        producer: graph.producer.clone(),
        graph: graph.name.clone(),
        task,
        operators: graph.operators.clone(),
    };
    let origins = origins::of(&preprocess);
    Ok(Model {
        columns,
        preprocess,
        features,
        origins,
        estimators: vec![estimator],
        postprocess,
        outputs,
        summary,
    })
}

/// The program behind the estimator; raw scores that it does not read are dropped.
fn without_unused_scores(
    evaluator: &mut Evaluator,
    outputs: &[ValueId],
) -> Result<RowProgram, CompileError> {
    let program = evaluator.after.finish(outputs)?;
    let read = program.steps().iter().filter_map(|step| match &step.op {
        Op::Select {
            source: ValueId(0),
            entries,
        } => Some(entries),
        _ => None,
    });
    let used: Vec<u32> = read
        .flatten()
        .copied()
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    evaluator.collected.keep(&used);
    evaluator.after.keep_entries(0, &used);
    Ok(evaluator.after.finish(outputs)?)
}

fn column_kind(element: Element) -> ColumnKind {
    match element {
        Element::F32 => ColumnKind::Float32,
        Element::F64 => ColumnKind::Float64,
        Element::Int | Element::Bool => ColumnKind::Int64,
        Element::Text => ColumnKind::Text,
    }
}

fn is_label(value: &Value) -> bool {
    value.facts.label || !value.element.is_float()
}

fn entries(value: &Value) -> usize {
    value.shape.iter().product()
}

fn task(values: &[(&String, Value)]) -> Task {
    let classifies = |value: &Value| {
        is_label(value) || (value.facts.range.is_probability() && entries(value) > 1)
    };
    if values.iter().any(|(_, value)| classifies(value)) {
        Task::Classification
    } else {
        Task::Regression
    }
}

/// Names of the outputs that give one score each, where several do: those of the classes if there
/// are as many, else the outputs' own.
fn one_a_class(values: &[(&String, Value)], classes: &[Vec<String>]) -> Vec<Option<String>> {
    let single = |value: &Value| !is_label(value) && entries(value) == 1;
    let count = values.iter().filter(|(_, value)| single(value)).count();
    let mut classes = classes
        .iter()
        .find(|names| names.len() == count)
        .map(|names| names.iter());
    let name = |(name, value): &(&String, Value)| {
        let class = (count > 1 && single(value))
            .then(|| classes.as_mut().and_then(Iterator::next).unwrap_or(name));
        class.cloned()
    };
    values.iter().map(name).collect()
}

/// An output cannot be compiled: the error names the node that gives it.
fn unsupported(graph: &Graph, output: &str, problem: String, supported: &str) -> CompileError {
    let giver = graph
        .nodes
        .iter()
        .find(|node| node.outputs.iter().any(|name| name == output));
    match giver {
        Some(node) => node.unsupported(problem, supported),
        None => CompileError::UnsupportedModel {
            problem,
            supported: supported.into(),
        },
    }
}

fn field(
    graph: &Graph,
    name: &str,
    value: &Value,
    task: Task,
    part: Option<String>,
    classes: &[Vec<String>],
) -> Result<OutputField, CompileError> {
    let count = entries(value);
    if is_label(value) {
        if count != 1 {
            let problem = format!("output \"{name}\" gives {count} labels a row");
            return Err(unsupported(graph, name, problem, "one label a row"));
        }
        return Ok(OutputField::Label);
    }
    if task == Task::Regression {
        return Ok(OutputField::Prediction);
    }
    let own = value
        .facts
        .classes
        .iter()
        .chain(classes)
        .find(|names| names.len() == count);
    let names = match part {
        Some(name) => vec![name],
        None => own
            .cloned()
            .unwrap_or_else(|| (0..count).map(|class| class.to_string()).collect()),
    };
    Ok(if value.facts.range.is_probability() {
        OutputField::Probabilities(names)
    } else {
        OutputField::Scores(names)
    })
}

/// Whether the empty text is one of the texts that the pre-processing knows.
fn knows_empty(preprocess: &RowProgram) -> bool {
    let among =
        |texts: &Tensor| matches!(texts, Tensor::Text(texts) if texts.iter().any(String::is_empty));
    preprocess.steps().iter().any(|step| match &step.op {
        Op::Constant(texts)
        | Op::OneHot {
            categories: texts, ..
        }
        | Op::Encode { keys: texts, .. } => among(texts),
        _ => false,
    })
}

/// Whether NaN means something: a node sends it somewhere on purpose, or the pre-processing asks
/// for it.
fn missing(evaluator: &Evaluator, estimator: &Estimator, preprocess: &RowProgram) -> bool {
    let asked = preprocess.steps().iter().any(|step| {
        matches!(
            step.op,
            Op::Unary {
                function: UnaryFunction::IsNan,
                ..
            }
        )
    });
    let tracked = matches!(estimator, Estimator::Trees(_))
        && evaluator
            .collected
            .ensembles
            .iter()
            .any(|source| source.ensemble.missing);
    asked || tracked
}
