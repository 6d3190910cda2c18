//! Decrypted rows that become a frame again.

use crate::answer::{Cell, ResultType, Table};
use crate::cells::Units;
use crate::plan::{PlanError, StepName};
use crate::resolve::ResultColumn;
use crate::schema::{Column, Domain, LIMB_BITS, MAX_KEY_SIZE, Roles, Rows, Schema};

/// Decrypted rows that the key holder encrypts as a frame, padded to what is known of their number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refresh {
    /// What is public of the frame.
    pub schema: Schema,
    /// Of each of its columns the place among the decrypted ones.
    sources: Vec<usize>,
    /// Whether cells outside of a column's range are missing: keys that nobody has.
    clipped: Vec<bool>,
}

/// Why decrypted rows are none of a frame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "row {row} of what was decrypted has in column {column:?} {cell:?}, which the plan cannot make: the answer is not that of these frames; ask again, of a service that evaluates what it was asked"
)]
pub struct RefreshError {
    /// The row, from 1.
    pub row: u64,
    /// The column.
    pub column: String,
    /// What it holds.
    pub cell: String,
}

/// A column that a refresh makes.
pub(super) struct Refreshed {
    /// Its place among the decrypted ones.
    pub(super) source: usize,
    /// Its name.
    pub(super) name: String,
    /// Its domain where it is not its own: that of the key that it is merged with.
    pub(super) domain: Option<Domain>,
    /// Whether rows are chosen by it.
    pub(super) is_key: bool,
}

impl Refresh {
    pub(super) fn new(
        name: String,
        rows: Rows,
        columns: &[ResultColumn],
        made: Vec<Refreshed>,
        step: &StepName,
    ) -> Result<Self, PlanError> {
        let invalid = |problem: String| PlanError::Invalid {
            step: step.clone(),
            problem,
        };
        let (mut own, mut sources, mut clipped) = (Vec::new(), Vec::new(), Vec::new());
        for made in made {
            let column = &columns[made.source];
            let is_clipped = made.domain.is_some();
            let domain = match made.domain.or_else(|| column.stored.clone()) {
                Some(domain) => domain,
                None => computed(column).map_err(invalid)?,
            };
            if made.is_key && domain.size() > MAX_KEY_SIZE {
                return Err(invalid(format!(
                    "column {:?} can have {} values, of which the server could choose among at most {MAX_KEY_SIZE}; narrow the ranges of what it is made of",
                    column.name,
                    domain.size()
                )));
            }
            own.push(Column {
                name: made.name,
                domain,
                nulls: column.nulls || is_clipped,
                roles: Roles {
                    value: !made.is_key,
                    key: made.is_key,
                },
                limb_bits: LIMB_BITS,
            });
            sources.push(made.source);
            clipped.push(is_clipped);
        }
        let schema = Schema::new(name, rows, own, Vec::new());
        Ok(Self {
            schema: schema.map_err(|error| invalid(format!("a refresh has no room: {error}")))?,
            sources,
            clipped,
        })
    }

    /// Units of decrypted rows.
    ///
    /// # Errors
    /// A cell that the plan cannot have made.
    pub fn rows(&self, table: &Table) -> Result<Vec<Units>, RefreshError> {
        let rows = table.rows.iter().zip(1..);
        rows.map(|(row, number)| self.row(row, number)).collect()
    }

    fn row(&self, row: &[Cell], number: u64) -> Result<Units, RefreshError> {
        let columns = self.schema.columns().iter().enumerate();
        let cells = columns.map(|(index, column)| {
            let cell = row.get(self.sources[index]).unwrap_or(&Cell::Null);
            let found = units(cell, &column.domain);
            let may_be_missing = column.nulls && (*cell == Cell::Null || self.clipped[index]);
            if found.is_none() && !may_be_missing {
                return Err(RefreshError {
                    row: number,
                    column: column.name.clone(),
                    cell: cell.to_string(),
                });
            }
            Ok(found)
        });
        cells.collect()
    }
}

/// Whether cells of a type can be equal to those of a domain.
pub(super) const fn is_alike(kind: &ResultType, domain: &Domain) -> bool {
    matches!(
        (kind, domain),
        (
            ResultType::Number { .. },
            Domain::Integer { .. } | Domain::Decimal { .. }
        ) | (ResultType::Boolean, Domain::Boolean)
            | (ResultType::Date, Domain::Date { .. })
            | (ResultType::Text { .. }, Domain::Text { .. })
    )
}

/// The domain of what was computed.
fn computed(column: &ResultColumn) -> Result<Domain, String> {
    let name = &column.name;
    let Some((min, max)) = column.range.filter(|_| column.kind != ResultType::Real) else {
        return Err(format!(
            "column {name:?} holds means or quantiles, which no column of a frame does, and would have to be encrypted again: select others before, or take sums and counts"
        ));
    };
    let ends = i64::try_from(min).ok().zip(i64::try_from(max).ok());
    let domain = ends.and_then(|(min, max)| column.kind.domain(min, max));
    domain.ok_or_else(|| {
        format!("column {name:?} can be as large as {max}, for which a frame has no room; narrow the ranges of what it is made of")
    })
}

/// The units of a cell in a domain that has it.
fn units(cell: &Cell, domain: &Domain) -> Option<i64> {
    let units = match (cell, domain) {
        (Cell::Number { units, places }, Domain::Integer { .. } | Domain::Decimal { .. }) => {
            let wanted = domain.places();
            let scale = 10i128.checked_pow(wanted.abs_diff(*places).into())?;
            if wanted >= *places {
                units.checked_mul(scale)?
            } else if units % scale == 0 {
                units / scale
            } else {
                return None;
            }
        }
        (Cell::Boolean(truth), Domain::Boolean) => i128::from(*truth),
        (Cell::Date(date), Domain::Date { .. }) => date.days().into(),
        (Cell::Text(text), Domain::Text { dictionary }) => {
            dictionary.iter().position(|own| own == text)? as i128
        }
        _ => return None,
    };
    let (min, max) = domain.range();
    let units = i64::try_from(units).ok()?;
    (min..=max).contains(&units).then_some(units)
}
