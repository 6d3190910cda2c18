//! Files of earlier releases keep being read, and are written as they were.

use super::{encrypt_apart, training};
use cipherfn_client::training::{
    KeptModel, RowsEncryption, TrainedRows, decrypt_watched, decrypt_weights,
};
use cipherfn_protocol::frame::{self, FrameKind, HEADER_LEN};
use cipherfn_protocol::hash::Hash;
use cipherfn_scheme::descent::{BatchShape, decrypt_forms};
use cipherfn_scheme::parameters::ParameterSet;
use cipherfn_scheme::public::PublicKey;
use cipherfn_scheme::{EvaluationKey, ExpandedEvaluationKey, SecretKey};
use cipherfn_serving::training::{
    Descent, SET, answer_forms, noise, required_parts, watch_deviation,
};
use cipherfn_tests::golden;
use cipherfn_training::descent::{
    DescentStart, DescentState, DescentUpload, Forms, FormsQuery, KeptWeights, RowsChunk,
    StepNoise, Training, mean_square, rows_hash, simulate, synthetic,
};
use std::sync::Arc;

fn golden_file(name: &str) -> std::path::PathBuf {
    golden().with_file_name("v3").join(name)
}

fn golden_key() -> SecretKey {
    let path = golden().with_file_name("v2").join("wide/secret.cfk");
    SecretKey::from_file_bytes(&std::fs::read(path).unwrap()).unwrap()
}

/// One step on eight rows.
fn golden_training() -> Training {
    training(8, 1, &["a", "b"], 3.0)
}

/// A chunk of rows and a state keep being read, and are written as they were.
#[test]
fn files_keep_their_bytes() {
    let read = |name| std::fs::read(golden_file(name)).unwrap();
    let (rows, state) = (read("training.rows.cfd"), read("training.state.cfd"));
    let (training, secret) = (golden_training(), golden_key());
    let chunk = RowsChunk::from_file_bytes(&rows).unwrap();
    assert_eq!(chunk.to_file_bytes(), rows);
    assert_eq!(
        (chunk.program, chunk.key, chunk.rows, chunk.first),
        (training.hash(), secret.id(), 8, 0)
    );
    let found = DescentState::from_file_bytes(&state).unwrap();
    assert_eq!(found.to_file_bytes(), state);
    let named = (8, rows_hash(chunk.hashes(chunk.batches.len())));
    let weights = decrypt_weights(&secret, &training, named, &state).unwrap();
    // As in the clear, up to nine deviations of a weight whose squares are four times the average.
    let plain = synthetic(&training, 8);
    let set = ParameterSet::by_name(SET).unwrap();
    let noise = noise(&training, set, mean_square(&training, &plain)).unwrap();
    let deviation = simulate(&training, &plain, &noise).unwrap().deviation;
    let quiet = StepNoise {
        of_z: 0.0,
        of_residual: 0.0,
        of_update: 0.0,
    };
    let clear = simulate(&training, &plain, &quiet).unwrap();
    let steps = training.schedule(8).unwrap();
    let found = training.weights(&steps, &weights[0], 0.0);
    assert_eq!(found.len(), 3);
    for (found, clear) in found.iter().zip(&clear.sets[0]) {
        assert!((found - clear).abs() < 18.0 * deviation, "{found} {clear}");
    }
}

/// A query to trained weights and its reply keep being read, answered and opened.
#[test]
fn queries_to_trained_weights_keep_their_bytes() {
    let read = |name| std::fs::read(golden_file(name)).unwrap();
    let (asked, replied) = (read("training.forms.cfq"), read("training.forms.cfr"));
    let (training, secret) = (golden_training(), golden_key());
    let query = FormsQuery::from_file_bytes(&asked).unwrap();
    assert_eq!(query.to_file_bytes(), asked);
    assert_eq!((query.program, query.rows), (training.hash(), 8));
    let reply = Forms::from_file_bytes(&replied).unwrap();
    assert_eq!(reply.to_file_bytes(), replied);
    let state = DescentState::from_file_bytes(&read("training.state.cfd")).unwrap();
    let again = answer_forms(&state, &asked).unwrap();
    assert_eq!((again.query, again.key), (reply.query, reply.key));
    let chunk = RowsChunk::from_file_bytes(&read("training.rows.cfd")).unwrap();
    let named = (8, rows_hash(chunk.hashes(chunk.batches.len())));
    let state = state.to_file_bytes();
    let weights = decrypt_weights(&secret, &training, named, &state).unwrap();
    let shape = BatchShape::new(secret.parameter_set(), training.features()).unwrap();
    for forms in [&reply.forms, &again.forms] {
        let words = decrypt_forms(&secret, &shape, forms).unwrap();
        for (place, (features, _)) in synthetic(&training, 8).iter().enumerate() {
            let sign = if place % 2 == 1 { -1.0 } else { 1.0 };
            let form = sign * words[place] as i64 as f64 * 2f64.powi(-64);
            let products = features.iter().zip(&weights[0]);
            let z: f64 = products.map(|(x, weight)| f64::from(*x) * weight).sum();
            // Eight rows of three features: the error is below a millionth.
            assert!((form - z).abs() < 2f64.powi(-16), "row {place}: {form} {z}");
        }
    }
}

