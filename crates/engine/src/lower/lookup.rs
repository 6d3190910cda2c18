//! Look-ups, combinations, packed values, bootstraps and choices: nodes that are steps of their own.

use super::expression::Expression;
use super::{
    BootstrapStep, ChoiceStep, CombinationStep, Factor, Form, Lowering, NumberTerm, PackStep,
    ProgramStep, Start, Term, TurnStep,
};
use crate::polynomial::{Coefficient, Sparse, constant_of_turned, entry};
use crate::schedule::Group;
use cipherfn_circuit::CircuitError;
use cipherfn_circuit::circuit::{
    Bootstrap, Choice, Combination, ConstantId, Lookup, Operand, Pack, Rotated, Table, Turn,
    Weighted,
};

impl Lowering<'_> {
    /// The steps of a look-up: turns commute, so they are taken in the order of selectors, a step
    /// for those of one group.
    pub(super) fn turns(
        &mut self,
        lookup: &Lookup,
        values: &[Expression],
    ) -> Result<Expression, CircuitError> {
        let mut turns = lookup.form.clone();
        turns.retain(|turn| turn.rotation != 0);
        turns.sort_by_key(|turn| turn.selector);
        let mut start = match lookup.table {
            Table::Constant(table) if !turns.is_empty() => Start::Table(table, lookup.rotation),
            Table::Constant(table) => {
                self.copy(self.constant(table).len())?;
                let table = Sparse::sum(self.constant(table).to_vec());
                Start::Value(table.turned(lookup.rotation, self.polynomial_size), None)
            }
            Table::Node(node) => {
                let value = &values[node.index()];
                let term = value.step().map(|step| Term {
                    step,
                    rotation: lookup.rotation,
                });
                let constant = value.constant.turned(lookup.rotation, self.polynomial_size);
                self.copy(constant.len())?;
                Start::Value(constant, term)
            }
        };
        if turns.is_empty() {
            return Ok(match start {
                Start::Value(constant, term) => {
                    self.materialise(Expression::of_term(constant, term))
                }
                _ => unreachable!("what does not turn is a value"),
            });
        }
        self.budget.keep(size_of_val(turns.as_slice()))?;
        let mut groups = turns
            .chunk_by(|a: &Turn, b| Group::of(a.selector) == Group::of(b.selector))
            .peekable();
        let mut step = None;
        while let Some(turns) = groups.next() {
            let turned = self.push(ProgramStep::Turn(TurnStep {
                start,
                turns: turns.to_vec(),
                last: groups.peek().is_none(),
            }));
            start = Start::Step(turned);
            step = Some(turned);
        }
        Ok(Expression::of_step(Sparse::zero(), step))
    }

    pub(super) fn combine(
        &mut self,
        combination: &Combination,
        values: &[Expression],
    ) -> Result<Expression, CircuitError> {
        let size = self.polynomial_size;
        let value = |term: &Weighted| &values[term.node.node.index()];
        let constants = combination
            .terms
            .iter()
            .map(|term| value(term).constant.len());
        let own = combination.constant.map_or(&[][..], |id| self.constant(id));
        let mut constant = own.to_vec();
        self.copy(constant.len() + constants.sum::<usize>())?;
        let mut factors = Vec::new();
        for term in &combination.terms {
            let weight = term.weight as u64;
            let rotated = Sparse::rotated(
                value(term).constant.coefficients(),
                term.node.rotation,
                size,
            );
            constant.extend(rotated.map(|(at, value)| (at, value.wrapping_mul(weight))));
            if let (Some(step), 1..) = (value(term).step(), term.weight.unsigned_abs()) {
                factors.push(Factor {
                    term: Term {
                        step,
                        rotation: term.node.rotation,
                    },
                    weight: term.weight as f64,
                });
            }
        }
        self.budget.keep(size_of_val(factors.as_slice()))?;
        let step = (!factors.is_empty())
            .then(|| self.push(ProgramStep::Combination(CombinationStep(factors))));
        let constant = Sparse::sum(constant);
        self.budget
            .keep(constant.len() * size_of::<Coefficient>())?;
        Ok(Expression::of_step(constant, step))
    }

    pub(super) fn pack_items(
        &mut self,
        pack: &Pack,
        values: &[Expression],
    ) -> Result<Expression, CircuitError> {
        let size = self.polynomial_size;
        let (mut constant, mut items) = (Vec::new(), Vec::new());
        for (wanted, place) in pack.wanted(size) {
            let own = values[wanted.node.index()].constant.coefficients();
            if !own.is_empty() {
                constant.push((place, constant_of_turned(own, wanted.rotation, size)));
            }
        }
        for item in &pack.items {
            items.push(values[item.node.index()].step().map(|step| Term {
                step,
                rotation: item.rotation,
            }));
        }
        self.budget
            .keep(size_of_val(constant.as_slice()) + size_of_val(items.as_slice()))?;
        let step = items.iter().any(Option::is_some).then(|| {
            let levels = pack.spacing(size).ilog2();
            self.push(ProgramStep::Pack(PackStep { levels, items }))
        });
        Ok(Expression::of_step(Sparse::sum(constant), step))
    }

    pub(super) fn table_at(&mut self, bootstrap: &Bootstrap, values: &[Expression]) -> Expression {
        let Bootstrap { of, table } = *bootstrap;
        match self.number(of, values) {
            Ok(number) => {
                let step = self.push(ProgramStep::Bootstrap(BootstrapStep { number, table }));
                Expression::of_step(Sparse::zero(), Some(step))
            }
            Err(plain) => {
                let found = entry(self.constant(table), self.bootstrap_table, plain);
                Expression::of_step(Sparse::sum(vec![(0, found)]), None)
            }
        }
    }

    pub(super) fn choose(
        &mut self,
        choice: &Choice,
        values: &[Expression],
    ) -> Result<Expression, CircuitError> {
        let number = match self.number(choice.of, values) {
            Ok(number) => number,
            Err(plain) => {
                let (constant, term) = self.side(choice.chosen(plain), 0, values)?;
                return Ok(self.materialise(Expression::of_term(constant, term)));
            }
        };
        let negated = self.polynomial_size;
        let (clear_constant, clear) = self.side(choice.clear, 0, values)?;
        let (minus_constant, minus) = self.side(choice.clear, negated, values)?;
        let (set_constant, set) = self.side(choice.set, 0, values)?;
        let constants = [minus_constant.coefficients(), set_constant.coefficients()];
        let terms = set.into_iter().chain(minus).collect();
        let step = ChoiceStep {
            number,
            gadget: choice.gadget,
            clear,
            difference: Form {
                terms,
                rows: Vec::new(),
            },
            constant: Sparse::sum(constants.concat()),
        };
        self.budget
            .keep(step.constant.len() * size_of::<Coefficient>())?;
        let step = self.push(ProgramStep::Choice(step));
        Ok(Expression::of_step(clear_constant, Some(step)))
    }

    /// `X^turned` times a side of a choice: its plaintext, and what there is of it beside.
    fn side(
        &mut self,
        operand: Operand,
        turned: u32,
        values: &[Expression],
    ) -> Result<(Sparse, Option<Term>), CircuitError> {
        let size = self.polynomial_size;
        let (constant, term) = match operand {
            Operand::Zero => return Ok((Sparse::zero(), None)),
            Operand::Constant(id) => {
                let plain = Sparse::sum(self.constant(id).to_vec());
                (plain.turned(turned, size), None)
            }
            Operand::Node(Rotated { node, rotation }) => {
                let value = &values[node.index()];
                let rotation = (rotation + turned) % (2 * size);
                let term = value.step().map(|step| Term { step, rotation });
                (value.constant.turned(rotation, size), term)
            }
        };
        self.copy(constant.len())?;
        Ok((constant, term))
    }

    /// What a bootstrap is of, or the number that it is if it is a plain one.
    fn number(&self, of: Rotated, values: &[Expression]) -> Result<NumberTerm, u64> {
        let value = &values[of.node.index()];
        let coefficients = value.constant.coefficients();
        let constant = constant_of_turned(coefficients, of.rotation, self.polynomial_size);
        let step = value.step().ok_or(constant)?;
        let rotation = of.rotation;
        Ok(NumberTerm {
            of: Term { step, rotation },
            constant,
        })
    }

    fn constant(&self, id: ConstantId) -> &[Coefficient] {
        &self.circuit.constants[id.index()].0
    }

    /// Before `items` coefficients are copied.
    fn copy(&mut self, items: usize) -> Result<(), CircuitError> {
        self.budget
            .copy(items, items * size_of::<Coefficient>(), &mut 0)
    }
}
