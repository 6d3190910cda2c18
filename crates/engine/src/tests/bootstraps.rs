//! Bootstraps on ciphertexts, of every part: within the noise that is predicted, in layers, on any
//! number of threads.

use super::backends::{Backend, Clear, ClearParts, pool};
use super::{Builder, part as sixty_fourths};
use crate::noise::{BootstrapNoise, of_circuit};
use crate::{EngineError, PreparedCircuit, Workspace};
use cipherfn_circuit::CircuitError;
use cipherfn_circuit::circuit::{
    Bootstrap, Circuit, Combination, ConstantId, Lookup, Node, NodeId, Pack, Rotated, SelectorId,
    Table, Turn, Weighted,
};
use cipherfn_protocol::specs::{BaseLog, Gadget, Levels, Transport};
use cipherfn_scheme::parameters::ParameterSet;
use cipherfn_scheme::query::{InputValues, encrypt_row};
use cipherfn_scheme::{EvaluationKey, ExpandedEvaluationKey, SchemeError, SecretKey, reply};

const WIDE: &str = "cipherfn-128-n2048-m11-v1";
pub(super) const PARTS: [&str; 3] = ["bootstrap-fast", "bootstrap-precise", "bootstrap-deep"];
const BITS: u32 = 12;
/// Look-ups that numbers are made of.
const LOOKUPS: usize = 16;

fn set() -> &'static ParameterSet {
    ParameterSet::by_name(WIDE).unwrap()
}

pub(super) fn key(part: &str) -> (SecretKey, ExpandedEvaluationKey) {
    let secret = SecretKey::generate(set()).unwrap();
    let mut expanded = EvaluationKey::generate(&secret).unwrap().expand().unwrap();
    let part = EvaluationKey::generate_part(&secret, part).unwrap();
    expanded.add(&part).unwrap();
    (secret, expanded)
}

pub(super) fn word(fraction: f64) -> u64 {
    (fraction * 2f64.powi(64)).round() as i128 as u64
}

pub(super) fn bits() -> [InputValues; 1] {
    [InputValues::Bits(
        (0..BITS).map(|bit| bit % 3 != 1).collect(),
    )]
}

/// A circuit with bootstraps of a part.
pub(super) struct Layers {
    pub(super) builder: Builder,
    /// Numbers below 1/64, with masks of their own.
    pub(super) small: Vec<NodeId>,
    /// |z| - 1/4 on the whole torus: slopes of 1 and -1.
    absolute: ConstantId,
}

impl Layers {
    pub(super) fn new(part: &str) -> Self {
        let gadget = Gadget::new(BaseLog::new(6), Levels::new(4));
        let mut builder = Builder::new((WIDE, Transport::Packed, gadget), BITS);
        builder.bootstrap(part);
        let small = (0..LOOKUPS as u32).map(|index| {
            let value = |at: u32| (f64::from((at * 37 + index * 501) % 1000) - 500.0) / 32_000.0;
            let table: Vec<_> = (0..2048).map(|at| (at, word(value(at)))).collect();
            let table = builder.constant(&table);
            let turn = |bit: u32| Turn {
                selector: SelectorId::first(bit),
                rotation: (bit * 331 + index * 77) % 4096,
            };
            builder.push(Node::Lookup(Lookup {
                table: Table::Constant(table),
                rotation: 0,
                form: (0..BITS).map(turn).collect(),
            }))
        });
        let small = small.collect();
        let size = set().part(part).unwrap().bootstrap().unwrap();
        let size = size.output.polynomial_size as u32;
        let absolute = |at| (f64::from(at) + 0.5) / f64::from(2 * size) - 0.25;
        let absolute: Vec<_> = (0..size).map(|at| (at, word(absolute(at)))).collect();
        let absolute = builder.constant(&absolute);
        Self {
            builder,
            small,
            absolute,
        }
    }

