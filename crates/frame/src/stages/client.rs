//! Steps that the key holder takes with decrypted rows: sort, distinct, slice, filter, products of values.

use super::condition::{self, is_condition};
use super::hoist::is_number;
use crate::answer::{Cell, ResultType, Table};
use crate::number::MAX_PLACES;
use crate::plan::{Expression, Literal, PlanStep, SortKey};
use crate::resolve::{ResultColumn, ResultRows};
use std::cmp::Ordering;
use std::collections::HashSet;

/// Units of a number, with its decimals.
pub(super) type Amount = (i128, u8);

/// What decrypted rows can be.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    pub(super) columns: Vec<ResultColumn>,
    pub(super) rows: ResultRows,
}

/// Whether the key holder can take a step.
pub(super) fn is_possible(step: &PlanStep) -> bool {
    match step {
        PlanStep::Sort(_)
        | PlanStep::Distinct
        | PlanStep::Slice(_)
        | PlanStep::Select(_)
        | PlanStep::Rename(_) => true,
        PlanStep::WithColumn(own) => is_number(&own.of) && is_amount(&own.of),
        PlanStep::Filter(condition) => is_condition(condition),
        PlanStep::Merge(_) | PlanStep::GroupBy(_) => false,
    }
}

/// Columns, numbers, sums, differences and products of these.
pub(super) fn is_amount(expression: &Expression) -> bool {
    match expression {
        Expression::Col(_) | Expression::Lit(Literal::Number(_)) => true,
        of => is_number(of) && of.parts().iter().all(is_amount),
    }
}

impl Shape {
    /// What rows can be after a step, or what is wrong with it.
    pub(super) fn take(&mut self, step: &PlanStep) -> Result<(), String> {
        match step {
            PlanStep::Sort(keys) => {
                if keys.is_empty() {
                    return Err("it sorts by nothing; name a column".into());
                }
                let mut names = keys.iter().map(|key| &key.column);
                names.try_for_each(|name| self.place(name).map(|_| ()))?;
            }
            PlanStep::Distinct => self.rows.exact = false,
            PlanStep::Slice(slice) => {
                let left = self.rows.most.saturating_sub(slice.offset);
                self.rows.most = left.min(slice.length.unwrap_or(left));
            }
            PlanStep::Filter(condition) => {
                condition::check(self, condition)?;
                self.rows.exact = false;
            }
            PlanStep::Select(names) => {
                let columns = names
                    .iter()
                    .map(|name| Ok(self.columns[self.place(name)?].clone()));
                self.columns = columns.collect::<Result<_, String>>()?;
            }
            PlanStep::Rename(names) => {
                let places = names.iter().map(|own| self.place(&own.from));
                let places: Vec<usize> = places.collect::<Result<_, _>>()?;
                for (place, own) in places.into_iter().zip(names) {
                    self.columns[place].name.clone_from(&own.to);
                }
            }
            PlanStep::WithColumn(own) => {
                let mut column = self.number(&own.of)?;
                column.name.clone_from(&own.name);
                match self.place(&own.name) {
                    Ok(place) => self.columns[place] = column,
                    Err(_) => self.columns.push(column),
                }
            }
            PlanStep::Merge(_) | PlanStep::GroupBy(_) => {
                return Err("it is for the server".into());
            }
        }
        let mut names = HashSet::new();
        match self.columns.iter().find(|own| !names.insert(&own.name)) {
            Some(twice) => Err(format!(
                "two columns are named {:?}; rename one",
                twice.name
            )),
            None => Ok(()),
        }
    }

    pub(super) fn place(&self, name: &str) -> Result<usize, String> {
        let place = self.columns.iter().position(|own| own.name == name);
        place.ok_or_else(|| {
            let known = self.columns.iter().map(|own| own.name.as_str());
            format!(
                "there is no column {name:?}; the columns are {}",
                crate::resolve::listed(known)
            )
        })
    }

