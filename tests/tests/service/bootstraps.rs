//! Models with bootstraps, whose part of the key is registered beside the expansion.

use crate::models::{BOOTSTRAPPED, Caller, SECRETLY_BOOTSTRAPPED, labels_of_network};
use crate::stack::Stack;
use crate::uploads::registration::put;
use crate::versions::Key;
use cipherfn_protocol::api::v2::KeyUpload;
use cipherfn_protocol::api::{ApiVersion, KeyState, PartUpload, ProblemType, Route};
use cipherfn_scheme::EvaluationKey;

const FAST: &str = "bootstrap-fast";
const PRECISE: &str = "bootstrap-precise";

/// Holds answers to rows from row `first` on to the library's labels.
fn check(first: usize, count: usize, answers: &[Vec<String>]) {
    let labels: Vec<&String> = answers.iter().map(|row| &row[0]).collect();
    let expected = labels_of_network();
    assert_eq!(
        labels,
        expected[first..][..count].iter().collect::<Vec<_>>()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_with_bootstraps_is_answered() {
    let stack = Stack::start(|_| {}).await;
    stack.publish("deep", &BOOTSTRAPPED.bundle, 2).await;
    let caller = Caller::registered(stack.service(|_| {}), "deep").await;
    let status = caller
        .service
        .key_status(caller.key())
        .await
        .expect("a status");
    let states = status.parts.iter();
    assert!(
        states
            .map(|(part, status)| (part.as_str(), status.state))
            .eq([FAST, "expansion"].map(|part| (part, KeyState::Active))),
        "{status:?}"
    );
    // Cold and warm; a row alone, and rows whose results are packed.
    for (first, count) in [(0, 1), (1, 4)] {
        let found = caller.predict(BOOTSTRAPPED.rows(first, count)).await;
        let found = found.expect("predictions");
        check(first, count, &found);
    }
    assert_eq!(stack.statuses("/predict"), [200, 200]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bootstrap_that_is_missing_is_named_made_and_registered() {
    let stack = Stack::start(|_| {}).await;
    let model = &*SECRETLY_BOOTSTRAPPED;
    stack.publish("deep", &model.bundle, 2).await;
    let caller = Caller::registered(stack.service(|_| {}), "deep").await;
    // Cold, and then with the rest of the key in memory.
    for _ in 0..2 {
        let problem = stack.query("deep", caller.query(&model.rows(0, 1))).await;
        let problem = problem.problem();
        assert_eq!(
            (problem.status, problem.kind),
            (409, ProblemType::MissingKeyPart)
        );
        assert_eq!(problem.missing_part.as_deref(), Some(FAST));
    }
    let found = caller.predict(model.rows(0, 2)).await.expect("predictions");
    check(0, 2, &found);
    let status = caller
        .service
        .key_status(caller.key())
        .await
        .expect("a status");
    assert_eq!(status.parts[FAST].state, KeyState::Active);
    assert_eq!(stack.statuses("/predict"), [409, 409, 409, 200]);
}

/// What is uploaded as this part of this key, and is not.
#[tokio::test(flavor = "multi_thread")]
async fn other_files_than_this_part_of_this_key_are_refused() {
    let stack = Stack::start(|_| {}).await;
    let mut key = Key::new();
    let of = |key: &Key, name: &str| {
        let part = EvaluationKey::generate_part(&key.secret, name);
        part.expect("a part").to_file_bytes()
    };
    let sound = of(&key, FAST);
    // Swapped, truncated, and of a set that has none: not even declared.
    for file in [of(&key, PRECISE), sound[..sound.len() - 1].to_vec()] {
        key.files.insert(FAST.to_owned(), file);
        let problem = key.declare(&stack, &[FAST], None).await.problem();
        assert_eq!(problem.kind, ProblemType::MalformedRequest);
        assert!(problem.detail.contains(FAST), "{}", problem.detail);
    }
    // Another key's, and one whose label is another part's, of the right size.
    let mut labelled = sound.clone();
    let label = &of(&key, PRECISE)[..128];
    labelled[..128].copy_from_slice(label);
    for (file, reason) in [(of(&Key::new(), FAST), "key"), (labelled, "")] {
        key.files.insert(FAST.to_owned(), file);
        let declared = key.declare(&stack, &[FAST], None).await;
        key.upload(&declared, |_| ()).await;
        let answer = key.send(&stack, Route::CompleteKey, ApiVersion::V2).await;
        let problem = answer.problem();
        assert_eq!(problem.kind, ProblemType::KeyRejected, "{}", problem.detail);
        assert!(
            problem.detail.contains(FAST) && problem.detail.contains(reason),
            "{}",
            problem.detail
        );
    }
    // Less than was declared does not arrive; what was declared does.
    key.files.insert(FAST.to_owned(), sound.clone());
    let declared = key.declare(&stack, &[FAST], None).await;
    let upload: KeyUpload = serde_json::from_slice(&declared.body).expect("an upload");
    let piece = PartUpload::from(upload.pieces[0].clone());
    let short = put(&piece, &sound[..sound.len() - 1]).await;
    assert!(matches!(short.status, 400 | 403 | 411), "{short:?}");
    key.upload(&declared, |_| ()).await;
    let answer = key.send(&stack, Route::CompleteKey, ApiVersion::V2).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(
        key.states(&stack).await,
        [(FAST.to_owned(), KeyState::Active)]
    );
}
