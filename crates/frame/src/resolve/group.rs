//! Groups and what each of them has.

use super::expression::described;
use super::{Key, Resolved, Resolver, TableColumn, listed};
use crate::answer::{ResultType, Statistic};
use crate::diagram::NULL;
use crate::plan::{Aggregate, GroupBy, NamedAggregate, PlanError, Renaming, StepName};

/// Most groups, and most groups times values of a distribution: 32 ciphertexts.
pub(crate) const MAX_GROUPS: u64 = 1 << 16;

/// Groups and what each has.
#[derive(Clone, Debug)]
pub(crate) struct Grouped {
    pub(crate) step: StepName,
    pub(crate) keys: Vec<TableColumn>,
    pub(crate) measures: Vec<Measure>,
    /// The result's columns: names, and whether a key or a measure.
    shown: Vec<(String, Shown)>,
}

/// A column of the groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    /// A key.
    Key(usize),
    /// A measure.
    Measure(usize),
}

/// A number of a group.
#[derive(Clone, Debug)]
pub(crate) enum Measure {
    Len,
    Count(TableColumn),
    Sum(TableColumn),
    Mean(TableColumn),
    Distribution(TableColumn, Statistic),
}

impl Resolver<'_> {
    pub(super) fn group(&mut self, group: &GroupBy) -> Result<(), PlanError> {
        if group.keys.len() > 2 {
            return Err(self.invalid(format!(
                "it groups by {} columns; group by one or two",
                group.keys.len()
            )));
        }
        let mut keys = Vec::with_capacity(2);
        for name in &group.keys {
            let column = self.column(name)?;
            if column.key.is_none() {
                return Err(self.chosen_by(column));
            }
            keys.push(column.clone());
        }
        let mut measures = Vec::with_capacity(group.aggregates.len());
        for aggregate in &group.aggregates {
            measures.push(self.measure(aggregate)?);
        }
        let shown_keys = keys.iter().enumerate();
        let shown_keys = shown_keys.map(|(index, key)| (key.name.clone(), Shown::Key(index)));
        let shown = group.aggregates.iter().enumerate();
        let shown = shown.map(|(index, own)| (own.name.clone(), Shown::Measure(index)));
        let grouped = Grouped {
            step: self.step.clone(),
            shown: shown_keys.chain(shown).collect(),
            keys,
            measures,
        };
        grouped.check_names(&self.step)?;
        if grouped.shown.is_empty() {
            return Err(self.invalid("it has neither keys nor aggregates; ask for something"));
        }
        self.done.grouped = Some(grouped);
        Ok(())
    }

    fn measure(&self, aggregate: &NamedAggregate) -> Result<Measure, PlanError> {
        let number = |name: &String| {
            let column = self.column(name)?;
            if !matches!(column.kind, ResultType::Number { .. } | ResultType::Boolean) {
                return Err(
                    self.invalid(format!("{} has no sum: it is no number", described(column)))
                );
            }
            // Its numbers are many, and each would be worth as little as all of them share their noise.
            if column.value.as_ref().is_some_and(|value| value.hidden > 0) {
                return Err(self.not_levelled(
                    format!("it adds up {}, which takes the score of a published model and is exact row by row alone", described(column)),
                    "a client refresh would be one round trip: the key holder decrypts the rows' scores and encrypts them as a column",
                ));
            }
            Ok(column.clone())
        };
        let spread = |name: &String, statistic: Statistic| {
            let column = self.column(name)?;
            if column.key.is_none() {
                return Err(self.chosen_by(column));
            }
            let needs_order = statistic != Statistic::NUnique;
            if needs_order && matches!(column.kind, ResultType::Text { .. }) {
                return Err(self.invalid(format!(
                    "{} holds texts, whose order is not kept",
                    described(column)
                )));
            }
            if matches!(statistic, Statistic::Quantile(_)) && column.kind == ResultType::Date {
                return Err(self.invalid(format!(
                    "{} holds dates, between which no quantile lies; take min or max",
                    described(column)
                )));
            }
            Ok(Measure::Distribution(column.clone(), statistic))
        };
        match &aggregate.of {
            Aggregate::Len => Ok(Measure::Len),
            Aggregate::Count(name) => Ok(Measure::Count(self.column(name)?.clone())),
            Aggregate::Sum(name) => Ok(Measure::Sum(number(name)?)),
            Aggregate::Mean(name) => Ok(Measure::Mean(number(name)?)),
            Aggregate::Min(name) => spread(name, Statistic::Min),
            Aggregate::Max(name) => spread(name, Statistic::Max),
            Aggregate::Median(name) => spread(name, Statistic::Quantile(0.5)),
            Aggregate::NUnique(name) => spread(name, Statistic::NUnique),
            Aggregate::Quantile(quantile) => {
                if !(0.0..=1.0).contains(&quantile.at) {
                    return Err(self.invalid(format!(
                        "the quantile {} is not between 0 and 1",
                        quantile.at
                    )));
                }
                spread(&quantile.column, Statistic::Quantile(quantile.at))
            }
        }
    }
}

