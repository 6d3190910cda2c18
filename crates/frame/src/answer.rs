//! From the integers of results to columns.

mod decode;

pub use decode::Words;

use crate::date::Date;
use crate::number::write_units;
use crate::schema::Domain;
use std::fmt;
use std::sync::Arc;

/// What a result column holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResultType {
    /// Numbers of so many decimals.
    Number {
        /// The decimals.
        places: u8,
    },
    /// Means and quantiles.
    Real,
    /// True and false.
    Boolean,
    /// Days.
    Date,
    /// Texts of a dictionary.
    Text {
        /// The dictionary.
        dictionary: Arc<[String]>,
    },
}

/// A cell of a result.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// A missing one.
    Null,
    /// True or false.
    Boolean(bool),
    /// `units * 10^-places`.
    Number {
        /// Units.
        units: i128,
        /// Decimals.
        places: u8,
    },
    /// A mean or a quantile.
    Real(f64),
    /// A day.
    Date(Date),
    /// A text.
    Text(String),
}

/// A statistic of the values of a key column.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Statistic {
    /// The least.
    Min,
    /// The greatest.
    Max,
    /// A quantile, linear between two values.
    Quantile(f64),
    /// How many different ones there are.
    NUnique,
}

/// How the results of a query's last pass become columns.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// What a row of it is.
    pub shape: AnswerShape,
    /// Its columns.
    pub columns: Vec<AnswerColumn>,
}

/// Decrypted rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// Names and types of the columns.
    pub columns: Vec<(String, ResultType)>,
    /// The rows: a cell a column.
    pub rows: Vec<Vec<Cell>>,
}

/// What a row of an answer is.
#[derive(Clone, Debug, PartialEq)]
pub enum AnswerShape {
    /// A row of the scanned frame; where a lane is given, those whose number there is `kept`.
    Rows {
        /// Whether a row remains: the lane and its number.
        kept: Option<(Lane, i64)>,
    },
    /// A group; those without rows are left out, but not where there are no keys.
    Groups {
        /// The keys.
        keys: Vec<GroupKey>,
        /// Number of places of groups.
        places: u64,
        /// Rows of each group.
        len: Lane,
    },
}

/// A key of groups: a group's place is the sum of code times stride.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupKey {
    /// Number of codes; the next one is that of missing cells, if `null`.
    pub size: u64,
    /// Units of code 0.
    pub min: i64,
    /// Distance of places.
    pub stride: u64,
    /// Whether cells may be missing.
    pub null: bool,
}

/// Where integers lie among the results: entry i is coefficient `offset + i` of an output, and goes
/// on in the next output behind the last coefficient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lane {
    /// First output.
    pub output: usize,
    /// First coefficient.
    pub offset: u32,
    /// The integer 1 is the torus fraction 2^-unit.
    pub unit: u32,
    /// Smallest integer of one result.
    pub min: i64,
    /// Largest integer of one result.
    pub max: i64,
}

/// A column of an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct AnswerColumn {
    /// Its name.
    pub name: String,
    /// What it holds.
    pub kind: ResultType,
    /// What its cells are made of.
    pub content: Content,
}

/// What the cells of a column are made of.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// A number of each row or group; missing where fewer than so many conditions hold.
    Value {
        /// The number.
        value: Recombined,
        /// The sum of conditions, and how many there are.
        presence: Option<(Lane, i64)>,
    },
    /// The code of a key of groups.
    Key(usize),
    /// A number of cells.
    Count(Lane),
    /// The sum of cells, of which there are so many.
    Sum {
        /// The sum, but for the constant's part.
        value: Recombined,
        /// The number of cells, where the constant is not zero.
        count: Option<Lane>,
    },
    /// The sum of cells, divided by their number.
    Mean {
        /// The sum, but for the constant's part.
        value: Recombined,
        /// The number of cells.
        count: Lane,
    },
    /// A statistic of a key column.
    Distribution {
        /// Number of rows of a place.
        lane: Lane,
        /// Strides of the groups' keys and of the codes. Where keys and codes together need several ciphertexts
        /// and keys alone one, they are not those of the groups' own places.
        strides: Vec<u64>,
        /// Number of codes.
        size: u64,
        /// Units of code 0.
        min: i64,
        /// Decimals of units.
        places: u8,
        /// Which.
        statistic: Statistic,
    },
}

/// `constant + sum of 2^shift * lane`, in units of `10^-places`; of a sum the constant is one cell's.
#[derive(Clone, Debug, PartialEq)]
pub struct Recombined {
    /// Lanes with their shifts.
    pub parts: Vec<(Lane, u32)>,
    /// The constant.
    pub constant: i128,
    /// Decimals.
    pub places: u8,
    /// Part of the lanes' ranges together that the number can have: less than 1 where those are of hidden
    /// weights.
    pub filled: f64,
}

impl ResultType {
    /// What a column of a frame holds.
    pub fn of(domain: &Domain) -> Self {
        match domain {
            Domain::Integer { .. } => Self::Number { places: 0 },
            Domain::Decimal { places, .. } => Self::Number { places: *places },
            Domain::Boolean => Self::Boolean,
            Domain::Date { .. } => Self::Date,
            Domain::Text { dictionary } => Self::Text {
                dictionary: dictionary.as_slice().into(),
            },
        }
    }

    /// What cells of these units can be; nothing of reals, and where there are no such days.
    pub(crate) fn domain(&self, min: i64, max: i64) -> Option<Domain> {
        Some(match self {
            Self::Number { places: 0 } => Domain::Integer { min, max },
            Self::Number { places } => Domain::Decimal {
                min,
                max,
                places: *places,
            },
            Self::Real => return None,
            Self::Boolean => Domain::Boolean,
            Self::Date => Domain::Date {
                min: Date::from_days(min)?,
                max: Date::from_days(max)?,
            },
            Self::Text { dictionary } => Domain::Text {
                dictionary: dictionary.to_vec(),
            },
        })
    }

    /// The cell of units.
    pub(crate) fn cell(&self, units: i128) -> Cell {
        match self {
            Self::Number { places } => Cell::Number {
                units,
                places: *places,
            },
            Self::Real => Cell::Real(units as f64),
            Self::Boolean => Cell::Boolean(units != 0),
            Self::Date => i64::try_from(units)
                .ok()
                .and_then(Date::from_days)
                .map_or(Cell::Null, Cell::Date),
            Self::Text { dictionary } => usize::try_from(units)
                .ok()
                .and_then(|place| dictionary.get(place))
                .map_or(Cell::Null, |text| Cell::Text(text.clone())),
        }
    }
}

impl fmt::Display for ResultType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number { places: 0 } => f.write_str("integer"),
            Self::Number { places } => write!(f, "decimal of {places} places"),
            Self::Real => f.write_str("real"),
            Self::Boolean => f.write_str("boolean"),
            Self::Date => f.write_str("date"),
            Self::Text { dictionary } => write!(f, "text of {}", dictionary.len()),
        }
    }
}

/// As CSV has it; nothing of a missing one.
impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => Ok(()),
            Self::Boolean(truth) => write!(f, "{truth}"),
            Self::Number { units, places } => write_units(f, *units, *places),
            Self::Real(value) => write!(f, "{value}"),
            Self::Date(date) => write!(f, "{date}"),
            Self::Text(text) => f.write_str(text),
        }
    }
}
