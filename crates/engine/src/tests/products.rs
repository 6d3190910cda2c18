//! A layer of 768 x 768 as the compiler lays it out: what it takes.

use super::backends::keys;
use super::{Builder, SETS};
use crate::{ClearCircuit, PreparedCircuit, Workspace};
use cipherfn_circuit::circuit::{FeatureInput, Input, InputId, Node, Pack, Rotated};
use cipherfn_protocol::specs::{Bits, FeatureForm};
use cipherfn_scheme::query::{InputValues, encrypt_row};
use cipherfn_scheme::reply;
use std::time::Instant;

const SIDE: u32 = 768;

/// Prints time and bytes of a token for each number of scores a product; the results are right.
#[test]
#[ignore = "prints figures: cargo test --workspace --lib products -- --ignored --nocapture"]
fn a_layer_of_768_by_768() {
    for a_product in [8, 16, 32, 64] {
        let (spacing, products) = (2048 / a_product, 1024 / a_product);
        let mut builder = Builder::new(SETS[0], 1);
        let input = builder.input(Input::Features(FeatureInput {
            features: SIDE,
            block: spacing,
            stride: spacing,
            form: FeatureForm::Together,
            body_bits: Bits::new(45),
        }));
        let weight =
            |score: u32, feature: u32| i64::from((score * 37 + feature * 101) % 2001) - 1000;
        let row = |score: u32| (0..SIDE).map(|feature| weight(score, feature)).collect();
        let items = (0..products).map(|product| Rotated {
            node: builder.product(
                input,
                (product..SIDE)
                    .step_by(products as usize)
                    .map(row)
                    .collect(),
                &[],
            ),
            rotation: 0,
        });
        let items = items.collect();
        let packed = builder.push(Node::Pack(Pack {
            items,
            coefficients: a_product,
        }));
        builder.output(packed, SIDE, 2);
        let mut circuit = builder.build();
        // The layer alone, without the builder's bit.
        circuit.inputs.remove(0);
        for node in &mut circuit.nodes {
            if let Node::Product(product) = node {
                product.input = InputId(0);
            }
        }
        let prepared = PreparedCircuit::new(&circuit).unwrap();
        let keys = keys(prepared.parameter_set());
        let values: Vec<u64> = (0..u64::from(SIDE)).map(|at| (at % 201) << 35).collect();
        let inputs = [InputValues::Features(values)];
        let query = encrypt_row(&keys.secret, prepared.inputs(), &inputs).unwrap();
        let mut workspace = Workspace::default();
        let mut times = Vec::new();
        let mut answer = Vec::new();
        for _ in 0..20 {
            let start = Instant::now();
            let key = keys.evaluation.as_ref();
            answer = super::backends::pool(1)
                .install(|| prepared.evaluate_row(key, &query, &mut workspace))
                .unwrap();
            times.push(start.elapsed());
        }
        let phases = reply::decrypt_row(&keys.secret, prepared.outputs(), &answer).unwrap();
        let exact = ClearCircuit::new(circuit)
            .unwrap()
            .evaluate(&inputs)
            .unwrap();
        let errors = phases.iter().zip(&exact);
        let errors = errors.map(|(found, exact)| found.wrapping_sub(*exact as i64) as f64);
        let largest = errors
            .map(|error| error.abs() / 64_f64.exp2())
            .fold(0.0, f64::max);
        assert!(largest < 2_f64.powi(-14), "{largest:e}");
        times.sort();
        println!(
            "{a_product} scores a product: {:.1} ms at best, {:.1} ms median, query {} B, reply {} B, \
             largest error 2^{:.1}",
            times[0].as_secs_f64() * 1e3,
            times[10].as_secs_f64() * 1e3,
            query.len(),
            answer.len(),
            largest.log2(),
        );
    }
}
