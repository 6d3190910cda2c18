//! Times of the scheme's operations on one thread, as ratios to `tfhe`'s own CMUX over the same
//! selectors, to its own encryption and to its own bootstrap, in the same run.
//!
//! `cargo bench -p cipherfn-scheme -- [NAME]` for the parameter sets and bootstraps whose name
//! contains NAME; with `--test` every operation runs once.

use cipherfn_protocol::specs::{BaseLog, Bits, FeatureForm, Gadget, Levels, Transport};
use cipherfn_scheme::fourier::{Transform, c64};
use cipherfn_scheme::operations::isolate;
use cipherfn_scheme::operations::lookup::{self, TurnMemory};
use cipherfn_scheme::parameters::{Depth, ParameterSet};
use cipherfn_scheme::query::{self, GroupShape, LinearQueryShape, SelectorQueryShape};
use cipherfn_scheme::reply::{self, PackedShape, ReplyShape};
use cipherfn_scheme::selectors::FourierSelectors;
use cipherfn_scheme::{EvaluationKey, SchemeError, SecretKey};
use dyn_stack::PodBuffer;
use std::hint::black_box;
use tfhe::core_crypto::commons::generators::{DeterministicSeeder, SecretRandomGenerator};
use tfhe::core_crypto::commons::math::random::{
    CompressionSeed, DefaultRandomGenerator, Seed, Seeder, TUniform,
};
use tfhe::core_crypto::fft_impl::fft64::crypto::ggsw::FourierGgswCiphertext;
use tfhe::core_crypto::prelude::{
    CiphertextModulus, DecompositionBaseLog, DecompositionLevelCount, GlweCiphertext,
    GlweCiphertextCount, GlweCiphertextOwned, GlweDimension, GlweSecretKeyOwned, GlweSize,
    PlaintextCount, PlaintextList, PodStack, PolynomialSize, SeededGlweCiphertextList,
    add_external_product_assign_mem_optimized,
    add_external_product_assign_mem_optimized_requirement,
    allocate_and_generate_new_binary_glwe_secret_key, cmux_assign_mem_optimized,
    cmux_assign_mem_optimized_requirement, encrypt_seeded_glwe_ciphertext_list,
};

mod bootstrap;
mod public;
mod timer;

use timer::{Timer, line};

fn main() -> Result<(), SchemeError> {
    let once = std::env::args().any(|argument| argument == "--test");
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build()
        .expect("a pool of one thread");
    let name = std::env::args()
        .skip(1)
        .find(|argument| !argument.starts_with('-'))
        .unwrap_or_default();
    let mut sets = ParameterSet::all()
        .iter()
        .filter(|set| set.name.contains(&name));
    let timer = Timer { once };
    pool.install(|| sets.try_for_each(|set| bench(&timer, set)))?;
    bootstrap::bench(&timer, &name, &pool)
}

fn bench(timer: &Timer, set: &'static ParameterSet) -> Result<(), SchemeError> {
    println!("{}", set.name);
    let key = SecretKey::generate(set)?;
    let transform = Transform::new(set.ring.polynomial_size);
    let (mut scratch, mut values) = (
        transform.scratch(),
        vec![c64::new(0.5, 0.25); transform.fourier_size()],
    );
    let fft = timer.time(|| transform.forward_twisted(black_box(&mut values), &mut scratch));
    line("Fourier transform", fft, "");
    if set.packing().is_some() {
        let evaluation = EvaluationKey::generate(&key)?;
        line(
            "make an evaluation key",
            timer.time(|| EvaluationKey::generate(&key).is_ok()),
            "",
        );
        let bytes = evaluation.file_len();
        line(
            "expand an evaluation key",
            timer.time(|| evaluation.expand().is_ok()),
            &format!("file of {bytes} bytes"),
        );
        let expanded = evaluation.expand()?;
        for (base_log, levels) in [(11, 2), (9, 2), (8, 3), (6, 4), (4, 6)] {
            let gadget = Gadget::new(BaseLog::new(base_log), Levels::new(levels));
            selectors(
                timer,
                &key,
                Some(&expanded),
                SelectorQueryShape {
                    set,
                    selectors: 118,
                    gadget,
                    transport: Transport::Packed,
                },
            )?;
        }
    } else {
        for (base_log, levels) in [(23, 1), (15, 2)] {
            let gadget = Gadget::new(BaseLog::new(base_log), Levels::new(levels));
            selectors(
                timer,
                &key,
                None,
                SelectorQueryShape {
                    set,
                    selectors: 30,
                    gadget,
                    transport: Transport::Ggsw,
                },
            )?;
        }
    }
    if set
        .packing()
        .is_some_and(|packing| packing.slots() == set.ring.polynomial_size)
    {
        wide(timer, &key, set)?;
    }
    linear_and_reply(timer, &key, set)
}

