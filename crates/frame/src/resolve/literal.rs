//! What a plan writes, among a column's codes.

use super::{Resolver, listed};
use crate::answer::ResultType;
use crate::plan::{Comparison, Literal, PlanError};
use crate::schema::Domain;

/// Where a literal lies among the codes of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Placed {
    /// Codes below it.
    pub(super) below: u64,
    /// Whether it is the code `below`.
    pub(super) exact: bool,
}

impl Resolver<'_> {
    /// Where a literal lies among the codes of `domain`, the codes of column `name`.
    pub(super) fn place(
        &self,
        name: &str,
        domain: &Domain,
        literal: &Literal,
        comparison: Comparison,
    ) -> Result<Placed, PlanError> {
        let (min, max) = domain.range();
        let units = match (domain, literal) {
            (Domain::Integer { .. } | Domain::Decimal { .. }, Literal::Number(number)) => {
                number.floor_units(domain.places())
            }
            (Domain::Boolean, Literal::Boolean(truth)) => i128::from(*truth),
            (Domain::Date { .. }, Literal::Text(text)) => match text.parse::<crate::date::Date>() {
                Ok(date) => date.days().into(),
                Err(error) => {
                    return Err(self.invalid(format!(
                        "column {name:?} is compared with {text:?}, which {error}"
                    )));
                }
            },
            (Domain::Text { dictionary }, Literal::Text(text)) => {
                if !matches!(comparison, Comparison::Eq | Comparison::Ne) {
                    return Err(self.invalid(format!(
                        "column {name:?} holds texts, whose order is not kept; compare by = and <>, or list those that are wanted"
                    )));
                }
                match dictionary.iter().position(|known| known == text) {
                    Some(place) => place as i128,
                    None => {
                        return Err(self.invalid(format!(
                            "column {name:?} is compared with {text:?}, which is not in its dictionary: {}",
                            listed(dictionary.iter().map(String::as_str))
                        )));
                    }
                }
            }
            _ => {
                return Err(self.invalid(format!(
                    "column {name:?} ({}) is compared with {}; give a value of its type",
                    ResultType::of(domain),
                    literal
                )));
            }
        };
        let is_unit = match literal {
            Literal::Number(number) => number.units(domain.places()).is_some(),
            _ => true,
        };
        let (min, max) = (i128::from(min), i128::from(max));
        let is_code = is_unit && (min..=max).contains(&units);
        // What lies between two units is above the lower one.
        let first = units + i128::from(!is_unit);
        Ok(Placed {
            below: (first.clamp(min, max + 1) - min) as u64,
            exact: is_code,
        })
    }
}
