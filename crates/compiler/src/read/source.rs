//! What the libraries' readers share: what is told beside a file, and what a file says.

use super::answer::Behind;
use crate::analyse::origins;
use crate::model::{Column, Estimator, Model, Summary};
use cipherfn_program::{Op, RowProgram};

/// What is told beside the file.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reading<'a> {
    /// Names of the classes, in order.
    pub(super) classes: Option<&'a [String]>,
}

/// What a library's file says, with the answer still to come.
pub(super) struct Source {
    pub(super) producer: String,
    pub(super) graph: String,
    pub(super) columns: Vec<Column>,
    pub(super) preprocess: RowProgram,
    pub(super) features: usize,
    pub(super) estimator: Estimator,
    pub(super) notes: Vec<String>,
}

impl Source {
    /// The model with its answer.
    pub(super) fn model(mut self, behind: Behind) -> Model {
        if let [column] = self.columns.as_slice()
            && column.width != 1
        {
            self.notes.push(format!(
                "the file names no columns: the calibration rows' columns are its {} features in the \
                 file's order",
                column.width
            ));
        }
        self.notes.extend(shown(&self.preprocess));
        Model {
            origins: origins::of(&self.preprocess),
            columns: self.columns,
            preprocess: self.preprocess,
            features: self.features,
            estimators: vec![self.estimator],
            postprocess: behind.postprocess,
            outputs: behind.outputs,
            summary: Summary {
                producer: self.producer,
                graph: self.graph.clone(),
                exported: false,
                task: behind.task,
                operators: vec![self.graph],
                notes: self.notes,
            },
        }
    }
}

/// What the program shows of the model, whatever form the features have after it.
fn shown(preprocess: &RowProgram) -> impl Iterator<Item = String> {
    let any = |of: fn(&Op) -> bool| preprocess.steps().iter().any(|step| of(&step.op));
    let splits = any(|op| matches!(op, Op::Narrow { .. } | Op::Reduce { .. })).then_some(
        "split points are 64-bit numbers that the client itself compares with: the client specs show \
         them, with decoys and in a grid too",
    );
    let sets = any(|op| matches!(op, Op::Encode { .. })).then_some(
        "the client itself looks categories up in the model's sets: the client specs show the sets",
    );
    splits.into_iter().chain(sets).map(str::to_owned)
}
