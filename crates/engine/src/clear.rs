//! The cleartext evaluator: the same circuits on selector bits and feature vectors in the clear,
//! exactly and without keys.
//!
//! The compiler simulates models with it, and the tests hold the encrypted evaluator to it.

use crate::error::EngineError;
use crate::evaluator::{self, Evaluator};
use crate::polynomial::{Coefficient, Sparse, value_at};
use cipherfn_circuit::circuit::{
    Circuit, ConstantId, Input, NodeId, Operand, Output, Product, SelectorId, Sum,
};
use cipherfn_scheme::parameters::ParameterSet;
use cipherfn_scheme::query::InputValues;
use std::convert::Infallible;
use std::rc::Rc;

/// A checked circuit that evaluates in the clear.
#[derive(Debug)]
pub struct ClearCircuit {
    circuit: Circuit,
    polynomial_size: u32,
}

/// Inputs that do not fit the circuit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the circuit takes {expected}, {found} were given")]
pub struct ClearInputError {
    expected: String,
    found: String,
}

impl ClearCircuit {
    /// Checks a circuit.
    pub fn new(circuit: Circuit) -> Result<Self, EngineError> {
        let set = ParameterSet::by_name(&circuit.parameter_set)?;
        circuit.validate(crate::dimensions(set))?;
        Ok(Self {
            circuit,
            polynomial_size: set.ring.polynomial_size as u32,
        })
    }

    /// The result coefficients of all outputs, in units of 2^-64: what decryption gives but for the
    /// noise. `inputs` holds the values of each input.
    pub fn evaluate(&self, inputs: &[InputValues]) -> Result<Vec<u64>, ClearInputError> {
        let mut results = self.evaluate_rows(&[inputs])?;
        Ok(results.pop().unwrap_or_default())
    }

    /// [`Self::evaluate`] for many rows, with less time for each: what takes most is to find the
    /// nodes in memory.
    pub fn evaluate_rows<R: AsRef<[InputValues]>>(
        &self,
        rows: &[R],
    ) -> Result<Vec<Vec<u64>>, ClearInputError> {
        if let Some(row) = rows.iter().find(|row| !self.takes(row.as_ref())) {
            return Err(ClearInputError {
                expected: list(self.circuit.inputs.iter().map(describe)),
                found: list(row.as_ref().iter().map(InputValues::describe)),
            });
        }
        let mut results = vec![Vec::new(); rows.len()];
        for (results, rows) in results.chunks_mut(ROWS).zip(rows.chunks(ROWS)) {
            let rows = rows.iter().map(AsRef::as_ref).collect();
            let Ok(outputs) = evaluator::evaluate(&self.circuit, &mut ClearRows::new(self, rows));
            for output in outputs {
                for (result, output) in results.iter_mut().zip(output) {
                    result.extend(output);
                }
            }
        }
        Ok(results)
    }

    fn takes(&self, inputs: &[InputValues]) -> bool {
        let fits = |(input, values): (&Input, &InputValues)| match (input, values) {
            (Input::Selectors(group), InputValues::Bits(bits)) => {
                bits.len() == group.count as usize
            }
            (Input::Features(input), InputValues::Features(values)) => {
                values.len() == input.features as usize
            }
            _ => false,
        };
        inputs.len() == self.circuit.inputs.len()
            && self.circuit.inputs.iter().zip(inputs).all(fits)
    }
}

/// Rows that are evaluated together, a bit of a word each.
const ROWS: usize = 64;

/// A few rows. Only what a row's bits make its result depend on is evaluated for it: about one path
/// a tree.
struct ClearRows<'a> {
    circuit: &'a ClearCircuit,
    rows: Vec<&'a [InputValues]>,
    /// For each selector of each input, the rows in which it is 1.
    bits: Vec<Vec<u64>>,
    /// For each node, the rows that need it.
    wanted: Vec<u64>,
    /// Of each node that is wanted, its value in those rows, in their order.
    values: Vec<Value>,
}

/// A row's value of a node. A path hands the value of its leaf up unchanged: what is large is not
/// copied.
#[derive(Clone)]
enum Value {
    Zero,
    Constant(ConstantId),
    Single(Coefficient),
    Several(Rc<Sparse>),
}

impl<'a> ClearRows<'a> {
    fn new(circuit: &'a ClearCircuit, rows: Vec<&'a [InputValues]>) -> Self {
        let inputs = circuit.circuit.inputs.iter().enumerate();
        let bits = inputs.map(|(input, form)| {
            let count = match form {
                Input::Selectors(group) => group.count as usize,
                Input::Features(_) => 0,
            };
            let mut bits = vec![0; count];
            for (row, values) in rows.iter().enumerate() {
                if let InputValues::Bits(values) = &values[input] {
                    let each = bits.iter_mut().zip(values);
                    each.for_each(|(bits, value)| *bits |= u64::from(*value) << row);
                }
            }
            bits
        });
        let bits = bits.collect();
        let mut wanted = vec![0; circuit.circuit.nodes.len()];
        for output in &circuit.circuit.outputs {
            wanted[output.node.index()] = u64::MAX >> (ROWS - rows.len());
        }
        Self {
            circuit,
            rows,
            bits,
            wanted,
            values: Vec::new(),
        }
    }

    /// The rows in which a selector is 1.
    fn bits(&self, selector: SelectorId) -> u64 {
        self.bits[selector.input.index()][selector.index as usize]
    }

