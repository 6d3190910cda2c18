//! Whose a column is.

use super::refused;
use crate::plan::{Cardinality, JoinType, KeyPair, Merge, PlanError, StepName};
use crate::schema::Schema;
use sqlparser::ast::{Expr, Ident};

/// What is added to names that are taken.
const SUFFIX: &str = "_right";

/// What expressions name.
pub(super) trait Names {
    /// The plan's name of a column.
    fn column(&self, expr: &Expr) -> Result<String, PlanError>;

    /// The plan's name of what is an aggregate, where there are groups; nothing of what is none.
    fn aggregate(&self, expr: &Expr) -> Result<Option<String>, PlanError>;
}

/// The tables of a query and their columns.
pub(super) struct Scope<'a> {
    schemas: &'a [Schema],
    tables: Vec<ScopeTable>,
}

/// A table.
struct ScopeTable {
    frame: String,
    alias: String,
    /// Names in the frame, each with its name in the plan; none of keys that only the frame has.
    columns: Vec<(String, Option<String>)>,
}

impl<'a> Scope<'a> {
    pub(super) fn scan(
        schemas: &'a [Schema],
        name: String,
        alias: Option<String>,
    ) -> Result<Self, PlanError> {
        let mut scope = Self {
            schemas,
            tables: Vec::new(),
        };
        let columns = scope.frame(&name)?.columns().iter();
        let columns = columns.map(|column| (column.name.clone(), Some(column.name.clone())));
        let columns = columns.collect();
        scope.tables.push(ScopeTable {
            alias: alias.unwrap_or_else(|| name.clone()),
            frame: name,
            columns,
        });
        Ok(scope)
    }

    pub(super) fn base(&self) -> &str {
        &self.tables[0].frame
    }

    /// Whether the plan has a column of that name.
    pub(super) fn has(&self, name: &str) -> bool {
        let mut columns = self.tables.iter().flat_map(|table| &table.columns);
        columns.any(|(_, own)| own.as_deref() == Some(name))
    }

    /// Adds a table by the equalities of its keys.
    pub(super) fn join(
        &mut self,
        name: String,
        alias: Option<String>,
        how: JoinType,
        pairs: &[(&Expr, &Expr)],
    ) -> Result<Merge, PlanError> {
        let alias = alias.unwrap_or_else(|| name.clone());
        let schema = self.frame(&name)?;
        let own = |expr: &Expr| -> Option<String> {
            let (table, column) = parts(expr)?;
            let is_own = match table {
                Some(table) => table.value == alias,
                None => {
                    schema.position(&column.value).is_some()
                        && self.plan_name(None, column).is_none()
                }
            };
            is_own.then(|| column.value.clone())
        };
        let mut on = Vec::with_capacity(pairs.len());
        for (left, right) in pairs {
            let (other, key) = match (own(left), own(right)) {
                (None, Some(key)) => (left, key),
                (Some(key), None) => (right, key),
                _ => {
                    return Err(refused(
                        *left,
                        "is compared with a column of the same table; write ON a.key = b.key",
                    ));
                }
            };
            on.push(KeyPair {
                left: self.column(other)?,
                right: key,
            });
        }
        let named = |column: &String| {
            let pair = on.iter().find(|pair| pair.right == *column);
            match pair {
                // Where there is no partner, the key of the other table is missing and this one is not.
                Some(pair) => (how == JoinType::Inner).then(|| pair.left.clone()),
                None if self.has(column) => Some(format!("{column}{SUFFIX}")),
                None => Some(column.clone()),
            }
        };
        let columns = schema
            .columns()
            .iter()
            .map(|column| (column.name.clone(), named(&column.name)));
        let columns = columns.collect();
        self.tables.push(ScopeTable {
            frame: name.clone(),
            alias,
            columns,
        });
        Ok(Merge {
            right: name,
            on,
            how,
            validate: Cardinality::ManyToOne,
            indicator: None,
            suffix: SUFFIX.into(),
        })
    }

    fn plan_name(
        &self,
        table: Option<&Ident>,
        column: &Ident,
    ) -> Option<Result<String, &'static str>> {
        let tables = self
            .tables
            .iter()
            .filter(|own| table.is_none_or(|table| own.alias == table.value));
        let found =
            tables.flat_map(|own| own.columns.iter().filter(|(name, _)| *name == column.value));
        let mut names: Vec<&Option<String>> = found.map(|(_, name)| name).collect();
        names.dedup();
        match names[..] {
            [] => None,
            [Some(name)] => Some(Ok(name.clone())),
            [None] => Some(Err(
                "is a key that is missing where there is no partner; take the other table's",
            )),
            _ => Some(Err("is a column of several tables; write which")),
        }
    }

    fn frame(&self, name: &str) -> Result<&'a Schema, PlanError> {
        let found = self.schemas.iter().find(|schema| schema.name() == name);
        found.ok_or_else(|| PlanError::UnknownFrame {
            step: StepName {
                number: 0,
                what: "FROM",
            },
            name: name.into(),
            known: crate::resolve::listed(self.schemas.iter().map(Schema::name)),
        })
    }
}

impl Names for Scope<'_> {
    fn column(&self, expr: &Expr) -> Result<String, PlanError> {
        let Some((table, column)) = parts(expr) else {
            return Err(refused(expr, "is no column"));
        };
        match self.plan_name(table, column) {
            Some(Ok(name)) => Ok(name),
            Some(Err(problem)) => Err(refused(expr, problem)),
            None => Err(refused(expr, "is no column of the tables")),
        }
    }

    /// A row has none.
    fn aggregate(&self, _: &Expr) -> Result<Option<String>, PlanError> {
        Ok(None)
    }
}

/// Table and name of a column.
pub(super) fn parts(expr: &Expr) -> Option<(Option<&Ident>, &Ident)> {
    match expr {
        Expr::Nested(inner) => parts(inner),
        Expr::Identifier(column) => Some((None, column)),
        Expr::CompoundIdentifier(names) => match names.as_slice() {
            [table, column] => Some((Some(table), column)),
            _ => None,
        },
        _ => None,
    }
}
