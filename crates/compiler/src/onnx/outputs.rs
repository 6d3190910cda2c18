//! Meaning of the graph's outputs, and the finished model.

use super::evaluate::Evaluator;
use super::graph::Graph;
use super::tensor::Element;
use super::value::{Data, Value};
use super::{SUPPORTED, origins};
use crate::error::CompileError;
use crate::model::{Column, Estimator, Model, Summary, Task};
use cipherfn_protocol::program::{Op, RowProgram, UnaryFunction, ValueId};
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
            return Err(CompileError::UnsupportedModel {
                problem: format!("output \"{name}\" does not depend on an estimator"),
                supported: SUPPORTED.into(),
            });
        }
        values.push((name, evaluator.behind(last, &value)?));
    }
    let last = &graph.nodes[graph.nodes.len() - 1];
    let ids: Vec<ValueId> = values
        .iter()
        .filter_map(|(_, value)| if let Data::After(id) = value.data { Some(id) } else { None })
        .collect();
    let postprocess = without_unused_scores(&mut evaluator, &ids)?;
    let (estimator, vector, features) = evaluator.collected.finish(&mut evaluator.before, last)?;
    let preprocess = evaluator.before.finish(&[vector])?;
    let task = task(&values);
    let outputs = values
        .iter()
        .map(|(name, value)| field(name, value, task, &evaluator.classes))
        .collect::<Result<_, _>>()?;
    let missing = missing(&evaluator, &estimator, &preprocess);
    let columns = graph
        .inputs
        .iter()
        .map(|input| Column {
            name: input.name.clone(),
            kind: column_kind(input.element),
            width: input.shape.iter().product(),
            missing: missing && input.element.is_float(),
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
        estimator,
        postprocess,
        outputs,
        summary,
    })
}

/// The program behind the estimator; raw scores that it does not read are dropped.
fn without_unused_scores(evaluator: &mut Evaluator, outputs: &[ValueId]) -> Result<RowProgram, CompileError> {
    let program = evaluator.after.finish(outputs)?;
    let read = program.steps().iter().filter_map(|step| match &step.op {
        Op::Select {
            source: ValueId(0),
            entries,
        } => Some(entries),
        _ => None,
    });
    let used: Vec<u32> = read.flatten().copied().collect::<BTreeSet<_>>().into_iter().collect();
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
    let classifies = |value: &Value| is_label(value) || (value.facts.range.is_probability() && entries(value) > 1);
    if values.iter().any(|(_, value)| classifies(value)) {
        Task::Classification
    } else {
        Task::Regression
    }
}

fn field(name: &str, value: &Value, task: Task, classes: &[Vec<String>]) -> Result<OutputField, CompileError> {
    let count = entries(value);
    if is_label(value) {
        if count != 1 {
            return Err(CompileError::UnsupportedModel {
                problem: format!("output \"{name}\" gives {count} labels a row"),
                supported: "one label a row".into(),
            });
        }
        return Ok(OutputField::Label);
    }
    if task == Task::Regression {
        return Ok(OutputField::Prediction);
    }
    let own = value.facts.classes.iter().chain(classes).find(|names| names.len() == count);
    let names = own.cloned().unwrap_or_else(|| (0..count).map(|class| class.to_string()).collect());
    Ok(if value.facts.range.is_probability() {
        OutputField::Probabilities(names)
    } else {
        OutputField::Scores(names)
    })
}

/// Whether NaN means something: a node sends it somewhere on purpose, or the pre-processing asks for it.
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
    let tracked = matches!(estimator, Estimator::Trees(_)) && evaluator.collected.ensembles.iter().any(|source| source.ensemble.missing);
    asked || tracked
}
