//! What a missing text looks like to a program.

use super::{Op, RowProgram, Tensor, ValueId};
use std::collections::HashSet;

/// What may stand for a missing text, the better first.
const TEXTS: [&str; 2] = ["", "nan"];

impl RowProgram {
    /// The text by which the program knows a missing value in input `input`: the empty one if some
    /// step looks it up, else `nan`, which is what exporters write for the missing category of an
    /// encoder of texts.
    pub fn missing_text(&self, input: usize) -> Option<&'static str> {
        self.inputs().get(input)?;
        let mut copies = HashSet::from([ValueId(input as u32)]);
        let mut known = [false; 2];
        for (id, step) in (self.inputs().len() as u32..).zip(self.steps()) {
            let keys = match &step.op {
                Op::Select { source, .. } if copies.contains(source) => {
                    copies.insert(ValueId(id));
                    continue;
                }
                Op::Concat(values) if values.iter().any(|value| copies.contains(value)) => {
                    copies.insert(ValueId(id));
                    continue;
                }
                Op::Encode { argument, keys, .. } if copies.contains(argument) => keys,
                Op::OneHot {
                    argument,
                    categories,
                    ..
                } if copies.contains(argument) => categories,
                _ => continue,
            };
            if let Tensor::Text(keys) = keys {
                for (known, text) in known.iter_mut().zip(TEXTS) {
                    *known |= keys.iter().any(|key| key == text);
                }
            }
        }
        TEXTS
            .into_iter()
            .zip(known)
            .find_map(|(text, known)| known.then_some(text))
    }
}

#[cfg(test)]
mod tests {
    use crate::{EntryKind, Op, ProgramBuilder, Tensor, TensorType};

    #[test]
    fn an_encoders_missing_category_is_found_behind_a_selection() {
        let text = TensorType {
            kind: EntryKind::Text,
            len: 2,
        };
        let mut builder = ProgramBuilder::new(vec![text, text]).unwrap();
        let encode = |argument, keys: &[&str]| Op::Encode {
            argument,
            keys: Tensor::Text(keys.iter().map(ToString::to_string).collect()),
            values: Tensor::I64(vec![0, 1]),
            default: None,
        };
        let (first, second) = (builder.input(0), builder.input(1));
        let chosen = builder
            .push(
                "choose",
                Op::Select {
                    source: first,
                    entries: vec![1],
                },
            )
            .unwrap();
        let known = builder
            .push("known", encode(chosen, &["a", "nan"]))
            .unwrap();
        let unknown = builder
            .push("unknown", encode(second, &["a", "b"]))
            .unwrap();
        let program = builder.finish(&[known, unknown]).unwrap();
        assert_eq!(program.missing_text(0), Some("nan"));
        assert_eq!(program.missing_text(1), None);
    }
}
