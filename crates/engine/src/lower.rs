//! From a circuit to the steps that evaluate it.
//!
//! A *step* is a value that is kept in memory: `terms + rows + sum of selector (.) difference`, or
//! the product of weights and a feature vector, or a part of a look-up, a combination, a packed value,
//! a bootstrap, a choice.
//! Whatever is cheaper to recompute than to keep is folded into its users:
//! - plaintext parts are tracked exactly, as polynomials, and never enter the Fourier domain;
//! - a CMUX between two plaintexts is a *row term*, gadget digits of the plaintext times the
//!   selector's body rows. It is linear, so row terms of one selector add up;
//! - sums are flattened into their only user, and CMUXes of one selector in one sum become one.

mod budget;
mod expression;
mod lookup;
mod step;
mod uses;

#[cfg(test)]
mod tests;

pub(crate) use step::{
    BootstrapStep, ChoiceStep, CombinationStep, External, Factor, Form, NumberTerm, PackStep,
    ProgramStep, RowTerm, Start, SumStep, Term, TurnStep,
};

use crate::evaluator::{self, Evaluator};
use crate::polynomial::Sparse;
use budget::Budget;
use cipherfn_circuit::circuit::{
    Bootstrap, Carrier, Choice, Circuit, Combination, Input, Lookup, NodeId, Output, Pack, Product,
    SelectorId, Sum,
};
use cipherfn_circuit::{CircuitError, Dimensions};
use expression::{Context, Expression};
use uses::Uses;

/// CMUXes of a step; longer sums are cut into parts that threads share.
const MAX_EXTERNALS: usize = 8;

/// The steps of a circuit, in topological order, and its results.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) steps: Vec<ProgramStep>,
    /// One an output.
    pub(crate) results: Vec<Outcome>,
}

/// The value of an output.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// Plaintext part.
    pub(crate) constant: Sparse,
    /// Ciphertext part: the value of this step, if there is one.
    pub(crate) step: Option<u32>,
}

/// Lowers a checked circuit.
pub(crate) fn lower(circuit: &Circuit, dimensions: Dimensions) -> Result<Program, CircuitError> {
    let mut lowering = Lowering {
        circuit,
        polynomial_size: dimensions.polynomial_size as u32,
        bootstrap_table: dimensions.bootstrap_table.unwrap_or_default() as u32,
        uses: uses::count(circuit),
        steps: Vec::new(),
        budget: Budget::default(),
    };
    let results = evaluator::evaluate(circuit, &mut lowering)?;
    Ok(Program {
        steps: lowering.steps,
        results,
    })
}

struct Lowering<'a> {
    circuit: &'a Circuit,
    polynomial_size: u32,
    /// Entries of a table of a bootstrap, if there are any.
    bootstrap_table: u32,
    uses: Vec<Uses>,
    steps: Vec<ProgramStep>,
    budget: Budget,
}

