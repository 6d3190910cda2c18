//! ORDER BY: a step of the key holder.

use super::{names, refused};
use crate::plan::{PlanError, SortKey};
use sqlparser::ast::{OrderBy, OrderByKind};

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
