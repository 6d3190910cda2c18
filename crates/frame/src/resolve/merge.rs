//! Columns of another frame.

use super::{
    Atom, Joined, Key, Linear, Presence, Resolver, TableColumn, frame, is_chosen_by, listed,
};
use crate::answer::ResultType;
use crate::plan::{Cardinality, JoinType, KeyPair, Merge, PlanError};
use crate::schema::{Column, Duplicates, Schema};
use std::sync::Arc;

impl<'a> Resolver<'a> {
    pub(super) fn merge(&mut self, merge: &Merge) -> Result<(), PlanError> {
        if merge.how == JoinType::Right {
            return self.merge_right(merge);
        }
        let right = frame(self.schemas, &merge.right, &self.step)?;
        let join = self.done.joins.len();
        let joined = self.join(merge, right)?;
        for mut column in looked_columns(join, &joined, right) {
            if self.position(&column.name).is_ok() {
                column.name.push_str(&merge.suffix);
            }
            self.done.columns.push(column);
        }
        if let Some(name) = &merge.indicator {
            self.done.columns.push(TableColumn {
                name: name.clone(),
                kind: ResultType::Text {
                    dictionary: Arc::from(["left_only".to_owned(), "both".to_owned()]),
                },
                key: None,
                value: Some(Linear::of(Atom::Matched(join), 0, 0)),
                presence: Vec::new(),
            });
        }
        self.done.joins.push(joined);
        self.done.frames.push(right);
        self.done.cells.push(None);
        self.done.filters.push(None);
        if merge.indicator.is_some() && self.done.adds_rows(join) {
            return Err(self.invalid(format!(
                "{:?} adds rows of equal keys, so its indicator would be their number; leave the indicator out",
                merge.right
            )));
        }
        self.check_names()
    }

    /// All rows of the other frame: a left merge with the scanned one, the columns of which come first.
    fn merge_right(&mut self, merge: &Merge) -> Result<(), PlanError> {
        if self.step.number != 1 || merge.indicator.is_some() {
            return Err(self.invalid(format!(
                "a right merge keeps the rows of {0:?}, so it is possible as the first step and without indicator: scan {0:?} and merge the other frame by a left merge",
                merge.right
            )));
        }
        let left = self.base();
        let swapped = Merge {
            right: left.name().into(),
            on: merge
                .on
                .iter()
                .map(|pair| KeyPair {
                    left: pair.right.clone(),
                    right: pair.left.clone(),
                })
                .collect(),
            how: JoinType::Left,
            ..merge.clone()
        };
        let outline = std::mem::take(&mut self.done.outline);
        self.done = Self::scan(&merge.right, self.schemas)?.done;
        self.done.outline = outline;
        let joined = self.join(&swapped, left)?;
        let mut columns = looked_columns(0, &joined, left);
        for mut column in std::mem::take(&mut self.done.columns) {
            if columns.iter().any(|other| other.name == column.name) {
                column.name.push_str(&merge.suffix);
            }
            columns.push(column);
        }
        self.done.columns = columns;
        self.done.joins.push(joined);
        self.done.frames.push(left);
        self.done.cells.push(None);
        self.done.filters.push(None);
        self.check_names()
    }

    fn join(&self, merge: &Merge, right: &'a Schema) -> Result<Joined, PlanError> {
        if merge.on.is_empty() || merge.on.len() > 2 {
            return Err(self.invalid(format!(
                "it joins on {} columns; join on one or two",
                merge.on.len()
            )));
        }
        let mut pairs = Vec::with_capacity(merge.on.len());
        for pair in &merge.on {
            let left = self.column(&pair.left)?;
            let Some(Key::Stored(0, key)) = left.key else {
                return Err(self.chosen_by(left));
            };
            let Some(other) = right.position(&pair.right) else {
                return Err(PlanError::UnknownColumn {
                    step: self.step.clone(),
                    name: pair.right.clone(),
                    known: listed(right.columns().iter().map(|column| column.name.as_str())),
                });
            };
            let domains = [
                &self.base().columns()[key].domain,
                &right.columns()[other].domain,
            ];
            if domains[0] != domains[1] {
                return Err(self.invalid(format!(
                    "the keys {:?} and {:?} of {:?} have different types, ranges or dictionaries, so that equal codes are not equal cells; give both columns the same in their schemas and encrypt anew",
                    pair.left, pair.right, merge.right
                )));
            }
            pairs.push((key, other));
        }
        let names = |lookup: &Vec<String>| -> Option<Vec<(usize, usize)>> {
            let pair = |name: &String| {
                let index = right.position(name)?;
                pairs.iter().copied().find(|pair| pair.1 == index)
            };
            (lookup.len() == pairs.len()).then(|| lookup.iter().map(pair).collect())?
        };
        let mut found = right.lookups().iter().enumerate();
        let found = found.find_map(|(index, lookup)| Some((index, names(&lookup.by)?)));
        // A total of owners' sums has one row a key as it stands.
        if let Some((lookup, _)) = &found
            && right.owners().is_none()
            && right.lookups()[*lookup].duplicates == Duplicates::Sum
            && merge.validate == Cardinality::ManyToOne
        {
            return Err(self.invalid(format!(
                "{:?} adds the values of equal keys, and the merge validates that there are none (\"m:1\"); validate \"m:m\", or encrypt it with duplicates = \"refuse\"",
                merge.right
            )));
        }
        let lookup = found.as_ref().map(|(lookup, _)| *lookup);
        let pairs = found.map_or(pairs, |(_, pairs)| pairs);
        Ok(Joined {
            step: self.step.clone(),
            lookup,
            keys: pairs.iter().map(|pair| pair.0).collect(),
            right_keys: pairs.iter().map(|pair| pair.1).collect(),
            inner: merge.how == JoinType::Inner,
        })
    }
}

/// The columns of a joined frame but for its keys, under their own names.
fn looked_columns(join: usize, joined: &Joined, right: &Schema) -> Vec<TableColumn> {
    let looked = joined.lookup.map(|lookup| &right.lookups()[lookup].columns);
    // Whoever has a table in the clear knows which cells a key has.
    let is_chosen = joined
        .lookup
        .is_some_and(|lookup| is_chosen_by(right, lookup));
    let columns = right.columns().iter().enumerate();
    let others = columns.filter(|(index, _)| !joined.right_keys.contains(index));
    let make = |(index, column): (usize, &Column)| {
        let is_looked = looked.is_some_and(|names| names.contains(&column.name));
        let presence = if column.nulls && is_looked {
            Presence::Looked {
                join,
                column: index,
            }
        } else {
            Presence::Matched(join)
        };
        TableColumn {
            name: column.name.clone(),
            kind: ResultType::of(&column.domain),
            key: (column.roles.key || (is_chosen && is_looked))
                .then_some(Key::Stored(join + 1, index)),
            value: is_looked.then(|| {
                let atom = Atom::Looked {
                    join,
                    column: index,
                };
                Linear::of(atom, column.domain.origin().into(), column.domain.places())
            }),
            presence: vec![presence],
        }
    };
    others.map(make).collect()
}
