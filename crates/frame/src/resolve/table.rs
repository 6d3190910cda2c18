//! Functions of a small key column that a plan tabulates: intervals, any look-up, logarithms.

use super::expression::MAX_TABULATED;
use super::{Key, Resolver, TableColumn};
use crate::answer::ResultType;
use crate::diagram::{Diagram, NULL};
use crate::number::{MAX_PLACES, Number};
use crate::plan::{Comparison, Expression, Literal, PlanError};
use std::collections::BTreeMap;

impl Resolver<'_> {
    /// A number for each of some cells.
    pub(super) fn replace(
        &mut self,
        part: &Expression,
        pairs: &[(Literal, Number)],
    ) -> Result<TableColumn, PlanError> {
        let (column, side, index) = self.key_column(part)?;
        let domain = &self.stored(side, index).domain;
        let places = pairs.iter().map(|(_, number)| number.places()).max();
        let places = places.unwrap_or(0);
        let mut units = BTreeMap::new();
        for (cell, number) in pairs {
            let placed = self.place(&column.name, domain, cell, Comparison::Eq)?;
            let own = number.units(places).ok_or_else(|| {
                self.invalid(format!(
                    "{number} has too many digits beside the other numbers; round it"
                ))
            })?;
            // A cell that the column cannot hold is never replaced.
            if placed.exact && units.insert(placed.below, own).is_some() {
                return Err(self.invalid(format!("{cell} is replaced twice; leave one out")));
            }
        }
        self.tabulated((side, index), places, |code| units.get(&code).copied())
    }

    /// The natural logarithm.
    pub(super) fn log(&mut self, part: &Expression, places: u8) -> Result<TableColumn, PlanError> {
        let (column, side, index) = self.key_column(part)?;
        let domain = &self.stored(side, index).domain;
        if !matches!(column.kind, ResultType::Number { .. }) || places > MAX_PLACES / 2 {
            return Err(self.invalid(format!(
                "the logarithm to {places} decimals of column {:?} ({}): take one of at most {} decimals, of a number",
                column.name,
                column.kind,
                MAX_PLACES / 2
            )));
        }
        let (min, of_one) = (domain.range().0, 10f64.powi(domain.places().into()));
        let scale = 10f64.powi(places.into());
        self.tabulated((side, index), places, |code| {
            let value = (min as f64 + code as f64) / of_one;
            (value > 0.0).then(|| (value.ln() * scale).round() as i64)
        })
    }

    /// A key column that is stored.
    fn key_column(&mut self, part: &Expression) -> Result<(TableColumn, usize, usize), PlanError> {
        let column = self.expression(part)?;
        match column.key {
            Some(Key::Stored(side, index)) => Ok((column, side, index)),
            _ => Err(self.chosen_by(&column)),
        }
    }

    pub(super) fn cut(
        &mut self,
        part: &Expression,
        breaks: &[Literal],
    ) -> Result<TableColumn, PlanError> {
        let column = self.expression(part)?;
        let Some(Key::Stored(side, index)) = column.key else {
            return Err(self.chosen_by(&column));
        };
        let stored = self.stored(side, index);
        let mut steps = vec![(0u64, 0i64)];
        let mut last = 0;
        for (number, literal) in breaks.iter().enumerate() {
            let placed = self.place(&column.name, &stored.domain, literal, Comparison::Lt)?;
            let first = placed.below;
            if first < last || (number > 0 && breaks[number - 1] == *literal) {
                return Err(self.invalid(format!(
                    "the break {literal} is not above the one before; put breaks in order"
                )));
            }
            last = first;
            match steps.last_mut() {
                Some(step) if step.0 == first => step.1 = number as i64 + 1,
                _ if first < stored.domain.size() => steps.push((first, number as i64 + 1)),
                _ => {}
            }
        }
        let diagram = self.steps((side, index), steps, NULL)?;
        self.function(
            diagram,
            breaks.len() as u64 + 1,
            ResultType::Number { places: 0 },
        )
    }

    /// A function of the codes of a key column, as a diagram.
    pub(super) fn tabulate(
        &mut self,
        (side, index): (usize, usize),
        missing: i64,
        function: impl Fn(u64) -> i64,
    ) -> Result<Diagram, PlanError> {
        let stored = self.stored(side, index);
        let size = stored.domain.size();
        if size > MAX_TABULATED {
            return Err(self.invalid(format!(
                "column {:?} has {size} values, a function of a key at most {MAX_TABULATED}; narrow its range",
                stored.name
            )));
        }
        let mut steps: Vec<(u64, i64)> = (0..size).map(|code| (code, function(code))).collect();
        steps.dedup_by_key(|step| step.1);
        self.steps((side, index), steps, missing)
    }

    /// A column of numbers that a function makes of codes, in units of `10^-places`.
    fn tabulated(
        &mut self,
        of: (usize, usize),
        places: u8,
        function: impl Fn(u64) -> Option<i64>,
    ) -> Result<TableColumn, PlanError> {
        let size = self.stored(of.0, of.1).domain.size();
        // A key that is too large is refused where it is tabulated.
        let units = (0..size.min(1 << 16)).filter_map(&function);
        let (min, max) = units.fold((i64::MAX, i64::MIN), |(min, max), units| {
            (min.min(units), max.max(units))
        });
        let (min, max) = if min > max { (0, 0) } else { (min, max) };
        let size = i128::from(max) - i128::from(min) + 1;
        if size > 1 << 48 {
            return Err(self.invalid(
                "its numbers are more than 2^48 units apart; round them to fewer decimals",
            ));
        }
        let diagram = self.tabulate(of, NULL, |code| {
            function(code).map_or(NULL, |units| units - min)
        })?;
        self.function_from(diagram, (size as u64, min), ResultType::Number { places })
    }
}
