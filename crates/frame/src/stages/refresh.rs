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
#[non_exhaustive]
pub enum RefreshError {
    /// A cell that no row can have.
    #[error(
        "row {row} of what was decrypted has in column {column:?} {cell:?}, which the plan cannot make: {ADVICE}"
    )]
    Cell {
        /// The row, from 1.
        row: u64,
        /// The column.
        column: String,
        /// What it holds.
        cell: String,
    },
    /// More rows than there can be, or fewer.
    #[error("{found} rows were decrypted, of which the plan makes {expected}: {ADVICE}")]
    Rows {
        /// Those that were decrypted.
        found: usize,
        /// What there can be, for people.
        expected: String,
    },
}

/// What an answer is that its plan cannot have, and the way out.
const ADVICE: &str = "the answer is not that of these frames; ask again, of a service that evaluates what it was asked";

/// Rows of the frame that a refresh makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefreshedRows {
    /// They are always as many, and have cells of the same columns, as the schema says: what whoever
    /// evaluates the next stage sees must not depend on what was decrypted.
    pub rows: Vec<Units>,
    /// Why they are not the rows that were decrypted, if these were none that the plan makes.
    pub wrong: Option<RefreshError>,
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

    /// Units of decrypted rows, in a number that the schema allows. What the plan cannot have made is
    /// replaced, and named beside: whoever made it, and chose it, would learn from a refusal between
    /// stages what it decrypts to.
    pub fn rows(&self, table: &Table) -> RefreshedRows {
        let allowed = self.schema.rows();
        let most = allowed.count.unwrap_or_default();
        let found = table.rows.len();
        let mut wrong = None;
        if found as u64 > most || (!allowed.padded && (found as u64) < most) {
            let expected = if allowed.padded {
                format!("{most} at most")
            } else {
                most.to_string()
            };
            wrong = Some(RefreshError::Rows { found, expected });
        }
        let mut rows = Vec::with_capacity(found);
        for (row, number) in table.rows.iter().take(most as usize).zip(1..) {
            rows.push(self.row(row, number, &mut wrong));
        }
        while !allowed.padded && (rows.len() as u64) < most {
            let columns = self.schema.columns().iter();
            rows.push(columns.map(substitute).collect());
        }
        RefreshedRows { rows, wrong }
    }

    fn row(&self, row: &[Cell], number: u64, wrong: &mut Option<RefreshError>) -> Units {
        let columns = self.schema.columns().iter().enumerate();
        let cells = columns.map(|(index, column)| {
            let cell = row.get(self.sources[index]).unwrap_or(&Cell::Null);
            let found = units(cell, &column.domain);
            let may_be_missing = column.nulls && (*cell == Cell::Null || self.clipped[index]);
            if found.is_some() || may_be_missing {
                return found;
            }
            wrong.get_or_insert_with(|| RefreshError::Cell {
                row: number,
                column: column.name.clone(),
                cell: cell.to_string(),
            });
            substitute(column)
        });
        cells.collect()
    }
}

/// A cell in place of one that a column cannot hold.
fn substitute(column: &Column) -> Option<i64> {
    (!column.nulls).then(|| column.domain.range().0)
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
