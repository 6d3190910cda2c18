//! One suite, any evaluator: circuits of every kind evaluate to what was worked out by hand.

use super::backends::{Backend, Clear, ClearParts, Encrypted, EncryptedParts};
use super::{Builder, SETS, circuits, operand, part};
use cipherfn_circuit::circuit::{
    FeatureInput, Input, Node, NodeId, Operand, Pack, Rotated, SelectorId,
};
use cipherfn_protocol::specs::{Bits, FeatureForm, Levels};
use cipherfn_scheme::parameters::ParameterSet;
use cipherfn_scheme::query::InputValues;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

/// Makes a test of each case, for each evaluator.
macro_rules! suite {
    ($($case:ident),* $(,)?) => {
        mod in_the_clear {
            use super::*;
            $(#[test] fn $case() { super::$case(&Clear); })*
        }
        mod encrypted {
            use super::*;
            $(#[test] fn $case() { super::$case(&Encrypted { threads: 1 }); })*
        }
        mod parts_in_the_clear {
            use super::*;
            $(#[test] fn $case() { super::$case(&ClearParts); })*
        }
        mod encrypted_parts {
            use super::*;
            $(#[test] fn $case() { super::$case(&EncryptedParts); })*
        }
        mod encrypted_on_two_threads {
            use super::*;
            $(#[test] fn $case() { super::$case(&Encrypted { threads: 2 }); })*
        }
    };
}

suite!(
    one_select_of_each_kind_of_operand,
    shared_subtrees_and_sums,
    constants_with_several_coefficients,
    oblivious_trees,
    constant_circuits,
    products,
    several_products_of_one_vector,
    products_whose_scores_are_packed,
    groups_of_selectors,
    a_sum_of_a_tree_and_a_product,
    trees_with_products_as_leaves,
    outputs_that_share_values,
);

fn bits(bits: &[bool]) -> [InputValues; 1] {
    [InputValues::Bits(bits.to_vec())]
}

fn every_input(selectors: u32) -> impl Iterator<Item = Vec<bool>> {
    (0..1u32 << selectors)
        .map(move |index| (0..selectors).map(|bit| index >> bit & 1 == 1).collect())
}

fn one_select_of_each_kind_of_operand(backend: &impl Backend) {
    for set in SETS {
        let mut builder = Builder::new(set, 2);
        let [one, other] = [5, -9].map(|value| builder.scalar(part(value)));
        let leaf = builder.select(0, one, Operand::Zero);
        let top = builder.select(1, other, leaf);
        let circuit = builder.finish(top, 1, 1);
        for (row, expected) in [
            ([false, false], -9),
            ([true, false], -9),
            ([false, true], 5),
            ([true, true], 0),
        ] {
            backend.check(&circuit, &bits(&row), &[part(expected)]);
        }
    }
}

fn shared_subtrees_and_sums(backend: &impl Backend) {
    for set in SETS {
        let mut builder = Builder::new(set, 4);
        let constants = [3, 6, 9, 12].map(|value| builder.scalar(part(value)));
        let low = builder.select(0, constants[0], constants[1]);
        let middle = builder.select(1, low, constants[2]);
        // `middle` is used three times, as both sides of CMUXes and as an addend.
        let left = builder.select(2, middle, constants[3]);
        let right = builder.select(3, constants[0], middle);
        let sum = builder.sum(&[left, right, middle]);
        let circuit = builder.finish(sum, 1, 1);
        for row in every_input(4).step_by(3) {
            let middle = if row[1] {
                9
            } else if row[0] {
                6
            } else {
                3
            };
            let expected =
                if row[2] { 12 } else { middle } + if row[3] { middle } else { 3 } + middle;
            backend.check(&circuit, &bits(&row), &[part(expected)]);
        }
    }
}

fn constants_with_several_coefficients(backend: &impl Backend) {
    for set in SETS {
        let mut builder = Builder::new(set, 2);
        let a = builder.constant(&[(0, part(1)), (5, part(2)), (10, part(-3))]);
        let b = builder.constant(&[(0, part(-4)), (10, part(6))]);
        let c = builder.constant(&[(5, part(7))]);
        let low = builder.select(0, Operand::Constant(a), Operand::Constant(b));
        // Differs from zero in one coefficient that is not the first.
        let single = builder.select(0, Operand::Zero, Operand::Constant(c));
        let top = builder.select(1, low, single);
        let circuit = builder.finish(top, 3, 5);
        let expected = [[1, 2, -3], [-4, 0, 6], [0, 0, 0], [0, 7, 0]];
        for (row, expected) in every_input(2).zip(expected) {
            backend.check(&circuit, &bits(&row), &expected.map(part));
        }
    }
}

fn oblivious_trees(backend: &impl Backend) {
    for set in SETS {
        let depth = 4;
        let mut builder = Builder::new(set, depth);
        let size = ParameterSet::by_name(set.0).unwrap().ring.polynomial_size as u32;
        let leaves: Vec<(u32, u64)> = (0..1 << depth)
            .map(|leaf| (leaf, part(i64::from(leaf) - 7)))
            .collect();
        let mut node = builder.plain(&leaves);
        for bit in 0..depth {
            // X^(-2^bit) brings leaf i + 2^bit to the place of leaf i.
            let turned = Operand::Node(Rotated {
                node,
                rotation: 2 * size - (1 << bit),
            });
            node = builder.node(bit, operand(node), turned);
        }
        let circuit = builder.finish(operand(node), 1, 1);
        for (leaf, row) in every_input(depth).enumerate().step_by(3) {
            backend.check(&circuit, &bits(&row), &[part(leaf as i64 - 7)]);
        }
    }
}

fn constant_circuits(backend: &impl Backend) {
    for set in SETS {
        let mut builder = Builder::new(set, 1);
        let node = builder.plain(&[(0, part(11)), (4, part(-2))]);
        let circuit = builder.finish(operand(node), 2, 4);
        backend.check(&circuit, &bits(&[true]), &[part(11), part(-2)]);
    }
}

/// Small integers times 2^41.
fn vector(features: i64) -> Vec<i64> {
    (0..features).map(|feature| feature * 31 % 17 - 8).collect()
}

fn weights(scores: i64, features: i64) -> Vec<Vec<i64>> {
    let weight = |score, feature| (score * 7919 + feature * 104_729) % 4001 - 2000;
    (0..scores)
        .map(|score| {
            (0..features)
                .map(|feature| weight(score, feature))
                .collect()
        })
        .collect()
}

fn encoded(vector: &[i64]) -> InputValues {
    InputValues::Features(vector.iter().map(|value| (value << 41) as u64).collect())
}

/// Scores of a vector, in units of 2^-64.
fn scores(weights: &[Vec<i64>], vector: &[i64]) -> Vec<u64> {
    let score = |row: &Vec<i64>| -> i64 { row.iter().zip(vector).map(|(w, x)| w * x).sum() };
    weights
        .iter()
        .map(|row| (score(row) << 41) as u64)
        .collect()
}

fn products(backend: &impl Backend) {
    // One score; ten scores in one ciphertext; three scores whose features take three ciphertexts.
    for (count, features, block) in [(1, 30, 2048), (10, 64, 204), (3, 50, 20)] {
        let mut builder = Builder::new(SETS[0], 0);
        let input = builder.features(features as u32, block, count as u32);
        let (weights, vector) = (weights(count, features), vector(features));
        let bias: Vec<(u32, u64)> = (0..count).map(|c| (c as u32, part(c))).collect();
        let node = builder.product(input, weights.clone(), &bias);
        let circuit = builder.finish(operand(node), count as u32, 1);
        let expected = scores(&weights, &vector).into_iter().zip(&bias);
        let expected: Vec<u64> = expected
            .map(|(score, (_, bias))| score.wrapping_add(*bias))
            .collect();
        let values = [InputValues::Bits(Vec::new()), encoded(&vector)];
        backend.check(&circuit, &values, &expected);
    }
}

fn several_products_of_one_vector(backend: &impl Backend) {
    let mut builder = Builder::new(SETS[1], 0);
    let input = builder.features(12, 5, 3);
    let (one, three, vector) = (weights(1, 12), weights(3, 12), vector(12));
    let first = builder.product(input, one.clone(), &[]);
    let second = builder.product(input, three.clone(), &[]);
    let sum = builder.sum(&[operand(first), operand(second)]);
    let circuit = builder.finish(sum, 1, 1);
    let mut expected = scores(&three, &vector);
    expected[0] = expected[0].wrapping_add(scores(&one, &vector)[0]);
    // Coefficients that the first product has no score for hold what means nothing.
    let values = [InputValues::Bits(Vec::new()), encoded(&vector)];
    backend.check(&circuit, &values, &expected[..1]);
}

/// 20 scores of 300 features that stand together, eight a product: the key of eight levels clears what
/// lies between.
fn products_whose_scores_are_packed(backend: &impl Backend) {
    const FEATURES: usize = 300;
    const SCORES: usize = 20;
    const A_PRODUCT: u32 = 8;
    let mut builder = Builder::new(SETS[0], 1);
    let input = builder.input(Input::Features(FeatureInput {
        features: FEATURES as u32,
        block: 256,
        stride: 256,
        form: FeatureForm::Together,
        body_bits: Bits::new(48),
    }));
    let weight = |score: usize, feature: usize| ((score * 7 + feature * 3) % 11) as i64 - 5;
    let row = |score: usize| {
        (0..FEATURES)
            .map(|feature| weight(score, feature))
            .collect()
    };
    // Four products, the last scores of three of which are none.
    let items = (0..4).map(|product| {
        let scores = (product..SCORES).step_by(4).map(row).collect();
        let bias = (product == 1).then_some((256, part(3)));
        Rotated {
            node: builder.product(input, scores, bias.as_slice()),
            rotation: 0,
        }
    });
    let items = items.collect();
    let packed = builder.push(Node::Pack(Pack {
        items,
        coefficients: A_PRODUCT,
    }));
    builder.output(packed, 32, 64);
    let circuit = builder.build();
    let values: Vec<u64> = (0..FEATURES as u64).map(|at| (at % 13) << 50).collect();
    let expected: Vec<u64> = (0..32)
        .map(|score| {
            let terms = values.iter().enumerate();
            let sum = terms
                .map(|(feature, value)| value.wrapping_mul(weight(score, feature) as u64))
                .fold(0, u64::wrapping_add);
            let bias = if score == 5 { part(3) } else { 0 };
            if score < SCORES {
                sum.wrapping_add(bias)
            } else {
                0
            }
        })
        .collect();
    let inputs = [
        InputValues::Bits(vec![false]),
        InputValues::Features(values),
    ];
    backend.check(&circuit, &inputs, &expected);
}

fn groups_of_selectors(backend: &impl Backend) {
    for set in SETS {
        let mut builder = Builder::new(set, 1);
        let mut fine = set;
        fine.2.levels = Levels::new(set.2.levels.get() + 1);
        let more = builder.bits_of(fine, 2);
        let [one, two] = [3, 5].map(|value| builder.scalar(part(value)));
        let low = builder.select(0, Operand::Zero, one);
        let selector = |index| SelectorId { input: more, index };
        let middle = operand(builder.cmux(selector(0), low, two));
        let top = operand(builder.cmux(selector(1), middle, low));
        let circuit = builder.finish(top, 1, 1);
        for row in every_input(3) {
            let low = if row[0] { 3 } else { 0 };
            let middle = if row[1] { 5 } else { low };
            let expected = if row[2] { low } else { middle };
            let values = [&row[..1], &row[1..]].map(|group| InputValues::Bits(group.to_vec()));
            backend.check(&circuit, &values, &[part(expected)]);
        }
    }
}

fn a_sum_of_a_tree_and_a_product(backend: &impl Backend) {
    for set in SETS {
        let mut builder = Builder::new(set, 2);
        let input = builder.features(9, 4, 2);
        let (weights, vector) = (weights(2, 9), vector(9));
        let leaves = [[1, 2], [-3, 5], [7, -4]]
            .map(|[a, b]| Operand::Constant(builder.constant(&[(0, part(a)), (1, part(b))])));
        let low = builder.select(0, leaves[0], leaves[1]);
        let tree = builder.select(1, low, leaves[2]);
        let product = builder.product(input, weights.clone(), &[(1, part(9))]);
        let sum = builder.sum(&[tree, operand(product)]);
        let circuit = builder.finish(sum, 2, 1);
        let scores = scores(&weights, &vector);
        for (row, leaf) in every_input(2).zip([[1, 2], [-3, 5], [7, -4], [7, -4]]) {
            let expected = [
                scores[0].wrapping_add(part(leaf[0])),
                scores[1].wrapping_add(part(leaf[1] + 9)),
            ];
            let values = [InputValues::Bits(row), encoded(&vector)];
            backend.check(&circuit, &values, &expected);
        }
    }
}

/// A tree whose leaves are linear models: CMUXes between products, and between a product and a
/// constant, with a rotation of a product as one side.
fn trees_with_products_as_leaves(backend: &impl Backend) {
    for set in SETS {
        let size = ParameterSet::by_name(set.0).unwrap().ring.polynomial_size as u32;
        let mut builder = Builder::new(set, 2);
        let input = builder.features(6, 6, 1);
        let vector = vector(6);
        let all = weights(3, 6);
        let leaf = |builder: &mut Builder, index: usize, bias| {
            builder.product(input, vec![all[index].clone()], &[(0, part(bias))])
        };
        let [first, second, third] =
            [(0, 4), (1, -6), (2, 1)].map(|(index, bias)| leaf(&mut builder, index, bias));
        let low = builder.select(0, operand(first), operand(second));
        // X^N times a value is minus the value.
        let minus_third = Operand::Node(Rotated {
            node: third,
            rotation: size,
        });
        let high = builder.select(0, minus_third, Operand::Zero);
        let top = builder.select(1, low, high);
        let circuit = builder.finish(top, 1, 1);
        let scores = scores(&all, &vector);
        let third = scores[2].wrapping_add(part(1)).wrapping_neg();
        let expected = [
            scores[0].wrapping_add(part(4)),
            scores[1].wrapping_add(part(-6)),
            third,
            0,
        ];
        for (row, expected) in every_input(2).zip(expected) {
            let values = [InputValues::Bits(row), encoded(&vector)];
            backend.check(&circuit, &values, &[expected]);
        }
    }
}

/// A tree and a product as two outputs, and the tree once more as a third.
fn outputs_that_share_values(backend: &impl Backend) {
    for set in SETS {
        let mut builder = Builder::new(set, 1);
        let input = builder.features(6, 6, 2);
        let (weights, vector) = (weights(2, 6), vector(6));
        let [one, two] = [3, -5].map(|value| builder.scalar(part(value)));
        let tree: NodeId = builder.node(0, one, two);
        let again = builder.node(0, operand(tree), Operand::Zero);
        let product = builder.product(input, weights.clone(), &[]);
        builder.output(tree, 1, 1);
        builder.output(product, 2, 1);
        builder.output(again, 1, 7);
        builder.output(tree, 1, 1);
        let circuit = builder.build();
        let scores = scores(&weights, &vector);
        for (bit, tree, again) in [(false, 3, 3), (true, -5, 0)] {
            let values = [InputValues::Bits(vec![bit]), encoded(&vector)];
            let expected = [part(tree), scores[0], scores[1], part(again), part(tree)];
            backend.check(&circuit, &values, &expected);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 24,
        // The same circuits in every run, so that their noise is known.
        rng_seed: RngSeed::Fixed(1),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// Random graphs: shared nodes, rotations, sums, every kind of operand.
    #[test]
    fn encrypted_is_cleartext((set, circuit, row) in circuits::random()) {
        prop_assume!(set < SETS.len());
        let expected = Clear.evaluate(&circuit, &bits(&row));
        Encrypted { threads: 1 }.check(&circuit, &bits(&row), &expected);
        ClearParts.check(&circuit, &bits(&row), &expected);
    }
}
