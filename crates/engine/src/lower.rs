//! From a circuit to the steps that evaluate it.
//!
//! A *step* is a value that is kept in memory: `terms + rows + sum of selector (.) difference`.
//! Whatever is cheaper to recompute than to keep is folded into its users:
//! - plaintext parts are tracked exactly, as polynomials, and never enter the Fourier domain;
//! - a CMUX between two plaintexts is a *row term*, gadget digits of the plaintext times the
//!   selector's body rows. It is linear, so row terms of one selector add up;
//! - sums are flattened into their only user, and CMUXes of one selector in one sum become one.

use crate::polynomial::Sparse;
use cipherfn_circuit::circuit::{CircuitError, LevelledCircuit, Node, Operand, Rotated};

#[cfg(test)]
mod tests;

/// Terms and plaintext coefficients that lowering may create, over all nodes.
const MAX_SIZE: usize = 1 << 25;
/// CMUXes of a step; longer sums are cut into parts that threads share.
const MAX_PRODUCTS: usize = 8;

/// The steps of a circuit, in topological order, and its result.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) steps: Vec<Step>,
    /// Plaintext part of the result.
    pub(crate) constant: Sparse,
    /// Its ciphertext part: the value of this step, if there is one.
    pub(crate) result: Option<u32>,
}

/// A value that is kept.
#[derive(Debug, Default)]
pub(crate) struct Step {
    pub(crate) linear: Form,
    pub(crate) products: Vec<Product>,
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
    pub(crate) selector: u32,
    pub(crate) plaintext: Sparse,
}

/// `selector (.) (difference + constant)`.
#[derive(Clone, Debug)]
pub(crate) struct Product {
    pub(crate) selector: u32,
    pub(crate) difference: Form,
    pub(crate) constant: Sparse,
}

/// Lowers a checked circuit.
pub(crate) fn lower(
    circuit: &LevelledCircuit,
    polynomial_size: usize,
) -> Result<Program, CircuitError> {
    let constants: Vec<Sparse> = circuit.constants.iter().map(Sparse::from).collect();
    let uses = Uses::count(circuit);
    let mut lowering = Lowering {
        polynomial_size: polynomial_size as u32,
        levels: circuit.gadget.levels as usize,
        constants,
        expressions: Vec::with_capacity(circuit.nodes.len()),
        steps: Vec::new(),
        size: 0,
    };
    let last = circuit.nodes.len() - 1;
    for (index, node) in circuit.nodes.iter().enumerate() {
        if uses.total[index] == 0 && index != last {
            lowering.expressions.push(Expression::default());
            continue;
        }
        let expression = lowering.expression(node)?;
        let kept =
            index != last && lowering.keep(&expression, uses.total[index], uses.only_added[index]);
        let expression = if kept {
            lowering.materialise(expression)
        } else {
            expression
        };
        lowering.expressions.push(expression);
    }
    let result = lowering.expressions.pop().unwrap_or_default();
    let empty =
        result.products.is_empty() && result.form.terms.is_empty() && result.form.rows.is_empty();
    let materialised = lowering.materialise(result);
    let constant = materialised.constant;
    let result = if empty {
        None
    } else {
        materialised.form.terms.first().map(|term| term.step)
    };
    Ok(Program {
        steps: lowering.steps,
        constant,
        result,
    })
}

/// How often a node's value is needed by nodes that the result needs.
struct Uses {
    total: Vec<u32>,
    /// Every use is as an addend.
    only_added: Vec<bool>,
}

impl Uses {
    fn count(circuit: &LevelledCircuit) -> Self {
        let len = circuit.nodes.len();
        let mut uses = Self {
            total: vec![0; len],
            only_added: vec![true; len],
        };
        for (index, node) in circuit.nodes.iter().enumerate().rev() {
            if uses.total[index] == 0 && index + 1 != len {
                continue;
            }
            for addend in &node.addends {
                uses.total[addend.node as usize] += 1;
            }
            for select in &node.selects {
                // The value at 0 is needed twice: in the sum and in the difference.
                for (operand, times) in [(select.clear, 2), (select.set, 1)] {
                    if let Operand::Node(operand) = operand {
                        uses.total[operand.node as usize] += times;
                        uses.only_added[operand.node as usize] = false;
                    }
                }
            }
        }
        uses
    }
}

/// A node's value in terms of steps and selectors.
#[derive(Clone, Debug, Default)]
struct Expression {
    constant: Sparse,
    form: Form,
    products: Vec<Product>,
}

struct Lowering {
    polynomial_size: u32,
    levels: usize,
    constants: Vec<Sparse>,
    expressions: Vec<Expression>,
    steps: Vec<Step>,
    size: usize,
}

impl Lowering {
    fn expression(&mut self, node: &Node) -> Result<Expression, CircuitError> {
        let mut sum = Expression::default();
        if let Some(constant) = node.constant {
            self.add_operand(&mut sum, Operand::Constant(constant), 0);
        }
        for addend in &node.addends {
            self.add_operand(&mut sum, Operand::Node(*addend), 0);
        }
        for select in &node.selects {
            self.add_operand(&mut sum, select.clear, 0);
            let mut difference = Expression::default();
            self.add_operand(&mut difference, select.set, 0);
            self.add_operand(&mut difference, select.clear, self.polynomial_size);
            let (selector, constant) = (select.selector, difference.constant);
            sum.products.push(Product {
                selector,
                difference: difference.form,
                constant,
            });
        }
        self.normalise(sum)
    }

