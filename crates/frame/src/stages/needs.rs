//! What steps need of the columns before them.

use crate::plan::{Aggregate, Expression, GroupBy, PlanStep};
use std::collections::{BTreeMap, BTreeSet};

/// Columns that are needed later on.
#[derive(Clone, Debug, Default)]
pub(super) struct Live {
    /// All but those that stages made for themselves.
    all: bool,
    /// And these.
    names: BTreeSet<String>,
}

/// What steps choose by.
#[derive(Clone, Debug, Default)]
pub(super) struct Uses {
    /// Columns that conditions, groups and merges are by.
    pub(super) keys: BTreeSet<String>,
    /// Merges: the step, its pair, the column.
    pub(super) merges: Vec<(usize, usize, String)>,
}

impl Live {
    /// What steps need whose result has all columns that are left.
    pub(super) fn before<'s>(steps: impl DoubleEndedIterator<Item = &'s PlanStep>) -> Self {
        let mut live = Self {
            all: true,
            names: BTreeSet::new(),
        };
        for step in steps.rev() {
            live.step(step);
        }
        live
    }

    pub(super) fn has(&self, name: &str, hidden: &BTreeSet<String>) -> bool {
        self.names.contains(name) || (self.all && !hidden.contains(name))
    }

    fn step(&mut self, step: &PlanStep) {
        match step {
            PlanStep::Filter(condition) => columns(condition, &mut self.names),
            PlanStep::WithColumn(own) => {
                self.names.remove(&own.name);
                columns(&own.of, &mut self.names);
            }
            PlanStep::Select(names) => {
                *self = Self {
                    all: false,
                    names: names.iter().cloned().collect(),
                };
            }
            PlanStep::Rename(names) => {
                let back = |name: &String| {
                    let renamed = names.iter().find(|own| own.to == *name);
                    renamed.map_or_else(|| name.clone(), |own| own.from.clone())
                };
                self.names = self.names.iter().map(back).collect();
            }
            PlanStep::Merge(merge) => {
                // A column that gives one of the other frame its suffix.
                let bare = self.names.iter();
                let bare = bare.filter_map(|name| name.strip_suffix(merge.suffix.as_str()));
                let bare: Vec<String> = bare.map(ToOwned::to_owned).collect();
                self.names.extend(bare);
                let keys = merge.on.iter().map(|pair| pair.left.clone());
                self.names.extend(keys);
            }
            PlanStep::GroupBy(group) => {
                *self = Self {
                    all: false,
                    names: group.keys.iter().cloned().collect(),
                };
                let of = group.aggregates.iter().filter_map(|own| own.of.column());
                self.names.extend(of.map(|(name, _)| name.to_owned()));
            }
            PlanStep::Sort(keys) => {
                let keys = keys.iter().map(|key| key.column.clone());
                self.names.extend(keys);
            }
            PlanStep::Distinct => self.all = true,
            PlanStep::Slice(_) => {}
        }
    }
}

impl Uses {
    /// Of columns of these names, what steps choose by up to the next groups.
    pub(super) fn of<'s>(
        steps: impl Iterator<Item = &'s PlanStep>,
        names: impl Iterator<Item = String>,
    ) -> Self {
        let mut origins: BTreeMap<String, String> =
            names.map(|name| (name.clone(), name)).collect();
        let mut uses = Self::default();
        for (number, step) in steps.enumerate() {
            match step {
                PlanStep::Filter(condition) => uses.choose(condition, &origins, true),
                PlanStep::WithColumn(own) => {
                    uses.choose(&own.of, &origins, false);
                    let origin = match &own.of {
                        Expression::Col(name) => origins.get(name).cloned(),
                        _ => None,
                    };
                    match origin {
                        Some(origin) => origins.insert(own.name.clone(), origin),
                        None => origins.remove(&own.name),
                    };
                }
                PlanStep::Select(names) => origins.retain(|name, _| names.contains(name)),
                PlanStep::Rename(names) => {
                    let taken = names.iter().map(|own| (own, origins.remove(&own.from)));
                    let taken: Vec<_> = taken.collect();
                    let renamed = taken.into_iter();
                    origins.extend(
                        renamed.filter_map(|(own, origin)| Some((own.to.clone(), origin?))),
                    );
                }
                PlanStep::Merge(merge) => {
                    for (pair, keys) in merge.on.iter().enumerate() {
                        if let Some(origin) = origins.get(&keys.left) {
                            uses.keys.insert(origin.clone());
                            uses.merges.push((number, pair, origin.clone()));
                        }
                    }
                }
                PlanStep::GroupBy(group) => {
                    uses.group(group, &origins);
                    break;
                }
                PlanStep::Sort(_) | PlanStep::Distinct | PlanStep::Slice(_) => break,
            }
        }
        uses
    }

    fn group(&mut self, group: &GroupBy, origins: &BTreeMap<String, String>) {
        let by_value = group.aggregates.iter().filter_map(|own| own.of.column());
        let by_value = by_value.filter(|(_, is_chosen)| *is_chosen);
        let names = by_value.map(|(name, _)| name);
        let names = names.chain(group.keys.iter().map(String::as_str));
        self.keys
            .extend(names.filter_map(|name| origins.get(name).cloned()));
    }

    fn choose(
        &mut self,
        expression: &Expression,
        origins: &BTreeMap<String, String>,
        is_chosen: bool,
    ) {
        let is_chosen = match expression {
            Expression::Col(name) => {
                let origin = origins.get(name).filter(|_| is_chosen);
                self.keys.extend(origin.cloned());
                return;
            }
            Expression::Add(_)
            | Expression::Sub(_)
            | Expression::Mul(_)
            | Expression::Model(..)
            | Expression::IsNull(_) => false,
            Expression::FillNull(..) => is_chosen,
            _ => true,
        };
        for part in expression.parts() {
            self.choose(part, origins, is_chosen);
        }
    }
}

/// Adds the columns that an expression names.
fn columns(expression: &Expression, names: &mut BTreeSet<String>) {
    if let Expression::Col(name) = expression {
        names.insert(name.clone());
    }
    for part in expression.parts() {
        columns(part, names);
    }
}

impl Aggregate {
    /// The column that it is of, and whether it chooses by its cells.
    fn column(&self) -> Option<(&str, bool)> {
        match self {
            Self::Len => None,
            Self::Count(name) | Self::Sum(name) | Self::Mean(name) => Some((name, false)),
            Self::Min(name) | Self::Max(name) | Self::Median(name) | Self::NUnique(name) => {
                Some((name, true))
            }
            Self::Quantile(own) => Some((&own.column, true)),
        }
    }
}