impl Evaluator for Lowering<'_> {
    type Glwe = Expression;
    type Output = Outcome;
    type Error = CircuitError;

    fn sum(
        &mut self,
        node: NodeId,
        sum: &Sum,
        values: &[Expression],
    ) -> Result<Expression, CircuitError> {
        let context = Context {
            constants: &self.circuit.constants,
            values,
            polynomial_size: self.polynomial_size,
        };
        let expression = context.sum(sum, &mut self.budget)?;
        if self.keep(&expression, self.uses[node.index()]) {
            Ok(self.materialise(expression))
        } else {
            Ok(expression)
        }
    }

    fn product(&mut self, node: NodeId, product: &Product) -> Result<Expression, CircuitError> {
        let constant = product
            .constant
            .map_or_else(Vec::new, |id| self.circuit.constants[id.index()].0.clone());
        let step = self.push(ProgramStep::Product(node));
        Ok(Expression::of_step(Sparse::sum(constant), Some(step)))
    }

    fn lookup(
        &mut self,
        _: NodeId,
        lookup: &Lookup,
        values: &[Expression],
    ) -> Result<Expression, CircuitError> {
        self.turns(lookup, values)
    }

    fn combination(
        &mut self,
        _: NodeId,
        combination: &Combination,
        values: &[Expression],
    ) -> Result<Expression, CircuitError> {
        self.combine(combination, values)
    }

    fn pack(
        &mut self,
        _: NodeId,
        pack: &Pack,
        values: &[Expression],
    ) -> Result<Expression, CircuitError> {
        self.pack_items(pack, values)
    }

    fn bootstrap(
        &mut self,
        _: NodeId,
        bootstrap: &Bootstrap,
        values: &[Expression],
    ) -> Result<Expression, CircuitError> {
        Ok(self.table_at(bootstrap, values))
    }

    fn choice(
        &mut self,
        _: NodeId,
        choice: &Choice,
        values: &[Expression],
    ) -> Result<Expression, CircuitError> {
        self.choose(choice, values)
    }

    fn carrier(&mut self, _: NodeId, carrier: Carrier) -> Result<Expression, CircuitError> {
        let step = self.push(ProgramStep::Carrier(carrier));
        Ok(Expression::of_step(Sparse::zero(), Some(step)))
    }

    fn output(&mut self, _: &Output, value: &Expression) -> Result<Outcome, CircuitError> {
        let value = self.materialise(value.clone());
        Ok(Outcome {
            step: value.step(),
            constant: value.constant,
        })
    }
}

impl Lowering<'_> {
    /// Whether to keep a value in memory, where it costs one write and a read a use, rather than
    /// fold it into its users. Costs count reads of a whole ciphertext.
    fn keep(&self, expression: &Expression, uses: Uses) -> bool {
        if uses.total == 0 {
            // An output, which is kept when its turn comes.
            return false;
        }
        if uses.whole {
            return true;
        }
        let total = uses.total as usize + usize::from(uses.is_output);
        if !expression.externals.is_empty() {
            return total > 1 || !uses.only_added;
        }
        let row_cost = |row: &RowTerm| {
            let levels = self.levels(row.selector);
            // A plaintext of several coefficients has to be transformed.
            if row.plaintext.len() == 1 {
                levels
            } else {
                2 * levels
            }
        };
        let form = &expression.form;
        let cost = form.terms.len() + form.rows.iter().map(row_cost).sum::<usize>();
        total > 1 && total * cost > cost + 1 + total
    }

    fn levels(&self, selector: SelectorId) -> usize {
        match &self.circuit.inputs[selector.input.index()] {
            Input::Selectors(group) => group.gadget.levels.get() as usize,
            _ => unreachable!("checked: a selector is of a group"),
        }
    }

    /// Makes a step of all but the plaintext part.
    fn materialise(&mut self, expression: Expression) -> Expression {
        let Expression {
            constant,
            form: mut linear,
            mut externals,
        } = expression;
        let is_step =
            matches!(linear.terms[..], [Term { rotation: 0, .. }]) && linear.rows.is_empty();
        if externals.is_empty() && (linear.is_empty() || is_step) {
            return Expression {
                constant,
                form: linear,
                externals,
            };
        }
        if externals.len() > MAX_EXTERNALS {
            let mut rest = externals.into_iter().peekable();
            while rest.peek().is_some() {
                let externals = rest.by_ref().take(MAX_EXTERNALS).collect();
                let part = self.push(ProgramStep::Sum(SumStep {
                    linear: Form::default(),
                    externals,
                }));
                linear.terms.push(Term::of(part));
            }
            externals = Vec::new();
        }
        let step = self.push(ProgramStep::Sum(SumStep { linear, externals }));
        Expression::of_step(constant, Some(step))
    }

    fn push(&mut self, step: ProgramStep) -> u32 {
        self.steps.push(step);
        self.steps.len() as u32 - 1
    }
}