    /// Adds `X^rotation * operand`.
    fn add_operand(&self, sum: &mut Expression, operand: Operand, rotation: u32) {
        match operand {
            Operand::Zero => {}
            Operand::Constant(id) => sum.constant.add_rotated(
                &self.constants[id as usize],
                rotation,
                self.polynomial_size,
            ),
            Operand::Node(Rotated {
                node,
                rotation: turned,
            }) => {
                let rotation = (rotation + turned) % (2 * self.polynomial_size);
                let node = &self.expressions[node as usize];
                sum.constant
                    .add_rotated(&node.constant, rotation, self.polynomial_size);
                self.add_form(&mut sum.form, &node.form, rotation);
                for product in &node.products {
                    let mut turned = Product {
                        selector: product.selector,
                        difference: Form::default(),
                        constant: Sparse::default(),
                    };
                    turned
                        .constant
                        .add_rotated(&product.constant, rotation, self.polynomial_size);
                    self.add_form(&mut turned.difference, &product.difference, rotation);
                    sum.products.push(turned);
                }
            }
        }
    }

    /// Adds `X^rotation * form`.
    fn add_form(&self, sum: &mut Form, form: &Form, rotation: u32) {
        let modulus = 2 * self.polynomial_size;
        sum.terms.extend(form.terms.iter().map(|term| Term {
            step: term.step,
            rotation: (term.rotation + rotation) % modulus,
        }));
        sum.rows.extend(form.rows.iter().map(|row| {
            let mut plaintext = Sparse::default();
            plaintext.add_rotated(&row.plaintext, rotation, self.polynomial_size);
            RowTerm {
                selector: row.selector,
                plaintext,
            }
        }));
    }

    /// Joins what shares a selector, drops what cancels, and turns CMUXes of plaintexts into row
    /// terms.
    fn normalise(&mut self, sum: Expression) -> Result<Expression, CircuitError> {
        let Expression {
            constant,
            mut form,
            mut products,
        } = sum;
        products.sort_by_key(|product| product.selector);
        let mut joined: Vec<Product> = Vec::with_capacity(products.len());
        for product in products {
            match joined
                .last_mut()
                .filter(|last| last.selector == product.selector)
            {
                Some(last) => {
                    last.constant
                        .add_rotated(&product.constant, 0, self.polynomial_size);
                    last.difference.terms.extend(product.difference.terms);
                    last.difference.rows.extend(product.difference.rows);
                }
                None => joined.push(product),
            }
        }
        let mut size = constant.len();
        let mut products = Vec::with_capacity(joined.len());
        for mut product in joined {
            self.normalise_form(&mut product.difference);
            if product.difference.is_empty() {
                form.rows.push(RowTerm {
                    selector: product.selector,
                    plaintext: product.constant,
                });
            } else {
                size += product.constant.len() + product.difference.len();
                products.push(product);
            }
        }
        self.normalise_form(&mut form);
        self.size += size + form.len();
        if self.size > MAX_SIZE {
            return Err(CircuitError::TooLarge {
                unit: "plaintext coefficients",
                limit: MAX_SIZE as u64,
            });
        }
        Ok(Expression {
            constant,
            form,
            products,
        })
    }

    fn normalise_form(&self, form: &mut Form) {
        form.rows.sort_by_key(|row| row.selector);
        form.rows.dedup_by(|row, kept| {
            let same = row.selector == kept.selector;
            if same {
                kept.plaintext
                    .add_rotated(&row.plaintext, 0, self.polynomial_size);
            }
            same
        });
        form.rows.retain(|row| !row.plaintext.is_zero());
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

    /// Whether to keep a value in memory, where it costs one write and a read a use, rather than
    /// fold it into its users.
    fn keep(&self, expression: &Expression, uses: u32, only_added: bool) -> bool {
        if !expression.products.is_empty() {
            return uses > 1 || !only_added;
        }
        let row_cost = |row: &RowTerm| {
            if row.plaintext.len() == 1 {
                self.levels
            } else {
                2 * self.levels
            }
        };
        let cost =
            expression.form.terms.len() + expression.form.rows.iter().map(row_cost).sum::<usize>();
        let uses = uses as usize;
        uses > 1 && uses * cost > cost + 1 + uses
    }

    /// Makes a step of all but the plaintext part.
    fn materialise(&mut self, expression: Expression) -> Expression {
        let Expression {
            constant,
            form: mut linear,
            mut products,
        } = expression;
        let is_step =
            matches!(linear.terms[..], [Term { rotation: 0, .. }]) && linear.rows.is_empty();
        if products.is_empty() && (linear.is_empty() || is_step) {
            return Expression {
                constant,
                form: linear,
                products,
            };
        }
        if products.len() > MAX_PRODUCTS {
            let mut rest = products.into_iter().peekable();
            while rest.peek().is_some() {
                let products = rest.by_ref().take(MAX_PRODUCTS).collect();
                let part = self.push(Step {
                    linear: Form::default(),
                    products,
                });
                linear.terms.push(part);
            }
            products = Vec::new();
        }
        let term = self.push(Step { linear, products });
        Expression {
            constant,
            form: Form {
                terms: vec![term],
                rows: Vec::new(),
            },
            products: Vec::new(),
        }
    }

    fn push(&mut self, step: Step) -> Term {
        self.steps.push(step);
        Term {
            step: self.steps.len() as u32 - 1,
            rotation: 0,
        }
    }
}

impl Form {
    pub(crate) fn is_empty(&self) -> bool {
        self.terms.is_empty() && self.rows.is_empty()
    }

    /// Terms and coefficients in it.
    fn len(&self) -> usize {
        self.terms.len()
            + self
                .rows
                .iter()
                .map(|row| row.plaintext.len())
                .sum::<usize>()
    }
}
