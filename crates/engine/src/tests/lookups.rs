//! Look-ups on ciphertexts: every gadget, both kinds of key, within the noise that is predicted;
//! what packing clears; streams.

use super::backends::{Backend, Clear, keys};
use super::{Builder, Set, part};
use crate::noise::of_outputs;
use crate::{EngineError, PreparedCircuit, Workspace};
use cipherfn_circuit::Circuit;
use cipherfn_circuit::circuit::{
    Combination, ConstantId, Lookup, Node, NodeId, Pack, Rotated, SelectorId, Table, Turn, Weighted,
};
use cipherfn_protocol::specs::{BaseLog, Gadget, Levels, Transport};
use cipherfn_scheme::query::{InputValues, encrypt_row};
use cipherfn_scheme::{SchemeError, operations, reply};

const BALANCED: &str = "cipherfn-128-n2048-m8-v1";
const WIDE: &str = "cipherfn-128-n2048-m11-v1";
const SIZE: u32 = 2048;

fn set(name: &'static str, base_log: u32, levels: u32) -> Set {
    let gadget = Gadget::new(BaseLog::new(base_log), Levels::new(levels));
    (name, Transport::Packed, gadget)
}

/// Numbers that look random, the same in every run.
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: u32) -> u32 {
        (self.next() % u64::from(limit)) as u32
    }

    fn bits(&mut self, count: u32) -> Vec<bool> {
        (0..count).map(|_| self.next() % 2 == 1).collect()
    }

    /// A table of random values.
    fn table(&mut self, builder: &mut Builder) -> ConstantId {
        let table: Vec<_> = (0..SIZE).map(|position| (position, self.next())).collect();
        builder.constant(&table)
    }

    /// A look-up by about two thirds of the bits.
    fn lookup(&mut self, table: ConstantId, bits: u32) -> Node {
        let mut form = Vec::new();
        for index in 0..bits {
            if self.below(3) > 0 {
                form.push(Turn {
                    selector: SelectorId::first(index),
                    rotation: self.below(2 * SIZE),
                });
            }
        }
        Node::Lookup(Lookup {
            table: Table::Constant(table),
            rotation: self.below(2 * SIZE),
            form,
        })
    }
}

fn plain(node: NodeId) -> Rotated {
    Rotated { node, rotation: 0 }
}

fn combination(builder: &mut Builder, terms: &[(NodeId, u32, i64)]) -> NodeId {
    let constant = Some(builder.constant(&[(0, part(5)), (9, part(7))]));
    let term = |&(node, rotation, weight): &(NodeId, u32, i64)| Weighted {
        node: Rotated { node, rotation },
        weight,
    };
    builder.push(Node::Combination(Combination {
        constant,
        terms: terms.iter().map(term).collect(),
    }))
}

fn pack(builder: &mut Builder, nodes: &[NodeId]) -> NodeId {
    let items = nodes.iter().map(|node| plain(*node)).collect();
    builder.push(Node::Pack(Pack::of_constants(items)))
}

fn evaluate(circuit: &Circuit, bits: &[bool], memory: u64) -> (PreparedCircuit, Vec<u8>) {
    let prepared = PreparedCircuit::with_memory(circuit, memory).unwrap();
    let keys = keys(prepared.parameter_set());
    let values = [InputValues::Bits(bits.to_vec())];
    let row = encrypt_row(&keys.secret, prepared.inputs(), &values).unwrap();
    let reply = prepared
        .evaluate_row(keys.evaluation.as_ref(), &row, &mut Workspace::default())
        .unwrap();
    (prepared, reply)
}

/// Holds each result to what the circuit gives in the clear: within eight standard deviations of the
/// predicted noise, which a right result exceeds with a probability of 2^-49.
fn check(circuit: &Circuit, bits: &[bool]) {
    let expected = Clear.evaluate(circuit, &[InputValues::Bits(bits.to_vec())]);
    let (prepared, reply) = evaluate(circuit, bits, 8 << 30);
    let secret = &keys(prepared.parameter_set()).secret;
    let phases = reply::decrypt_row(secret, prepared.outputs(), &reply).unwrap();
    let noises = of_outputs(circuit).unwrap();
    let bounds = noises
        .iter()
        .zip(&circuit.outputs)
        .flat_map(|(noise, output)| {
            let bound = 8.0 * (noise.value + noise.reply).deviation().get();
            std::iter::repeat_n(bound, output.coefficients as usize)
        });
    for ((phase, expected), bound) in phases.iter().zip(&expected).zip(bounds) {
        let error = phase.wrapping_sub(*expected as i64) as f64 / 2f64.powi(64);
        println!("error 2^{:.1} of 2^{:.1}", error.abs().log2(), bound.log2());
        assert!(error.abs() < bound, "error {error:e}, bound {bound:e}");
        assert!(bound < 0.05, "the noise leaves something to see");
    }
}

