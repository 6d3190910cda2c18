//! Tables in the clear: what their cells decide is decided by the keys of the rows that look them up.

use super::Resolved;
use super::expression::MAX_TABULATED;
use crate::diagram::Diagram;
use crate::plain::PlainTable;
use crate::schema::Schema;

impl<'a> Resolved<'a> {
    /// The same for one who has tables in the clear, with their cells: what chooses by them is made of
    /// the cells that there are, and no longer of any that there could be.
    #[must_use]
    pub fn with_cells(mut self, tables: &[&'a PlainTable]) -> Self {
        for (frame, cells) in self.frames.iter().zip(&mut self.cells) {
            let mut tables = tables.iter();
            *cells = tables.find(|table| table.schema() == *frame).copied();
        }
        self
    }
}

impl Resolved<'_> {
    /// Whether a frame is a table in the clear of so few keys that what its cells decide is decided by
    /// the keys of the first frame's rows.
    pub(crate) fn is_clear(&self, side: usize) -> bool {
        let frame = self.frames[side];
        let join = side.checked_sub(1).map(|join| &self.joins[join]);
        let lookup = join.and_then(|join| join.lookup);
        lookup.is_some_and(|lookup| is_chosen_by(frame, lookup))
    }

    /// Whose bits a function asks for, where those of tables in the clear are the first frame's.
    pub(crate) fn sides(&self, of: Diagram) -> Vec<usize> {
        let sides = self.diagrams.sides(of).into_iter();
        let sides = sides.map(|side| if self.is_clear(side) { 0 } else { side });
        let mut sides: Vec<usize> = sides.collect();
        sides.sort_unstable();
        sides.dedup();
        sides
    }

    /// Whether a column that is chosen by may have no cell; of a table in the clear, because a row may
    /// have no partner.
    pub(crate) fn may_be_missing(&self, side: usize, column: usize) -> bool {
        self.frames[side].columns()[column].nulls || self.is_clear(side)
    }

    /// Bits of the code of a column that is chosen by.
    pub(super) fn code_bits(&self, side: usize, column: usize) -> u32 {
        let own = &self.frames[side].columns()[column];
        let codes = own.domain.size() + u64::from(self.may_be_missing(side, column));
        (u64::BITS - (codes - 1).leading_zeros()).max(1)
    }
}

/// Whether rows can be chosen by what they look up: in a table in the clear, of few keys.
pub(super) fn is_chosen_by(frame: &Schema, lookup: usize) -> bool {
    let size = frame.lookup_size(&frame.lookups()[lookup]);
    frame.cells().is_some() && size <= MAX_TABULATED
}
