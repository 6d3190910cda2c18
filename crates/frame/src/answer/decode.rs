//! Decrypted torus words to cells.

use super::{
    Answer, AnswerColumn, AnswerShape, Cell, Content, GroupKey, Lane, Recombined, Statistic, Table,
};
use crate::pass::POLYNOMIAL_SIZE;
use cipherfn_protocol::digits;

/// Decrypted words of the last pass: of each result (a chunk of rows, or a sum), of each output its
/// coefficients, rows in order where there is one a row.
pub type Words = [Vec<Vec<u64>>];

impl Answer {
    /// The rows with what their columns are: see [`Answer::decode`].
    pub fn table(&self, words: &Words, errors: &[f64]) -> Table {
        let columns = self.columns.iter();
        Table {
            columns: columns
                .map(|column| (column.name.clone(), column.kind.clone()))
                .collect(),
            rows: self.decode(words, errors),
        }
    }

    /// Makes a cell of every row and column, each to the digit that its column's largest error begins
    /// with: in units of the last place, of a mean those of the sum that it divides; 0 where it is
    /// exact. Words that are missing are zero.
    pub fn decode(&self, words: &Words, errors: &[f64]) -> Vec<Vec<Cell>> {
        let columns = || self.columns.iter().zip(errors);
        match &self.shape {
            AnswerShape::Rows { kept } => {
                let first = |chunk: &Vec<Vec<u64>>| chunk.first().map_or(0, Vec::len);
                let rows = words
                    .iter()
                    .flat_map(|chunk| (0..first(chunk)).map(move |row| (chunk, row)));
                let number = |(chunk, row): (&Vec<Vec<u64>>, usize), lane: &Lane| -> i128 {
                    let output = chunk.get(lane.output);
                    lane.integer(
                        output
                            .and_then(|output| output.get(row))
                            .copied()
                            .unwrap_or(0),
                    )
                    .into()
                };
                rows.filter(|place| match kept {
                    Some((lane, wanted)) => number(*place, lane) >= i128::from(*wanted),
                    None => true,
                })
                .map(|place| {
                    let cells = columns().map(|(column, error)| {
                        let cell = column.of_row(|lane| number(place, lane));
                        cell.rounded(*error)
                    });
                    cells.collect()
                })
                .collect()
            }
            AnswerShape::Groups { keys, places, len } => {
                let sum = |lane: &Lane, place: u64| lane.sum(words, place);
                (0..*places)
                    .filter(|place| {
                        is_place(keys, *place) && (keys.is_empty() || sum(len, *place) > 0)
                    })
                    .map(|place| {
                        let group = Group { words, keys, place };
                        columns()
                            .map(|(column, error)| group.cell(column, *error))
                            .collect()
                    })
                    .collect()
            }
        }
    }
}

/// Whether each key has a code there: strides may leave places between.
fn is_place(keys: &[GroupKey], place: u64) -> bool {
    keys.iter().enumerate().all(|(index, key)| {
        let code = code(keys, index, place);
        code < key.size + u64::from(key.null)
    })
}

/// The code of a key at a place.
fn code(keys: &[GroupKey], index: usize, place: u64) -> u64 {
    let below = match keys.get(index + 1) {
        Some(next) => place % next.stride,
        None => place,
    };
    below / keys[index].stride
}

impl AnswerColumn {
    fn of_row(&self, number: impl Fn(&Lane) -> i128) -> Cell {
        match &self.content {
            Content::Value { value, presence } => {
                if presence
                    .as_ref()
                    .is_some_and(|(lane, wanted)| number(lane) < i128::from(*wanted))
                {
                    return Cell::Null;
                }
                self.kind.cell(value.units(1, number))
            }
            _ => Cell::Null,
        }
    }
}

/// A group.
struct Group<'a> {
    words: &'a Words,
    keys: &'a [GroupKey],
    place: u64,
}

impl Group<'_> {
    fn number(&self, lane: &Lane) -> i128 {
        lane.sum(self.words, self.place)
    }

    /// A cell to the digit in which its error begins.
    fn cell(&self, column: &AnswerColumn, error: f64) -> Cell {
        let Content::Mean { value, count } = &column.content else {
            return self.whole_cell(column).rounded(error);
        };
        match self.number(count) {
            count if count <= 0 => Cell::Null,
            count => {
                let by = 10f64.powi(value.places.into()) * count as f64;
                let units = value.units(count, |lane| self.number(lane));
                // One rounding: equal means are equal floats, as polars' are.
                Cell::Real(units as f64 / by).rounded(error / by)
            }
        }
    }

    /// A cell with all its digits.
    fn whole_cell(&self, column: &AnswerColumn) -> Cell {
        match &column.content {
            Content::Value { value, .. } => {
                column.kind.cell(value.units(1, |lane| self.number(lane)))
            }
            Content::Key(index) => {
                let (key, code) = (self.keys[*index], code(self.keys, *index, self.place));
                if code >= key.size {
                    Cell::Null
                } else {
                    column.kind.cell(i128::from(key.min) + i128::from(code))
                }
            }
            Content::Count(lane) => column.kind.cell(self.number(lane)),
            Content::Sum { value, count } => {
                let count = count.as_ref().map_or(0, |lane| self.number(lane));
                column
                    .kind
                    .cell(value.units(count, |lane| self.number(lane)))
            }
            Content::Mean { .. } => Cell::Null,
            Content::Distribution {
                lane,
                strides,
                size,
                min,
                places,
                statistic,
            } => {
                let (stride, of_keys) = strides.split_last().unwrap_or((&1, &[]));
                let start = of_keys.iter().enumerate();
                let start =
                    start.map(|(index, stride)| stride * code(self.keys, index, self.place));
                let start: u64 = start.sum();
                let counts =
                    (0..*size).map(|code| lane.sum(self.words, start + stride * code).max(0));
                let counts: Vec<i128> = counts.collect();
                let units = |code: usize| i128::from(*min) + code as i128;
                match statistic {
                    Statistic::Min => counts
                        .iter()
                        .position(|count| *count > 0)
                        .map_or(Cell::Null, |code| column.kind.cell(units(code))),
                    Statistic::Max => counts
                        .iter()
                        .rposition(|count| *count > 0)
                        .map_or(Cell::Null, |code| column.kind.cell(units(code))),
                    Statistic::NUnique => column
                        .kind
                        .cell(counts.iter().filter(|count| **count > 0).count() as i128),
                    Statistic::Quantile(at) => quantile(&counts, *at).map_or(Cell::Null, |code| {
                        Cell::Real((*min as f64 + code) / 10f64.powi((*places).into()))
                    }),
                }
            }
        }
    }
}

