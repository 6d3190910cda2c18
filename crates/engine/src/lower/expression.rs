//! A node's value in terms of steps, selector rows and plaintexts.

use super::budget::Budget;
use super::{External, Form, RowTerm, Term};
use crate::polynomial::{Coefficient, Sparse};
use cipherfn_circuit::CircuitError;
use cipherfn_circuit::circuit::{Constant, Operand, Rotated, Sum};

/// `constant + form + sum of selector (.) (difference + constant)`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Expression {
    pub(super) constant: Sparse,
    pub(super) form: Form,
    pub(super) externals: Vec<External>,
}

/// A sum of expressions that has not been put in order. Everything is appended and joined once, by
/// sorting: adding polynomial to polynomial would take the square of their number.
#[derive(Default)]
struct Terms {
    constant: Vec<Coefficient>,
    form: Form,
    externals: Vec<External>,
}

/// What expressions are made of.
pub(super) struct Context<'a> {
    pub(super) constants: &'a [Constant],
    pub(super) values: &'a [Expression],
    pub(super) polynomial_size: u32,
}

impl Context<'_> {
    /// The value of a node.
    pub(super) fn sum(&self, sum: &Sum, budget: &mut Budget) -> Result<Expression, CircuitError> {
        let mut pending = 0;
        let mut terms = Terms::default();
        let mut add = |terms: &mut Terms, operand, rotation| {
            let (items, bytes) = self.size(operand);
            budget.copy(items, bytes, &mut pending)?;
            self.append(terms, operand, rotation);
            Ok::<(), CircuitError>(())
        };
        if let Some(constant) = sum.constant {
            add(&mut terms, Operand::Constant(constant), 0)?;
        }
        for addend in &sum.addends {
            add(&mut terms, Operand::Node(*addend), 0)?;
        }
        for select in &sum.selects {
            add(&mut terms, select.clear, 0)?;
            let mut difference = Terms::default();
            add(&mut difference, select.set, 0)?;
            add(&mut difference, select.clear, self.polynomial_size)?;
            terms.externals.push(External {
                selector: select.selector,
                constant: Sparse::sum(difference.constant),
                difference: difference.form,
            });
        }
        let expression = self.join(terms);
        budget.keep(expression.size().1)?;
        Ok(expression)
    }

    /// Items and bytes of an operand, of which each side of a CMUX costs a product besides.
    fn size(&self, operand: Operand) -> (usize, usize) {
        match operand {
            Operand::Zero => (1, size_of::<External>()),
            Operand::Constant(id) => {
                let len = self.constants[id.index()].0.len();
                (
                    1 + len,
                    size_of::<External>() + len * size_of::<Coefficient>(),
                )
            }
            Operand::Node(rotated) => {
                let (items, bytes) = self.values[rotated.node.index()].size();
                (1 + items, size_of::<External>() + bytes)
            }
        }
    }

    /// Adds `X^rotation * operand`.
    fn append(&self, terms: &mut Terms, operand: Operand, rotation: u32) {
        let size = self.polynomial_size;
        match operand {
            Operand::Zero => {}
            Operand::Constant(id) => terms.constant.extend(Sparse::rotated(
                &self.constants[id.index()].0,
                rotation,
                size,
            )),
            Operand::Node(Rotated {
                node,
                rotation: turned,
            }) => {
                let rotation = (rotation + turned) % (2 * size);
                let value = &self.values[node.index()];
                terms.constant.extend(Sparse::rotated(
                    value.constant.coefficients(),
                    rotation,
                    size,
                ));
                self.append_form(&mut terms.form, &value.form, rotation);
                for external in &value.externals {
                    let mut difference = Form::default();
                    self.append_form(&mut difference, &external.difference, rotation);
                    terms.externals.push(External {
                        selector: external.selector,
                        difference,
                        constant: external.constant.turned(rotation, size),
                    });
                }
            }
        }
    }

    /// Adds `X^rotation * form`.
    fn append_form(&self, sum: &mut Form, form: &Form, rotation: u32) {
        let size = self.polynomial_size;
        sum.terms.extend(form.terms.iter().map(|term| Term {
            step: term.step,
            rotation: (term.rotation + rotation) % (2 * size),
        }));
        sum.rows.extend(form.rows.iter().map(|row| RowTerm {
            selector: row.selector,
            plaintext: row.plaintext.turned(rotation, size),
        }));
    }

    /// Joins what shares a selector, drops what cancels, and turns CMUXes of plaintexts into row
    /// terms.
    fn join(&self, terms: Terms) -> Expression {
        let Terms {
            constant,
            mut form,
            mut externals,
        } = terms;
        externals.sort_by_key(|external| external.selector);
        let mut joined: Vec<External> = Vec::with_capacity(externals.len());
        for group in externals.chunk_by_mut(|a, b| a.selector == b.selector) {
            let mut external = match group {
                [only] => std::mem::replace(only, External::zero(only.selector)),
                group => External {
                    selector: group[0].selector,
                    constant: Sparse::sum(
                        group
                            .iter()
                            .flat_map(|external| external.constant.coefficients())
                            .copied()
                            .collect(),
                    ),
                    difference: Form {
                        terms: group
                            .iter_mut()
                            .flat_map(|external| external.difference.terms.drain(..))
                            .collect(),
                        rows: group
                            .iter_mut()
                            .flat_map(|external| external.difference.rows.drain(..))
                            .collect(),
                    },
                },
            };
            self.join_form(&mut external.difference);
            if external.difference.is_empty() {
                form.rows.push(RowTerm {
                    selector: external.selector,
                    plaintext: external.constant,
                });
            } else {
                joined.push(external);
            }
        }
        self.join_form(&mut form);
        Expression {
            constant: Sparse::sum(constant),
            form,
            externals: joined,
        }
    }

    fn join_form(&self, form: &mut Form) {
        form.rows.sort_by_key(|row| row.selector);
        let mut rows = Vec::with_capacity(form.rows.len());
        for group in form.rows.chunk_by_mut(|a, b| a.selector == b.selector) {
            let selector = group[0].selector;
            let plaintext = match group {
                [only] => std::mem::take(&mut only.plaintext),
                group => Sparse::sum(
                    group
                        .iter()
                        .flat_map(|row| row.plaintext.coefficients())
                        .copied()
                        .collect(),
                ),
            };
            if !plaintext.is_zero() {
                rows.push(RowTerm {
                    selector,
                    plaintext,
                });
            }
        }
        form.rows = rows;
        let key = |term: &Term| (term.step, term.rotation % self.polynomial_size);
        form.terms.sort_by_key(key);
        let mut terms = Vec::with_capacity(form.terms.len());
        for group in form.terms.chunk_by(|a, b| key(a) == key(b)) {
            let (positive, negative): (Vec<Term>, Vec<Term>) = group
                .iter()
                .partition(|term| term.rotation < self.polynomial_size);
            let cancelled = positive.len().min(negative.len());
            terms.extend(
                positive
                    .into_iter()
                    .skip(cancelled)
                    .chain(negative.into_iter().skip(cancelled)),
            );
        }
        form.terms = terms;
    }
}

