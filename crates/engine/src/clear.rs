//! The cleartext back-end: the same circuits on selector bits or torus inputs, exactly and without
//! keys.
//!
//! The compiler simulates models with it, and the tests hold the encrypted back-end to it.

use crate::error::EngineError;
use crate::polynomial::Sparse;
use cipherfn_circuit::circuit::{
    Circuit, CircuitError, Dimensions, LevelledCircuit, LinearCircuit, Operand, Rotated, validate,
};
use cipherfn_scheme::parameters::ParameterSet;

/// A checked circuit that evaluates in the clear.
#[derive(Debug)]
pub struct ClearCircuit(Kind);

#[derive(Debug)]
enum Kind {
    Levelled {
        circuit: LevelledCircuit,
        constants: Vec<Sparse>,
        polynomial_size: u32,
    },
    Linear(LinearCircuit),
}

/// One row's inputs in the clear.
#[derive(Clone, Copy, Debug)]
pub enum ClearInput<'a> {
    /// One bit a selector.
    Selectors(&'a [bool]),
    /// One torus value (units of 2^-64) a feature.
    Linear(&'a [u64]),
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
        let set = ParameterSet::by_name(circuit.parameter_set())?;
        Ok(Self::with_dimensions(circuit, crate::dimensions(set))?)
    }

    pub(crate) fn with_dimensions(
        circuit: Circuit,
        dimensions: Dimensions,
    ) -> Result<Self, CircuitError> {
        validate(&circuit, dimensions)?;
        Ok(Self(match circuit {
            Circuit::Levelled(circuit) => {
                let constants = circuit.constants.iter().map(Sparse::from).collect();
                Kind::Levelled {
                    circuit,
                    constants,
                    polynomial_size: dimensions.polynomial_size as u32,
                }
            }
            Circuit::Linear(circuit) => Kind::Linear(circuit),
        }))
    }

    /// The result coefficients, in units of 2^-64: what decryption gives but for the noise.
    pub fn evaluate(&self, input: ClearInput<'_>) -> Result<Vec<u64>, ClearInputError> {
        match (&self.0, input) {
            (
                Kind::Levelled {
                    circuit,
                    constants,
                    polynomial_size,
                },
                ClearInput::Selectors(bits),
            ) if bits.len() == circuit.selectors as usize => {
                Ok(levelled(circuit, constants, *polynomial_size, bits))
            }
            (Kind::Linear(circuit), ClearInput::Linear(values))
                if values.len() == circuit.weights[0].len() =>
            {
                Ok(linear(circuit, values))
            }
            _ => Err(ClearInputError {
                expected: self.expected(),
                found: input.describe(),
            }),
        }
    }

    fn expected(&self) -> String {
        match &self.0 {
            Kind::Levelled { circuit, .. } => format!("{} selector bits", circuit.selectors),
            Kind::Linear(circuit) => format!("{} linear inputs", circuit.weights[0].len()),
        }
    }
}

impl ClearInput<'_> {
    fn describe(&self) -> String {
        match self {
            Self::Selectors(bits) => format!("{} selector bits", bits.len()),
            Self::Linear(values) => format!("{} linear inputs", values.len()),
        }
    }
}

/// Evaluates only what the bits make the result depend on: about one path a tree.
fn levelled(
    circuit: &LevelledCircuit,
    constants: &[Sparse],
    polynomial_size: u32,
    bits: &[bool],
) -> Vec<u64> {
    let chosen = |node: usize| {
        let node = &circuit.nodes[node];
        let selected = node.selects.iter().map(|select| {
            if bits[select.selector as usize] {
                select.set
            } else {
                select.clear
            }
        });
        let constant = node.constant.map_or(Operand::Zero, Operand::Constant);
        node.addends
            .iter()
            .map(|addend| Operand::Node(*addend))
            .chain(selected)
            .chain([constant])
    };
    let last = circuit.nodes.len() - 1;
    let mut needed = vec![false; circuit.nodes.len()];
    needed[last] = true;
    for index in (0..=last).rev() {
        if needed[index] {
            for operand in chosen(index) {
                if let Operand::Node(Rotated { node, .. }) = operand {
                    needed[node as usize] = true;
                }
            }
        }
    }
    let mut values = vec![Sparse::default(); circuit.nodes.len()];
    for index in (0..=last).filter(|index| needed[*index]) {
        let mut sum = Sparse::default();
        for operand in chosen(index) {
            match operand {
                Operand::Zero => {}
                Operand::Constant(constant) => {
                    sum.add_rotated(&constants[constant as usize], 0, polynomial_size);
                }
                Operand::Node(Rotated { node, rotation }) => {
                    sum.add_rotated(&values[node as usize], rotation, polynomial_size);
                }
            }
        }
        values[index] = sum;
    }
    (0..circuit.coefficients)
        .map(|index| values[last].at(index * circuit.stride))
        .collect()
}

fn linear(circuit: &LinearCircuit, values: &[u64]) -> Vec<u64> {
    let score = |(weights, bias): (&Vec<i64>, &u64)| {
        let products = weights
            .iter()
            .zip(values)
            .map(|(weight, value)| value.wrapping_mul(*weight as u64));
        products.fold(*bias, u64::wrapping_add)
    };
    circuit
        .weights
        .iter()
        .zip(&circuit.bias)
        .map(score)
        .collect()
}
