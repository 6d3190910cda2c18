//! Descent on rows of several owners, who have the public key alone.

use super::{keys, training};
use cipherfn_client::training::{
    DescentRow, RowsEncryption, TrainedRows, decrypt_watched, decrypt_weights,
};
use cipherfn_protocol::hash::{Hash, Sha256};
use cipherfn_protocol::message::KeyId;
use cipherfn_scheme::descent::{Batch, BatchShape, Residual, Watch, Weights, encrypt_batch, step};
use cipherfn_scheme::parameters::ParameterSet;
use cipherfn_scheme::public::PublicKey;
use cipherfn_scheme::{ExpandedEvaluationKey, SecretKey};
use cipherfn_serving::training::{Descent, DescentError, SET, noise_of, watch_deviation};
use cipherfn_training::descent::{
    DescentStart, DescentState, DescentUpload, PUBLIC_BATCH, ROWS_HEAD, RowsChunk, RowsForm,
    RowsHead, StepNoise, Training, accuracy, files_hash, mean_square, simulate_of,
};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Instant;

/// What the error says, and what is done to the chunks of all owners.
type Change<'a> = (&'a str, &'a dyn Fn(&mut Vec<RowsChunk>));

/// An epoch over the rows of the key holder and of two owners under its public key: the weights of the clear,
/// whatever interrupted it; and no owner's rows are missing, incomplete or there twice.
#[test]
fn owners_train_together_under_a_public_key() {
    let training = training(16, 1, &["a", "b", "c"], 3.0);
    // Rows of an owner have zeros but for its own feature, which is the class.
    let row = |number: usize| -> DescentRow {
        let (owner, class) = (
            usize::from(number >= 24) + usize::from(number >= 44),
            number % 2,
        );
        let mut features = vec![0, 0, 0, 4];
        features[owner] = if class == 1 { 12 } else { -12 };
        (features, class)
    };
    let all: Vec<DescentRow> = (0..60).map(row).collect();
    let (secret, key) = keys();
    let public = Arc::new(PublicKey::generate(&secret).unwrap());
    let owners: [&[DescentRow]; 3] = [&all[..24], &all[24..44], &all[44..]];
    let one = Some(NonZeroUsize::MIN);
    let encrypted = |rows: &[DescentRow]| -> Vec<RowsChunk> {
        let rows = RowsEncryption::new(Arc::clone(&public), &training, rows.into(), one);
        rows.unwrap().collect::<Result<_, _>>().unwrap()
    };
    let own = RowsEncryption::new(Arc::clone(&secret), &training, owners[0].into(), one);
    let mut chunks: Vec<RowsChunk> = own.unwrap().collect::<Result<_, _>>().unwrap();
    let holder = chunks.len();
    chunks.extend(owners[1..].iter().flat_map(|rows| encrypted(rows)));
    assert_eq!((holder, chunks.len()), (1, 3), "one ciphertext each");

    // Their heads say what they are, before all of a file is there.
    let file = chunks[1].to_file_bytes();
    let head = RowsHead::read(&file[..ROWS_HEAD]).unwrap();
    assert_eq!((head.program, head.key), (training.hash(), public.id()));
    assert_eq!((head.rows, head.first), (20, 0));
    assert_eq!(
        (head.form, head.bytes),
        (RowsForm::Public, PUBLIC_BATCH as u64)
    );
    assert_eq!(file.len() - ROWS_HEAD, PUBLIC_BATCH);
    assert!(RowsHead::read(&file[..ROWS_HEAD - 1]).is_err());
    assert_eq!(RowsChunk::from_file_bytes(&file).unwrap(), chunks[1]);

    let name = files_hash((0..3).map(|number| Sha256::from_bytes([number; 32])));
    let upload = |chunks: &[RowsChunk]| DescentUpload {
        name: Some(name),
        public_key: Some(public.to_file_bytes()),
        ..DescentUpload::from(chunks.to_vec())
    };
    let begin = || Descent::new(&training, key, upload(&chunks)).unwrap();
    // Of the weights that it begins with nobody without the secret key knows mask or body, and no two are alike.
    let begun = begin().state();
    let known = DescentState::from_file_bytes(&begun).unwrap().weights;
    let words = known.as_chunks::<8>().0;
    assert!(words.iter().all(|word| *word != [0; 8]), "known weights");
    assert!(begin().state() != begun, "weights that were known before");
    let begin = || {
        let mut begin = begin();
        begin.resume(&begun).unwrap();
        begin
    };
    let mut whole = begin();
    while whole.step(key).unwrap() {}
    assert_eq!(whole.progress(), (5, 5));
    let mut first = begin();
    first.step(key).unwrap();
    first.step(key).unwrap();
    let mut second = begin();
    second.resume(&first.state()).unwrap();
    while second.step(key).unwrap() {}
    assert!(second.state() == whole.state(), "the bits are others");

    let set = ParameterSet::by_name(SET).unwrap();
    let mean = mean_square(&training, &all);
    let noise = noise_of(&training, set, mean, RowsForm::Public).unwrap();
    let quiet = StepNoise {
        of_z: 0.0,
        of_residual: 0.0,
        of_update: 0.0,
    };
    let zero = DescentStart::zero(&training);
    let clear = simulate_of(&training, &owners, &quiet, &zero).unwrap();
    let deviation = simulate_of(&training, &owners, &noise, &zero)
        .unwrap()
        .deviation;
    let rows = TrainedRows {
        owners: owners.iter().map(|rows| rows.len()).collect(),
        name,
    };
    let steps = training.schedule_of(0, &rows.owners).unwrap();
    let result = whole.finish().unwrap();
    let found = decrypt_weights(&secret, &training, rows.clone(), &result).unwrap();
    let found = training.weights(&steps, &found[0], 0.0);
    let watched = decrypt_watched(&secret, &training, rows.clone(), &result).unwrap();
    let deviation_of_it = watch_deviation(set, training.watched_rows(&steps)).unwrap();
    let kept_to_it = training.require_watched(&steps, &watched, deviation_of_it);
    kept_to_it.unwrap();
    // As in `interruptions_leave_no_trace`, of a weight whose squares are four times the average.
    for (found, clear) in found.iter().zip(&clear.sets[0]) {
        println!("{found:.4} {clear:.4}, predicted deviation {deviation:.4}");
        assert!((found - clear).abs() < 18.0 * deviation, "{found} {clear}");
    }
    // Each owner's rows had a part in it: of its feature the others have none.
    assert!(found[..3].iter().all(|weight| *weight > 1.0), "{found:?}");
    // A result of other files is none of these.
    let others = TrainedRows {
        name: Hash::of(b"others"),
        ..rows
    };
    assert!(decrypt_weights(&secret, &training, others, &result).is_err());

    refuse_chunks(&training, key, &upload(&chunks));
    refuse_keys(&training, key, &upload(&chunks));

    // Weights to start from are the key holder's.
    let owner = RowsEncryption::new(Arc::clone(&public), &training, owners[1].into(), None);
    let refused = owner.unwrap().starting_from(&zero).unwrap_err().to_string();
    assert!(
        refused.contains("leave them to the key holder"),
        "{refused}"
    );
    let own = RowsEncryption::new(Arc::clone(&secret), &training, owners[0].into(), None);
    let (own, _) = own.unwrap().starting_from(&zero).unwrap().upload().unwrap();
    let begun = DescentUpload {
        start: own.start,
        ..upload(&chunks)
    };
    let refused = Descent::new(&training, key, begun).unwrap_err();
    assert!(
        matches!(refused, DescentError::StartBesideOwners),
        "{refused}"
    );
}

