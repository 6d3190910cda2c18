//! The noise of circuits: what a compiler asks before it chooses weights, and what a query states.
//!
//! A value is followed as an integer combination of *sources*, nodes whose errors are independent,
//! so that what several values share adds up before it is squared. Of a CMUX the branch that is
//! noisier counts, whole: what branches share with other values is not followed.

mod sides;

use crate::error::EngineError;
use crate::evaluator::{self, Evaluator};
use cipherfn_circuit::circuit::{
    Bootstrap, Carrier, Choice, Circuit, Combination, Input, InputId, Lookup, Node, NodeId, Output,
    Pack, Product, Rotated, SelectorId, Sum, Table,
};
use cipherfn_protocol::specs::Gadget;
use cipherfn_scheme::bootstrap;
use cipherfn_scheme::noise::{self, Variance};
use cipherfn_scheme::operations::{lookup, pack};
use cipherfn_scheme::parameters::{Bootstrap as BootstrapParameters, Packing, ParameterSet};
use sides::{larger, worse};
use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;

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
    /// One a choice that an output needs, in order: with which error its number is compared, and that of
    /// its CMUX. What a wrong comparison chooses is not among the noise of outputs.
    pub choices: Vec<BootstrapNoise>,
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

impl OutputNoise {
    /// Of a sum over so many rows, whose selectors and values have errors of their own.
    #[must_use]
    pub fn summed(self, rows: usize) -> Self {
        let rows = rows.max(1) as f64;
        Self {
            value: rows * self.value,
            rows: rows * self.rows,
            ..self
        }
    }
}

/// Noise of each output of a circuit whose tables are freshly encrypted.
///
/// It is a bound for sums of CMUXes, and a coarse one where values share much: the compiler knows
/// more of trees.
pub fn of_outputs(circuit: &Circuit) -> Result<Vec<OutputNoise>, EngineError> {
    of_outputs_with(circuit, &[])
}

/// [`of_outputs`] with tables of this noise, an entry an input of tables; those that have none are
/// freshly encrypted.
pub fn of_outputs_with(
    circuit: &Circuit,
    tables: &[OutputNoise],
) -> Result<Vec<OutputNoise>, EngineError> {
    Ok(track(circuit, tables)?.outputs)
}

/// Noise of the outputs and of the bootstraps.
pub fn of_circuit(circuit: &Circuit) -> Result<CircuitNoise, EngineError> {
    track(circuit, &[])
}

fn track(circuit: &Circuit, tables: &[OutputNoise]) -> Result<CircuitNoise, EngineError> {
    let set = ParameterSet::by_name(&circuit.parameter_set)?;
    circuit.validate(crate::dimensions::dimensions(set, circuit))?;
    let packing = set.packing();
    let carrier = packing.map_or_else(Variance::default, |packing| noise::carrier(set, packing));
    let fresh = OutputNoise {
        value: noise::fresh(set) + noise::rounding(set.ring.body_bits),
        reply: Variance::default(),
        rows: 1.0,
    };
    let mut given = tables.iter().copied();
    let tables = circuit.inputs.iter().map(|input| match input {
        Input::Tables(_) => given.next().unwrap_or(fresh),
        _ => OutputNoise::default(),
    });
    let mut tracker = Tracker {
        circuit,
        set,
        packing,
        carrier,
        tables: tables.collect(),
        bounded: Vec::new(),
        parameters: crate::dimensions::bootstrap(set, circuit),
        bootstraps: Vec::new(),
        choices: Vec::new(),
    };
    let Ok(outputs) = evaluator::evaluate(circuit, &mut tracker);
    Ok(CircuitNoise {
        outputs,
        bootstraps: tracker.bootstraps,
        choices: tracker.choices,
    })
}

/// Whose error a term of a value has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum ErrorOrigin {
    /// A look-up, of which another rotation brings other coefficients to the same place.
    Lookup(NodeId, u32),
    /// A feature vector: all products weigh the same ciphertexts.
    Features(InputId),
    /// CMUXes of a sum, by their number.
    Cmux(NodeId, usize),
    /// A value of an input.
    Carrier(InputId, u32),
    /// A bootstrap, by its number.
    Bootstrap(usize),
    /// The CMUX of a choice, by its number.
    Choice(usize),
    /// Values whose sources are not followed, by their number: packed ones, branches of CMUXes,
    /// turned tables.
    Bounded(usize),
}

/// Factor of each source; that of a feature vector is the norm of its weights.
type Value = BTreeMap<ErrorOrigin, f64>;

struct Tracker<'a> {
    circuit: &'a Circuit,
    set: &'static ParameterSet,
    packing: Option<&'static Packing>,
    carrier: Variance,
    /// One an input, of those of tables.
    tables: Vec<OutputNoise>,
    bounded: Vec<OutputNoise>,
    /// Numbers of the bootstrap, if the circuit has some.
    parameters: Option<&'static BootstrapParameters>,
    bootstraps: Vec<BootstrapNoise>,
    choices: Vec<BootstrapNoise>,
}

