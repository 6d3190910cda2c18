//! The noise of circuits of look-ups, products and bootstraps: what a compiler asks before it chooses weights.
//!
//! A value is followed as an integer combination of *sources*, nodes whose errors are independent,
//! so that what several values share adds up before it is squared.

use crate::error::EngineError;
use crate::evaluator::{self, Evaluator};
use cipherfn_circuit::circuit::{
    Bootstrap, Circuit, Combination, Input, InputId, Lookup, Node, NodeId, Output, Pack, Product,
    Rotated, SelectorId, Sum,
};
use cipherfn_protocol::specs::Gadget;
use cipherfn_scheme::bootstrap;
use cipherfn_scheme::noise::{self, Variance};
use cipherfn_scheme::operations::{lookup, pack};
use cipherfn_scheme::parameters::{Bootstrap as BootstrapParameters, ParameterSet};
use std::collections::{BTreeMap, HashMap};

/// Noise of an output's coefficients.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct OutputNoise {
    /// Variance of the noisiest one, before it is rounded for the reply.
    pub value: Variance,
    /// What that rounding adds.
    pub reply: Variance,
    /// Selector rows that the error comes from in equal parts, or more in unequal ones of which none
    /// is larger: for [`noise::margin`].
    pub rows: f64,
}

/// Noise of a circuit.
#[derive(Clone, Debug, PartialEq)]
pub struct CircuitNoise {
    /// One an output. What a function makes of the error of its number is not among it.
    pub outputs: Vec<OutputNoise>,
    /// One a bootstrap that an output needs, in order.
    pub bootstraps: Vec<BootstrapNoise>,
}

/// Noise of a bootstrap. The function's slope makes the number's error one of its value, which comes
/// to that of the result: that is for whoever knows the function.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BootstrapNoise {
    /// The node.
    pub node: NodeId,
    /// Variance of the error with which the number is looked up: of the value, but for what functions
    /// before made of theirs, and of the switches to the table's steps.
    pub number: Variance,
    /// Variance of the result's own error, under the levelled key.
    pub result: Variance,
}

/// Noise of each output of a circuit whose sums have no CMUXes; `None` for a circuit that has some:
/// their noise depends on the paths through them.
pub fn of_outputs(circuit: &Circuit) -> Result<Option<Vec<OutputNoise>>, EngineError> {
    Ok(of_circuit(circuit)?.map(|noise| noise.outputs))
}

/// Noise of the outputs and of the bootstraps of a circuit whose sums have no CMUXes.
pub fn of_circuit(circuit: &Circuit) -> Result<Option<CircuitNoise>, EngineError> {
    let set = ParameterSet::by_name(&circuit.parameter_set)?;
    circuit.validate(crate::dimensions(set, circuit))?;
    let packing = set.packing().map(|packing| pack::variance(set, packing));
    let mut tracker = Tracker {
        circuit,
        set,
        packing: packing.unwrap_or_default(),
        packed: Vec::new(),
        parameters: crate::bootstrap(set, circuit),
        bootstraps: Vec::new(),
    };
    match evaluator::evaluate(circuit, &mut tracker) {
        Ok(outputs) => Ok(Some(CircuitNoise {
            outputs,
            bootstraps: tracker.bootstraps,
        })),
        Err(Cmuxes) => Ok(None),
    }
}

/// A node that is a sum of CMUXes.
struct Cmuxes;

/// Whose error a term of a value has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum ErrorOrigin {
    /// A look-up, of which another rotation brings other coefficients to the same place.
    Lookup(NodeId, u32),
    /// A feature vector: all products weigh the same ciphertexts.
    Features(InputId),
    /// Packed values, by their number.
    Packed(usize),
    /// A bootstrap, by its number.
    Bootstrap(usize),
}

/// Factor of each source; that of a feature vector is the norm of its weights.
type Value = BTreeMap<ErrorOrigin, f64>;

struct Tracker<'a> {
    circuit: &'a Circuit,
    set: &'static ParameterSet,
    packing: Variance,
    packed: Vec<OutputNoise>,
    /// Numbers of the bootstrap, if the circuit has some.
    parameters: Option<&'static BootstrapParameters>,
    bootstraps: Vec<BootstrapNoise>,
}