/// Two owners of one class and one value each, with a rate that leads beyond the table and back: the weights lie
/// in it, within 32, and say the wrong class of half of the rows. What was watched of the forms tells, and tells
/// nothing where they have kept to it.
#[test]
fn trainings_that_have_left_their_table_are_told() {
    let (secret, key) = keys();
    let public = Arc::new(PublicKey::generate(&secret).unwrap());
    let owner = |value: i32, class: usize| vec![(vec![value, 4], class); 16];
    let owners = [owner(0, 1), owner(12, 0)];
    let set = ParameterSet::by_name(SET).unwrap();
    let trained = |rate: f64| {
        let text = format!(
            "format = 1\nname = \"t\"\nalgorithm = \"logistic\"\nbatch = 16\nepochs = 2\nrate = {rate:?}\n[[column]]\nname = \"a\"\nlow = 0\nhigh = 1\n[target]\nname = \"target\"\nclasses = [\"0\", \"1\"]\n"
        );
        let training = Training::from_toml(&text).unwrap();
        let chunks = owners.iter().flat_map(|rows| {
            let rows = rows.as_slice().into();
            RowsEncryption::new(Arc::clone(&public), &training, rows, None).unwrap()
        });
        let upload = DescentUpload {
            name: Some(Hash::of(b"files")),
            public_key: Some(public.to_file_bytes()),
            ..DescentUpload::from(chunks.collect::<Result<Vec<_>, _>>().unwrap())
        };
        let mut descent = Descent::new(&training, key, upload).unwrap();
        while descent.step(key).unwrap() {}
        let result = descent.finish().unwrap();
        let rows = TrainedRows {
            owners: vec![16, 16],
            name: Hash::of(b"files"),
        };
        let steps = training.schedule_of(0, &rows.owners).unwrap();
        Training::require_room(&steps).unwrap();
        let weights = decrypt_weights(&secret, &training, rows.clone(), &result).unwrap();
        let watched = decrypt_watched(&secret, &training, rows, &result).unwrap();
        let deviation = watch_deviation(set, training.watched_rows(&steps)).unwrap();
        let right = accuracy(&training, &weights, &owners.concat());
        let is_within = training.require_within_table(&weights, &[]).is_ok();
        let told = training.require_watched(&steps, &watched, deviation);
        println!(
            "rate {rate}: right {right}, within 32 {is_within}, watched {watched:?} to {deviation:.1e}"
        );
        (right, is_within, told.map_err(|error| error.to_string()))
    };
    assert_eq!(trained(1.0), (1.0, true, Ok(())));
    let (right, is_within, told) = trained(5.0);
    assert_eq!((right, is_within), (0.5, true));
    let told = told.unwrap_err();
    assert!(told.contains("part of the forms"), "{told}");
}

