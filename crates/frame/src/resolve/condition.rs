//! Conditions: functions of bits of a row that are true, false or missing.

use super::expression::described;
use super::literal::Placed;
use super::{Key, Presence, Resolver, TableColumn};
use crate::answer::ResultType;
use crate::diagram::{Diagram, NULL, RowBit};
use crate::plan::{Comparison, Expression, Literal, PlanError};
use crate::schema::Domain;
use std::collections::BTreeSet;

impl Resolver<'_> {
    /// A condition: 1 where it is true, 0 where it is false, [`NULL`] where it is missing.
    pub(super) fn truth(&mut self, expression: &Expression) -> Result<Diagram, PlanError> {
        let truth = self.truth_of(expression)?;
        self.keep_partners(expression, truth)?;
        Ok(truth)
    }

    /// Refuses a condition that is the same whatever a merged column holds: what it is for a row
    /// without partner, whose cells are missing, would be lost.
    fn keep_partners(&self, expression: &Expression, truth: Diagram) -> Result<(), PlanError> {
        let mut open = vec![expression];
        let mut named = Vec::new();
        while let Some(part) = open.pop() {
            if let Expression::Col(name) = part {
                match self.column(name)?.key {
                    Some(Key::Stored(side, _)) => named.push(side),
                    Some(Key::Function { diagram, .. }) => {
                        named.extend(self.done.diagrams.sides(diagram));
                    }
                    None => {}
                }
            }
            open.extend(part.parts());
        }
        let kept = self.done.diagrams.sides(truth);
        // Of a table in the clear, a row without partner has a code of its own.
        let is_lost = |side: &usize| {
            *side > 0
                && !self.done.is_clear(*side)
                && !self.done.joins[side - 1].inner
                && !kept.contains(side)
        };
        let lost = named.into_iter().find(is_lost);
        let Some(side) = lost else { return Ok(()) };
        Err(self.invalid(format!(
            "a condition holds for every cell of a column of {0:?} or for none, and rows without partner in {0:?} have missing cells: leave the condition out, or merge by an inner join",
            self.done.frames[side].name()
        )))
    }

    fn truth_of(&mut self, expression: &Expression) -> Result<Diagram, PlanError> {
        if let Some((comparison, sides)) = expression.as_comparison() {
            return self.compare(comparison, sides);
        }
        match expression {
            Expression::And(parts) => self.all(parts, 0),
            Expression::Or(parts) => self.all(parts, 1),
            Expression::Not(part) => {
                let part = self.truth(part)?;
                let not = self.done.diagrams.map(part, |value| match value {
                    NULL => NULL,
                    value => 1 - value,
                });
                not.map_err(|error| self.too_large(error))
            }
            Expression::IsNull(part) => self.is_null(part),
            Expression::IsIn(part, list) => self.is_in(part, list),
            Expression::Lit(Literal::Boolean(truth)) => Ok(Diagram::Terminal((*truth).into())),
            Expression::Lit(Literal::Null) => Ok(Diagram::Terminal(NULL)),
            _ => {
                let column = self.expression(expression)?;
                if column.kind != ResultType::Boolean {
                    return Err(self.invalid(format!(
                        "{} is no condition; compare it with something",
                        described(&column)
                    )));
                }
                self.diagram(&column)
            }
        }
    }

    /// And (0 decides), or (1 decides).
    fn all(&mut self, parts: &[Expression], decides: i64) -> Result<Diagram, PlanError> {
        let mut all = Diagram::Terminal(1 - decides);
        for part in parts {
            let part = self.truth(part)?;
            let joined = self
                .done
                .diagrams
                .both(all, part, |one, other| decided(decides, one, other));
            all = joined.map_err(|error| self.too_large(error))?;
        }
        Ok(all)
    }

    fn is_null(&mut self, part: &Expression) -> Result<Diagram, PlanError> {
        let column = self.expression(part)?;
        let mut missing = Diagram::Terminal(0);
        for presence in &column.presence {
            let own = match presence {
                Presence::Stored(index) if self.base().columns()[*index].roles.key => {
                    Ok(self.steps((0, *index), vec![(0, 0)], 1)?)
                }
                Presence::Looked { join, column } if self.done.is_clear(join + 1) => {
                    Ok(self.steps((join + 1, *column), vec![(0, 0)], 1)?)
                }
                Presence::Matched(join) if self.done.is_clear(join + 1) => {
                    let there = self.done.diagrams.bit(join + 1, RowBit::Live);
                    there.and_then(|there| self.done.diagrams.map(there, |value| 1 - value))
                }
                Presence::Stored(index) => {
                    let there = self.done.diagrams.bit(0, RowBit::Presence(*index));
                    there.and_then(|there| self.done.diagrams.map(there, |value| 1 - value))
                }
                Presence::Function(diagram) => self
                    .done
                    .diagrams
                    .map(*diagram, |value| i64::from(value != 1)),
                Presence::Matched(_) | Presence::Looked { .. } => {
                    return Err(self.chosen_by(&column));
                }
            };
            let own = own.map_err(|error| self.too_large(error))?;
            let joined = self
                .done
                .diagrams
                .both(missing, own, |one, other| one | other);
            missing = joined.map_err(|error| self.too_large(error))?;
        }
        Ok(missing)
    }

    fn compare(
        &mut self,
        comparison: Comparison,
        sides: &[Expression; 2],
    ) -> Result<Diagram, PlanError> {
        match sides {
            [Expression::Lit(one), Expression::Lit(other)] => {
                Err(self.invalid(format!("{one} is compared with {other}; compare a column")))
            }
            [Expression::Lit(literal), other] => {
                self.compare_with(comparison.mirrored(), other, literal)
            }
            [one, Expression::Lit(literal)] => self.compare_with(comparison, one, literal),
            [one, other] => {
                let (one, other) = (self.expression(one)?, self.expression(other)?);
                self.compare_columns(comparison, &one, &other)
            }
        }
    }

    /// Whether a key column is one of the literals. It is resolved once however many these are, and
    /// becomes one diagram: in the list, else missing where that has a missing literal, else not.
    fn is_in(&mut self, part: &Expression, list: &[Literal]) -> Result<Diagram, PlanError> {
        if let (Expression::Lit(one), Some(other)) = (part, list.first()) {
            return Err(self.invalid(format!("{one} is compared with {other}; compare a column")));
        }
        if list.is_empty() {
            return Ok(Diagram::Terminal(0));
        }
        let column = self.expression(part)?;
        let has_null = list.contains(&Literal::Null);
        let literals: Vec<&Literal> = list.iter().filter(|own| **own != Literal::Null).collect();
        if literals.is_empty() {
            return Ok(Diagram::Terminal(NULL));
        }
        self.compare_column(&column, |own, domain, size| {
            let mut codes = BTreeSet::new();
            for literal in literals {
                let placed = own.place(&column.name, domain, literal, Comparison::Eq)?;
                if placed.exact {
                    codes.insert(placed.below);
                }
            }
            Ok(contained(&codes, has_null, size))
        })
    }

    /// A key column against a literal.
    fn compare_with(
        &mut self,
        comparison: Comparison,
        part: &Expression,
        literal: &Literal,
    ) -> Result<Diagram, PlanError> {
        let column = self.expression(part)?;
        if *literal == Literal::Null {
            return Ok(Diagram::Terminal(NULL));
        }
        self.compare_column(&column, |own, domain, size| {
            let placed = own.place(&column.name, domain, literal, comparison)?;
            Ok(compared(comparison, placed, size))
        })
    }

    /// A condition on a key column's codes: where they begin to fulfil or to fail it, by their domain
    /// and how many they are.
    fn compare_column(
        &mut self,
        column: &TableColumn,
        steps: impl FnOnce(&Self, &Domain, u64) -> Result<Vec<(u64, i64)>, PlanError>,
    ) -> Result<Diagram, PlanError> {
        let compared = match column.key {
            Some(Key::Stored(side, index)) => {
                let stored = self.stored(side, index);
                let steps = steps(self, &stored.domain, stored.domain.size())?;
                return self.steps((side, index), steps, NULL);
            }
            Some(Key::Function { diagram, size, min }) => {
                let max = min + size as i64 - 1;
                let domain = column.kind.domain(min, max);
                let domain = domain.ok_or_else(|| self.chosen_by(column))?;
                let steps = steps(self, &domain, size)?;
                self.done
                    .diagrams
                    .map(diagram, |value| match u64::try_from(value) {
                        Ok(code) => steps[steps.partition_point(|step| step.0 <= code) - 1].1,
                        Err(_) => NULL,
                    })
            }
            None => return Err(self.chosen_by(column)),
        };
        compared.map_err(|error| self.too_large(error))
    }

    fn compare_columns(
        &mut self,
        comparison: Comparison,
        one: &TableColumn,
        other: &TableColumn,
    ) -> Result<Diagram, PlanError> {
        if one.kind != other.kind {
            return Err(self.invalid(format!(
                "{} is compared with {}",
                described(one),
                described(other)
            )));
        }
        if matches!(one.kind, ResultType::Text { .. })
            && !matches!(comparison, Comparison::Eq | Comparison::Ne)
        {
            return Err(self.invalid(format!(
                "{} holds texts, whose order is not kept; compare by = and <>",
                described(one)
            )));
        }
        let mins = [one, other].map(|side| match side.key {
            Some(Key::Stored(side, index)) => self.stored(side, index).domain.range().0,
            Some(Key::Function { min, .. }) => min,
            None => 0,
        });
        let sides = (self.diagram(one)?, self.diagram(other)?);
        let compared = self.done.diagrams.both(sides.0, sides.1, |one, other| {
            if one == NULL || other == NULL {
                return NULL;
            }
            comparison.holds(one + mins[0], other + mins[1]).into()
        });
        compared.map_err(|error| self.too_large(error))
    }

    /// What a column is to choose by, as a function to its codes.
    pub(super) fn diagram(&mut self, column: &TableColumn) -> Result<Diagram, PlanError> {
        match column.key {
            Some(Key::Function { diagram, .. }) => Ok(diagram),
            Some(Key::Stored(side, index)) => {
                self.tabulate((side, index), NULL, |code| code as i64)
            }
            None => Err(self.chosen_by(column)),
        }
    }
}

