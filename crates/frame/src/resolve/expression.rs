//! Expressions: to choose by, to return, or both.

use super::{Atom, Key, Linear, Presence, Resolver, TableColumn, Weight};
use crate::answer::ResultType;
use crate::diagram::{Diagram, NULL};
use crate::number::Number;
use crate::plan::{Expression, Literal, PlanError};
use crate::schema::Column;

/// Most codes of a column that a function is tabulated over.
pub(super) const MAX_TABULATED: u64 = 1 << 12;
/// Largest constant of a sum.
const MAX_CONSTANT: u128 = 1 << 96;

impl<'a> Resolver<'a> {
    /// The column that an expression is; its name is what it was called, if it is one.
    pub(super) fn expression(&mut self, expression: &Expression) -> Result<TableColumn, PlanError> {
        match expression {
            Expression::Col(name) => self.column(name).cloned(),
            Expression::Lit(literal) => self.literal(literal),
            Expression::Add(parts) => {
                let Some((first, rest)) = parts.split_first() else {
                    return Err(self.invalid("a sum of nothing; give its parts"));
                };
                let mut sum = self.number(first)?;
                for part in rest {
                    let part = self.number(part)?;
                    sum = self.sum(sum, part, 1)?;
                }
                Ok(sum)
            }
            Expression::Sub(sides) => {
                let (one, other) = (self.number(&sides[0])?, self.number(&sides[1])?);
                self.sum(one, other, -1)
            }
            Expression::Mul(sides) => {
                let (one, other) = (self.number(&sides[0])?, self.number(&sides[1])?);
                self.product(one, other)
            }
            Expression::FillNull(part, literal) => self.fill_null(part, literal),
            Expression::Cut(part, breaks) => self.cut(part, breaks),
            Expression::Replace(part, pairs) => self.replace(part, pairs),
            Expression::Log(part, places) => self.log(part, *places),
            Expression::Model(model, features) => self.score(model, features),
            _ => {
                let diagram = self.truth(expression)?;
                self.function(diagram, 2, ResultType::Boolean)
            }
        }
    }

    /// A column whose codes are a function of bits.
    pub(super) fn function(
        &mut self,
        diagram: Diagram,
        size: u64,
        kind: ResultType,
    ) -> Result<TableColumn, PlanError> {
        self.function_from(diagram, (size, 0), kind)
    }

    /// The same where code 0 has the units `min`.
    pub(super) fn function_from(
        &mut self,
        diagram: Diagram,
        (size, min): (u64, i64),
        kind: ResultType,
    ) -> Result<TableColumn, PlanError> {
        let places = match kind {
            ResultType::Number { places } => places,
            _ => 0,
        };
        let mut presence = Vec::new();
        let sides = self.done.sides(diagram);
        presence.extend(
            sides
                .iter()
                .filter(|side| **side > 0)
                .map(|side| Presence::Matched(side - 1)),
        );
        if self.done.diagrams.values(diagram).contains(&NULL) {
            let there = self
                .done
                .diagrams
                .map(diagram, |value| i64::from(value != NULL));
            presence.push(Presence::Function(
                there.map_err(|error| self.too_large(error))?,
            ));
        }
        Ok(TableColumn {
            name: String::new(),
            kind,
            key: Some(Key::Function { diagram, size, min }),
            value: Some(Linear::of(Atom::Function(diagram), min.into(), places)),
            presence,
        })
    }

    fn literal(&mut self, literal: &Literal) -> Result<TableColumn, PlanError> {
        match literal {
            Literal::Number(number) => Ok(constant(*number)),
            Literal::Boolean(truth) => {
                self.function(Diagram::Terminal((*truth).into()), 2, ResultType::Boolean)
            }
            _ => Err(self.invalid(format!(
                "{literal} is no column; give a number, true or false"
            ))),
        }
    }