/// A step whose forms are watched beside one whose are not, in turn: how much longer it takes.
#[test]
#[ignore = "measures"]
fn what_watching_costs() {
    let (secret, key) = keys();
    let set = secret.parameter_set();
    let bootstrap = key.bootstrap("bootstrap-precise").unwrap();
    let shape = BatchShape::new(set, 31).unwrap();
    for rows in [8, 16, 64] {
        let plain = vec![vec![1; 31]; rows];
        let plain: Vec<&[i32]> = plain.iter().map(Vec::as_slice).collect();
        let batch = encrypt_batch(&secret, &shape, &plain).unwrap();
        let batch = Batch::read(&shape, &batch).unwrap();
        let residual = Residual::new(bootstrap.parameters(), |z| z / 1e6, 0.0, true).unwrap();
        let (mut weights, mut watch) = (Weights::zero(&shape), Watch::none(set));
        let mut seconds = [0.0, 0.0];
        for _ in 0..10 {
            for (seconds, is_watched) in seconds.iter_mut().zip([false, true]) {
                let watch = is_watched.then_some(&mut watch);
                let begun = Instant::now();
                let changed = (&mut weights, watch);
                step(key, bootstrap, &batch, 0..rows, &residual, changed).unwrap();
                *seconds += begun.elapsed().as_secs_f64();
            }
        }
        let [alone, watched] = seconds;
        println!(
            "{rows} rows: {:.4} of {:.3} s",
            watched / alone,
            alone / 10.0
        );
    }
}

/// No owner's rows are missing, incomplete or there twice.
fn refuse_chunks(training: &Training, key: &ExpandedEvaluationKey, upload: &DescentUpload) {
    let changes: &[Change<'_>] = &[
        ("the rows that begin with chunk 2 came before", &|it| {
            it[2] = it[1].clone();
        }),
        ("or too many", &|it| {
            it[2] = RowsChunk {
                first: 1,
                ..it[1].clone()
            };
        }),
        ("lower \"batch\"", &|it| it[1].rows = 15),
        ("1 ciphertexts where 513 rows take 2", &|it| {
            it[2].rows = 513;
        }),
        ("bytes of ciphertexts", &|it| {
            it[1].batches.pop();
        }),
        ("bytes of ciphertexts", &|it| it[1].form = RowsForm::Shared),
        ("another key than", &|it| {
            it[2].key = KeyId::from_bytes([0; 16]);
        }),
    ];
    for (what, change) in changes {
        let mut changed = upload.clone();
        change(&mut changed.chunks);
        let error = Descent::new(training, key, changed).unwrap_err();
        let error = error.to_string();
        assert!(error.contains(what), "{what}: {error}");
    }
}

/// There is no training without the public key, or with another one.
fn refuse_keys(training: &Training, key: &ExpandedEvaluationKey, upload: &DescentUpload) {
    let under = |public_key: Option<Vec<u8>>| {
        let upload = DescentUpload {
            public_key,
            ..upload.clone()
        };
        Descent::new(training, key, upload).unwrap_err()
    };
    let refused = under(None);
    assert!(matches!(refused, DescentError::NoPublicKey), "{refused}");
    let other = SecretKey::generate(ParameterSet::by_name(SET).unwrap()).unwrap();
    let other = PublicKey::generate(&other).unwrap();
    let refused = under(Some(other.to_file_bytes()));
    let is_other = matches!(refused, DescentError::OtherPublicKey { .. });
    assert!(is_other, "{refused}");
}
