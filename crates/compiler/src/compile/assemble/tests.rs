use super::*;
use crate::families;
use crate::features::Features;
use crate::model::{Estimator, LinearModel, Test, Tree, TreeEnsemble, TreeNode};
use crate::options::Options;
use crate::read::sample;
use cipherfn_engine::{PreparedCircuit, Workspace};
use cipherfn_protocol::hash::Hash;
use cipherfn_scheme::query::{InputValues, encrypt_row};
use cipherfn_scheme::{EvaluationKey, SecretKey, reply};
use std::collections::HashMap;

fn line(weights: [f64; 2], bias: f64) -> Estimator {
    Estimator::Linear(LinearModel {
        weights: vec![weights.to_vec()],
        bias: vec![bias],
    })
}

/// Trees of one split each.
fn stumps(splits: &[(u32, f32, f64)]) -> Estimator {
    let tree = |(feature, threshold, leaf): &(u32, f32, f64)| Tree {
        nodes: vec![
            TreeNode::Split {
                feature: *feature,
                test: Test::Greater(*threshold),
                missing_goes_yes: false,
                yes: 1,
                no: 2,
            },
            TreeNode::Leaf(vec![(0, *leaf)]),
            TreeNode::Leaf(vec![(0, -leaf)]),
        ],
    };
    Estimator::Trees(TreeEnsemble {
        scores: 1,
        base: vec![0.25],
        trees: splits.iter().map(tree).collect(),
    })
}

#[test]
fn a_mixture_of_families_is_one_circuit_on_encrypted_rows() {
    let estimators = [
        line([2.0, -1.0], 0.5),
        stumps(&[(0, 3.5, 1.0), (1, 0.5, 0.25), (0, 6.5, -0.5)]),
        line([0.0, 4.0], -1.0),
        stumps(&[(1, 1.5, 8.0), (0, 2.5, 4.0)]),
    ];
    let rows: Vec<Vec<f32>> = (0..24_u8)
        .map(|row| vec![f32::from(row % 8), f32::from(row % 3)])
        .collect();
    let features = Features {
        names: vec!["a".into(), "b".into()],
        missing: vec![false; 2],
        spared: Vec::new(),
        decimals: vec![None; 2],
        rows: rows.clone(),
        numbers: Vec::new(),
        mixtures: crate::mixtures::Mixtures::default(),
        fills: crate::fills::Fills::default(),
        mixed: HashMap::new(),
        sets: HashMap::new(),
    };
    let regions = families::regions(&estimators);
    let (backend, plans) = families::plan(
        &regions,
        &features,
        (&sample(), &[]),
        &Options::new("m"),
        10.0,
        Hash::of(b"m"),
    )
    .unwrap();
    let assembly = Assembly::of(backend.set, &regions, plans);
    assert_eq!(
        (assembly.inputs.len(), assembly.circuit.outputs.len()),
        (2, 2)
    );
    let prepared = PreparedCircuit::new(&assembly.circuit).unwrap();
    let key = SecretKey::generate(prepared.parameter_set()).unwrap();
    let expanded = EvaluationKey::generate(&key).unwrap().expand().unwrap();
    let mut workspace = Workspace::default();
    for row in rows.iter().step_by(5) {
        let values = InputValues::all(&assembly.inputs, row).unwrap();
        let query = encrypt_row(&key, prepared.inputs(), &values).unwrap();
        let answer = prepared
            .evaluate_row(Some(&expanded), &query, &mut workspace)
            .unwrap();
        let phases = reply::decrypt_row(&key, prepared.outputs(), &answer).unwrap();
        let exact = estimators
            .iter()
            .flat_map(|estimator| estimator.raw_scores(row));
        let decoded = assembly.decoding.scores(&phases);
        assert_eq!(decoded.len(), 4);
        for ((decoded, exact), score) in decoded.iter().zip(exact).zip(&assembly.decoding.scores) {
            let error = (decoded - exact).abs();
            assert!(
                error <= score.precision.get(),
                "{decoded} instead of {exact}"
            );
            assert!(score.precision.get() < 0.1, "{}", score.precision);
        }
    }
}

/// All scores of a linear model of one feature follow from one coefficient, each rounded at other
/// places: as finely as their noise asks for, clients would refuse more than eight.
#[test]
fn many_scores_of_one_result_are_as_coarse_as_clients_ask() {
    let scores = 24_u8;
    let weights = (0..scores).map(|score| vec![1.0 + 0.5 * f64::from(score)]);
    let bias = (0..scores).map(|score| 0.37 * f64::from(score));
    let estimator = Estimator::Linear(LinearModel {
        weights: weights.collect(),
        bias: bias.collect(),
    });
    let features = Features {
        names: vec!["a".into()],
        missing: vec![false],
        spared: Vec::new(),
        decimals: vec![None],
        rows: (0..20_u8).map(|row| vec![f32::from(row)]).collect(),
        numbers: Vec::new(),
        mixtures: crate::mixtures::Mixtures::default(),
        fills: crate::fills::Fills::default(),
        mixed: HashMap::new(),
        sets: HashMap::new(),
    };
    let regions = families::regions(&[estimator]);
    let assembled = |precision: Option<f64>| {
        let options = Options {
            precision,
            ..Options::new("m")
        };
        let hash = Hash::of(b"m");
        let exact = (&sample(), &[][..]);
        let (backend, plans) =
            families::plan(&regions, &features, exact, &options, 10.0, hash).unwrap();
        let planned: Vec<ScoreDecoding> = plans[0].reading.scores.clone();
        let (_, assembly) = assemble(&regions, &features, exact, &options, 10.0, hash).unwrap();
        noise::check_steps(backend.set, &assembly.decoding).unwrap();
        (planned, assembly)
    };
    let (planned, assembly) = assembled(None);
    assert_eq!(assembly.decoding.replies[0].coefficients, 1);
    let facts = &assembly.facts[0];
    assert!(
        facts.warnings[0].contains("as coarsely"),
        "{:?}",
        facts.warnings
    );
    for (planned, score) in planned.iter().zip(&assembly.decoding.scores) {
        // The error of the phase is as before, that of the rounding is half a step.
        let (step, planned_step) = (score.step.get(), planned.step.get());
        let factor = step / planned_step;
        assert!((2.0..3.0).contains(&factor), "{factor}");
        let error = planned.precision.get() + (step - planned_step) / 2.0;
        assert!((score.precision.get() / error - 1.0).abs() < 1e-9);
    }
    // What is asked for is guaranteed all the same.
    let asked = facts.bits.floor();
    let (_, assembly) = assembled(Some(asked));
    let facts = &assembly.facts[0];
    assert!(facts.bits >= asked && (facts.target_bits - asked).abs() < 1e-9);
}