fn selectors(
    timer: &Timer,
    key: &SecretKey,
    expanded: Option<&cipherfn_scheme::ExpandedEvaluationKey>,
    shape: SelectorQueryShape,
) -> Result<(), SchemeError> {
    let Gadget { base_log, levels } = shape.gadget;
    let bits: Vec<bool> = (0..shape.selectors).map(|i| i % 3 == 0).collect();
    let row = query::encrypt_selectors(key, &shape, &bits)?;
    let mut out = FourierSelectors::zeroed(shape.ggsw(), shape.selectors);
    query::expand_selectors(expanded, &shape, &row, &mut out)?;
    let cmux = tfhe_cmux(timer, &shape, &out);
    line(&format!("tfhe CMUX {base_log} x {levels}"), cmux, "");
    if shape.transport == Transport::Packed {
        let (ours, theirs) = look_ups(timer, &shape, &out);
        let product = format!("tfhe external product {base_log} x {levels}");
        line(&product, theirs, "");
        line(
            "look-up, a bit",
            ours,
            &format!("{:.3} of tfhe's external product", ours / theirs),
        );
    }
    let sizes = format!(
        "{} selectors, {} ciphertexts, {} bytes",
        shape.selectors,
        shape.ciphertexts(),
        row.len()
    );
    let theirs = tfhe_encryption(timer, shape.set, shape.ciphertexts());
    line("tfhe encryption of as many", theirs, "");
    let encrypt = timer.time(|| query::encrypt_selectors(key, &shape, &bits).is_ok());
    let ratio = format!("{:.3} of tfhe; {sizes}", encrypt / theirs);
    line("encrypt selectors", encrypt, &ratio);
    let expand = timer.time(|| query::expand_selectors(expanded, &shape, &row, &mut out).is_ok());
    let slots = shape.selectors as f64 * f64::from(levels.get());
    let each = |count: f64| {
        format!(
            "{:.2} us, {:.2} CMUX",
            expand * 1e6 / count,
            expand / cmux / count
        )
    };
    line(
        "expand selectors",
        expand,
        &format!(
            "a slot {}; a selector {}",
            each(slots),
            each(shape.selectors as f64)
        ),
    );
    Ok(())
}

/// `tfhe`'s own encryption of seeded ciphertexts.
fn tfhe_encryption(timer: &Timer, set: &ParameterSet, ciphertexts: usize) -> f64 {
    let size = PolynomialSize(set.ring.polynomial_size);
    let mut seeder = DeterministicSeeder::<DefaultRandomGenerator>::new(Seed(0));
    let mut secret = SecretRandomGenerator::<DefaultRandomGenerator>::new(seeder.seed());
    let key: GlweSecretKeyOwned<u64> = allocate_and_generate_new_binary_glwe_secret_key(
        GlweDimension(set.ring.glwe_dimension),
        size,
        &mut secret,
    );
    let plaintexts = PlaintextList::new(0, PlaintextCount(ciphertexts * size.0));
    let mut list = SeededGlweCiphertextList::new(
        0u64,
        GlweDimension(set.ring.glwe_dimension).to_glwe_size(),
        size,
        GlweCiphertextCount(ciphertexts),
        CompressionSeed::from(seeder.seed()),
        CiphertextModulus::new_native(),
    );
    let noise = TUniform::new(set.ring.noise_bound_log2);
    timer.time(|| {
        encrypt_seeded_glwe_ciphertext_list(&key, &mut list, &plaintexts, noise, &mut seeder);
    })
}