#[test]
fn random_tables_and_forms_at_several_gadgets() {
    const BITS: u32 = 21;
    for name in [BALANCED, WIDE] {
        for (base_log, levels) in [(6, 4), (8, 3), (9, 2), (11, 2)] {
            let mut draw = Draw(u64::from(base_log));
            let mut builder = Builder::new(set(name, base_log, levels), BITS);
            let lookups: Vec<_> = (0..3)
                .map(|_| {
                    let table = draw.table(&mut builder);
                    let lookup = draw.lookup(table, BITS);
                    builder.push(lookup)
                })
                .collect();
            let [a, b, c] = lookups[..] else {
                unreachable!()
            };
            let sum = combination(&mut builder, &[(a, 0, 3), (b, 77, -2), (c, 4095, 1)]);
            builder.output(a, 1, 1);
            builder.output(sum, 1, 1);
            if name == WIDE {
                let packed = pack(&mut builder, &[sum, b, c]);
                builder.output(packed, 3, SIZE / 4);
            }
            check(&builder.build(), &draw.bits(BITS));
        }
    }
}

/// |z| - 1/4 is negacyclic on the whole torus: the table needs no padding bit. z comes in 12 bits of
/// two's complement, a quarter of the torus each 1,024 steps.
#[test]
fn absolute_values_on_the_whole_torus() {
    let turn = |bit| Turn {
        selector: SelectorId::first(bit),
        // Coefficient 0 is the table's entry at minus the rotation.
        rotation: 2 * SIZE - (1 << bit),
    };
    let step = |steps: i64| (steps << 52) as u64;
    let mut builder = Builder::new(set(BALANCED, 8, 3), 12);
    let table: Vec<_> = (0..SIZE)
        .map(|at| (at, step(i64::from(at) - 1024)))
        .collect();
    let table = builder.constant(&table);
    let lookup = builder.push(Node::Lookup(Lookup {
        table: Table::Constant(table),
        rotation: 0,
        form: (0..12).map(turn).collect(),
    }));
    builder.output(lookup, 1, 1);
    let circuit = builder.build();
    for z in [0i64, 1, 1023, 1024, 2047, -2048, -2047, -1025, -1024, -1] {
        let bits: Vec<bool> = (0..12).map(|bit| z >> bit & 1 == 1).collect();
        let exact = Clear.evaluate(&circuit, &[InputValues::Bits(bits.clone())]);
        assert_eq!(exact, [step(z.abs() - 1024)], "{z}");
        if z.abs() % 1024 == 1023 {
            check(&circuit, &bits);
        }
    }
}

/// A tree, a look-up and a combination of both in one circuit, where values are read in every way.
#[test]
fn look_ups_beside_trees() {
    let mut draw = Draw(7);
    let mut builder = Builder::new(set(WIDE, 6, 4), 10);
    let [one, two] = [3, -9].map(|value| builder.scalar(part(value)));
    let low = builder.select(0, one, two);
    let tree = builder.node(1, low, one);
    let table = draw.table(&mut builder);
    let lookup = draw.lookup(table, 10);
    let lookup = builder.push(lookup);
    let doubled = combination(&mut builder, &[(tree, 0, 2), (lookup, 0, 1)]);
    let sum = builder.sum(&[super::operand(doubled), super::operand(tree)]);
    let chosen = builder.node(2, sum, super::operand(lookup));
    let constant = builder.plain(&[(0, part(11))]);
    let fixed = Node::Lookup(Lookup {
        table: Table::Constant(table),
        rotation: 5,
        form: Vec::new(),
    });
    let fixed = builder.push(fixed);
    let packed = pack(&mut builder, &[chosen, constant, fixed, tree, lookup]);
    builder.output(packed, 5, SIZE / 8);
    let circuit = builder.build();
    for seed in 0..4 {
        let values = [InputValues::Bits(Draw(seed).bits(10))];
        let expected = Clear.evaluate(&circuit, &values);
        assert_eq!(expected[1], part(11));
        super::backends::Encrypted { threads: 2 }.check(&circuit, &values, &expected);
    }
}

/// Streams of selectors and threads change nothing, bit by bit.
#[test]
fn look_ups_in_little_memory_have_the_same_results() {
    const BITS: u32 = 40;
    let mut draw = Draw(3);
    let mut builder = Builder::new(set(BALANCED, 9, 2), BITS);
    let table = draw.table(&mut builder);
    let lookups: Vec<_> = (0..5)
        .map(|_| {
            let lookup = draw.lookup(table, BITS);
            builder.push(lookup)
        })
        .collect();
    let terms: Vec<_> = lookups.iter().map(|node| (*node, 0, 1)).collect();
    let sum = combination(&mut builder, &terms);
    builder.output(sum, 1, 1);
    let circuit = builder.build();
    let whole = PreparedCircuit::new(&circuit).unwrap();
    // A group of eight selectors, the look-ups and their sum.
    let memory = (8 << 17) + (6 << 15);
    let streamed = PreparedCircuit::with_memory(&circuit, memory).unwrap();
    assert_eq!(streamed.statistics().bytes, memory);
    assert_eq!(
        (whole.statistics().expanded, streamed.statistics().expanded),
        (40, 40),
        "all look-ups advance together, so each selector is expanded once"
    );
    let keys = keys(whole.parameter_set());
    let values = [InputValues::Bits(draw.bits(BITS))];
    let row = encrypt_row(&keys.secret, whole.inputs(), &values).unwrap();
    let [a, b] = [(&whole, 1), (&streamed, 2)].map(|(prepared, threads)| {
        super::backends::pool(threads).install(|| {
            prepared
                .evaluate_row(keys.evaluation.as_ref(), &row, &mut Workspace::default())
                .unwrap()
        })
    });
    assert!(a == b);
}