impl Evaluator for Tracker<'_> {
    type Glwe = Value;
    type Output = OutputNoise;
    type Error = Cmuxes;

    fn sum(&mut self, _: NodeId, sum: &Sum, values: &[Value]) -> Result<Value, Cmuxes> {
        if !sum.selects.is_empty() {
            return Err(Cmuxes);
        }
        Ok(self.weighted(sum.addends.iter().map(|addend| (*addend, 1.0)), values))
    }

    fn product(&mut self, _: NodeId, product: &Product) -> Result<Value, Cmuxes> {
        // One polynomial holds the weights of all scores.
        let weights = product.weights.iter().flatten();
        let squares = weights.map(|weight| (*weight as f64).powi(2)).sum::<f64>();
        Ok([(ErrorOrigin::Features(product.input), squares.sqrt())].into())
    }

    fn lookup(&mut self, node: NodeId, _: &Lookup) -> Result<Value, Cmuxes> {
        Ok([(ErrorOrigin::Lookup(node, 0), 1.0)].into())
    }

    fn combination(
        &mut self,
        _: NodeId,
        combination: &Combination,
        values: &[Value],
    ) -> Result<Value, Cmuxes> {
        let terms = combination.terms.iter();
        Ok(self.weighted(terms.map(|term| (term.node, term.weight as f64)), values))
    }

    fn pack(&mut self, _: NodeId, pack: &Pack, values: &[Value]) -> Result<Value, Cmuxes> {
        let items = pack.items.iter();
        let noises = items.map(|item| self.noise(&values[item.node.index()]));
        // A packed node has an item.
        let worst = noises.reduce(worse).unwrap_or_default();
        self.packed.push(OutputNoise {
            value: worst.value + self.packing,
            ..worst
        });
        Ok([(ErrorOrigin::Packed(self.packed.len() - 1), 1.0)].into())
    }

    fn bootstrap(
        &mut self,
        node: NodeId,
        bootstrap: &Bootstrap,
        values: &[Value],
    ) -> Result<Value, Cmuxes> {
        let parameters = self
            .parameters
            .expect("checked: it is a bootstrap of the set");
        let number = self.noise(&values[bootstrap.of.node.index()]).value;
        self.bootstraps.push(BootstrapNoise {
            node,
            number: number + bootstrap::lookup_variance(self.set, parameters),
            result: bootstrap::result_variance(self.set, parameters),
        });
        Ok([(ErrorOrigin::Bootstrap(self.bootstraps.len() - 1), 1.0)].into())
    }

    fn output(&mut self, output: &Output, value: &Value) -> Result<OutputNoise, Cmuxes> {
        Ok(OutputNoise {
            reply: noise::modulus_switch(self.set, output.reply_bits),
            ..self.noise(value)
        })
    }
}

impl Tracker<'_> {
    fn weighted(&self, terms: impl Iterator<Item = (Rotated, f64)>, values: &[Value]) -> Value {
        let size = self.set.ring.polynomial_size as u32;
        let mut sum = Value::new();
        for (rotated, weight) in terms {
            for (source, factor) in &values[rotated.node.index()] {
                let (source, factor) = match *source {
                    ErrorOrigin::Lookup(node, before) => {
                        let rotation = (before + rotated.rotation) % (2 * size);
                        let sign = if rotation < size { weight } else { -weight };
                        (ErrorOrigin::Lookup(node, rotation % size), sign * factor)
                    }
                    source => (source, weight.abs() * factor),
                };
                *sum.entry(source).or_default() += factor;
            }
        }
        sum
    }

    fn noise(&self, value: &Value) -> OutputNoise {
        // Of one row of each selector, and of what has no rows.
        let mut rows: HashMap<SelectorId, Variance> = HashMap::new();
        let (mut total, mut most) = (Variance::default(), Variance::default());
        for (source, factor) in value {
            let square = factor * factor;
            match *source {
                ErrorOrigin::Lookup(node, _) => {
                    for (selector, levels, variance) in self.turns(node) {
                        let row = rows.entry(selector).or_default();
                        *row = *row + square / levels * variance;
                        total = total + square * variance;
                    }
                }
                // Of so many rows that none of them counts.
                ErrorOrigin::Bootstrap(bootstrap) => {
                    total = total + square * self.bootstraps[bootstrap].result;
                }
                ErrorOrigin::Features(input) => total = total + self.features(input, square),
                ErrorOrigin::Packed(packed) => {
                    let OutputNoise { value, rows, .. } = self.packed[packed];
                    total = total + square * value;
                    most = larger(most, square / rows * value);
                }
            }
        }
        let most = rows.into_values().fold(most, larger);
        OutputNoise {
            value: total,
            reply: Variance::default(),
            rows: if most > Variance::default() {
                (total.get() / most.get()).max(1.0)
            } else {
                1.0
            },
        }
    }

    /// Selector, levels and variance of each turn of a look-up.
    fn turns(&self, node: NodeId) -> impl Iterator<Item = (SelectorId, f64, Variance)> {
        let Node::Lookup(lookup) = &self.circuit.nodes[node.index()] else {
            unreachable!("the source is a look-up")
        };
        lookup.form.iter().map(|turn| {
            let (gadget, variance) = self.turn(turn.selector.input);
            (turn.selector, f64::from(gadget.levels.get()), variance)
        })
    }

    fn turn(&self, input: InputId) -> (Gadget, Variance) {
        let Input::Selectors(group) = &self.circuit.inputs[input.index()] else {
            unreachable!("checked: selectors are of a group")
        };
        let selector = noise::selector(self.set, group.transport);
        let variance = lookup::variance(self.set, group.gadget, &selector, 1);
        (group.gadget, variance)
    }

    fn features(&self, input: InputId, weight_squares: f64) -> Variance {
        let Input::Features(input) = &self.circuit.inputs[input.index()] else {
            unreachable!("checked: a product is of a feature vector")
        };
        noise::linear(self.set, weight_squares, input.body_bits)
            + noise::linear_transform(self.set, weight_squares)
    }
}

/// The largest variance, and the fewest rows.
fn worse(a: OutputNoise, b: OutputNoise) -> OutputNoise {
    OutputNoise {
        value: larger(a.value, b.value),
        reply: Variance::default(),
        rows: a.rows.min(b.rows),
    }
}

fn larger(a: Variance, b: Variance) -> Variance {
    if a > b { a } else { b }
}
