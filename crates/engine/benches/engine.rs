//! The engine against the same CMUXes done one by one with `tfhe`, over the same selectors in the
//! same run.
//!
//! `cargo bench -p cipherfn-engine` (one thread; `RAYON_NUM_THREADS=2` adds the second). Each
//! ensemble is evaluated as comparison chains over the bits of the features and as one thermometer
//! bit a distinct predicate. Times are of the circuit alone; the line printed before each
//! group says how many CMUXes it has and how long the query's expansion takes.

use cipherfn_circuit::circuit::{
    Circuit, Constant, ConstantId, FeatureInput, Input, InputId, Node, NodeId, Operand, Output,
    Product, Rotated, Select, SelectorForm, SelectorGroup, SelectorId, Sum,
};
use cipherfn_engine::{PreparedCircuit, Workspace};
use cipherfn_protocol::specs::{BaseLog, Bits, FeatureForm, Gadget, Levels, Transport};
use cipherfn_scheme::parameters::ParameterSet;
use cipherfn_scheme::query::{InputShape, InputValues};
use cipherfn_scheme::selectors::FourierSelectors;
use cipherfn_scheme::{EvaluationKey, ExpandedEvaluationKey, SecretKey, query};
use criterion::{Criterion, criterion_group, criterion_main};
use std::collections::HashMap;
use std::hint::black_box;
use std::time::{Duration, Instant};
use tfhe::core_crypto::fft_impl::fft64::crypto::ggsw::FourierGgswCiphertext;
use tfhe::core_crypto::prelude::*;

const SET: &str = "cipherfn-128-n2048-m8-v1";
const FEATURES: u32 = 30;
const BITS: u32 = 6;

/// How a comparison with a threshold is written.
#[derive(Clone, Copy)]
enum Form {
    /// CMUXes over the bits of the feature.
    Chain,
    /// One selector a distinct (feature, threshold).
    Thermometer,
}

struct Ensemble {
    nodes: Vec<Sum>,
    constants: Vec<Constant>,
    known: HashMap<Sum, NodeId>,
    thresholds: HashMap<(u32, u32), u32>,
    state: u64,
    form: Form,
}

impl Ensemble {
    /// Complete trees with random features, thresholds and leaves, and their sum.
    fn random(trees: u32, depth: u32, form: Form, gadget: Gadget) -> Circuit {
        let (nodes, constants, known, thresholds) =
            (Vec::new(), Vec::new(), HashMap::new(), HashMap::new());
        let mut ensemble = Self {
            nodes,
            constants,
            known,
            thresholds,
            state: 1,
            form,
        };
        let roots: Vec<Operand> = (0..trees).map(|_| ensemble.tree(depth)).collect();
        let addends = roots
            .iter()
            .filter_map(|root| {
                if let Operand::Node(node) = root {
                    Some(*node)
                } else {
                    None
                }
            })
            .collect();
        ensemble.nodes.push(Sum {
            addends,
            ..Sum::default()
        });
        let selectors = if let Form::Chain = form {
            FEATURES * BITS
        } else {
            ensemble.thresholds.len() as u32
        };
        Circuit {
            parameter_set: SET.into(),
            bootstrap: None,
            inputs: vec![Input::Selectors(SelectorGroup {
                count: selectors,
                gadget,
                transport: Transport::Packed,
                form: SelectorForm::Bits,
            })],
            constants: ensemble.constants,
            outputs: vec![output(ensemble.nodes.len() as u32 - 1)],
            nodes: ensemble.nodes.into_iter().map(Node::Sum).collect(),
        }
    }

    fn tree(&mut self, depth: u32) -> Operand {
        if depth == 0 {
            let leaf = self.draw() >> 8;
            self.constants.push(Constant(vec![(0, leaf)]));
            return Operand::Constant(ConstantId(self.constants.len() as u32 - 1));
        }
        let (feature, threshold) = (
            (self.draw() % u64::from(FEATURES)) as u32,
            (self.draw() % ((1 << BITS) - 1)) as u32 + 1,
        );
        let (no, yes) = (self.tree(depth - 1), self.tree(depth - 1));
        match self.form {
            Form::Thermometer => {
                let next = self.thresholds.len() as u32;
                let selector = *self.thresholds.entry((feature, threshold)).or_insert(next);
                self.select(selector, no, yes)
            }
            Form::Chain => (threshold.trailing_zeros()..BITS).fold(yes, |rest, bit| {
                // From the last bit that decides: above it, the bit either settles the comparison
                // or leaves it to the rest.
                let selector = feature * BITS + bit;
                if threshold >> bit & 1 == 1 {
                    self.select(selector, no, rest)
                } else {
                    self.select(selector, rest, yes)
                }
            }),
        }
    }

    fn select(&mut self, selector: u32, clear: Operand, set: Operand) -> Operand {
        let node = Sum {
            selects: vec![Select {
                selector: SelectorId::first(selector),
                clear,
                set,
            }],
            ..Sum::default()
        };
        let next = NodeId(self.nodes.len() as u32);
        let index = *self.known.entry(node.clone()).or_insert(next);
        if index == next {
            self.nodes.push(node);
        }
        Operand::Node(Rotated {
            node: index,
            rotation: 0,
        })
    }

