//! The cleartext evaluator: the same circuits on selector bits and feature vectors in the clear,
//! exactly and without keys.
//!
//! The compiler simulates models with it, and the tests hold the encrypted evaluator to it.

use crate::error::EngineError;
use crate::evaluator::{self, Evaluator};
use crate::polynomial::{Coefficient, Sparse};
use cipherfn_circuit::circuit::{
    Circuit, Combination, ConstantId, Input, Lookup, NodeId, Operand, Output, Pack, Product,
    Rotated, SelectorId, Sum,
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
    /// A path hands the value of its leaf up unchanged: what is shared need not be copied. `None` is
    /// zero.
    type Glwe = Option<Rc<Sparse>>;
    type Output = Vec<u64>;
    type Error = Infallible;

    fn reads(&self, sum: &Sum, read: &mut dyn FnMut(NodeId)) {
        for operand in sum.chosen(|selector| self.bit(selector)) {
            if let Operand::Node(rotated) = operand {
                read(rotated.node);
            }
        }
    }

    fn sum(
        &mut self,
        _: NodeId,
        sum: &Sum,
        values: &[Self::Glwe],
    ) -> Result<Self::Glwe, Infallible> {
        let chosen = || {
            let chosen = sum.chosen(|selector| self.bit(selector));
            chosen.filter(|operand| !matches!(operand, Operand::Zero))
        };
        let mut first = chosen();
        match (first.next(), first.next()) {
            (None, _) => return Ok(None),
            (Some(Operand::Node(rotated)), None) if rotated.rotation == 0 => {
                return Ok(values[rotated.node.index()].clone());
            }
            _ => {}
        }
        let mut coefficients = Vec::new();
        for operand in chosen() {
            match operand {
                Operand::Zero => {}
                Operand::Constant(id) => {
                    coefficients.extend_from_slice(self.constant(id));
                }
                Operand::Node(rotated) => coefficients.extend(self.rotated(rotated, values)),
            }
        }
        Ok(Some(Rc::new(Sparse::sum(coefficients))))
    }

    fn product(&mut self, _: NodeId, product: &Product) -> Result<Self::Glwe, Infallible> {
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
        let constant = product.constant.map_or(&[][..], |id| self.constant(id));
        let coefficients: Vec<Coefficient> = scores.chain(constant.iter().copied()).collect();
        Ok(Some(Rc::new(Sparse::sum(coefficients))))
    }

    fn lookup(&mut self, _: NodeId, lookup: &Lookup) -> Result<Self::Glwe, Infallible> {
        let chosen = lookup.form.iter().filter(|turn| self.bit(turn.selector));
        let turns = chosen.map(|turn| u64::from(turn.rotation)).sum::<u64>();
        let size = self.circuit.polynomial_size;
        let rotation = (u64::from(lookup.rotation) + turns) % u64::from(2 * size);
        let table = Sparse::sum(self.constant(lookup.table).to_vec());
        Ok(Some(Rc::new(table.turned(rotation as u32, size))))
    }

    fn combination(
        &mut self,
        combination: &Combination,
        values: &[Self::Glwe],
    ) -> Result<Self::Glwe, Infallible> {
        // Tables are dense: adding them up in place takes no sorting.
        let mut sum = vec![0_u64; self.circuit.polynomial_size as usize];
        let mut add = |(position, value): Coefficient| {
            let sum = &mut sum[position as usize];
            *sum = sum.wrapping_add(value);
        };
        let constant = combination.constant.map_or(&[][..], |id| self.constant(id));
        constant.iter().copied().for_each(&mut add);
        for term in &combination.terms {
            self.rotated(term.node, values)
                .map(|(position, value)| (position, value.wrapping_mul(term.weight as u64)))
                .for_each(&mut add);
        }
        Ok(Some(Rc::new(Sparse::sum((0..).zip(sum).collect()))))
    }

    fn pack(&mut self, pack: &Pack, values: &[Self::Glwe]) -> Result<Self::Glwe, Infallible> {
        let size = self.circuit.polynomial_size;
        let item = |item: &Rotated| {
            let value = values[item.node.index()].as_ref();
            value.map_or(0, |value| value.constant_of_turned(item.rotation, size))
        };
        let places = (0..).step_by(pack.stride(size) as usize);
        let coefficients = places.zip(pack.items.iter().map(item)).collect();
        Ok(Some(Rc::new(Sparse::sum(coefficients))))
    }

    fn output(&mut self, output: &Output, value: &Self::Glwe) -> Result<Vec<u64>, Infallible> {
        let at = |position| value.as_ref().map_or(0, |value| value.at(position));
        Ok((0..output.coefficients)
            .map(|index| at(index * output.stride))
            .collect())
    }
}

impl ClearRow<'_> {
    fn constant(&self, id: ConstantId) -> &[Coefficient] {
        &self.circuit.circuit.constants[id.index()].0
    }

    fn rotated(
        &self,
        rotated: Rotated,
        values: &[Option<Rc<Sparse>>],
    ) -> impl Iterator<Item = Coefficient> {
        let value = values[rotated.node.index()].as_deref();
        Sparse::rotated(
            value.map_or(&[], Sparse::coefficients),
            rotated.rotation,
            self.circuit.polynomial_size,
        )
    }

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
