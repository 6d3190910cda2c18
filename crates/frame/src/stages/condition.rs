//! Conditions that the key holder decides, of decrypted rows: as the server decides them of keys, and
//! of reals as polars does.

use super::client::{Amount, NoNumber, Shape, is_amount, number, place};
use crate::answer::{Cell, ResultType, Table};
use crate::date::Date;
use crate::plan::{Comparison, Expression, Literal};
use std::cmp::Ordering;

/// A value of a row.
#[derive(Clone, Copy, Debug)]
enum Value<'a> {
    Number(Amount),
    Real(f64),
    Boolean(bool),
    Date(Date),
    Text(&'a str),
}

/// What is compared.
enum Compared<'a> {
    /// Cells of a type.
    Of(ResultType),
    /// What the plan writes.
    Written(&'a Literal),
}

/// Whether an expression is a condition that the key holder can decide.
pub(super) fn is_condition(expression: &Expression) -> bool {
    match expression {
        Expression::Col(_) | Expression::Lit(Literal::Boolean(_) | Literal::Null) => true,
        Expression::And(parts) | Expression::Or(parts) => parts.iter().all(is_condition),
        Expression::Not(part) => is_condition(part),
        Expression::IsNull(part) | Expression::IsIn(part, _) => is_amount(part),
        other => other
            .as_comparison()
            .is_some_and(|(_, sides)| sides.iter().all(is_side)),
    }
}

fn is_side(expression: &Expression) -> bool {
    matches!(expression, Expression::Lit(_)) || is_amount(expression)
}

/// What is wrong with a condition on rows of this shape, if something is.
pub(super) fn check(shape: &Shape, condition: &Expression) -> Result<(), String> {
    match condition {
        Expression::And(parts) | Expression::Or(parts) => {
            parts.iter().try_for_each(|part| check(shape, part))
        }
        Expression::Not(part) => check(shape, part),
        Expression::IsNull(part) => compared(shape, part).map(|_| ()),
        Expression::IsIn(part, list) => {
            let side = compared(shape, part)?;
            let mut list = list.iter();
            list.try_for_each(|own| are_alike(Comparison::Eq, &side, &Compared::Written(own), part))
        }
        Expression::Lit(_) => Ok(()),
        Expression::Col(name) => match shape.columns[shape.place(name)?].kind {
            ResultType::Boolean => Ok(()),
            _ => Err(format!(
                "column {name:?} is no condition; compare it with something"
            )),
        },
        other => {
            let (comparison, [one, two]) = other
                .as_comparison()
                .ok_or_else(|| format!("{other} is no condition"))?;
            let (left, right) = (compared(shape, one)?, compared(shape, two)?);
            are_alike(comparison, &left, &right, other)
        }
    }
}

/// What an expression gives to be compared.
fn compared<'a>(shape: &Shape, expression: &'a Expression) -> Result<Compared<'a>, String> {
    match expression {
        Expression::Lit(literal) => Ok(Compared::Written(literal)),
        Expression::Col(name) => {
            let kind = shape.columns[shape.place(name)?].kind.clone();
            Ok(Compared::Of(kind))
        }
        other => Ok(Compared::Of(shape.number(other)?.kind)),
    }
}

fn are_alike(
    comparison: Comparison,
    one: &Compared<'_>,
    other: &Compared<'_>,
    shown: &Expression,
) -> Result<(), String> {
    let ((Compared::Of(kind), with) | (with, Compared::Of(kind))) = (one, other) else {
        return Err(format!(
            "{shown} compares nothing but values; compare a column"
        ));
    };
    let is_text = matches!(kind, ResultType::Text { .. });
    if is_text && !matches!(comparison, Comparison::Eq | Comparison::Ne) {
        return Err(format!(
            "{shown} compares texts, whose order is not kept; compare by = and <>, or list those that are wanted"
        ));
    }
    let numbers = |kind: &ResultType| matches!(kind, ResultType::Number { .. } | ResultType::Real);
    let is_alike = match with {
        Compared::Of(own) => match (kind, own) {
            (ResultType::Text { .. }, ResultType::Text { .. })
            | (ResultType::Boolean, ResultType::Boolean)
            | (ResultType::Date, ResultType::Date) => true,
            _ => numbers(kind) && numbers(own),
        },
        Compared::Written(Literal::Null) => true,
        Compared::Written(Literal::Number(_)) => numbers(kind),
        Compared::Written(Literal::Boolean(_)) => *kind == ResultType::Boolean,
        Compared::Written(Literal::Text(text)) => match kind {
            ResultType::Text { dictionary } => {
                if !dictionary.contains(text) {
                    let known = dictionary.iter().map(String::as_str);
                    return Err(format!(
                        "{shown} compares with {text:?}, which is not in the dictionary: {}",
                        crate::resolve::listed(known)
                    ));
                }
                true
            }
            ResultType::Date => {
                let date = text.parse::<Date>();
                date.map_err(|error| format!("{shown} compares with {text:?}, which {error}"))?;
                true
            }
            _ => false,
        },
    };
    if is_alike {
        return Ok(());
    }
    Err(format!(
        "{shown} compares {kind} with what is none; give a value of its type"
    ))
}