    /// An expression that can be added.
    pub(super) fn number(&mut self, expression: &Expression) -> Result<TableColumn, PlanError> {
        let column = self.expression(expression)?;
        if !matches!(column.kind, ResultType::Number { .. } | ResultType::Boolean) {
            return Err(self.invalid(format!(
                "{} cannot be added or multiplied",
                described(&column)
            )));
        }
        if column.value.is_none() {
            return Err(self.no_value(&column));
        }
        Ok(column)
    }

    fn sum(
        &self,
        one: TableColumn,
        other: TableColumn,
        sign: i64,
    ) -> Result<TableColumn, PlanError> {
        let (Some(mut left), Some(mut right)) = (one.value, other.value) else {
            return Err(self.invalid("a sum of what cannot be added"));
        };
        let places = left.places.max(right.places);
        let error = |()| {
            self.invalid("its numbers have so many decimals that they leave no room; round them")
        };
        left.scale(10i64.pow((places - left.places).into()), places)
            .map_err(error)?;
        right
            .scale(sign * 10i64.pow((places - right.places).into()), places)
            .map_err(error)?;
        left.constant = within(left.constant + right.constant).map_err(error)?;
        left.hidden = left.hidden.saturating_add(right.hidden);
        left.slack = left.slack.saturating_add(right.slack);
        for (atom, weight) in right.terms {
            left.add(atom, weight);
        }
        left.terms.retain(|term| !term.1.is_nothing());
        Ok(computed(left, places, [one.presence, other.presence]))
    }

    fn product(&self, one: TableColumn, other: TableColumn) -> Result<TableColumn, PlanError> {
        let is_constant = |side: &TableColumn| {
            side.value
                .as_ref()
                .is_some_and(|value| value.terms.is_empty())
        };
        let (value, factor) =
            if is_constant(&other) || (!is_constant(&one) && stored_key(&other).is_some()) {
                (one, other)
            } else {
                (other, one)
            };
        let (Some(mut linear), Some(by)) = (value.value.clone(), factor.value.clone()) else {
            return Err(self.invalid("a product of what cannot be multiplied"));
        };
        let places = linear.places + by.places;
        let error = |()| {
            self.invalid("its numbers have so many decimals that they leave no room; round them")
        };
        if places > crate::number::MAX_PLACES {
            return Err(error(()));
        }
        if by.terms.is_empty() {
            let weight = i64::try_from(by.constant).map_err(|_| error(()))?;
            linear.scale(weight, places).map_err(error)?;
        } else {
            let Some(index) = stored_key(&factor) else {
                return Err(self.not_levelled(
                    format!("the product of {} and {} has two values that are no keys", described(&value), described(&factor)),
                    "have both columns decrypted, multiply them, encrypt the product as a column; or give one of them the role \"key\"",
                ));
            };
            linear = self.times(linear, index, places).map_err(error)?;
        }
        Ok(computed(linear, places, [value.presence, factor.presence]))
    }

    /// Times a key column: its smallest value, and its code.
    fn times(&self, linear: Linear, index: usize, places: u8) -> Result<Linear, ()> {
        let min = self.base().columns()[index].domain.range().0;
        let constant = i64::try_from(linear.constant).map_err(|_| ())?;
        let mut terms = Vec::new();
        if constant != 0 {
            terms.push((Atom::Code(index), Weight::Known(constant)));
        }
        for (atom, weight) in &linear.terms {
            terms.push((Atom::Product(Box::new(atom.clone()), index), *weight));
        }
        let mut own = linear;
        let most = i128::from(self.base().columns()[index].domain.size());
        let (hidden, slack) = (own.hidden.saturating_mul(most), own.slack);
        own.scale(min, places)?;
        own.hidden = own.hidden.saturating_add(hidden);
        own.slack = own.slack.max(slack);
        own.terms.extend(terms);
        own.terms.retain(|term| !term.1.is_nothing());
        Ok(own)
    }