impl Grouped {
    /// Names and types of the result's columns.
    pub(crate) fn columns(&self) -> Vec<(String, ResultType)> {
        let columns = self.shown.iter();
        columns
            .map(|(name, shown)| (name.clone(), self.kind(*shown)))
            .collect()
    }

    pub(crate) fn shown(&self) -> &[(String, Shown)] {
        &self.shown
    }

    pub(crate) fn kind(&self, shown: Shown) -> ResultType {
        match shown {
            Shown::Key(key) => self.keys[key].kind.clone(),
            Shown::Measure(measure) => self.measures[measure].kind(),
        }
    }

    pub(super) fn select(&mut self, names: &[String], step: &StepName) -> Result<(), PlanError> {
        let mut shown = Vec::with_capacity(names.len());
        for name in names {
            shown.push(self.shown[self.position(name, step)?].clone());
        }
        self.shown = shown;
        self.check_names(step)
    }

    pub(super) fn rename(&mut self, names: &[Renaming], step: &StepName) -> Result<(), PlanError> {
        let places = names
            .iter()
            .map(|renaming| self.position(&renaming.from, step));
        let places: Vec<usize> = places.collect::<Result<_, _>>()?;
        for (place, renaming) in places.into_iter().zip(names) {
            self.shown[place].0.clone_from(&renaming.to);
        }
        self.check_names(step)
    }

    fn position(&self, name: &str, step: &StepName) -> Result<usize, PlanError> {
        let place = self.shown.iter().position(|(own, _)| own == name);
        place.ok_or_else(|| PlanError::UnknownColumn {
            step: step.clone(),
            name: name.into(),
            known: listed(self.shown.iter().map(|(own, _)| own.as_str())),
        })
    }

    fn check_names(&self, step: &StepName) -> Result<(), PlanError> {
        for (index, (name, _)) in self.shown.iter().enumerate() {
            if self.shown[..index].iter().any(|(other, _)| other == name) {
                return Err(PlanError::Invalid {
                    step: step.clone(),
                    problem: format!("two columns are named {name:?}; rename one"),
                });
            }
        }
        Ok(())
    }
}

impl Measure {
    fn kind(&self) -> ResultType {
        match self {
            Self::Len | Self::Count(_) => ResultType::Number { places: 0 },
            Self::Sum(column) => match column.kind {
                ResultType::Number { places } => ResultType::Number { places },
                _ => ResultType::Number { places: 0 },
            },
            Self::Mean(_) => ResultType::Real,
            Self::Distribution(column, statistic) => match statistic {
                Statistic::Min | Statistic::Max => column.kind.clone(),
                Statistic::Quantile(_) => ResultType::Real,
                Statistic::NUnique => ResultType::Number { places: 0 },
            },
        }
    }
}

impl Key {
    /// Whether it may be missing.
    pub(crate) fn has_null(self, resolved: &Resolved<'_>) -> bool {
        match self {
            Self::Stored(side, column) => resolved.may_be_missing(side, column),
            Self::Function { diagram, .. } => resolved.diagrams.values(diagram).contains(&NULL),
        }
    }
}