/// Operations of the wide set on many results and rows.
fn wide(timer: &Timer, key: &SecretKey, set: &'static ParameterSet) -> Result<(), SchemeError> {
    let expanded = EvaluationKey::generate(key)?.expand()?;
    let shape = SelectorQueryShape {
        set,
        selectors: 77,
        gadget: Gadget::new(BaseLog::new(8), Levels::new(3)),
        transport: Transport::Packed,
    };
    let bits: Vec<bool> = (0..shape.selectors).map(|i| i % 3 == 0).collect();
    let mut out = FourierSelectors::zeroed(shape.ggsw(), shape.selectors);
    for (depth, rows) in [(8, 1), (11, 1), (11, 8)] {
        let group = GroupShape {
            shape,
            depth: Depth::new(depth),
            rows,
        };
        let bytes = query::encrypt_group(key, &group, &vec![&bits; rows])?;
        let mut row = (0..rows).cycle();
        let expand = timer.time(|| {
            let row = row.next().unwrap_or_default();
            query::expand_row(&expanded, &group, &bytes, row, &mut out).is_ok()
        });
        line(
            &format!("expand a row of {rows}, depth {depth}"),
            expand,
            &format!("{} bytes a row", bytes.len() / rows),
        );
    }
    let linear = linear_shape(set);
    let row = query::encrypt_linear(key, &linear, &[1 << 40; 30])?;
    let glwe = query::decode_linear(&linear, &row)?.remove(0);
    let isolate = timer.time(|| isolate::isolate(&expanded, &glwe, 0).is_ok());
    line("isolate a coefficient", isolate, "");
    for rows in [8, 64, 512] {
        let shape = PackedShape {
            row: ReplyShape {
                set,
                coefficients: 1,
                stride: 1,
                bits: Bits::new(20),
            },
            rows,
        };
        let results = vec![Some(glwe.clone()); rows];
        let pack = timer.time(|| reply::pack(&expanded, &shape, &results).is_ok());
        line(
            &format!("pack {rows} results"),
            pack,
            &format!(
                "a result {:.1} us, {} bytes",
                pack * 1e6 / rows as f64,
                shape.bytes() / rows
            ),
        );
    }
    Ok(())
}

/// A selector as `tfhe` has them.
fn ggsw<'a>(
    shape: &SelectorQueryShape,
    selectors: &'a FourierSelectors,
    index: usize,
) -> FourierGgswCiphertext<&'a [c64]> {
    FourierGgswCiphertext::from_container(
        selectors.ggsw(index),
        GlweSize(shape.set.ring.glwe_dimension + 1),
        PolynomialSize(shape.set.ring.polynomial_size),
        DecompositionBaseLog(shape.gadget.base_log.get() as usize),
        DecompositionLevelCount(shape.gadget.levels.get() as usize),
    )
}

/// A ciphertext of multiples of a number.
fn glwe(shape: &SelectorQueryShape, factor: u64) -> GlweCiphertextOwned<u64> {
    let ring = &shape.set.ring;
    let words: Vec<u64> = (0..((ring.glwe_dimension + 1) * ring.polynomial_size) as u64)
        .map(|i| (i + 1).wrapping_mul(factor))
        .collect();
    let size = PolynomialSize(ring.polynomial_size);
    GlweCiphertext::from_container(words, size, CiphertextModulus::new_native())
}

/// `tfhe`'s CMUX over each selector in turn.
fn tfhe_cmux(timer: &Timer, shape: &SelectorQueryShape, selectors: &FourierSelectors) -> f64 {
    let (glwe_size, size) = (
        GlweSize(shape.set.ring.glwe_dimension + 1),
        PolynomialSize(shape.set.ring.polynomial_size),
    );
    let transform = Transform::new(size.0);
    let fft = transform.as_tfhe();
    let mut memory = PodBuffer::new(cmux_assign_mem_optimized_requirement::<u64>(
        glwe_size, size, fft,
    ));
    let stack = PodStack::new(&mut memory);
    let ggsws: Vec<_> = (0..selectors.len())
        .map(|index| ggsw(shape, selectors, index))
        .collect();
    let (mut clear, mut set) = (
        glwe(shape, 0x9e37_79b9_7f4a_7c15),
        glwe(shape, 0xbf58_476d_1ce4_e5b9),
    );
    let mut next = ggsws.iter().cycle();
    timer.time(|| {
        if let Some(ggsw) = next.next() {
            cmux_assign_mem_optimized(&mut clear, &mut set, ggsw, fft, stack);
        }
    })
}