    pub(super) fn sum(&mut self, constant: f64, terms: &[(NodeId, i64)]) -> NodeId {
        let constant = Some(self.builder.constant(&[(0, word(constant))]));
        let term = |&(node, weight): &(NodeId, i64)| Weighted {
            node: plain(node),
            weight,
        };
        self.builder.push(Node::Combination(Combination {
            constant,
            terms: terms.iter().map(term).collect(),
        }))
    }

    /// Number `index` of about `middle`, unlike all others below 240.
    pub(super) fn number(&mut self, index: usize, middle: f64) -> NodeId {
        let (one, other) = pair(index / 2);
        let sign = if index.is_multiple_of(2) { 1 } else { -1 };
        let (one, other) = (self.small[one], self.small[other]);
        self.sum(middle, &[(one, 1), (other, sign)])
    }

    fn bootstrap(&mut self, node: NodeId, table: ConstantId) -> NodeId {
        let of = plain(node);
        self.builder.push(Node::Bootstrap(Bootstrap { of, table }))
    }

    /// The circuit whose result these are.
    pub(super) fn finish(mut self, nodes: &[NodeId]) -> Circuit {
        let items = nodes.iter().map(|node| plain(*node)).collect();
        let packed = self.builder.push(Node::Pack(Pack::of_constants(items)));
        let count = nodes.len() as u32;
        self.builder
            .output(packed, count, 2048 / count.next_power_of_two());
        self.builder.build()
    }
}

/// The pairs of different look-ups.
fn pair(index: usize) -> (usize, usize) {
    let pairs = (0..LOOKUPS).flat_map(|one| (0..one).map(move |other| (one, other)));
    pairs.into_iter().nth(index).unwrap()
}

pub(super) fn plain(node: NodeId) -> Rotated {
    Rotated { node, rotation: 0 }
}

/// Errors of the results, as fractions of the torus.
pub(super) fn errors(
    circuit: &Circuit,
    (secret, expanded): &(SecretKey, ExpandedEvaluationKey),
    threads: usize,
) -> Vec<f64> {
    let expected = Clear.evaluate(circuit, &bits());
    let prepared = PreparedCircuit::new(circuit).unwrap();
    let row = encrypt_row(secret, prepared.inputs(), &bits()).unwrap();
    let reply = pool(threads).install(|| {
        prepared
            .evaluate_row(Some(expanded), &row, &mut Workspace::default())
            .unwrap()
    });
    let phases = reply::decrypt_row(secret, prepared.outputs(), &reply).unwrap();
    let pairs = phases.into_iter().zip(expected);
    pairs
        .map(|(phase, expected)| phase.wrapping_sub(expected as i64) as f64 * 2f64.powi(-64))
        .collect()
}

/// 192 bootstraps of a constant and as many of |z| a part: the standard deviation within 0.35 bit,
/// which is over four times what that of 192 samples is off by.
#[test]
fn measured_noise_is_the_predicted() {
    const COUNT: usize = 96;
    for part in PARTS {
        let mut layers = Layers::new(part);
        let entries = set().part(part).unwrap().bootstrap().unwrap();
        let entries = entries.output.polynomial_size as u32;
        let flat: Vec<_> = (0..entries).map(|at| (at, word(0.125))).collect();
        let flat = layers.builder.constant(&flat);
        let mut results = Vec::new();
        for table in [flat, layers.absolute] {
            for index in 0..COUNT {
                let middle = if index % 2 == 0 { 0.25 } else { -0.25 };
                let number = layers.number(index, middle);
                results.push(layers.bootstrap(number, table));
            }
        }
        let circuit = layers.finish(&results);
        let noise = of_circuit(&circuit).unwrap();
        assert_eq!(noise.bootstraps.len(), 2 * COUNT);
        let (packed, BootstrapNoise { number, result, .. }) =
            (noise.outputs[0], noise.bootstraps[COUNT]);
        let statistics = PreparedCircuit::new(&circuit).unwrap().statistics();
        assert_eq!(statistics.bootstraps, 2 * COUNT);
        let errors: Vec<f64> = (0..2)
            .flat_map(|_| errors(&circuit, &key(part), 2))
            .collect();
        let of = |first: usize| {
            let errors = errors.chunks(COUNT).skip(first).step_by(2).flatten();
            let (count, squares) = errors.fold((0.0, 0.0), |(count, squares), error| {
                (count + 1.0, squares + error * error)
            });
            (squares / count).log2() / 2.0
        };
        let result = result + (packed.value + packed.reply);
        for (what, found, predicted) in [
            ("constant", of(0), packed.value + packed.reply),
            ("|z|", of(1), number + result),
        ] {
            let predicted = predicted.deviation().log2();
            println!("{part}, {what}: predicted 2^{predicted:.2}, measured 2^{found:.2}");
            assert!(
                (found - predicted).abs() < 0.35,
                "{part}, {what}: predicted 2^{predicted:.2}, measured 2^{found:.2}"
            );
        }
    }
}