/// Whether a condition is true of a row; nothing where that is missing.
pub(super) fn truth(
    condition: &Expression,
    table: &Table,
    row: &[Cell],
) -> Result<Option<bool>, NoNumber> {
    match condition {
        Expression::And(parts) => all(parts, false, table, row),
        Expression::Or(parts) => all(parts, true, table, row),
        Expression::Not(part) => Ok(truth(part, table, row)?.map(|own| !own)),
        Expression::IsNull(part) => Ok(Some(value(part, table, row)?.is_none())),
        Expression::IsIn(part, list) => is_in(part, list, table, row),
        Expression::Lit(_) | Expression::Col(_) => match value(condition, table, row)? {
            None => Ok(None),
            Some(Value::Boolean(truth)) => Ok(Some(truth)),
            Some(_) => Err(NoNumber),
        },
        other => {
            let (comparison, [one, two]) = other.as_comparison().ok_or(NoNumber)?;
            let sides = (value(one, table, row)?, value(two, table, row)?);
            let (Some(one), Some(two)) = sides else {
                return Ok(None);
            };
            Ok(Some(comparison.holds(order(one, two)? as i64, 0)))
        }
    }
}

/// And (false decides) and or (true decides) of three values.
fn all(
    parts: &[Expression],
    decides: bool,
    table: &Table,
    row: &[Cell],
) -> Result<Option<bool>, NoNumber> {
    let mut result = Some(!decides);
    for part in parts {
        match truth(part, table, row)? {
            Some(own) if own == decides => result = Some(decides),
            None if result != Some(decides) => result = None,
            _ => {}
        }
    }
    Ok(result)
}

fn is_in(
    part: &Expression,
    list: &[Literal],
    table: &Table,
    row: &[Cell],
) -> Result<Option<bool>, NoNumber> {
    if list.is_empty() {
        return Ok(Some(false));
    }
    let Some(own) = value(part, table, row)? else {
        return Ok(None);
    };
    for literal in list.iter().filter_map(written) {
        if order(own, literal)? == Ordering::Equal {
            return Ok(Some(true));
        }
    }
    Ok((!list.contains(&Literal::Null)).then_some(false))
}

fn value<'a>(
    expression: &'a Expression,
    table: &'a Table,
    row: &'a [Cell],
) -> Result<Option<Value<'a>>, NoNumber> {
    Ok(match expression {
        Expression::Lit(literal) => written(literal),
        Expression::Col(name) => {
            let place = place(table, name).ok_or(NoNumber)?;
            match row.get(place).ok_or(NoNumber)? {
                Cell::Null => None,
                Cell::Boolean(truth) => Some(Value::Boolean(*truth)),
                Cell::Number { units, places } => Some(Value::Number((*units, *places))),
                Cell::Real(real) => Some(Value::Real(*real)),
                Cell::Date(date) => Some(Value::Date(*date)),
                Cell::Text(text) => Some(Value::Text(text)),
            }
        }
        other => number(other, table, row)?.map(Value::Number),
    })
}

fn written(literal: &Literal) -> Option<Value<'_>> {
    match literal {
        Literal::Null => None,
        Literal::Boolean(truth) => Some(Value::Boolean(*truth)),
        Literal::Number(number) => {
            let places = number.places();
            let units = number.units(places).unwrap_or_default();
            Some(Value::Number((units.into(), places)))
        }
        Literal::Text(text) => Some(Value::Text(text)),
    }
}

/// Which of two values comes first; they are alike.
fn order(one: Value<'_>, other: Value<'_>) -> Result<Ordering, NoNumber> {
    let real = |(units, places): Amount| units as f64 / 10f64.powi(places.into());
    let floats = |one: f64, other: f64| one.partial_cmp(&other).ok_or(NoNumber);
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => {
            let places = one.1.max(other.1);
            let scaled = |own: Amount| {
                let scale = 10i128.pow(u32::from(places - own.1));
                own.0.checked_mul(scale).ok_or(NoNumber)
            };
            Ok(scaled(one)?.cmp(&scaled(other)?))
        }
        (Value::Real(one), Value::Real(other)) => floats(one, other),
        (Value::Real(one), Value::Number(other)) => floats(one, real(other)),
        (Value::Number(one), Value::Real(other)) => floats(real(one), other),
        (Value::Boolean(one), Value::Boolean(other)) => Ok(one.cmp(&other)),
        (Value::Date(one), Value::Date(other)) => Ok(one.days().cmp(&other.days())),
        (Value::Date(date), Value::Text(text)) => {
            let other: Date = text.parse().map_err(|_| NoNumber)?;
            Ok(date.days().cmp(&other.days()))
        }
        (Value::Text(_), Value::Date(_)) => Ok(order(other, one)?.reverse()),
        (Value::Text(one), Value::Text(other)) => Ok(one.cmp(other)),
        _ => Err(NoNumber),
    }
}
