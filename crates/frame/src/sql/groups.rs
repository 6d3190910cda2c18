//! GROUP BY, aggregates, HAVING.

use super::expression::{self, aggregate};
use super::names::{Names, Scope, parts};
use super::{note, own_name, projected, refused};
use crate::plan::{Aggregate, GroupBy, Named, NamedAggregate, PlanError, PlanStep};
use sqlparser::ast::{Expr, Select};
use std::cell::RefCell;

/// The steps of a SELECT with groups: what aggregates are of, groups, what remains of them, the columns.
pub(super) fn grouped(
    select: &Select,
    keys: &[Expr],
    scope: &Scope<'_>,
    steps: &mut Vec<PlanStep>,
) -> Result<(), PlanError> {
    let mut names = Vec::new();
    for key in keys {
        match expression::read(key, scope)? {
            crate::plan::Expression::Col(name) => names.push(name),
            _ => return Err(refused(key, "is no column to group by")),
        }
    }
    let mut found = Found::default();
    let (mut shown, mut renamed) = (Vec::new(), Vec::new());
    for item in &select.projection {
        let (expr, alias) = projected(item)?;
        if let Some((of, column)) = aggregate(expr, scope)? {
            let name = alias.unwrap_or_else(|| expr.to_string().to_lowercase());
            found.put(name.clone(), of, column);
            shown.push(name);
            continue;
        }
        match expression::read(expr, scope)? {
            crate::plan::Expression::Col(name) if shown.contains(&name) => {
                return Err(refused(
                    item,
                    "is selected twice, and groups have their keys once; leave one out",
                ));
            }
            crate::plan::Expression::Col(name) if names.contains(&name) => {
                note(&mut renamed, &name, alias.unwrap_or_else(|| own_name(expr)));
                shown.push(name);
            }
            _ => {
                return Err(refused(
                    item,
                    "is neither an aggregate nor a column of GROUP BY",
                ));
            }
        }
    }
    let groups = Groups {
        scope,
        keys: &names,
        found: RefCell::new(found),
    };
    let having = select.having.as_ref();
    let having = having.map(|condition| expression::read(condition, &groups));
    let having = having.transpose()?;
    let found = groups.found.into_inner();
    steps.extend(found.columns.into_iter().map(PlanStep::WithColumn));
    steps.push(PlanStep::GroupBy(GroupBy {
        keys: names,
        aggregates: found.aggregates,
    }));
    steps.extend(having.map(PlanStep::Filter));
    steps.push(PlanStep::Select(shown));
    if !renamed.is_empty() {
        steps.push(PlanStep::Rename(renamed));
    }
    Ok(())
}

/// Aggregates, and columns that some of them are of.
#[derive(Default)]
struct Found {
    aggregates: Vec<NamedAggregate>,
    columns: Vec<Named>,
}

impl Found {
    fn put(&mut self, name: String, of: Aggregate, column: Option<Named>) {
        if let Some(column) = column
            && !self.columns.iter().any(|own| own.name == column.name)
        {
            self.columns.push(column);
        }
        self.aggregates.push(NamedAggregate { name, of });
    }
}

/// What HAVING names: columns of GROUP BY, aggregates, their aliases.
struct Groups<'s, 'a> {
    scope: &'s Scope<'a>,
    keys: &'s [String],
    found: RefCell<Found>,
}

impl Names for Groups<'_, '_> {
    fn column(&self, expr: &Expr) -> Result<String, PlanError> {
        if let Ok(name) = self.scope.column(expr)
            && self.keys.contains(&name)
        {
            return Ok(name);
        }
        let found = self.found.borrow();
        match parts(expr) {
            Some((None, alias)) if found.aggregates.iter().any(|own| own.name == alias.value) => {
                Ok(alias.value.clone())
            }
            _ => Err(refused(
                expr,
                "is neither an aggregate nor a column of GROUP BY",
            )),
        }
    }

    fn aggregate(&self, expr: &Expr) -> Result<Option<String>, PlanError> {
        let Some((of, column)) = aggregate(expr, self.scope)? else {
            return Ok(None);
        };
        let mut found = self.found.borrow_mut();
        let known = found.aggregates.iter().find(|own| own.of == of);
        if let Some(known) = known {
            return Ok(Some(known.name.clone()));
        }
        let name = expr.to_string().to_lowercase();
        found.put(name.clone(), of, column);
        Ok(Some(name))
    }
}