    /// What a number can be.
    pub(super) fn number(&self, expression: &Expression) -> Result<ResultColumn, String> {
        let large = || "its numbers have no room; round its columns".to_owned();
        let (range, places, nulls) = match expression {
            Expression::Col(name) => {
                let column = &self.columns[self.place(name)?];
                let places = match column.kind {
                    ResultType::Number { places } => places,
                    ResultType::Boolean => 0,
                    _ => return Err(format!("column {name:?} is {}, no number", column.kind)),
                };
                (column.range.unwrap_or_default(), places, column.nulls)
            }
            Expression::Lit(Literal::Number(number)) => {
                let places = number.places();
                let units = number.units(places).ok_or_else(large)?.into();
                ((units, units), places, false)
            }
            of if is_number(of) => {
                let mut parts = of.parts().iter().map(|part| self.number(part));
                let first = parts.next().ok_or("a sum of nothing; give its parts")??;
                let mut total = (first.range.unwrap_or_default(), places(&first), first.nulls);
                for part in parts {
                    let part = part?;
                    let (one, other) = (total.0, part.range.unwrap_or_default());
                    let ends = [
                        (one.0, other.0),
                        (one.0, other.1),
                        (one.1, other.0),
                        (one.1, other.1),
                    ];
                    let mut units = Vec::with_capacity(4);
                    for (left, right) in ends {
                        let both = combined(of, (left, total.1), (right, places(&part)));
                        units.push(both.ok_or_else(large)?);
                    }
                    let least = units.iter().map(|own| own.0).min().unwrap_or_default();
                    let most = units.iter().map(|own| own.0).max().unwrap_or_default();
                    total = ((least, most), units[0].1, total.2 || part.nulls);
                }
                total
            }
            other => return Err(format!("{other} is neither a number nor a column")),
        };
        Ok(ResultColumn {
            name: String::new(),
            kind: ResultType::Number { places },
            range: Some(range),
            stored: None,
            nulls,
        })
    }
}

const fn places(column: &ResultColumn) -> u8 {
    match column.kind {
        ResultType::Number { places } => places,
        _ => 0,
    }
}

/// The sum, difference or product of two numbers, as `of` is one; `None` where it has no room.
fn combined(of: &Expression, one: Amount, other: Amount) -> Option<Amount> {
    if matches!(of, Expression::Mul(_)) {
        let places = one
            .1
            .checked_add(other.1)
            .filter(|own| *own <= MAX_PLACES)?;
        return Some((one.0.checked_mul(other.0)?, places));
    }
    let places = one.1.max(other.1);
    let scaled = |own: Amount| own.0.checked_mul(10i128.pow(u32::from(places - own.1)));
    let (one, other) = (scaled(one)?, scaled(other)?);
    let sum = match of {
        Expression::Sub(_) => one.checked_sub(other)?,
        _ => one.checked_add(other)?,
    };
    Some((sum, places))
}

/// Takes a step with decrypted rows, which are as [`Shape::take`] says.
pub(super) fn take(step: &PlanStep, table: &mut Table) -> Option<()> {
    match step {
        PlanStep::Sort(keys) => {
            let keys = keys
                .iter()
                .map(|key| Some((place(table, &key.column)?, key)));
            let keys: Vec<(usize, &SortKey)> = keys.collect::<Option<_>>()?;
            table.rows.sort_by(|one, other| {
                let orders = keys
                    .iter()
                    .map(|(place, key)| order(&one[*place], &other[*place], key));
                orders.fold(Ordering::Equal, Ordering::then)
            });
        }
        PlanStep::Distinct => {
            let mut seen = HashSet::new();
            // Cells of a column are written alike only where they are equal; a missing one is no text.
            table.rows.retain(|row| {
                let cells = row
                    .iter()
                    .map(|cell| (*cell != Cell::Null).then(|| cell.to_string()));
                seen.insert(cells.collect::<Vec<_>>())
            });
        }
        PlanStep::Slice(slice) => {
            let rows = std::mem::take(&mut table.rows).into_iter();
            let room = |rows: u64| usize::try_from(rows).unwrap_or(usize::MAX);
            let rows = rows.skip(room(slice.offset));
            let length = slice.length.map_or(usize::MAX, room);
            table.rows = rows.take(length).collect();
        }
        PlanStep::Filter(condition) => {
            let whole: &Table = table;
            let kept = whole
                .rows
                .iter()
                .map(|row| condition::truth(condition, whole, row));
            let kept: Vec<Option<bool>> = kept.collect::<Result<_, _>>().ok()?;
            let mut kept = kept.into_iter();
            table.rows.retain(|_| kept.next().flatten() == Some(true));
        }
        PlanStep::Select(names) => {
            let places = names.iter().map(|name| place(table, name));
            let places: Vec<usize> = places.collect::<Option<_>>()?;
            let chosen = places.iter().map(|place| table.columns[*place].clone());
            table.columns = chosen.collect();
            for row in &mut table.rows {
                *row = places.iter().map(|place| row[*place].clone()).collect();
            }
        }
        PlanStep::Rename(names) => {
            let places = names.iter().map(|own| place(table, &own.from));
            let places: Vec<usize> = places.collect::<Option<_>>()?;
            for (place, own) in places.into_iter().zip(names) {
                table.columns[place].0.clone_from(&own.to);
            }
        }
        PlanStep::WithColumn(own) => {
            let whole: &Table = table;
            let numbers = whole.rows.iter().map(|row| number(&own.of, whole, row));
            let numbers: Vec<Option<Amount>> = numbers.collect::<Result<_, _>>().ok()?;
            let places = numbers.iter().flatten().map(|own| own.1).max();
            let kind = ResultType::Number {
                places: places.unwrap_or_else(|| decimals(&own.of, table)),
            };
            let cells = numbers.into_iter().map(|number| match number {
                Some((units, places)) => Cell::Number { units, places },
                None => Cell::Null,
            });
            let cells: Vec<Cell> = cells.collect();
            let known = place(table, &own.name);
            match known {
                Some(place) => table.columns[place].1 = kind,
                None => table.columns.push((own.name.clone(), kind)),
            }
            for (row, cell) in table.rows.iter_mut().zip(cells) {
                match known {
                    Some(place) => row[place] = cell,
                    None => row.push(cell),
                }
            }
        }
        PlanStep::Merge(_) | PlanStep::GroupBy(_) => return None,
    }
    Some(())
}

