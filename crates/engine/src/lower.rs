//! From a circuit to the steps that evaluate it.
//!
//! A *step* is a value that is kept in memory: `terms + rows + sum of selector (.) difference`, or
//! the product of weights and a feature vector. Whatever is cheaper to recompute than to keep is
//! folded into its users:
//! - plaintext parts are tracked exactly, as polynomials, and never enter the Fourier domain;
//! - a CMUX between two plaintexts is a *row term*, gadget digits of the plaintext times the
//!   selector's body rows. It is linear, so row terms of one selector add up;
//! - sums are flattened into their only user, and CMUXes of one selector in one sum become one.

mod budget;
mod expression;
mod uses;

#[cfg(test)]
mod tests;

use crate::evaluator::{self, Evaluator};
use crate::polynomial::Sparse;
use budget::Budget;
use cipherfn_circuit::CircuitError;
use cipherfn_circuit::circuit::{Circuit, Input, NodeId, Output, Product, SelectorId, Sum};
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

/// A value that is kept.
#[derive(Debug)]
pub(crate) enum ProgramStep {
    /// Of earlier steps and selectors.
    Sum(SumStep),
    /// Of a feature vector: the node that says the weights.
    Product(NodeId),
}

/// `linear + sum of externals`.
#[derive(Debug, Default)]
pub(crate) struct SumStep {
    pub(crate) linear: Form,
    pub(crate) externals: Vec<External>,
}

/// `terms + rows`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Form {
    pub(crate) terms: Vec<Term>,
    pub(crate) rows: Vec<RowTerm>,
}

/// `X^rotation * step`, rotation < 2N.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Term {
    pub(crate) step: u32,
    pub(crate) rotation: u32,
}

/// `selector (.) plaintext`.
#[derive(Clone, Debug)]
pub(crate) struct RowTerm {
    pub(crate) selector: SelectorId,
    pub(crate) plaintext: Sparse,
}

/// The external product `selector (.) (difference + constant)`.
#[derive(Clone, Debug)]
pub(crate) struct External {
    pub(crate) selector: SelectorId,
    pub(crate) difference: Form,
    pub(crate) constant: Sparse,
}

/// Lowers a checked circuit.
pub(crate) fn lower(circuit: &Circuit, polynomial_size: usize) -> Result<Program, CircuitError> {
    let mut lowering = Lowering {
        circuit,
        polynomial_size: polynomial_size as u32,
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
    uses: Vec<Uses>,
    steps: Vec<ProgramStep>,
    budget: Budget,
}

impl Evaluator for Lowering<'_> {
    type Glwe = Expression;
    type Output = Outcome;
    type Error = CircuitError;

    fn reads(&mut self, _: NodeId, sum: &Sum, read: &mut dyn FnMut(NodeId)) {
        sum.reads().for_each(|rotated| read(rotated.node));
    }

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
        let term = self.push(ProgramStep::Product(node));
        Ok(Expression {
            constant: Sparse::sum(constant),
            form: Form {
                terms: vec![term],
                rows: Vec::new(),
            },
            externals: Vec::new(),
        })
    }

    fn output(&mut self, _: &Output, value: &Expression) -> Result<Outcome, CircuitError> {
        let Expression { constant, form, .. } = self.materialise(value.clone());
        Ok(Outcome {
            constant,
            step: form.terms.first().map(|term| term.step),
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
            Input::Features(_) => unreachable!("checked: a selector is of a group"),
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
                linear.terms.push(part);
            }
            externals = Vec::new();
        }
        let term = self.push(ProgramStep::Sum(SumStep { linear, externals }));
        Expression {
            constant,
            form: Form {
                terms: vec![term],
                rows: Vec::new(),
            },
            externals: Vec::new(),
        }
    }

    fn push(&mut self, step: ProgramStep) -> Term {
        self.steps.push(step);
        Term {
            step: self.steps.len() as u32 - 1,
            rotation: 0,
        }
    }
}

impl ProgramStep {
    /// The forms that a step reads, those of its external products last.
    pub(crate) fn forms(&self) -> impl Iterator<Item = &Form> {
        let sum = match self {
            Self::Sum(sum) => Some(sum),
            Self::Product(_) => None,
        };
        sum.into_iter().flat_map(|sum| {
            std::iter::once(&sum.linear)
                .chain(sum.externals.iter().map(|external| &external.difference))
        })
    }

    /// Its external products.
    pub(crate) fn externals(&self) -> &[External] {
        match self {
            Self::Sum(sum) => &sum.externals,
            Self::Product(_) => &[],
        }
    }
}

impl External {
    const fn zero(selector: SelectorId) -> Self {
        Self {
            selector,
            difference: Form {
                terms: Vec::new(),
                rows: Vec::new(),
            },
            constant: Sparse::zero(),
        }
    }
}

impl Form {
    pub(crate) fn is_empty(&self) -> bool {
        self.terms.is_empty() && self.rows.is_empty()
    }
}
