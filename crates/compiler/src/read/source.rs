//! What the libraries' readers share: what is told beside a file, and what a file says.

use super::answer::Behind;
use crate::analyse::origins;
use crate::model::{Column, Estimator, Model, Summary};
use cipherfn_program::RowProgram;

/// What is told beside the file.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ReadingHints<'a> {
    /// Names of the classes, in order.
    pub(super) classes: Option<&'a [String]>,
}

/// What a library's file says, with the answer still to come.
pub(super) struct UnansweredModel {
    pub(super) producer: String,
    pub(super) graph: String,
    pub(super) columns: Vec<Column>,
    pub(super) preprocess: RowProgram,
    pub(super) features: usize,
    pub(super) estimator: Estimator,
    pub(super) averages: Option<bool>,
    pub(super) notes: Vec<String>,
}

impl UnansweredModel {
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
                averages: self.averages,
                task: behind.task,
                operators: vec![self.graph],
                notes: self.notes,
            },
        }
    }
}