impl Cell {
    /// The same to the digit that an error begins with, in units of the last place.
    fn rounded(self, error: f64) -> Self {
        match self {
            Self::Number { units, places } => {
                let digits = error.max(1.0).log10().floor().min(36.0) as u32;
                let scale = 10i128.pow(digits);
                let rounded = (units + units.signum() * (scale / 2)) / scale;
                // What is before the point stays there, as zeros.
                let kept = u32::from(places).saturating_sub(digits);
                let zeros = 10i128.pow(digits.saturating_sub(places.into()));
                Self::Number {
                    units: rounded * zeros,
                    places: kept as u8,
                }
            }
            Self::Real(value) => Self::Real(digits::rounded(value, error)),
            other => other,
        }
    }
}

/// The quantile of codes, linear between the two beside it.
fn quantile(counts: &[i128], at: f64) -> Option<f64> {
    let total: i128 = counts.iter().sum();
    if total == 0 {
        return None;
    }
    let place = (total - 1) as f64 * at;
    let nth = |wanted: i128| {
        let mut seen = 0;
        counts.iter().position(|count| {
            seen += count;
            seen > wanted
        })
    };
    let (low, high) = (
        nth(place.floor() as i128)? as f64,
        nth(place.ceil() as i128)? as f64,
    );
    Some(low + (high - low) * (place - place.floor()))
}

impl Lane {
    /// The integer of a torus word: the one in the range, or nearest to it.
    pub fn integer(&self, word: u64) -> i64 {
        let step = u64::BITS - self.unit;
        let half = if step == 0 { 0 } else { 1 << (step - 1) };
        let rounded = u128::from(word) + half;
        let whole = 1i128 << self.unit;
        let found = (rounded >> step) as i128 % whole;
        // As much room is left on either side of the range.
        let room = (whole - (i128::from(self.max) - i128::from(self.min)) - 1) / 2;
        if found > i128::from(self.max) + room {
            (found - whole) as i64
        } else {
            found as i64
        }
    }

    /// The sum of all results' integers of an entry.
    fn sum(&self, words: &Words, entry: u64) -> i128 {
        let size = u64::from(POLYNOMIAL_SIZE);
        let place = u64::from(self.offset) + entry;
        let (output, coefficient) = (
            self.output + (place / size) as usize,
            (place % size) as usize,
        );
        let word = |result: &Vec<Vec<u64>>| {
            result
                .get(output)
                .and_then(|output| output.get(coefficient))
                .copied()
        };
        let integers = words
            .iter()
            .map(|result| i128::from(self.integer(word(result).unwrap_or(0))));
        integers.sum()
    }
}

impl Recombined {
    /// The units, `count` times the constant included.
    fn units(&self, count: i128, number: impl Fn(&Lane) -> i128) -> i128 {
        let parts = self.parts.iter().map(|(lane, shift)| number(lane) << shift);
        parts.sum::<i128>() + self.constant * count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_those_in_the_range() {
        let lane = Lane {
            output: 0,
            offset: 0,
            unit: 4,
            min: -3,
            max: 4,
        };
        for integer in -3i64..=4 {
            let word = (integer as u64) << 60;
            assert_eq!(lane.integer(word), integer);
            assert_eq!(lane.integer(word.wrapping_add((1 << 59) - 1)), integer);
            assert_eq!(lane.integer(word.wrapping_sub(1 << 59)), integer);
        }
        let wide = Lane {
            unit: 9,
            min: 0,
            max: 255,
            ..lane
        };
        assert_eq!(wide.integer(255 << 55), 255);
        assert_eq!(wide.integer(0u64.wrapping_sub(1 << 54)), 0);
    }

    #[test]
    fn cells_end_where_their_error_begins() {
        let number = |units, places| Cell::Number { units, places };
        let cases = [
            (number(123_456, 2), 0.0, "1234.56"),
            (number(123_456, 2), 0.9, "1234.56"),
            (number(123_456, 2), 10.0, "1234.6"),
            (number(123_456, 2), 130.0, "1235"),
            (number(-123_456, 2), 4000.0, "-1230"),
            (number(7, 0), 20.0, "10"),
            (number(4, 0), 20.0, "0"),
            (Cell::Real(1.234_56), 0.02, "1.23"),
            (Cell::Text("a".into()), 9.0, "a"),
        ];
        for (cell, error, text) in cases {
            assert_eq!(cell.rounded(error).to_string(), text);
        }
    }

    #[test]
    fn quantiles_are_linear_between_values() {
        assert_eq!(quantile(&[1, 0, 2, 1], 0.5), Some(2.0));
        assert_eq!(quantile(&[1, 0, 0, 1], 0.5), Some(1.5));
        assert_eq!(quantile(&[0, 0], 0.5), None);
        assert_eq!(quantile(&[3, 0, 1], 1.0), Some(2.0));
    }
}