pub(super) fn place(table: &Table, name: &str) -> Option<usize> {
    table.columns.iter().position(|own| own.0 == name)
}

/// That a cell is no number, or that one has no room.
pub(super) struct NoNumber;

/// The number of a row, missing where a part is.
pub(super) fn number(
    expression: &Expression,
    table: &Table,
    row: &[Cell],
) -> Result<Option<Amount>, NoNumber> {
    match expression {
        Expression::Col(name) => match &row[place(table, name).ok_or(NoNumber)?] {
            Cell::Null => Ok(None),
            Cell::Number { units, places } => Ok(Some((*units, *places))),
            Cell::Boolean(truth) => Ok(Some((i128::from(*truth), 0))),
            Cell::Real(_) | Cell::Date(_) | Cell::Text(_) => Err(NoNumber),
        },
        Expression::Lit(Literal::Number(number)) => {
            let places = number.places();
            let units = number.units(places).ok_or(NoNumber)?;
            Ok(Some((units.into(), places)))
        }
        of if is_number(of) => {
            let mut parts = of.parts().iter().map(|part| number(part, table, row));
            let mut total = parts.next().ok_or(NoNumber)??;
            for part in parts {
                total = match (total, part?) {
                    (Some(one), Some(other)) => Some(combined(of, one, other).ok_or(NoNumber)?),
                    _ => None,
                };
            }
            Ok(total)
        }
        _ => Err(NoNumber),
    }
}

/// Decimals of a number where no row has one.
fn decimals(expression: &Expression, table: &Table) -> u8 {
    let parts = expression.parts().iter().map(|part| decimals(part, table));
    match expression {
        Expression::Col(name) => match place(table, name).map(|place| &table.columns[place].1) {
            Some(ResultType::Number { places }) => *places,
            _ => 0,
        },
        Expression::Lit(Literal::Number(number)) => number.places(),
        Expression::Mul(_) => parts.sum(),
        _ => parts.max().unwrap_or(0),
    }
}

/// Which of two cells of a column comes first.
fn order(one: &Cell, other: &Cell, key: &SortKey) -> Ordering {
    let order = match (one, other) {
        (Cell::Null, Cell::Null) => return Ordering::Equal,
        (Cell::Null, _) if key.nulls_last => return Ordering::Greater,
        (Cell::Null, _) => return Ordering::Less,
        (_, Cell::Null) if key.nulls_last => return Ordering::Less,
        (_, Cell::Null) => return Ordering::Greater,
        (Cell::Number { units, .. }, Cell::Number { units: others, .. }) => units.cmp(others),
        (Cell::Boolean(one), Cell::Boolean(other)) => one.cmp(other),
        (Cell::Real(one), Cell::Real(other)) => one.total_cmp(other),
        (Cell::Date(one), Cell::Date(other)) => one.days().cmp(&other.days()),
        (Cell::Text(one), Cell::Text(other)) => one.cmp(other),
        // A column's cells are of one kind.
        _ => Ordering::Equal,
    };
    if key.descending {
        order.reverse()
    } else {
        order
    }
}