/// What the key holder could learn from the ciphertexts that travel: of a look-up as it is, the
/// whole table; of a packed one, a coefficient.
#[test]
fn packing_leaves_nothing_of_tables() {
    const BITS: u32 = 9;
    let mut draw = Draw(5);
    let mut builder = Builder::new(set(WIDE, 6, 4), BITS);
    let table = draw.table(&mut builder);
    let [a, b] = [0, 1].map(|_| {
        let lookup = draw.lookup(table, BITS);
        builder.push(lookup)
    });
    let sum = combination(&mut builder, &[(a, 0, 3), (b, 0, 5)]);
    let packed = pack(&mut builder, &[sum, a, b]);
    builder.output(packed, 3, SIZE / 4);
    builder.output(sum, 1, 1);
    let circuit = builder.build();
    let prepared = PreparedCircuit::new(&circuit).unwrap();
    let keys = keys(prepared.parameter_set());
    let values = [InputValues::Bits(draw.bits(BITS))];
    let row = encrypt_row(&keys.secret, prepared.inputs(), &values).unwrap();
    let results = prepared
        .results_of_rows(keys.evaluation.as_ref(), &[prepared.alone(&row)])
        .remove(0)
        .unwrap();
    let opened = |result: &cipherfn_scheme::Glwe| {
        let shape = reply::ReplyShape {
            coefficients: SIZE as usize,
            stride: 1,
            ..prepared.outputs()[0]
        };
        let whole = reply::compress(&shape, &result.mask, &result.body).unwrap();
        reply::decrypt(&keys.secret, &shape, &whole).unwrap()
    };
    let noises = of_outputs(&circuit).unwrap();
    let set = prepared.parameter_set();
    let packing = operations::pack::variance(set, set.packing().unwrap());
    // Eight standard deviations of packing's and the reply's own error: far below a table's values.
    let bound = 8.0 * (packing + noises[0].reply).deviation().get() * 2f64.powi(64);
    let (packed, bare) = (opened(&results[0]), opened(&results[1]));
    let large = |phases: &[i64]| {
        let others = (0..SIZE as usize).filter(|position| position % 512 != 0);
        others
            .filter(|at| phases[*at].unsigned_abs() as f64 > bound)
            .count()
    };
    assert_eq!(large(&packed), 0);
    assert!(large(&bare) > 2000, "the table is there: {}", large(&bare));
    // The fourth place has no item.
    assert!((packed[3 * 512].unsigned_abs() as f64) < bound);
    // What travels of the bare sum is its mask and one coefficient of its body.
    let words = 2048 + 1;
    assert_eq!(prepared.outputs()[1].row_bytes(), words * 4);
}

#[test]
fn what_the_key_cannot_clear_is_refused() {
    let mut builder = Builder::new(set(BALANCED, 6, 4), 4);
    let lookup = Draw(1).lookup(ConstantId(0), 4);
    builder.constant(&[(0, part(1))]);
    let lookup = builder.push(lookup);
    let packed = pack(&mut builder, &[lookup]);
    builder.output(packed, 1, 1);
    let circuit = builder.build();
    assert!(circuit.needs_evaluation_key());
    let error = PreparedCircuit::new(&circuit).unwrap_err();
    assert!(
        matches!(
            error,
            EngineError::Scheme(SchemeError::CannotClear { kept: 256, .. })
        ),
        "{error}"
    );
}

#[test]
fn packing_needs_the_evaluation_key() {
    let gadget = Gadget::new(BaseLog::new(12), Levels::new(2));
    let mut builder = Builder::new((WIDE, Transport::Ggsw, gadget), 2);
    let table = builder.constant(&[(0, part(1))]);
    let lookup = Draw(1).lookup(table, 2);
    let lookup = builder.push(lookup);
    let packed = pack(&mut builder, &[lookup]);
    builder.output(packed, 1, 1);
    let prepared = PreparedCircuit::new(&builder.build()).unwrap();
    let keys = keys(prepared.parameter_set());
    let values = [InputValues::Bits(vec![true, false])];
    let row = encrypt_row(&keys.secret, prepared.inputs(), &values).unwrap();
    let error = prepared
        .evaluate_row(None, &row, &mut Workspace::default())
        .unwrap_err();
    assert!(
        matches!(
            error,
            EngineError::Scheme(SchemeError::EvaluationKeyMissing { .. })
        ),
        "{error}"
    );
}