/// A bit of a look-up, and `tfhe`'s external product by the same selectors: each selector meets a
/// group of accumulators before the next one is read.
fn look_ups(timer: &Timer, shape: &SelectorQueryShape, selectors: &FourierSelectors) -> (f64, f64) {
    let (glwe_size, size) = (
        GlweSize(shape.set.ring.glwe_dimension + 1),
        PolynomialSize(shape.set.ring.polynomial_size),
    );
    let transform = Transform::new(size.0);
    let len = shape.ggsw().row_len();
    let table: Vec<(u32, u64)> = (0..size.0 as u32)
        .map(|i| (i, u64::from(i).wrapping_mul(0x9e37_79b9_7f4a_7c15)))
        .collect();
    let mut accumulators = vec![vec![c64::new(0.0, 0.0); len]; lookup::GROUP];
    for (i, accumulator) in (0..).zip(&mut accumulators) {
        lookup::start(accumulator, &table, 17 * i, &transform);
    }
    let mut product = vec![c64::new(0.0, 0.0); len];
    let mut digits = vec![c64::new(0.0, 0.0); len * shape.gadget.levels.get() as usize];
    let mut fft = transform.scratch();
    let mut work = TurnMemory {
        product: &mut product,
        digits: &mut digits,
        fft: &mut fft,
    };
    let products = (selectors.len() * lookup::GROUP) as f64;
    let ours = timer.time(|| {
        for index in 0..selectors.len() {
            for (i, accumulator) in accumulators.iter_mut().enumerate() {
                let rotation = (index * 613 + i * 97 + 1) % (2 * size.0);
                let selector = selectors.ggsw(index);
                lookup::turn(
                    accumulator,
                    selector,
                    shape.gadget,
                    rotation as u32,
                    &transform,
                    &mut work,
                );
            }
        }
    });
    let glwe = |number: u64| glwe(shape, 0x9e37_79b9_7f4a_7c15 + 2 * number);
    let factor = glwe(0);
    let mut results: Vec<_> = (0..lookup::GROUP as u64).map(glwe).collect();
    let fft = transform.as_tfhe();
    let mut memory = PodBuffer::new(
        add_external_product_assign_mem_optimized_requirement::<u64>(glwe_size, size, fft),
    );
    let theirs = timer.time(|| {
        for index in 0..selectors.len() {
            let ggsw = ggsw(shape, selectors, index);
            for result in &mut results {
                let stack = PodStack::new(&mut memory);
                add_external_product_assign_mem_optimized(result, &ggsw, &factor, fft, stack);
            }
        }
    });
    (ours / products, theirs / products)
}

/// Thirty features in one ciphertext.
fn linear_shape(set: &'static ParameterSet) -> LinearQueryShape {
    LinearQueryShape {
        set,
        features: 30,
        block: 30,
        stride: 1,
        form: FeatureForm::Apart,
        body_bits: Bits::new(40),
    }
}

fn linear_and_reply(
    timer: &Timer,
    key: &SecretKey,
    set: &'static ParameterSet,
) -> Result<(), SchemeError> {
    let linear = linear_shape(set);
    let row = query::encrypt_linear(key, &linear, &[1 << 40; 30])?;
    let theirs = tfhe_encryption(timer, set, 1);
    line("tfhe encryption of a GLWE", theirs, "");
    let encrypt = timer.time(|| query::encrypt_linear(key, &linear, &[1 << 40; 30]).is_ok());
    let ratio = format!("{:.3} of tfhe", encrypt / theirs);
    line("encrypt 30 linear inputs", encrypt, &ratio);
    if set.ring.glwe_dimension == 1 {
        public::bench(timer, key, set, theirs)?;
    }
    line(
        "decode 30 linear inputs",
        timer.time(|| query::decode_linear(&linear, &row).is_ok()),
        &format!("{} bytes", row.len()),
    );
    let shape = ReplyShape {
        set,
        coefficients: 10,
        stride: 1,
        bits: Bits::new(20),
    };
    let glwe = &query::decode_linear(&linear, &row)?[0];
    let reply = reply::compress(&shape, &glwe.mask, &glwe.body)?;
    let compress = timer.time(|| reply::compress(&shape, &glwe.mask, &glwe.body).is_ok());
    line(
        "compress a reply to 20 bits",
        compress,
        &format!("{} bytes", reply.len()),
    );
    line(
        "decrypt a reply of 10 scores",
        timer.time(|| reply::decrypt(key, &shape, &reply).is_ok()),
        "",
    );
    Ok(())
}
