//! Query rows become ciphertexts.

use super::{PreparedCircuit, QueryRow, Workspace};
use crate::error::EngineError;
use crate::run::Expanded;
use cipherfn_scheme::carriers::FourierCarriers;
use cipherfn_scheme::parameters::ParameterSet;
use cipherfn_scheme::query::{self, Cursor, Encryption, GroupForm, InputShape};
use cipherfn_scheme::selectors::FourierSelectors;
use cipherfn_scheme::{ExpandedEvaluationKey, SchemeError};

impl PreparedCircuit {
    /// Selectors of an input of a row whose length is checked, from `first` on, as many as `out` has
    /// room for.
    pub(super) fn expand_selectors(
        &self,
        key: Option<&ExpandedEvaluationKey>,
        row: QueryRow<'_>,
        (input, cursor): (usize, Option<&mut Cursor>),
        first: usize,
        out: &mut FourierSelectors,
    ) -> Result<(), EngineError> {
        let InputShape::Selectors(selectors) = &self.inputs[input] else {
            unreachable!("selectors are of a group")
        };
        let part = self.part(row, input);
        let Some(group) = self.inputs[input].group(row.form) else {
            let own = self.own(row, input);
            return Ok(query::expand_part_of_selectors(
                key, selectors, own, first, out,
            )?);
        };
        let set = self.set.name;
        let key = key.ok_or(SchemeError::EvaluationKeyMissing { set })?;
        let expand = match row.form.encryption {
            Encryption::Secret => query::expand_part_of_row,
            Encryption::Public => query::expand_part_of_row_under,
        };
        expand(key, cursor, &group, part, row.index, first, out)
            .map_err(|source| shared(row.form, source))
    }

    /// The bytes of an input, of all rows of the group.
    fn part<'a>(&self, row: QueryRow<'a>, input: usize) -> &'a [u8] {
        let bytes = |shape: &InputShape| shape.group_bytes(row.form);
        let start = self.inputs[..input].iter().map(bytes).sum();
        let len = bytes(&self.inputs[input]);
        row.group
            .get(start..)
            .and_then(|rest| rest.get(..len))
            .unwrap_or_default()
    }

    /// The row's own bytes of an input whose rows share no ciphertexts.
    fn own<'a>(&self, row: QueryRow<'a>, input: usize) -> &'a [u8] {
        let (part, len) = (self.part(row, input), self.inputs[input].row_bytes());
        part.get(row.index * len..)
            .and_then(|part| part.get(..len))
            .unwrap_or_default()
    }

    /// Query row to ciphertexts: in parallel, or going on from the row before.
    pub(super) fn expand(
        &self,
        key: Option<&ExpandedEvaluationKey>,
        row: QueryRow<'_>,
        workspace: &mut Workspace,
        parallel: bool,
    ) -> Result<(), EngineError> {
        let expected = self.group_bytes(row.form)?;
        if row.group.len() != expected {
            let source = SchemeError::Length {
                what: "query row",
                expected,
                found: row.group.len(),
            };
            return Err(shared(row.form, source));
        }
        let tables = self.inputs.iter();
        let tables = tables.filter(|shape| matches!(shape, InputShape::Tables(_)));
        let given = row.tables.map_or(0, |tables| tables.0.len());
        if tables.clone().count() != given {
            return Err(EngineError::NoTables);
        }
        workspace.fit(self.set, &self.inputs, self.executable.is_streaming());
        let Workspace {
            inputs, cursors, ..
        } = workspace;
        cursors.resize_with(inputs.len(), Cursor::default);
        for (index, (input, cursor)) in inputs.iter_mut().zip(cursors).enumerate() {
            let cursor = (!parallel).then_some(cursor);
            match (&self.inputs[index], input) {
                (InputShape::Selectors(_), Expanded::Selectors(out)) => {
                    self.expand_selectors(key, row, (index, cursor), 0, out)?;
                }
                (InputShape::Selectors(_), Expanded::Streamed)
                | (InputShape::Tables(_), Expanded::Tables(_)) => {}
                (InputShape::Features(shape), input) => {
                    let ciphertexts = match row.form.encryption {
                        Encryption::Secret => query::decode_linear(shape, self.own(row, index))?,
                        Encryption::Public => {
                            let part = self.part(row, index);
                            query::decode_linear_under(shape, row.form, part, row.index)
                                .map_err(|source| shared(row.form, source))?
                        }
                    };
                    *input =
                        Expanded::Features(self.executable.carriers(&self.set.ring, &ciphertexts));
                }
                (InputShape::Values(shape), Expanded::Values(out)) => {
                    let set = self.set.name;
                    let key = key.ok_or(SchemeError::EvaluationKeyMissing { set })?;
                    let part = self.part(row, index);
                    query::expand_values(key, cursor, shape, row.form, part, row.index, out)
                        .map_err(|source| shared(row.form, source))?;
                }
                _ => unreachable!("memory was made for this shape"),
            }
        }
        Ok(())
    }
}

impl Workspace {
    /// Makes room for inputs of these shapes: the selectors of the row before, if they have the same
    /// dimensions; none where they are expanded as they are needed.
    fn fit(&mut self, set: &ParameterSet, shapes: &[InputShape], streaming: bool) {
        self.inputs.truncate(shapes.len());
        let mut tables = 0;
        for (index, shape) in shapes.iter().enumerate() {
            let number = tables;
            tables += usize::from(matches!(shape, InputShape::Tables(_)));
            let fits = match (shape, self.inputs.get(index)) {
                (InputShape::Selectors(_), Some(Expanded::Streamed)) => streaming,
                (InputShape::Selectors(shape), Some(Expanded::Selectors(selectors))) => {
                    !streaming
                        && selectors.shape() == shape.ggsw()
                        && selectors.len() == shape.selectors
                }
                (InputShape::Features(_), Some(Expanded::Features(_))) => true,
                (InputShape::Values(shape), Some(Expanded::Values(carriers))) => {
                    carriers.len() == shape.values
                }
                (InputShape::Tables(_), Some(Expanded::Tables(place))) => *place == number,
                _ => false,
            };
            if fits {
                continue;
            }
            let fresh = match shape {
                InputShape::Selectors(_) if streaming => Expanded::Streamed,
                InputShape::Selectors(shape) => {
                    Expanded::Selectors(FourierSelectors::zeroed(shape.ggsw(), shape.selectors))
                }
                InputShape::Features(_) => {
                    Expanded::Features(FourierCarriers::zeroed(&set.ring, 0))
                }
                InputShape::Values(shape) => {
                    Expanded::Values(FourierCarriers::zeroed(&set.ring, shape.values))
                }
                InputShape::Tables(_) => Expanded::Tables(number),
            };
            // What came after is of another circuit.
            self.inputs.truncate(index);
            self.inputs.push(fresh);
        }
    }
}

/// An error of what rows share.
fn shared(form: GroupForm, source: SchemeError) -> EngineError {
    match form.rows {
        1 => EngineError::Scheme(source),
        rows => EngineError::Shared { rows, source },
    }
}
