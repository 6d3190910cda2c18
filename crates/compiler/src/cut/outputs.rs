//! Meaning of the outputs.

use super::scores::RawScores;
use crate::analyse::classes::classes;
use crate::analyse::labels::{class_names, labels};
use crate::analyse::places::Place;
use crate::analyse::ranges::ranges;
use crate::error::CompileError;
use crate::ir::{Ir, Output, Range, SUPPORTED, unsupported};
use crate::model::Task;
use cipherfn_program::{Kind, ValueId};
use cipherfn_protocol::specs::OutputField;

/// Refuses outputs that need no encryption.
pub(super) fn depend_on_estimators(ir: &Ir, places: &[Place]) -> Result<(), CompileError> {
    for output in &ir.outputs {
        let place = &places[output.value.index()];
        if matches!(place, Place::Before | Place::Constant) {
            let problem = format!("output \"{}\" does not depend on an estimator", output.name);
            return Err(unsupported(output.node.as_ref(), problem, SUPPORTED));
        }
    }
    Ok(())
}

/// What is known of an output's value.
struct Known<'a> {
    output: &'a Output,
    entries: usize,
    label: bool,
    range: Range,
    classes: Option<&'a [String]>,
}

impl Known<'_> {
    fn is_score(&self) -> bool {
        !self.label && self.entries == 1
    }

    fn classifies(&self) -> bool {
        self.label || (self.range.is_probability() && self.entries > 1)
    }
}

/// The task, and what each output holds.
pub(super) fn fields(
    ir: &Ir,
    places: &[Place],
    scores: &RawScores,
) -> Result<(Task, Vec<OutputField>), CompileError> {
    let boundary: Vec<bool> = (0..places.len() as u32)
        .map(|id| scores.placed(ValueId(id)).is_some())
        .collect();
    let (labels, ranges) = (labels(ir), ranges(ir, places, &boundary));
    let (names, classes) = (class_names(ir, &labels), classes(ir));
    let known = ir.outputs.iter().map(|output| {
        let id = output.value;
        let found = ir.program.tensor_type(id);
        Known {
            output,
            entries: found.len,
            label: labels[id.index()] || !matches!(found.kind, Kind::F32 | Kind::F64),
            range: ranges[id.index()],
            classes: classes[id.index()],
        }
    });
    let outputs: Vec<Known<'_>> = known.collect();
    let task = if outputs.iter().any(Known::classifies) {
        Task::Classification
    } else {
        Task::Regression
    };
    // Where several outputs give one score each, they are the classes', if there are as many, else
    // go by their own names.
    let count = outputs.iter().filter(|own| own.is_score()).count();
    let mut one_a_class = names
        .iter()
        .find(|names| names.len() == count)
        .map(|names| names.iter());
    let mut fields = Vec::with_capacity(outputs.len());
    for own in &outputs {
        let part = (count > 1 && own.is_score()).then(|| {
            let class = one_a_class.as_mut().and_then(Iterator::next);
            class.unwrap_or(&own.output.name).clone()
        });
        fields.push(field(own, task, part, &names)?);
    }
    Ok((task, fields))
}

fn field(
    own: &Known<'_>,
    task: Task,
    part: Option<String>,
    names: &[Vec<String>],
) -> Result<OutputField, CompileError> {
    let count = own.entries;
    if own.label {
        if count != 1 {
            let problem = format!("output \"{}\" gives {count} labels a row", own.output.name);
            let node = own.output.node.as_ref();
            return Err(unsupported(node, problem, "one label a row"));
        }
        return Ok(OutputField::Label);
    }
    if task == Task::Regression {
        return Ok(OutputField::Prediction);
    }
    let of_classes = || {
        let all = names.iter().map(Vec::as_slice);
        let mut all = own.classes.into_iter().chain(all);
        match all.find(|names| names.len() == count) {
            Some(names) => names.to_vec(),
            None => (0..count).map(|class| class.to_string()).collect(),
        }
    };
    let names = part.map_or_else(of_classes, |name| vec![name]);
    Ok(if own.range.is_probability() {
        OutputField::Probabilities(names)
    } else {
        OutputField::Scores(names)
    })
}
