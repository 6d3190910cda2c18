//! Columns of the table that a client reads, and of its predictions.

/// One column of the input table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputColumn {
    /// Header name.
    pub name: String,
    /// Type of its cells. Where it is not that of the input which the cells feed, they are
    /// converted: columns of booleans feed floats.
    pub kind: ColumnKind,
    /// Whether an empty cell or NaN has a meaning for the model.
    pub missing: bool,
}

/// Type of a column's cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnKind {
    /// 32-bit float, as ONNX models take.
    Float32,
    /// 64-bit float.
    Float64,
    /// 64-bit integer, or True and False for 1 and 0.
    Int64,
    /// Text.
    Text,
}

/// What one output of the post-processing program is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OutputField {
    /// The predicted class: one entry, integer or text.
    Label,
    /// A probability a class, with the class names.
    Probabilities(Vec<String>),
    /// A score a class, with the class names.
    Scores(Vec<String>),
    /// A regressor's values.
    Prediction,
}
