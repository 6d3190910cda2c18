//! What there is to say about a row that is answered as another one, or is unlike those that the model
//! was compiled for.

use cipherfn_program::{Relation, Tensor};
use cipherfn_protocol::specs::{ClientSpecs, Encoding};
use std::collections::HashSet;

/// A row before and after pre-processing.
pub(crate) struct PreparedRow<'a> {
    pub(crate) specs: &'a ClientSpecs,
    pub(crate) cells: &'a [Tensor],
    pub(crate) features: &'a [f32],
}

impl<'a> PreparedRow<'a> {
    /// All remarks; none about a row that is answered as it is.
    pub(crate) fn remarks(&self) -> Vec<String> {
        // A feature may be encoded in two ways, with ranges whose last digits differ.
        let mut seen = HashSet::new();
        let of_features = self
            .specs
            .inputs
            .iter()
            .flat_map(|input| self.of_input(input));
        let of_features = of_features.filter(|(name, _)| seen.insert(*name));
        let mut remarks: Vec<String> = of_features.map(|(_, remark)| remark).collect();
        let broken =
            cipherfn_program::broken(&self.specs.relations, &self.specs.inputs, self.features);
        remarks.extend(broken.map(|(relation, distance)| unrelated(relation, distance)));
        remarks
    }

    /// Names of features whose values are not encrypted as they are, each with a remark.
    fn of_input(&self, input: &'a Encoding) -> Vec<(&'a str, String)> {
        let features = self.features;
        match input {
            Encoding::Selectors(_) => Vec::new(),
            Encoding::Integers(encoding) => {
                let outside = encoding.limited(features).map(|own| {
                    let value = features[own.feature as usize];
                    (
                        own.name.as_str(),
                        self.limited(&own.name, value, own.range()),
                    )
                });
                let between = encoding.rounded(features).map(|own| {
                    let value = features[own.feature as usize];
                    let taken = own.nearest_value(value) as f32;
                    (own.name.as_str(), self.rounded(&own.name, value, taken))
                });
                outside.chain(between).collect()
            }
            Encoding::Linear(encoding) => {
                let outside = encoding.limited(features).map(|index| {
                    let (centre, half) = (encoding.centre[index], encoding.half_width[index]);
                    let name = encoding.names[index].as_str();
                    let range = (centre - half, centre + half);
                    (name, self.limited(name, features[index], range))
                });
                outside.collect()
            }
        }
    }

    /// Of a feature outside its range.
    fn limited(&self, name: &str, value: f32, (low, high): (f64, f64)) -> String {
        let Described { text, is_prepared } = self.describe(name, value);
        let of_prepared = if is_prepared {
            " of prepared values"
        } else {
            ""
        };
        format!(
            "{text}, and was limited to the range {low} to {high}{of_prepared} that the model was \
             compiled for"
        )
    }

    /// Of a feature between the values that it has.
    fn rounded(&self, name: &str, value: f32, taken: f32) -> String {
        let text = self.describe(name, value).text;
        format!(
            "{text}, and was rounded to {taken}, the nearest of the values that the model was compiled \
             for, so the answer may be wrong"
        )
    }

    /// A feature's value, with the table's own where pre-processing makes another of it.
    fn describe(&self, name: &str, value: f32) -> Described {
        let cell = match self.cell(name) {
            Some(Cell::Number(cell)) if (cell as f32).total_cmp(&value).is_eq() => None,
            Some(Cell::Number(cell)) if cell.is_nan() => Some("missing".to_owned()),
            Some(Cell::Number(cell)) => Some(cell.to_string()),
            Some(Cell::Text(cell)) => Some(format!("{cell:?}")),
            None => {
                return Described::prepared(format!(
                    "{name:?} is {value} as the model prepares it"
                ));
            }
        };
        match cell {
            None => Described {
                text: format!("{name:?} is {value}"),
                is_prepared: false,
            },
            Some(cell) => Described::prepared(format!(
                "{name:?} is {cell}, which the model prepares as {value}"
            )),
        }
    }

    /// The cell of a feature that is named as a column, being made of it alone.
    fn cell(&self, name: &str) -> Option<Cell<'a>> {
        let mut place = self.specs.columns.iter().position(|own| own.name == name)?;
        for cells in self.cells {
            if place < cells.len() {
                return Some(match cells {
                    Tensor::F32(values) => Cell::Number(f64::from(values[place])),
                    Tensor::F64(values) => Cell::Number(values[place]),
                    Tensor::I64(values) => Cell::Number(values[place] as f64),
                    Tensor::Text(values) => Cell::Text(&values[place]),
                });
            }
            place -= cells.len();
        }
        None
    }
}

/// A cell of the row.
enum Cell<'a> {
    Number(f64),
    Text(&'a str),
}

/// A value in words.
struct Described {
    text: String,
    /// Whether pre-processing made it of something else.
    is_prepared: bool,
}

impl Described {
    const fn prepared(text: String) -> Self {
        Self {
            text,
            is_prepared: true,
        }
    }
}

/// What there is to say about a row that breaks a relation, by its distance in parts of the limit.
fn unrelated(relation: &Relation, distance: f64) -> String {
    let names: Vec<String> = relation
        .names
        .iter()
        .map(|own| format!("{own:?}"))
        .collect();
    let (does, names) = match names.as_slice() {
        [several @ .., last] if !several.is_empty() => (
            "do not relate",
            format!("{} and {last}", several.join(", ")),
        ),
        names => ("does not relate to the others", names.concat()),
    };
    format!(
        "{names} {does} as in the rows that the model was compiled for: they are off by {distance:.1} \
         times the limit, so the answer may be wrong"
    )
}
