//! Columns of the table that a client reads, and of its predictions.

use crate::TensorType;

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

/// One column of predictions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PredictionColumn {
    /// Header name: `label` (of several labels a row, `label_<i>`), `probability_<class>`,
    /// `score_<class>`, `prediction` or, of several, `prediction_<i>`.
    pub name: String,
    /// Whether it holds labels.
    pub is_label: bool,
    /// The class that it is a number of.
    pub class: Option<String>,
}

impl PredictionColumn {
    /// The columns of outputs of these types, in order: no two have one name.
    pub fn of(outputs: &[OutputField], types: &[TensorType]) -> Vec<Self> {
        let count = |wanted: OutputField| {
            let outputs = outputs.iter().zip(types);
            let own = outputs.filter(|(field, _)| **field == wanted);
            own.map(|(_, output)| output.len).sum::<usize>()
        };
        let (several, several_values) = (
            count(OutputField::Label) > 1,
            count(OutputField::Prediction) > 1,
        );
        let (mut label, mut value) = (0.., 0..);
        let number = |name: String, class: Option<&String>| Self {
            name,
            is_label: false,
            class: class.cloned(),
        };
        let of_classes = |what: &str, classes: &[String]| -> Vec<Self> {
            let of_class = |class: &String| number(format!("{what}_{class}"), Some(class));
            classes.iter().map(of_class).collect()
        };
        let of = |(field, output): (&OutputField, &TensorType)| match field {
            OutputField::Label => vec![Self {
                name: match label.next().filter(|_| several) {
                    Some(own) => format!("label_{own}"),
                    None => "label".to_owned(),
                },
                is_label: true,
                class: None,
            }],
            OutputField::Probabilities(classes) => of_classes("probability", classes),
            OutputField::Scores(classes) => of_classes("score", classes),
            OutputField::Prediction if several_values => {
                let names = value.by_ref().take(output.len);
                names
                    .map(|own| number(format!("prediction_{own}"), None))
                    .collect()
            }
            OutputField::Prediction => vec![number("prediction".to_owned(), None)],
        };
        outputs.iter().zip(types).flat_map(of).collect()
    }
}