impl Expression {
    /// A plaintext and a step.
    pub(super) fn of_step(constant: Sparse, step: Option<u32>) -> Self {
        Self::of_term(constant, step.map(Term::of))
    }

    /// A plaintext and a term.
    pub(super) fn of_term(constant: Sparse, term: Option<Term>) -> Self {
        Self {
            constant,
            form: Form {
                terms: term.into_iter().collect(),
                rows: Vec::new(),
            },
            externals: Vec::new(),
        }
    }

    /// The step, of an expression that is one and a plaintext.
    pub(super) fn step(&self) -> Option<u32> {
        debug_assert!(
            self.form.rows.is_empty()
                && self.externals.is_empty()
                && matches!(self.form.terms[..], [] | [Term { rotation: 0, .. }]),
            "a value that is read whole is kept"
        );
        self.form.terms.first().map(|term| term.step)
    }

    /// Items (terms, rows, products and plaintext coefficients) and bytes.
    fn size(&self) -> (usize, usize) {
        let (mut items, mut bytes) = self.form.size();
        items += self.constant.len();
        bytes += self.constant.len() * size_of::<Coefficient>();
        for external in &self.externals {
            let (own, own_bytes) = external.difference.size();
            items += 1 + own + external.constant.len();
            bytes += size_of::<External>()
                + own_bytes
                + external.constant.len() * size_of::<Coefficient>();
        }
        (items, bytes)
    }
}

impl Form {
    /// Items and bytes.
    fn size(&self) -> (usize, usize) {
        let coefficients: usize = self.rows.iter().map(|row| row.plaintext.len()).sum();
        (
            self.terms.len() + self.rows.len() + coefficients,
            self.terms.len() * size_of::<Term>()
                + self.rows.len() * size_of::<RowTerm>()
                + coefficients * size_of::<Coefficient>(),
        )
    }
}
