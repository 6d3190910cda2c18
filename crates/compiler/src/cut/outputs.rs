//! Meaning of the outputs.

use super::scores::RawScores;
use crate::analyse::classes::classes;
use crate::analyse::labels::{class_names, labels};
use crate::analyse::place::Place;
use crate::analyse::ranges::ranges;
use crate::error::CompileError;
use crate::ir::{Ir, Output, Range, SUPPORTED, unsupported};
use crate::model::Task;
use cipherfn_program::{EntryKind, ValueId};
use cipherfn_protocol::specs::OutputField;

/// Refuses outputs that follow from the row without anything encrypted.
pub(super) fn depend_on_estimators(ir: &Ir, places: &[Place]) -> Result<(), CompileError> {
    for output in &ir.outputs {
        let place = &places[output.value.index()];
        let problem = match place {
            Place::Before => "does not depend on an estimator",
            Place::Joined => "repeats the row's own values beside an estimator's result",
            _ => continue,
        };
        let problem = format!("output \"{}\" {problem}", output.name);
        return Err(unsupported(output.node.as_ref(), problem, SUPPORTED));
    }
    Ok(())
}

/// What is known of an output's value.
struct KnownOutput<'a> {
    output: &'a Output,
    entries: usize,
    label: bool,
    range: Range,
    classes: Option<&'a [String]>,
}

impl KnownOutput<'_> {
    fn is_score(&self) -> bool {
        !self.label && self.entries == 1
    }

    fn classifies(&self) -> bool {
        self.label || (self.range.is_probability() && self.entries > 1)
    }
}

/// A column of answers, or a few of one meaning.
pub(super) struct AnswerColumns {
    pub(super) value: ValueId,
    /// One entry of the value; all of them if there is none.
    pub(super) entry: Option<u32>,
    pub(super) field: OutputField,
}

/// The task, and what the outputs answer, in order.
pub(super) fn answers(ir: &Ir, places: &[Place], scores: &RawScores) -> (Task, Vec<AnswerColumns>) {
    let boundary: Vec<bool> = (0..places.len() as u32)
        .map(|id| scores.placed(ValueId(id)).is_some())
        .collect();
    let (labels, ranges) = (labels(ir), ranges(ir, places, &boundary));
    let (names, classes) = (class_names(ir, &labels), classes(ir));
    let known = ir.outputs.iter().map(|output| {
        let id = output.value;
        let found = ir.program.tensor_type(id);
        KnownOutput {
            output,
            entries: found.len,
            label: labels[id.index()] || !matches!(found.kind, EntryKind::F32 | EntryKind::F64),
            range: ranges[id.index()],
            classes: classes[id.index()],
        }
    });
    let outputs: Vec<KnownOutput<'_>> = known.collect();
    let task = if outputs.iter().any(KnownOutput::classifies) {
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
    let of_labels = outputs.iter().filter(|own| own.label);
    let labels = of_labels.map(|own| own.entries).max().unwrap_or(0);
    let mut answers = Vec::with_capacity(outputs.len());
    for own in &outputs {
        let value = own.output.value;
        if own.label && own.entries > 1 {
            answers.extend((0..own.entries as u32).map(|entry| AnswerColumns {
                value,
                entry: Some(entry),
                field: OutputField::Label,
            }));
            continue;
        }
        let part = (count > 1 && own.is_score()).then(|| {
            let class = one_a_class.as_mut().and_then(Iterator::next);
            class.unwrap_or(&own.output.name).clone()
        });
        answers.push(AnswerColumns {
            value,
            entry: None,
            field: field(own, task, part, labels, &names),
        });
    }
    (task, answers)
}

/// What an output holds, beside `labels` labels a row.
fn field(
    own: &KnownOutput<'_>,
    task: Task,
    part: Option<String>,
    labels: usize,
    names: &[Vec<String>],
) -> OutputField {
    if own.label {
        return OutputField::Label;
    }
    if task == Task::Regression {
        return OutputField::Prediction;
    }
    let of = |count: usize| {
        let mut all = own
            .classes
            .into_iter()
            .chain(names.iter().map(Vec::as_slice));
        match all.find(|names| names.len() == count) {
            Some(names) => names.to_vec(),
            None => (0..count).map(|class| class.to_string()).collect(),
        }
    };
    let names = match part {
        Some(name) => vec![name],
        // Numbers for each class of each label.
        None if labels > 1 && own.classes.is_none() && own.entries.is_multiple_of(labels) => {
            let classes = of(own.entries / labels);
            let of_label = |label| classes.iter().map(move |class| format!("{label}_{class}"));
            (0..labels).flat_map(of_label).collect()
        }
        None => of(own.entries),
    };
    if own.range.is_probability() {
        OutputField::Probabilities(names)
    } else {
        OutputField::Scores(names)
    }
}