/// Two layers and what is added to both: within eight standard deviations of the error that slopes of
/// 1 make of the numbers', and a step of the table that the number may lie beside.
#[test]
fn layers_are_what_they_are_in_the_clear() {
    for part in [PARTS[0], PARTS[2]] {
        let mut layers = Layers::new(part);
        let absolute = layers.absolute;
        let first: Vec<_> = (0..6)
            .map(|index| {
                let number = layers.number(index, [0.1, -0.2, 0.3, -0.35, 0.15, 0.27][index]);
                layers.bootstrap(number, absolute)
            })
            .collect();
        let small = layers.small[0];
        let second = [
            layers.sum(0.2, &[(first[0], 1), (first[1], -1), (small, 2)]),
            layers.sum(-0.2, &[(first[2], 1), (first[3], 1), (first[4], -1)]),
        ];
        let second = second.map(|number| layers.bootstrap(number, absolute));
        let last = layers.sum(0.0, &[(second[0], 1), (second[1], -1), (first[5], 1)]);
        // A plain number: read off its table when the circuit is lowered.
        let known = layers.sum(-0.125, &[]);
        let known = layers.bootstrap(known, absolute);
        let circuit = layers.finish(&[last, second[1], known, first[0]]);
        let noise = of_circuit(&circuit).unwrap();
        let number = noise.bootstraps.iter().map(|bootstrap| bootstrap.number);
        // All numbers' errors together.
        let variance = number.fold(noise.outputs[0].value, |sum, number| sum + number);
        let steps = noise.bootstraps.len() as f64 / 2048.0;
        let bound = 8.0 * variance.deviation().get() + steps;
        let expected = Clear.evaluate(&circuit, &bits());
        assert_eq!(ClearParts.evaluate(&circuit, &bits()), expected);
        let keys = key(part);
        for error in errors(&circuit, &keys, 1) {
            assert!(error.abs() < bound, "{part}: {error:e}, bound {bound:e}");
        }
        let step = |found: u64| (found.wrapping_sub(sixty_fourths(-8)) as i64).unsigned_abs();
        assert!(step(expected[2]) < 1 << 54, "|-1/8| - 1/4");
    }
}

/// The same bits on one thread and on three, whatever the batches.
#[test]
fn threads_change_nothing() {
    let mut layers = Layers::new(PARTS[0]);
    let absolute = layers.absolute;
    let results: Vec<_> = (0..20)
        .map(|index| {
            let number = layers.number(index, 0.2);
            layers.bootstrap(number, absolute)
        })
        .collect();
    let circuit = layers.finish(&results);
    let prepared = PreparedCircuit::new(&circuit).unwrap();
    let (secret, expanded) = key(PARTS[0]);
    let row = encrypt_row(&secret, prepared.inputs(), &bits()).unwrap();
    let [one, three] = [1, 3].map(|threads| {
        pool(threads).install(|| {
            prepared
                .evaluate_row(Some(&expanded), &row, &mut Workspace::default())
                .unwrap()
        })
    });
    assert!(one == three);
}

