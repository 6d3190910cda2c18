//! Expressions: to choose by, to return, or both.

use super::literal::Placed;
use super::{Atom, Key, Linear, Presence, Resolver, TableColumn, pieces};
use crate::answer::ResultType;
use crate::diagram::{Diagram, Diagrams, NULL, RowBit, TooLarge};
use crate::number::Number;
use crate::plan::{Comparison, Expression, Literal, PlanError};
use crate::schema::{Column, Domain};
use std::collections::BTreeSet;

/// Most codes of a column that a function is tabulated over.
const MAX_TABULATED: u64 = 1 << 12;
/// Largest weight of a sum: exact in torus words with room for limbs.
const MAX_WEIGHT: u64 = 1 << 30;

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
            _ => {
                let diagram = self.truth(expression)?;
                self.function(diagram, 2, ResultType::Boolean)
            }
        }
    }

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
        let lost = named
            .into_iter()
            .find(|side| *side > 0 && !self.done.joins[side - 1].inner && !kept.contains(side));
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
                    let stored = &self.base().columns()[*index];
                    let steps = [(0, 0), (stored.domain.size(), 1)];
                    self.done
                        .diagrams
                        .steps((0, *index), stored.code_bits(), &steps)
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
                let steps = pieces(stored, steps, NULL);
                self.done
                    .diagrams
                    .steps((side, index), stored.code_bits(), &steps)
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
        let steps = pieces(stored, steps, missing);
        let diagram = self
            .done
            .diagrams
            .steps((side, index), stored.code_bits(), &steps);
        diagram.map_err(|error| self.too_large(error))
    }

    fn fill_null(
        &mut self,
        part: &Expression,
        literal: &Literal,
    ) -> Result<TableColumn, PlanError> {
        let mut column = self.expression(part)?;
        if column.presence.is_empty() {
            return Ok(column);
        }
        // Of what is computed, the cells that are missing are none of those that the places and the
        // code of the stored column say.
        if !matches!(part, Expression::Col(_)) {
            return Err(self.invalid(format!(
                "missing cells of {} cannot be filled, as it is computed; fill those of its columns",
                described(&column)
            )));
        }
        let (side, index) = match (&column.presence[..], column.key) {
            ([Presence::Stored(index)], _) => (0, *index),
            ([Presence::Matched(_)], Some(Key::Stored(side, index))) => (side, index),
            ([Presence::Looked { join, column }], _) => (join + 1, *column),
            _ => (usize::MAX, 0),
        };
        let looked = column
            .value
            .as_ref()
            .and_then(|value| match value.terms[..] {
                [(Atom::Looked { join, column }, 1)] => Some((join + 1, column)),
                _ => None,
            });
        let joins = column
            .presence
            .iter()
            .filter_map(|presence| match presence {
                Presence::Matched(join) | Presence::Looked { join, .. } => Some(*join),
                Presence::Stored(_) | Presence::Function(_) => None,
            });
        if let Some(join) = joins.into_iter().find(|join| self.done.adds_rows(*join)) {
            return Err(self.invalid(format!(
                "missing cells of {} cannot be filled, as {:?} adds rows of equal keys; fill them in the answer",
                described(&column),
                self.done.frames[join + 1].name()
            )));
        }
        let Some((side, index)) = looked.or((side != usize::MAX).then_some((side, index))) else {
            return Err(self.invalid(format!(
                "missing cells of {} cannot be filled, as it is computed; fill those of its columns",
                described(&column)
            )));
        };
        let stored = self.stored(side, index);
        let placed = self.place(&column.name, &stored.domain, literal, Comparison::Eq)?;
        if !placed.exact {
            return Err(self.invalid(format!(
                "missing cells of {} cannot be filled with {literal}: its cells are {}; fill with one of those, or widen the range in the schema and encrypt the frame again",
                described(&column),
                stored.domain.shown()
            )));
        }
        let size = stored.domain.size();
        let is_code = |value: &Linear| {
            let mut atoms = value.terms.iter();
            atoms.any(|(atom, _)| matches!(atom, Atom::Code(_)))
        };
        if size > MAX_TABULATED && column.value.as_ref().is_some_and(is_code) {
            return Err(self.invalid(format!(
                "missing cells of {} cannot be filled: it is a key of {size} codes, and {MAX_TABULATED} are the most; give it the role \"value\"",
                described(&column)
            )));
        }
        let min = stored.domain.range().0;
        if let Some(value) = &mut column.value {
            let fill = i128::from(min) + i128::from(placed.below) - value.constant;
            let fill = i64::try_from(fill).unwrap_or(i64::MAX);
            value
                .fill(&column.presence, fill, &mut self.done.diagrams)
                .map_err(|error| self.too_large(error))?;
        }
        column.key = match column.key {
            Some(Key::Stored(0, index)) if size <= MAX_TABULATED => {
                let diagram = self.tabulate((0, index), placed.below as i64, |code| code as i64)?;
                if let Some(value) = &mut column.value
                    && value
                        .terms
                        .iter()
                        .any(|(atom, _)| matches!(atom, Atom::Code(_)))
                {
                    value.terms = vec![(Atom::Function(diagram), 1)];
                    value.constant = min.into();
                }
                Some(Key::Function { diagram, size, min })
            }
            _ => None,
        };
        column.presence.clear();
        Ok(column)
    }

    fn cut(&mut self, part: &Expression, breaks: &[Literal]) -> Result<TableColumn, PlanError> {
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
        let steps = pieces(stored, steps, NULL);
        let diagram = self
            .done
            .diagrams
            .steps((side, index), stored.code_bits(), &steps);
        let diagram = diagram.map_err(|error| self.too_large(error))?;
        self.function(
            diagram,
            breaks.len() as u64 + 1,
            ResultType::Number { places: 0 },
        )
    }

    /// A column whose codes are a function of bits.
    fn function(
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
        let sides = self.done.diagrams.sides(diagram);
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
            value: Some(Linear {
                terms: vec![(Atom::Function(diagram), 1)],
                constant: min.into(),
                places,
            }),
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
    fn number(&mut self, expression: &Expression) -> Result<TableColumn, PlanError> {
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
        left.constant += right.constant;
        for (atom, weight) in right.terms {
            match left.terms.iter_mut().find(|term| term.0 == atom) {
                Some(term) => term.1 += weight,
                None => left.terms.push((atom, weight)),
            }
        }
        left.terms.retain(|term| term.1 != 0);
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
            terms.push((Atom::Code(index), constant));
        }
        for (atom, weight) in &linear.terms {
            terms.push((Atom::Product(Box::new(atom.clone()), index), *weight));
        }
        let mut own = linear;
        own.scale(min, places)?;
        own.terms.extend(terms);
        own.terms.retain(|term| term.1 != 0);
        Ok(own)
    }

    pub(super) fn stored(&self, side: usize, index: usize) -> &'a Column {
        &self.done.frames[side].columns()[index]
    }

    /// That a column is no key.
    pub(super) fn chosen_by(&self, column: &TableColumn) -> PlanError {
        let is_stored = |atom: &Atom| matches!(atom, Atom::Limbs(_));
        let value = column.value.as_ref();
        if value.is_some_and(|value| value.terms.len() == 1 && is_stored(&value.terms[0].0)) {
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
    /// Adds `fill` where a cell is missing, which is zero there.
    fn fill(
        &mut self,
        presence: &[Presence],
        fill: i64,
        diagrams: &mut Diagrams,
    ) -> Result<(), TooLarge> {
        let (weight, atom) = match presence {
            [Presence::Stored(index)] => {
                let there = diagrams.bit(0, RowBit::Presence(*index))?;
                (
                    fill,
                    Atom::Function(diagrams.map(there, |value| 1 - value)?),
                )
            }
            [Presence::Matched(join)] => (-fill, Atom::Matched(*join)),
            [Presence::Looked { join, column }] => (
                -fill,
                Atom::Present {
                    join: *join,
                    column: *column,
                },
            ),
            _ => return Ok(()),
        };
        if weight == -fill {
            self.constant += i128::from(fill);
        }
        if fill != 0 {
            self.terms.push((atom, weight));
        }
        Ok(())
    }

    /// Times an integer; the units become those of `10^-places`.
    fn scale(&mut self, weight: i64, places: u8) -> Result<(), ()> {
        for term in &mut self.terms {
            term.1 = term.1.checked_mul(weight).ok_or(())?;
            if term.1.unsigned_abs() > MAX_WEIGHT {
                return Err(());
            }
        }
        self.constant = self.constant.checked_mul(weight.into()).ok_or(())?;
        self.terms.retain(|term| term.1 != 0);
        self.places = places;
        Ok(())
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
        }),
        presence: Vec::new(),
    }
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