    pub(super) fn stored(&self, side: usize, index: usize) -> &'a Column {
        &self.done.frames[side].columns()[index]
    }

    /// That a column is no key.
    pub(super) fn chosen_by(&self, column: &TableColumn) -> PlanError {
        let is_limbs = |(atom, _): &(Atom, Weight)| matches!(atom, Atom::Limbs(_));
        let value = column.value.as_ref();
        let is_stored = value.is_some_and(|value| value.terms.iter().all(is_limbs));
        if is_stored && self.done.unchanged(column).is_some() {
            return self.invalid(format!(
                "{} is no key, so the server cannot choose by it; give it the role \"key\" and encrypt the frame again",
                described(column)
            ));
        }
        let rows = self.base().rows().count;
        let count = rows.map_or_else(|| "one cell a row".into(), |rows| format!("{rows} cells"));
        self.not_levelled(
            format!("it chooses by {}, which the server computes", described(column)),
            format!("a client refresh would be one round trip: {count} of it are decrypted by the key holder and come back as a key column"),
        )
    }

    /// That a column cannot be returned.
    pub(super) fn no_value(&self, column: &TableColumn) -> PlanError {
        self.invalid(format!(
            "{} has no role in the frame's rows; give it the role \"value\" and encrypt the frame again",
            described(column)
        ))
    }
}

impl Linear {
    /// Times an integer; the units become those of `10^-places`.
    fn scale(&mut self, weight: i64, places: u8) -> Result<(), ()> {
        for term in &mut self.terms {
            term.1 = term.1.times(weight).ok_or(())?;
        }
        self.constant = within(self.constant.checked_mul(weight.into()).ok_or(())?)?;
        let size = i128::from(weight).abs();
        self.hidden = self.hidden.saturating_mul(size);
        self.slack = self.slack.saturating_mul(size);
        self.terms.retain(|term| !term.1.is_nothing());
        self.places = places;
        Ok(())
    }

    /// Adds a term. What everybody knows of an atom stays apart from what is hidden, as their ranges do.
    pub(super) fn add(&mut self, atom: Atom, weight: Weight) {
        let is_alike = |own: Weight| own.is_hidden() == weight.is_hidden();
        let mut terms = self.terms.iter_mut();
        match terms.find(|term| term.0 == atom && is_alike(term.1)) {
            Some(term) => term.1 = term.1.plus(weight),
            None => self.terms.push((atom, weight)),
        }
    }
}

/// A key column of the first frame that is a number.
fn stored_key(column: &TableColumn) -> Option<usize> {
    match column.key {
        Some(Key::Stored(0, index)) => Some(index),
        _ => None,
    }
}

fn constant(number: Number) -> TableColumn {
    let places = number.places();
    TableColumn {
        name: String::new(),
        kind: ResultType::Number { places },
        key: None,
        value: Some(Linear {
            terms: Vec::new(),
            constant: number.units(places).unwrap_or(0).into(),
            places,
            hidden: 0,
            slack: 0,
        }),
        presence: Vec::new(),
    }
}

/// A constant, unless the sum of it over all rows of the largest frame would have no room.
const fn within(constant: i128) -> Result<i128, ()> {
    if constant.unsigned_abs() > MAX_CONSTANT {
        return Err(());
    }
    Ok(constant)
}

/// A column for people.
pub(super) fn described(column: &TableColumn) -> String {
    if column.name.is_empty() {
        "a computed value".into()
    } else {
        format!("column {:?}", column.name)
    }
}

/// A number that is there where all of its parts are.
fn computed(value: Linear, places: u8, parts: [Vec<Presence>; 2]) -> TableColumn {
    let [mut presence, more] = parts;
    for part in more {
        if !presence.contains(&part) {
            presence.push(part);
        }
    }
    TableColumn {
        name: String::new(),
        kind: ResultType::Number { places },
        key: None,
        value: Some(value),
        presence,
    }
}