    fn constant(&self, id: ConstantId) -> &[Coefficient] {
        &self.circuit.circuit.constants[id.index()].0
    }

    fn coefficients<'b>(&'b self, value: &'b Value) -> &'b [Coefficient] {
        match value {
            Value::Zero => &[],
            Value::Constant(id) => self.constant(*id),
            Value::Single(coefficient) => std::slice::from_ref(coefficient),
            Value::Several(sparse) => sparse.coefficients(),
        }
    }

    /// A node's value in a row, with `start` that of the first row that wants it.
    fn value(&self, node: NodeId, row: u32, start: usize) -> &Value {
        let before = self.wanted[node.index()] & ((1 << row) - 1);
        &self.values[start + before.count_ones() as usize]
    }

    fn sum_of(&self, sum: &Sum, row: u32, starts: &[usize]) -> Value {
        let chosen = || {
            let chosen = sum.chosen(|selector| self.bits(selector) >> row & 1 == 1);
            chosen.filter(|operand| !matches!(operand, Operand::Zero))
        };
        let node_value = |node: NodeId| self.value(node, row, starts[node.index()]);
        let mut first = chosen();
        match (first.next(), first.next()) {
            (None, _) => return Value::Zero,
            (Some(Operand::Constant(id)), None) => return Value::Constant(id),
            (Some(Operand::Node(rotated)), None) if rotated.rotation == 0 => {
                return node_value(rotated.node).clone();
            }
            _ => {}
        }
        let mut coefficients = Vec::new();
        for operand in chosen() {
            match operand {
                Operand::Zero => {}
                Operand::Constant(id) => coefficients.extend_from_slice(self.constant(id)),
                Operand::Node(rotated) => {
                    coefficients.extend(Sparse::rotated(
                        self.coefficients(node_value(rotated.node)),
                        rotated.rotation,
                        self.circuit.polynomial_size,
                    ));
                }
            }
        }
        Sparse::sum(coefficients).into()
    }

    fn product_of(&self, product: &Product, row: usize) -> Value {
        let InputValues::Features(values) = &self.rows[row][product.input.index()] else {
            unreachable!("checked: a product is of a feature vector")
        };
        let score = |weights: &Vec<i64>| {
            let products = weights.iter().zip(values);
            products
                .map(|(weight, value)| value.wrapping_mul(*weight as u64))
                .fold(0, u64::wrapping_add)
        };
        let scores = (0..).zip(product.weights.iter().map(score));
        let constant = product.constant.map_or(&[][..], |id| self.constant(id));
        let coefficients = scores.chain(constant.iter().copied()).collect();
        Sparse::sum(coefficients).into()
    }
}

impl From<Sparse> for Value {
    fn from(sparse: Sparse) -> Self {
        match sparse.coefficients() {
            [] => Self::Zero,
            [only] => Self::Single(*only),
            _ => Self::Several(Rc::new(sparse)),
        }
    }
}

impl Evaluator for ClearRows<'_> {
    /// Where in `values` those of the node start.
    type Glwe = usize;
    /// One a row.
    type Output = Vec<Vec<u64>>;
    type Error = Infallible;

    fn reads(&mut self, node: NodeId, sum: &Sum, read: &mut dyn FnMut(NodeId)) {
        let rows = self.wanted[node.index()];
        let mut want = |operand: Operand, wanted: &mut [u64], rows: u64| {
            if let (Operand::Node(rotated), true) = (operand, rows != 0) {
                wanted[rotated.node.index()] |= rows;
                read(rotated.node);
            }
        };
        for addend in &sum.addends {
            want(Operand::Node(*addend), &mut self.wanted, rows);
        }
        for select in &sum.selects {
            let bits = self.bits(select.selector);
            want(select.clear, &mut self.wanted, rows & !bits);
            want(select.set, &mut self.wanted, rows & bits);
        }
    }

    fn sum(&mut self, node: NodeId, sum: &Sum, starts: &[usize]) -> Result<usize, Infallible> {
        let start = self.values.len();
        for row in ones(self.wanted[node.index()]) {
            let value = self.sum_of(sum, row, starts);
            self.values.push(value);
        }
        Ok(start)
    }

    fn product(&mut self, node: NodeId, product: &Product) -> Result<usize, Infallible> {
        let start = self.values.len();
        for row in ones(self.wanted[node.index()]) {
            let value = self.product_of(product, row as usize);
            self.values.push(value);
        }
        Ok(start)
    }

    fn output(&mut self, output: &Output, start: &usize) -> Result<Self::Output, Infallible> {
        let of_row = |row| {
            let value = self.coefficients(self.value(output.node, row, *start));
            let positions = (0..output.coefficients).map(|index| index * output.stride);
            positions
                .map(|position| value_at(value, position))
                .collect()
        };
        Ok((0..self.rows.len() as u32).map(of_row).collect())
    }
}

/// The places of a word's ones.
fn ones(mut word: u64) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || {
        let place = word.trailing_zeros();
        word &= word.wrapping_sub(1);
        (place < u64::BITS).then_some(place)
    })
}

fn describe(input: &Input) -> String {
    match input {
        Input::Selectors(group) => format!("{} selector bits", group.count),
        Input::Features(input) => format!("{} features", input.features),
    }
}

fn list(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(" and ")
}
