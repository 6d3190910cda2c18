//! Predictions by weights that stay encrypted.

use super::{table, training};
use cipherfn_client::training::{DescentRow, KeptModel, RowsEncryption};
use cipherfn_compiler::linear::start_weights;
use cipherfn_compiler::read::read_model;
use cipherfn_program::Tensor;
use cipherfn_protocol::hash::Hash;
use cipherfn_scheme::SecretKey;
use cipherfn_scheme::parameters::ParameterSet;
use cipherfn_serving::training::{FormsError, SET, answer_forms};
use cipherfn_tests::library_models;
use cipherfn_training::descent::{
    DescentStart, DescentState, Forms, FormsQuery, KeptWeights, Simulation, Training, synthetic,
};
use std::sync::Arc;

/// Weights of scikit-learn's model, encrypted, as a service keeps those of a training.
fn kept_state(secret: &Arc<SecretKey>, training: &Training, start: &DescentStart) -> DescentState {
    let rows: Vec<DescentRow> = synthetic(training, training.batch());
    let rows = RowsEncryption::new(Arc::clone(secret), training, rows.into(), None).unwrap();
    let (upload, _) = rows.starting_from(start).unwrap().upload().unwrap();
    upload.start.unwrap()
}

/// Encrypted weights on encrypted rows: probabilities within what is stated of those in the clear, and labels
/// right as often as scikit-learn's on its own test rows but for what steps of features
/// leave. Where weights are large rows are asked in two digits.
#[test]
fn rows_are_predicted_by_encrypted_weights() {
    let folder = library_models().join("logreg_bc");
    let header = std::fs::read_to_string(folder.join("train.csv")).unwrap();
    let columns: Vec<&str> = header.lines().next().unwrap().split(',').collect();
    let training = training(64, 1, &columns[..30], 3.0);
    let rows = table(&training, "logreg_bc/test.csv");
    let features: Vec<Vec<i32>> = rows.iter().map(|(features, _)| features.clone()).collect();
    let model = read_model(&std::fs::read(folder.join("model.onnx")).unwrap()).unwrap();
    let library = start_weights(&model, &training).unwrap();
    let set = ParameterSet::by_name(SET).unwrap();
    let secret = Arc::new(SecretKey::generate(set).unwrap());
    let (constant, others) = library[0].split_last().unwrap();
    let furthest = 3.0 * others.iter().map(|weight| weight.abs()).sum::<f64>() + constant.abs();
    // The torus has room for 32 on each side.
    for (reach, digits) in [(28.0, 1), (115.0, 2)] {
        let times = reach / furthest;
        let sets: Vec<Vec<f64>> = library
            .iter()
            .map(|own| own.iter().map(|weight| weight * times).collect())
            .collect();
        let start = training.start(&sets).unwrap();
        let simulated = Simulation {
            sets: sets.clone(),
            unrounded: sets.clone(),
            largest: 0.0,
            accuracy: 0.0,
            deviation: 0.0,
            error: 0.0,
        };
        let begun = (&DescentStart::zero(&training), 64);
        let weights = KeptWeights::of(&training, begun, &simulated).unwrap();
        assert_eq!(weights.digits(), digits, "{}", weights.reach);
        let kept = KeptModel {
            training: &training,
            weights: &weights,
            owners: &[64],
        };
        assert!(kept.most_rows(&secret).unwrap() >= 2000);
        let state = kept_state(&secret, &training, &start);
        let asked = kept.ask(&secret, &features).unwrap();
        let reply = answer_forms(&state, &asked.query).unwrap().to_file_bytes();
        let found = kept.open(&secret, &asked, &reply).unwrap();
        assert_eq!(found.len(), rows.len());
        // Steps before the weights were encrypted anew have left no error; those after have.
        let margin = |steps: u64, rows: usize| {
            let steps = KeptWeights { steps, ..weights };
            let later = KeptModel {
                training: &training,
                weights: &steps,
                owners: &[rows],
            };
            let asked = later.ask(&secret, &features).unwrap();
            let reply = answer_forms(&state, &asked.query).unwrap();
            let found = later.open(&secret, &asked, &reply.to_file_bytes()).unwrap();
            let margins = found.iter().map(|found| found.margins[1][1]);
            margins.fold(0.0, f64::max)
        };
        let own = found.iter().map(|found| found.margins[1][1]);
        let own = own.fold(0.0, f64::max);
        assert!((margin(900_000, 64) / own - 1.0).abs() < 0.5, "{own}");
        assert!(margin(1, 64 << 40) > 3.0 * own, "{own}");
        let (mut squares, mut right) = (0.0, 0);
        for (found, (features, class)) in found.iter().zip(&rows) {
            let products = features.iter().zip(&sets[0]);
            let z: f64 = products
                .map(|(x, weight)| f64::from(*x) / 4.0 * weight)
                .sum();
            let chance = 1.0 / (1.0 + (-z).exp());
            let Tensor::F64(chances) = &found.outputs[1] else {
                panic!("{found:?}");
            };
            // Below a billionth of a probability roundings of the clear decide.
            let (error, margin) = (chances[1] - chance, found.margins[1][1]);
            assert!(error.abs() <= margin + 1e-9, "{error} {margin}");
            assert!(margin < 0.01, "{margin}");
            let of_z = (found.scores[0] - z) / (margin_of_z(margin, chance));
            squares += of_z * of_z;
            let label = &training.target().categories[*class];
            right += usize::from(found.outputs[0].to_texts() == [label.clone()]);
        }
        // Not held to more than the margin: all forms share what the weights' decomposition leaves over, so
        // these are few independent errors.
        let root = (squares / rows.len() as f64).sqrt() * 8.0;
        println!("{digits} digits: errors {root:.2} of their predicted deviation, {right} right");
        // scikit-learn itself has 140 of 143 right; steps of features move rows beside the plane.
        assert!(right >= 138, "{right}");

        let refused = |change: &dyn Fn(&mut FormsQuery)| {
            let mut query = FormsQuery::from_file_bytes(&asked.query).unwrap();
            change(&mut query);
            answer_forms(&state, &query.to_file_bytes()).unwrap_err()
        };
        let other = refused(&|query| query.program = Hash::of(b"another")).to_string();
        assert!(other.contains("another program"), "{other}");
        let many = refused(&|query| query.rows += 1000);
        assert!(matches!(many, FormsError::Batches { .. }), "{many}");
        let none = refused(&|query| query.rows = 0);
        assert!(matches!(none, FormsError::Batches { .. }), "{none}");
        assert!(matches!(
            refused(&|query| query.features = 9000),
            FormsError::Scheme(_)
        ));
        assert!(matches!(
            refused(&|query| query.rows = u64::MAX),
            FormsError::Batches { .. }
        ));
        assert!(answer_forms(&state, b"no query").is_err());
        // A reply to other rows, under another key, or cut.
        let again = kept.ask(&secret, &features).unwrap();
        let error = kept.open(&secret, &again, &reply).unwrap_err().to_string();
        assert!(error.contains("another query"), "{error}");
        let mut short = Forms::from_file_bytes(&reply).unwrap();
        short.forms.pop();
        let error = kept
            .open(&secret, &asked, &short.to_file_bytes())
            .unwrap_err();
        assert!(error.to_string().contains("bytes of forms"), "{error}");
    }
}

/// What a margin of a probability is of the form.
fn margin_of_z(margin: f64, chance: f64) -> f64 {
    margin / (1.1 * chance * (1.0 - chance)).min(0.25)
}
