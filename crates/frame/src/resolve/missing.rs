//! What stands in place of missing cells.

use super::expression::{MAX_TABULATED, described};
use super::{Atom, Key, Linear, Presence, Resolver, TableColumn, Weight};
use crate::diagram::{Diagrams, RowBit, TooLarge};
use crate::plan::{Comparison, Expression, Literal, PlanError};
use crate::schema::Column;

impl Resolver<'_> {
    pub(super) fn fill_null(
        &mut self,
        part: &Expression,
        literal: &Literal,
    ) -> Result<TableColumn, PlanError> {
        let mut column = self.expression(part)?;
        if column.presence.is_empty() {
            return Ok(column);
        }
        // Of what is computed, the cells that are missing are none of those that the places and the
        // code of the stored column say.
        if !matches!(part, Expression::Col(_)) {
            return Err(self.invalid(format!(
                "missing cells of {} cannot be filled, as it is computed; fill those of its columns",
                described(&column)
            )));
        }
        let (side, index) = match (&column.presence[..], column.key) {
            ([Presence::Stored(index)], _) => (0, *index),
            ([Presence::Matched(_)], Some(Key::Stored(side, index))) => (side, index),
            ([Presence::Looked { join, column }], _) => (join + 1, *column),
            _ => (usize::MAX, 0),
        };
        let looked = column
            .value
            .as_ref()
            .and_then(|value| match value.terms[..] {
                [(Atom::Looked { join, column }, Weight::Known(1))] => Some((join + 1, column)),
                _ => None,
            });
        let joins = column
            .presence
            .iter()
            .filter_map(|presence| match presence {
                Presence::Matched(join) | Presence::Looked { join, .. } => Some(*join),
                Presence::Stored(_) | Presence::Function(_) => None,
            });
        if let Some(join) = joins.into_iter().find(|join| self.done.adds_rows(*join)) {
            return Err(self.invalid(format!(
                "missing cells of {} cannot be filled, as {:?} adds rows of equal keys; fill them in the answer",
                described(&column),
                self.done.frames[join + 1].name()
            )));
        }
        let Some((side, index)) = looked.or((side != usize::MAX).then_some((side, index))) else {
            return Err(self.invalid(format!(
                "missing cells of {} cannot be filled, as it is computed; fill those of its columns",
                described(&column)
            )));
        };
        let stored = self.stored(side, index);
        // Of a sum or a multiple, what stands in place of a cell says nothing of the other parts.
        let is_as_it_was = |own: &Column| std::ptr::eq(own, stored);
        if column.value.is_some() && !self.done.unchanged(&column).is_some_and(is_as_it_was) {
            return Err(self.invalid(format!(
                "missing cells of {} cannot be filled, as it is computed; fill those of its columns",
                described(&column)
            )));
        }
        let placed = self.place(&column.name, &stored.domain, literal, Comparison::Eq)?;
        if !placed.exact {
            return Err(self.invalid(format!(
                "missing cells of {} cannot be filled with {literal}: its cells are {}; fill with one of those, or widen the range in the schema and encrypt the frame again",
                described(&column),
                stored.domain.shown()
            )));
        }
        let size = stored.domain.size();
        let is_code = |value: &Linear| {
            let mut atoms = value.terms.iter();
            atoms.any(|(atom, _)| matches!(atom, Atom::Code(_)))
        };
        if size > MAX_TABULATED && column.value.as_ref().is_some_and(is_code) {
            return Err(self.invalid(format!(
                "missing cells of {} cannot be filled: it is a key of {size} codes, and {MAX_TABULATED} are the most; give it the role \"value\"",
                described(&column)
            )));
        }
        let min = stored.domain.range().0;
        if let Some(value) = &mut column.value {
            let fill = i128::from(min) + i128::from(placed.below) - value.constant;
            let fill = i64::try_from(fill).unwrap_or(i64::MAX);
            value
                .fill(&column.presence, fill, &mut self.done.diagrams)
                .map_err(|error| self.too_large(error))?;
        }
        column.key = match column.key {
            Some(Key::Stored(0, index)) if size <= MAX_TABULATED => {
                let diagram = self.tabulate((0, index), placed.below as i64, |code| code as i64)?;
                if let Some(value) = &mut column.value
                    && value
                        .terms
                        .iter()
                        .any(|(atom, _)| matches!(atom, Atom::Code(_)))
                {
                    value.terms = vec![(Atom::Function(diagram), Weight::Known(1))];
                    value.constant = min.into();
                }
                Some(Key::Function { diagram, size, min })
            }
            _ => None,
        };
        column.presence.clear();
        Ok(column)
    }
}

impl Linear {
    /// Adds `fill` where a cell is missing, which is zero there.
    fn fill(
        &mut self,
        presence: &[Presence],
        fill: i64,
        diagrams: &mut Diagrams,
    ) -> Result<(), TooLarge> {
        let (weight, atom) = match presence {
            [Presence::Stored(index)] => {
                let there = diagrams.bit(0, RowBit::Presence(*index))?;
                (
                    fill,
                    Atom::Function(diagrams.map(there, |value| 1 - value)?),
                )
            }
            [Presence::Matched(join)] => (-fill, Atom::Matched(*join)),
            [Presence::Looked { join, column }] => (
                -fill,
                Atom::Present {
                    join: *join,
                    column: *column,
                },
            ),
            _ => return Ok(()),
        };
        if weight == -fill {
            self.constant += i128::from(fill);
        }
        if fill != 0 {
            self.terms.push((atom, Weight::Known(weight)));
        }
        Ok(())
    }
}
