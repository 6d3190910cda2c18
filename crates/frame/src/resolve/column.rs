//! What columns of a table are, while steps are taken: to choose by, to return, to add.

use super::Weight;
use crate::answer::ResultType;
use crate::diagram::Diagram;
use crate::schema::{Column, Schema};

/// A column of the table at a step.
#[derive(Clone, Debug)]
pub(crate) struct TableColumn {
    pub(crate) name: String,
    pub(crate) kind: ResultType,
    /// What it is to choose by.
    pub(crate) key: Option<Key>,
    /// What it is to return and to add.
    pub(crate) value: Option<Linear>,
    /// All of these must hold, or the cell is missing.
    pub(crate) presence: Vec<Presence>,
}

/// What a column is to choose by: a function of bits of the row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    /// A key column of a frame: the frame, by its place, and the column.
    Stored(usize, usize),
    /// Codes 0 to size - 1, or [`NULL`](crate::diagram::NULL); code 0 has the units `min`.
    Function {
        diagram: Diagram,
        size: u64,
        min: i64,
    },
}

/// `constant + sum of weight * atom`, in units of `10^-places`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Linear {
    pub(crate) terms: Vec<(Atom, Weight)>,
    pub(crate) constant: i128,
    pub(crate) places: u8,
    /// Largest size of the terms with hidden weights together, which is less than that of each.
    pub(crate) hidden: i128,
    /// How far rounding may put those terms off, in units.
    pub(crate) slack: i128,
}

impl Linear {
    /// An atom as it is, and a constant.
    pub(crate) fn of(atom: Atom, constant: i128, places: u8) -> Self {
        Self {
            terms: vec![(atom, Weight::Known(1))],
            constant,
            places,
            hidden: 0,
            slack: 0,
        }
    }
}

/// What the server has as a ciphertext, or makes as one of bits.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Atom {
    /// The values of a column of the first frame.
    Limbs(usize),
    /// The code of a key column of the first frame.
    Code(usize),
    /// The values of a column of a joined frame.
    Looked { join: usize, column: usize },
    /// 1 where a joined frame has a row.
    Matched(usize),
    /// 1 where a joined frame has a cell.
    Present { join: usize, column: usize },
    /// 1 where the first frame has a cell.
    There(usize),
    /// A function of bits; nothing where it is [`NULL`](crate::diagram::NULL).
    Function(Diagram),
    /// One of the above times the code of a key column of the first frame.
    Product(Box<Atom>, usize),
}

/// What a cell needs in order to be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Presence {
    /// The cell of a column of the first frame.
    Stored(usize),
    /// A row of a joined frame.
    Matched(usize),
    /// The cell of a column of a joined frame.
    Looked { join: usize, column: usize },
    /// A function that is 1.
    Function(Diagram),
}

impl Presence {
    /// 1 where it holds.
    pub(crate) const fn atom(self) -> Atom {
        match self {
            Self::Stored(column) => Atom::There(column),
            Self::Matched(join) => Atom::Matched(join),
            Self::Looked { join, column } => Atom::Present { join, column },
            Self::Function(diagram) => Atom::Function(diagram),
        }
    }
}

impl Key {
    /// Number of codes.
    pub(crate) fn size(self, frames: &[&Schema]) -> u64 {
        match self {
            Self::Stored(side, column) => frames[side].columns()[column].domain.size(),
            Self::Function { size, .. } => size,
        }
    }
}

/// A column of the first frame.
pub(super) fn stored((index, column): (usize, &Column)) -> TableColumn {
    let atom = match column.roles {
        roles if roles.value => Some((Atom::Limbs(index), column.domain.origin())),
        roles if roles.key => Some((Atom::Code(index), column.domain.range().0)),
        _ => None,
    };
    TableColumn {
        name: column.name.clone(),
        kind: ResultType::of(&column.domain),
        key: column.roles.key.then_some(Key::Stored(0, index)),
        value: atom.map(|(atom, origin)| Linear::of(atom, origin.into(), column.domain.places())),
        presence: column
            .nulls
            .then_some(Presence::Stored(index))
            .into_iter()
            .collect(),
    }
}