    /// splitmix64.
    fn draw(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

fn output(node: u32) -> Output {
    Output {
        node: NodeId(node),
        coefficients: 1,
        stride: 1,
        reply_bits: Bits::new(24),
    }
}

/// The CMUXes of a circuit in its own order, one by one, on ciphertexts that stay in the cache.
fn one_by_one(
    circuit: &Circuit,
    shape: &query::SelectorQueryShape,
    selectors: &FourierSelectors,
) -> Duration {
    let set = shape.set;
    let glwe_size = GlweDimension(set.ring.glwe_dimension).to_glwe_size();
    let polynomial_size = PolynomialSize(set.ring.polynomial_size);
    let [mut clear, mut other] = [0u64, 1 << 60].map(|fill| {
        GlweCiphertext::new(
            fill,
            glwe_size,
            polynomial_size,
            CiphertextModulus::new_native(),
        )
    });
    let fft = Fft::new(polynomial_size);
    let mut buffers = ComputationBuffers::new();
    buffers.resize(
        cmux_assign_mem_optimized_requirement::<u64>(glwe_size, polynomial_size, fft.as_view())
            .unaligned_bytes_required(),
    );
    let (base, levels) = (
        DecompositionBaseLog(shape.gadget.base_log.get() as usize),
        DecompositionLevelCount(shape.gadget.levels.get() as usize),
    );
    let start = Instant::now();
    for select in circuit.selects() {
        let values = selectors.ggsw(select.selector.index as usize);
        let ggsw =
            FourierGgswCiphertext::from_container(values, glwe_size, polynomial_size, base, levels);
        cmux_assign_mem_optimized(
            &mut clear,
            &mut other,
            &ggsw,
            fft.as_view(),
            buffers.stack(),
        );
    }
    black_box(&clear);
    start.elapsed()
}

fn ensembles(criterion: &mut Criterion) {
    let set = ParameterSet::by_name(SET).expect("a known set");
    let secret = SecretKey::generate(set).unwrap();
    let key = EvaluationKey::generate(&secret)
        .and_then(|key| key.expand())
        .expect("a set with packing");
    let gadget = Gadget::new(BaseLog::new(8), Levels::new(3));
    let cases = [
        ("50 x depth 4, chains", 50, 4, Form::Chain),
        ("50 x depth 4, thermometers", 50, 4, Form::Thermometer),
        ("100 x depth 6, chains", 100, 6, Form::Chain),
        ("100 x depth 6, thermometers", 100, 6, Form::Thermometer),
    ];
    for (name, trees, depth, form) in cases {
        bench_ensemble(
            criterion,
            name,
            &Ensemble::random(trees, depth, form, gadget),
            &secret,
            &key,
        );
    }
}

fn bench_ensemble(
    criterion: &mut Criterion,
    name: &str,
    circuit: &Circuit,
    secret: &SecretKey,
    key: &ExpandedEvaluationKey,
) {
    let prepared = PreparedCircuit::new(circuit).expect("a valid circuit");
    let [InputShape::Selectors(shape)] = prepared.inputs() else {
        return;
    };
    let bits: Vec<bool> = (0..shape.selectors).map(|bit| bit % 3 == 0).collect();
    let row = query::encrypt_selectors(secret, shape, &bits).expect("bits of this shape");
    let mut workspace = Workspace::default();
    let mut timings = || {
        prepared
            .evaluate_row_timed(Some(key), &row, &mut workspace)
            .expect("a valid row")
            .1
    };
    timings();
    let statistics = prepared.statistics();
    let selects = circuit.selects().count();
    println!(
        "{name}: {selects} selects, {} selectors, query {} bytes, {:?}; {statistics:?}",
        shape.selectors,
        row.len(),
        timings()
    );
    let mut selectors = FourierSelectors::zeroed(shape.ggsw(), shape.selectors);
    query::expand_selectors(Some(key), shape, &row, &mut selectors).expect("a valid row");
    let mut group = criterion.benchmark_group(name);
    group.sample_size(10);
    group.bench_function("engine", |bencher| {
        bencher.iter_custom(|count| (0..count).map(|_| timings().evaluate).sum());
    });
    group.bench_function("tfhe one by one", |bencher| {
        bencher.iter_custom(|count| {
            (0..count)
                .map(|_| one_by_one(circuit, shape, &selectors))
                .sum()
        });
    });
    group.finish();
}

fn linear(criterion: &mut Criterion) {
    let circuit = Circuit {
        parameter_set: SET.into(),
        bootstrap: None,
        inputs: vec![Input::Features(FeatureInput {
            features: 30,
            block: 2048,
            stride: 1,
            form: FeatureForm::Apart,
            body_bits: Bits::new(48),
        })],
        constants: Vec::new(),
        nodes: vec![Node::Product(Product {
            input: InputId(0),
            weights: vec![(0..30).map(|i| i * 1999 - 30_000).collect()],
            constant: None,
        })],
        outputs: vec![output(0)],
    };
    let prepared = PreparedCircuit::new(&circuit).expect("a valid circuit");
    let key = SecretKey::generate(prepared.parameter_set()).unwrap();
    let values = [InputValues::Features(vec![1 << 40; 30])];
    let row = query::encrypt_row(&key, prepared.inputs(), &values).expect("a valid row");
    let mut workspace = Workspace::default();
    criterion.bench_function("linear, 30 features, whole row", |bencher| {
        bencher.iter(|| {
            prepared
                .evaluate_row(None, &row, &mut workspace)
                .expect("a valid row")
        });
    });
}

criterion_group!(benches, linear, ensembles);
criterion_main!(benches);