impl Comparison {
    const fn mirrored(self) -> Self {
        match self {
            Self::Eq | Self::Ne => self,
            Self::Lt => Self::Gt,
            Self::Le => Self::Ge,
            Self::Gt => Self::Lt,
            Self::Ge => Self::Le,
        }
    }
}

/// And (0 decides) and or (1 decides) of three values.
const fn decided(decides: i64, one: i64, other: i64) -> i64 {
    if one == decides || other == decides {
        decides
    } else if one == NULL || other == NULL {
        NULL
    } else {
        1 - decides
    }
}

/// Where codes begin to fulfil or to fail a comparison.
fn compared(comparison: Comparison, placed: Placed, size: u64) -> Vec<(u64, i64)> {
    let after = placed.below + u64::from(placed.exact);
    let (below, equal, above) = match comparison {
        Comparison::Eq => (0, 1, 0),
        Comparison::Ne => (1, 0, 1),
        Comparison::Lt => (1, 0, 0),
        Comparison::Le => (1, 1, 0),
        Comparison::Gt => (0, 0, 1),
        Comparison::Ge => (0, 1, 1),
    };
    let parts = [
        (0, placed.below, below),
        (placed.below, after, equal),
        (after, size, above),
    ];
    let parts = parts.into_iter().filter(|(start, end, _)| start < end);
    parts.map(|(start, _, value)| (start, value)).collect()
}

/// Where codes begin and cease to be among those of a list; elsewhere they are missing if the list has
/// a missing literal.
fn contained(codes: &BTreeSet<u64>, has_null: bool, size: u64) -> Vec<(u64, i64)> {
    let other = if has_null { NULL } else { 0 };
    let mut steps = Vec::new();
    let mut end = 0;
    for code in codes {
        if *code > end {
            steps.push((end, other));
        }
        // Those in a row are one step.
        if *code > end || end == 0 {
            steps.push((*code, 1));
        }
        end = code + 1;
    }
    if end < size {
        steps.push((end, other));
    }
    steps
}