#[test]
fn what_does_not_fit_is_refused() {
    let circuit = |part: &str, table: ConstantId| {
        let mut layers = Layers::new(PARTS[0]);
        layers.builder.bootstrap(part);
        let number = layers.number(0, 0.2);
        let result = layers.bootstrap(number, table);
        layers.finish(&[result])
    };
    let absolute = Layers::new(PARTS[0]).absolute;
    for part in ["bootstrap", "expansion", "inverse"] {
        let error = PreparedCircuit::new(&circuit(part, absolute)).unwrap_err();
        assert!(
            matches!(
                error,
                EngineError::Circuit(CircuitError::NoBootstrapPart { .. })
            ),
            "{error}"
        );
    }
    // A look-up's table, of twice the entries.
    let error = PreparedCircuit::new(&circuit(PARTS[0], ConstantId(0))).unwrap_err();
    assert!(
        matches!(
            error,
            EngineError::Circuit(CircuitError::TableEntry {
                position: 2047,
                entries: 1024,
                ..
            })
        ),
        "{error}"
    );
    // Without the part, and with another one.
    let prepared = PreparedCircuit::new(&circuit(PARTS[0], absolute)).unwrap();
    assert_eq!(prepared.bootstrap_part(), Some(PARTS[0]));
    let (secret, other) = key(PARTS[1]);
    let without = EvaluationKey::generate(&secret).unwrap().expand().unwrap();
    let row = encrypt_row(&secret, prepared.inputs(), &bits()).unwrap();
    for key in [&without, &other] {
        let error = prepared
            .evaluate_row(Some(key), &row, &mut Workspace::default())
            .unwrap_err();
        assert!(
            matches!(
                error,
                EngineError::Scheme(SchemeError::KeyPartMissing {
                    part: "bootstrap-fast",
                    ..
                })
            ),
            "{error}"
        );
    }
}

/// 20 layers of 92 numbers, each of all values of the layer before, or of all layers before, with
/// small random weights: what a row takes.
#[test]
#[ignore = "minutes of bootstraps"]
fn twenty_layers_of_92() {
    const WIDTH: usize = 92;
    for (part, is_dense) in [(PARTS[0], false), (PARTS[2], false), (PARTS[2], true)] {
        let mut layers = Layers::new(part);
        let absolute = layers.absolute;
        let mut numbers: Vec<_> = (0..WIDTH).map(|index| layers.number(index, 0.1)).collect();
        let (mut values, mut state) = (Vec::new(), 1_u64);
        for _ in 0..20 {
            if !is_dense {
                values.clear();
            }
            for number in &numbers {
                values.push(layers.bootstrap(*number, absolute));
            }
            numbers = (0..WIDTH)
                .map(|_| {
                    let terms: Vec<_> = values
                        .iter()
                        .map(|value| {
                            state = state
                                .wrapping_mul(6_364_136_223_846_793_005)
                                .wrapping_add(1);
                            (*value, (state >> 62) as i64 - 1)
                        })
                        .collect();
                    layers.sum(0.0, &terms)
                })
                .collect();
        }
        let circuit = layers.finish(&numbers[..10]);
        let start = std::time::Instant::now();
        let prepared = PreparedCircuit::new(&circuit).unwrap();
        let preparing = start.elapsed();
        let statistics = prepared.statistics();
        assert_eq!(statistics.bootstraps, 20 * WIDTH);
        let (secret, expanded) = key(part);
        let row = encrypt_row(&secret, prepared.inputs(), &bits()).unwrap();
        for threads in [1, 2] {
            let (_, timings) = pool(threads).install(|| {
                prepared
                    .evaluate_row_timed(Some(&expanded), &row, &mut Workspace::default())
                    .unwrap()
            });
            println!(
                "{part}, dense {is_dense}, {threads} threads: {:?}; prepared in {preparing:?}; {statistics:?}",
                timings.evaluate
            );
        }
    }
}