impl Evaluator for Tracker<'_> {
    type Glwe = Value;
    type Output = OutputNoise;
    type Error = Infallible;

    fn sum(&mut self, node: NodeId, sum: &Sum, values: &[Value]) -> Result<Value, Infallible> {
        let addends = sum.addends.iter().map(|addend| (*addend, 1.0));
        let mut value = self.weighted(addends, values);
        for (index, select) in sum.selects.iter().enumerate() {
            value.extend(self.worst_side([select.clear, select.set], values));
            value.insert(ErrorOrigin::Cmux(node, index), 1.0);
        }
        Ok(value)
    }

    fn product(&mut self, _: NodeId, product: &Product) -> Result<Value, Infallible> {
        // One polynomial holds the weights of all scores.
        let weights = product.weights.iter().flatten();
        let squares = weights.map(|weight| (*weight as f64).powi(2)).sum::<f64>();
        Ok([(ErrorOrigin::Features(product.input), squares.sqrt())].into())
    }

    fn lookup(
        &mut self,
        node: NodeId,
        lookup: &Lookup,
        values: &[Value],
    ) -> Result<Value, Infallible> {
        let mut value = Value::from([(ErrorOrigin::Lookup(node, 0), 1.0)]);
        if let Table::Node(table) = lookup.table {
            let table = self.noise(&values[table.index()]);
            value.extend(self.bound(table));
        }
        Ok(value)
    }

    fn combination(
        &mut self,
        _: NodeId,
        combination: &Combination,
        values: &[Value],
    ) -> Result<Value, Infallible> {
        let terms = combination.terms.iter();
        Ok(self.weighted(terms.map(|term| (term.node, term.weight as f64)), values))
    }

    fn pack(&mut self, _: NodeId, pack: &Pack, values: &[Value]) -> Result<Value, Infallible> {
        let items = pack.items.iter();
        let noises = items.map(|item| self.noise(&values[item.node.index()]));
        // A packed node has an item.
        let worst = noises.reduce(worse).unwrap_or_default();
        let spacing = pack.spacing(self.set.ring.polynomial_size as u32);
        let packing = self.packing.map(|packing| {
            let levels = spacing.ilog2().min(packing.depth().levels());
            pack::variance_spaced(self.set, packing, levels)
        });
        let packed = OutputNoise {
            value: worst.value + packing.unwrap_or_default(),
            ..worst
        };
        Ok(self.bound(packed).into_iter().collect())
    }

    fn bootstrap(
        &mut self,
        node: NodeId,
        bootstrap: &Bootstrap,
        values: &[Value],
    ) -> Result<Value, Infallible> {
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

    fn choice(
        &mut self,
        node: NodeId,
        choice: &Choice,
        values: &[Value],
    ) -> Result<Value, Infallible> {
        Ok(self.chosen(node, choice, values))
    }

    fn carrier(&mut self, _: NodeId, carrier: Carrier) -> Result<Value, Infallible> {
        let Carrier { input, index } = carrier;
        Ok(match self.circuit.inputs[input.index()] {
            Input::Tables(_) => {
                let table = self.tables[input.index()];
                self.bound(table).into_iter().collect()
            }
            _ => [(ErrorOrigin::Carrier(input, index), 1.0)].into(),
        })
    }

    fn output(&mut self, output: &Output, value: &Value) -> Result<OutputNoise, Infallible> {
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

    /// A value whose sources are not followed further, if it has noise.
    fn bound(&mut self, noise: OutputNoise) -> Option<(ErrorOrigin, f64)> {
        (noise.value > Variance::default()).then(|| {
            self.bounded.push(noise);
            (ErrorOrigin::Bounded(self.bounded.len() - 1), 1.0)
        })
    }

    fn noise(&self, value: &Value) -> OutputNoise {
        // Of one row of each selector, and of what has no rows.
        let mut rows: HashMap<SelectorId, Variance> = HashMap::new();
        let (mut total, mut most) = (Variance::default(), Variance::default());
        // Bounded values may have sources in common: their deviations add.
        let mut bounded = 0.0;
        let mut add = |total: &mut Variance, selector, levels: f64, variance| {
            let row = rows.entry(selector).or_default();
            *row = *row + 1.0 / levels * variance;
            *total = *total + variance;
        };
        for (source, factor) in value {
            let square = factor * factor;
            match *source {
                ErrorOrigin::Lookup(node, _) => {
                    for (selector, levels, variance) in self.turns(node) {
                        add(&mut total, selector, levels, square * variance);
                    }
                }
                // Of so many rows that none of them counts.
                ErrorOrigin::Bootstrap(bootstrap) => {
                    total = total + square * self.bootstraps[bootstrap].result;
                }
                // Of few rows: a level's error is that of one bootstrap.
                ErrorOrigin::Choice(choice) => {
                    let variance = square * self.choices[choice].result;
                    total = total + variance;
                    most = larger(most, variance);
                }
                ErrorOrigin::Cmux(node, index) => {
                    let selector = self.circuit.nodes[node.index()].selects()[index].selector;
                    let (gadget, variance) = self.cmux(selector.input);
                    let levels = f64::from(gadget.levels.get());
                    add(&mut total, selector, levels, square * variance);
                }
                ErrorOrigin::Features(input) => total = total + self.features(input, square),
                ErrorOrigin::Carrier(..) => total = total + square * self.carrier,
                ErrorOrigin::Bounded(number) => {
                    let OutputNoise { value, rows, .. } = self.bounded[number];
                    bounded += factor.abs() * value.deviation().get();
                    most = larger(most, square / rows * value);
                }
            }
        }
        total = total + Variance::new(bounded * bounded);
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
            let (gadget, variance) = self.cmux(turn.selector.input);
            (turn.selector, f64::from(gadget.levels.get()), variance)
        })
    }

    /// Of one CMUX, which a turn is as well.
    fn cmux(&self, input: InputId) -> (Gadget, Variance) {
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
