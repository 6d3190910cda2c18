//! What the cells of a result can be, as far as schemas and numbers of rows say.

use super::{Atom, Grouped, Key, Linear, Measure, Resolved, Shown, TableColumn, Weight};
use crate::answer::{ResultType, Statistic};
use crate::diagram::NULL;
use crate::schema::{Column, Domain};

/// What a result column can hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ResultColumn {
    pub(crate) name: String,
    pub(crate) kind: ResultType,
    /// Least and largest units; none of means and quantiles.
    pub(crate) range: Option<(i128, i128)>,
    /// The column of a frame whose cells these are, if they are as they were.
    pub(crate) stored: Option<Domain>,
    /// Whether a cell may be missing.
    pub(crate) nulls: bool,
}

/// How many rows a result can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ResultRows {
    /// Most of them.
    pub(crate) most: u64,
    /// Whether there are always as many.
    pub(crate) exact: bool,
}

impl Resolved<'_> {
    /// The result's columns in order, of a scanned frame of so many rows.
    pub(crate) fn result_columns(&self, rows: u64) -> Vec<ResultColumn> {
        match &self.grouped {
            None => self.columns.iter().map(|own| self.of_row(own)).collect(),
            Some(grouped) => {
                let shown = grouped.shown().iter();
                shown
                    .map(|(name, shown)| ResultColumn {
                        name: name.clone(),
                        ..self.of_group(grouped, *shown, rows)
                    })
                    .collect()
            }
        }
    }

    /// How many rows the result can have, of a scanned frame of so many.
    pub(crate) fn result_rows(&self, rows: u64) -> ResultRows {
        let Some(grouped) = &self.grouped else {
            let all = self.filters.iter().all(Option::is_none);
            return ResultRows {
                most: rows,
                exact: all && !self.joins.iter().any(|join| join.inner),
            };
        };
        if grouped.keys.is_empty() {
            return ResultRows {
                most: 1,
                exact: true,
            };
        }
        let codes = grouped.keys.iter().filter_map(|column| column.key);
        let codes = codes.map(|key| key.size(&self.frames) + u64::from(key.has_null(self)));
        ResultRows {
            most: codes.fold(1, u64::saturating_mul).min(rows),
            exact: false,
        }
    }

    fn of_row(&self, column: &TableColumn) -> ResultColumn {
        let stored = self.unchanged(column).map(|own| own.domain.clone());
        let range = match &stored {
            Some(domain) => {
                let (min, max) = domain.range();
                (min.into(), max.into())
            }
            None => column
                .value
                .as_ref()
                .map_or((0, 0), |value| self.range(value)),
        };
        ResultColumn {
            name: column.name.clone(),
            kind: column.kind.clone(),
            range: Some(range),
            stored,
            nulls: !column.presence.is_empty(),
        }
    }

    fn of_group(&self, grouped: &Grouped, shown: Shown, rows: u64) -> ResultColumn {
        let numbers = |max: u64| (Some((0, max.into())), None, false);
        let of_key = |column: &TableColumn| {
            let domain = column.key.and_then(|key| self.codes(key, &column.kind));
            let range = domain.as_ref().map(Domain::range);
            let nulls = column.key.is_some_and(|key| key.has_null(self));
            (
                range.map(|(min, max)| (min.into(), max.into())),
                domain,
                nulls,
            )
        };
        let (range, stored, nulls) = match shown {
            Shown::Key(key) => of_key(&grouped.keys[key]),
            Shown::Measure(measure) => match &grouped.measures[measure] {
                Measure::Len | Measure::Count(_) => numbers(rows),
                Measure::Sum(column) => {
                    let (min, max) = column
                        .value
                        .as_ref()
                        .map_or((0, 0), |value| self.range(value));
                    let rows = i128::from(rows);
                    // A sum of no rows is 0.
                    (Some((min.min(0) * rows, max.max(0) * rows)), None, false)
                }
                Measure::Mean(_) | Measure::Distribution(_, Statistic::Quantile(_)) => {
                    (None, None, true)
                }
                Measure::Distribution(column, Statistic::NUnique) => {
                    let size = column.key.map_or(0, |key| key.size(&self.frames));
                    numbers(size)
                }
                Measure::Distribution(column, Statistic::Min | Statistic::Max) => {
                    let (range, domain, nulls) = of_key(column);
                    // Of no rows there is none.
                    (range, domain, nulls || grouped.keys.is_empty())
                }
            },
        };
        ResultColumn {
            name: String::new(),
            kind: grouped.kind(shown),
            range,
            stored,
            nulls,
        }
    }

    /// What a key's codes stand for.
    fn codes(&self, key: Key, kind: &ResultType) -> Option<Domain> {
        match key {
            Key::Stored(side, column) => Some(self.frames[side].columns()[column].domain.clone()),
            Key::Function { size, min, .. } => kind.domain(min, min + size as i64 - 1),
        }
    }

    /// The column of a frame whose cells a column has as they are.
    pub(super) fn unchanged(&self, column: &TableColumn) -> Option<&Column> {
        let value = column.value.as_ref()?;
        let [(atom, Weight::Known(1))] = value.terms.as_slice() else {
            return None;
        };
        let (own, zero) = match atom {
            Atom::Limbs(own) => {
                let own = &self.frames[0].columns()[*own];
                (own, own.domain.origin())
            }
            Atom::Code(own) => {
                let own = &self.frames[0].columns()[*own];
                (own, own.domain.range().0)
            }
            Atom::Looked { join, column } if !self.adds_rows(*join) => {
                let own = &self.frames[join + 1].columns()[*column];
                (own, own.domain.origin())
            }
            _ => return None,
        };
        let is_same = value.constant == i128::from(zero) && value.places == own.domain.places();
        is_same.then_some(own)
    }

    /// Least and largest units.
    pub(crate) fn range(&self, linear: &Linear) -> (i128, i128) {
        let start = (
            linear.constant.saturating_sub(linear.hidden),
            linear.constant.saturating_add(linear.hidden),
        );
        let known = linear.terms.iter();
        let known = known.filter(|(_, weight)| matches!(weight, Weight::Known(_)));
        known.fold(start, |range, (atom, weight)| {
            let (min, max) = weight.range_of(self.atom_range(atom));
            (range.0.saturating_add(min), range.1.saturating_add(max))
        })
    }

    /// What an atom can be; zero where what it is of is missing.
    fn atom_range(&self, atom: &Atom) -> (i128, i128) {
        let limbs = |column: &Column| {
            let (min, max) = column.domain.range();
            let zero = column.domain.origin();
            (i128::from(min - zero).min(0), i128::from(max - zero).max(0))
        };
        let codes = |column: usize| {
            let column = &self.frames[0].columns()[column];
            let codes = column.domain.size() - 1 + u64::from(column.nulls);
            (0, i128::from(codes))
        };
        match atom {
            Atom::Limbs(column) => limbs(&self.frames[0].columns()[*column]),
            Atom::Code(column) => codes(*column),
            Atom::Looked { join, column } => {
                let (min, max) = limbs(&self.frames[join + 1].columns()[*column]);
                (min * self.added(*join), max * self.added(*join))
            }
            Atom::Matched(join) | Atom::Present { join, .. } => (0, self.added(*join)),
            Atom::There(_) => (0, 1),
            Atom::Function(diagram) => {
                let values = self.diagrams.values(*diagram).into_iter();
                let values = values.filter(|value| *value != NULL);
                values.fold((0, 0), |(min, max), value| {
                    (min.min(value.into()), max.max(value.into()))
                })
            }
            Atom::Product(of, factor) => {
                let (min, max) = self.atom_range(of);
                let most = codes(*factor).1;
                (min.saturating_mul(most), max.saturating_mul(most))
            }
        }
    }
}