/// A state of rows of owners, whose forms are watched, is read and written as it was; of another length it is none.
#[test]
fn watched_states_keep_their_bytes() {
    let bytes = std::fs::read(golden_file("training.watched.cfd")).unwrap();
    let (training, secret) = (golden_training(), golden_key());
    let state = DescentState::from_file_bytes(&bytes).unwrap();
    assert_eq!(state.to_file_bytes(), bytes);
    let named = TrainedRows {
        owners: vec![8],
        name: Hash::of(b"files"),
    };
    let watched = decrypt_watched(&secret, &training, named.clone(), &bytes).unwrap();
    let steps = training.schedule(8).unwrap();
    let set = secret.parameter_set();
    let deviation = watch_deviation(set, training.watched_rows(&steps)).unwrap();
    training
        .require_watched(&steps, &watched, deviation)
        .unwrap();
    let weights = decrypt_weights(&secret, &training, named.clone(), &bytes).unwrap();
    training.require_within_table(&weights, &[]).unwrap();

    let alone = DescentState {
        watched: None,
        ..state.clone()
    };
    let error = decrypt_watched(&secret, &training, named.clone(), &alone.to_file_bytes());
    let error = error.unwrap_err().to_string();
    assert!(error.contains("train anew"), "{error}");
    for length in [0, 8, 2049 * 8 - 1] {
        let mut short = state.clone();
        short.watched.as_mut().unwrap().truncate(length);
        let error = decrypt_watched(&secret, &training, named.clone(), &short.to_file_bytes());
        let error = error.unwrap_err().to_string();
        assert!(error.contains("watched forms"), "{error}");
    }
    // Said to have more weights than there are bytes.
    let mut payload = bytes[HEADER_LEN..].to_vec();
    payload[88..96].copy_from_slice(&u64::MAX.to_le_bytes());
    let long = frame::encode(FrameKind::Descent, 2, set.tag(), &payload);
    DescentState::from_file_bytes(&long).unwrap_err();
}

/// All of a training's evaluation key.
fn golden_evaluation_key(secret: &Arc<SecretKey>) -> ExpandedEvaluationKey {
    let parts = required_parts(secret.parameter_set()).unwrap();
    let made = |name| EvaluationKey::generate_part(secret, name).unwrap();
    let mut key = made(parts[0].name).expand().unwrap();
    for part in &parts[1..] {
        key.add(&made(part.name)).unwrap();
    }
    key
}

/// Made the file of [`watched_states_keep_their_bytes`], once.
#[test]
#[ignore = "writes golden files anew"]
fn make_golden_watched() {
    let (training, secret) = (golden_training(), Arc::new(golden_key()));
    let key = golden_evaluation_key(&secret);
    let public = Arc::new(PublicKey::generate(&secret).unwrap());
    let file = public.to_file_bytes();
    let rows = synthetic(&training, 8);
    let rows = RowsEncryption::new(public, &training, rows.into(), None).unwrap();
    let upload = DescentUpload {
        name: Some(Hash::of(b"files")),
        public_key: Some(file),
        ..DescentUpload::from(rows.collect::<Result<Vec<_>, _>>().unwrap())
    };
    let mut descent = Descent::new(&training, &key, upload).unwrap();
    while descent.step(&key).unwrap() {}
    let state = descent.finish().unwrap();
    std::fs::write(golden_file("training.watched.cfd"), state).unwrap();
}

/// Made the files of [`files_keep_their_bytes`], once.
#[test]
#[ignore = "writes golden files anew"]
fn make_golden_files() {
    let (training, secret) = (golden_training(), Arc::new(golden_key()));
    let key = golden_evaluation_key(&secret);
    let (chunks, _) = encrypt_apart(&secret, &training, &synthetic(&training, 8));
    std::fs::write(golden_file("training.rows.cfd"), chunks[0].to_file_bytes()).unwrap();
    let mut descent = Descent::new(&training, &key, chunks).unwrap();
    while descent.step(&key).unwrap() {}
    std::fs::write(golden_file("training.state.cfd"), descent.finish().unwrap()).unwrap();
}

/// Made the files of [`queries_to_trained_weights_keep_their_bytes`], once.
#[test]
#[ignore = "writes golden files anew"]
fn make_golden_forms() {
    let (training, secret) = (golden_training(), golden_key());
    let rows = synthetic(&training, 8);
    let state = std::fs::read(golden_file("training.state.cfd")).unwrap();
    let state = DescentState::from_file_bytes(&state).unwrap();
    let set = ParameterSet::by_name(SET).unwrap();
    let noise = noise(&training, set, mean_square(&training, &rows)).unwrap();
    let simulated = simulate(&training, &rows, &noise).unwrap();
    let begun = (&DescentStart::zero(&training), 8);
    let weights = KeptWeights::of(&training, begun, &simulated).unwrap();
    let kept = KeptModel {
        training: &training,
        weights: &weights,
        owners: &[8],
    };
    let features: Vec<Vec<i32>> = rows.into_iter().map(|(features, _)| features).collect();
    let query = kept.ask(&secret, &features).unwrap().query;
    let reply = answer_forms(&state, &query).unwrap().to_file_bytes();
    std::fs::write(golden_file("training.forms.cfq"), query).unwrap();
    std::fs::write(golden_file("training.forms.cfr"), reply).unwrap();
}
