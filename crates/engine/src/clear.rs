//! The cleartext evaluator: the same circuits on selector bits and feature vectors in the clear,
//! exactly and without keys.
//!
//! The compiler simulates models with it, and the tests hold the encrypted evaluator to it.

use crate::error::EngineError;
use crate::evaluator::{self, Evaluator};
use crate::polynomial::{Coefficient, Sparse};
use cipherfn_circuit::circuit::{
    Circuit, Input, NodeId, Operand, Output, Product, SelectorId, Sum,
};
use cipherfn_scheme::parameters::ParameterSet;
use cipherfn_scheme::query::InputValues;
use std::convert::Infallible;

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
        if !self.takes(inputs) {
            return Err(ClearInputError {
                expected: list(self.circuit.inputs.iter().map(describe)),
                found: list(inputs.iter().map(InputValues::describe)),
            });
        }
        let mut row = ClearRow {
            circuit: self,
            inputs,
        };
        let Ok(outputs) = evaluator::evaluate(&self.circuit, &mut row);
        Ok(outputs.concat())
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

/// One row. Only what the bits make the result depend on is evaluated: about one path a tree.
struct ClearRow<'a> {
    circuit: &'a ClearCircuit,
    inputs: &'a [InputValues],
}

impl Evaluator for ClearRow<'_> {
    type Glwe = Sparse;
    type Output = Vec<u64>;
    type Error = Infallible;

    fn reads(&self, sum: &Sum, read: &mut dyn FnMut(NodeId)) {
        for operand in sum.chosen(|selector| self.bit(selector)) {
            if let Operand::Node(rotated) = operand {
                read(rotated.node);
            }
        }
    }

    fn sum(&mut self, _: NodeId, sum: &Sum, values: &[Sparse]) -> Result<Sparse, Infallible> {
        let mut coefficients = Vec::new();
        for operand in sum.chosen(|selector| self.bit(selector)) {
            match operand {
                Operand::Zero => {}
                Operand::Constant(id) => {
                    coefficients.extend_from_slice(&self.circuit.circuit.constants[id.index()].0);
                }
                Operand::Node(rotated) => coefficients.extend(Sparse::rotated(
                    values[rotated.node.index()].coefficients(),
                    rotated.rotation,
                    self.circuit.polynomial_size,
                )),
            }
        }
        Ok(Sparse::sum(coefficients))
    }

    fn product(&mut self, _: NodeId, product: &Product) -> Result<Sparse, Infallible> {
        let InputValues::Features(values) = &self.inputs[product.input.index()] else {
            unreachable!("checked: a product is of a feature vector")
        };
        let score = |weights: &Vec<i64>| {
            let products = weights.iter().zip(values);
            products
                .map(|(weight, value)| value.wrapping_mul(*weight as u64))
                .fold(0, u64::wrapping_add)
        };
        let scores = (0..).zip(product.weights.iter().map(score));
        let constant = product
            .constant
            .map_or(&[][..], |id| &self.circuit.circuit.constants[id.index()].0);
        let coefficients: Vec<Coefficient> = scores.chain(constant.iter().copied()).collect();
        Ok(Sparse::sum(coefficients))
    }

    fn output(&mut self, output: &Output, value: &Sparse) -> Result<Vec<u64>, Infallible> {
        Ok((0..output.coefficients)
            .map(|index| value.at(index * output.stride))
            .collect())
    }
}

impl ClearRow<'_> {
    fn bit(&self, selector: SelectorId) -> bool {
        match &self.inputs[selector.input.index()] {
            InputValues::Bits(bits) => bits[selector.index as usize],
            InputValues::Features(_) => unreachable!("checked: selectors are of a group"),
        }
    }
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
