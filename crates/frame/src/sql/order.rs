//! ORDER BY and LIMIT: steps of the key holder.

use super::{names, refused};
use crate::plan::{PlanError, Slice, SortKey};
use sqlparser::ast::{Expr, LimitClause, OrderBy, OrderByKind, Value};

/// The columns of the answer that it is sorted by.
pub(super) fn sorted(order: &OrderBy) -> Result<Vec<SortKey>, PlanError> {
    let OrderBy {
        kind: OrderByKind::Expressions(keys),
        interpolate: None,
    } = order
    else {
        return Err(refused(order, "is no list of columns to sort by"));
    };
    let keys = keys
        .iter()
        .map(|key| match (names::parts(&key.expr), &key.with_fill) {
            (Some((None, column)), None) => Ok(SortKey {
                column: column.value.clone(),
                descending: key.options.asc == Some(false),
                nulls_last: key.options.nulls_first == Some(false),
            }),
            _ => Err(refused(&key.expr, "is no column of the answer by its name")),
        });
    keys.collect()
}

/// The rows that LIMIT and OFFSET leave, if not all.
pub(super) fn limited(clause: &LimitClause) -> Result<Option<Slice>, PlanError> {
    let (limit, offset) = match clause {
        LimitClause::LimitOffset {
            limit,
            offset,
            limit_by,
        } => {
            if let Some(by) = limit_by.first() {
                return Err(refused(
                    by,
                    "limits rows by a column, which is not supported",
                ));
            }
            let offset = offset.as_ref().map(|offset| &offset.value);
            (limit.as_ref(), offset)
        }
        LimitClause::OffsetCommaLimit { offset, limit } => (Some(limit), Some(offset)),
    };
    let slice = Slice {
        offset: offset.map(rows).transpose()?.unwrap_or(0),
        length: limit.map(rows).transpose()?,
    };
    Ok((slice
        != Slice {
            offset: 0,
            length: None,
        })
    .then_some(slice))
}

fn rows(expr: &Expr) -> Result<u64, PlanError> {
    let number = match expr {
        Expr::Value(value) => match &value.value {
            Value::Number(text, false) => text.parse().ok(),
            _ => None,
        },
        _ => None,
    };
    number.ok_or_else(|| refused(expr, "is no number of rows"))
}
