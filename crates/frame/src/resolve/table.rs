//! Functions of a small key column that a plan tabulates: any look-up, logarithms.

use super::{Key, Resolver, TableColumn};
use crate::answer::ResultType;
use crate::diagram::NULL;
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
