//! Uploads in several pieces, which version 1 calls parts.

use super::registration::{Registration, put};
use super::{PART, small_parts};
use crate::models::{Caller, TREE};
use crate::stack::Stack;
use cipherfn_client_http::{Registered, Uploaded};
use cipherfn_emulator::faults::Fault;
use cipherfn_protocol::api::{KeyState, ProblemType};
use std::num::NonZeroU64;
use std::time::{Duration, SystemTime};

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_in_parts_goes_on_where_it_stopped() {
    let stack = Stack::start(small_parts).await;
    stack.publish("tree", &TREE.bundle, 2).await;
    let part_bytes = NonZeroU64::new(PART).expect("not 0");
    let mut caller = Caller::new(stack.service(|_| {}), "tree").await;
    let key = caller.evaluation_key();
    let registration = Registration::of(&stack, &key, caller.key_file()).in_parts(PART);

    // Interrupted after the first part.
    let upload = registration.declare().await;
    let count = registration.file.len().div_ceil(PART as usize);
    assert!(count >= 3, "{count} parts");
    assert_eq!(upload.parts.len(), count);
    assert_eq!(registration.put(&upload.parts[0]).await.status, 200);
    assert_eq!(
        registration.complete().await.problem().kind,
        ProblemType::UploadMissing
    );
    let missing: Vec<u32> = registration
        .declare()
        .await
        .parts
        .iter()
        .map(|part| part.number)
        .collect();
    assert_eq!(missing, (2..=count as u32).collect::<Vec<_>>());
    // A part is bound to its bytes as a whole file is.
    let answer = put(&upload.parts[1], &registration.file[..PART as usize]).await;
    assert!(matches!(answer.status, 400 | 403), "{answer:?}");

    // The client library goes on, after a restart of everything.
    let of = registration.file.len() as u64;
    let data = stack.stop().await;
    let stack = Stack::start(|setup| {
        small_parts(setup);
        setup.data = Some(data);
    })
    .await;
    caller.service = stack.service(|options| options.piece_bytes = part_bytes);
    let mut steps = Vec::new();
    let registered = caller
        .service
        .register(&caller.ring, &caller.client, |step| steps.push(step))
        .await;
    assert!(
        matches!(registered, Ok(Registered::Uploaded(_))),
        "{registered:?}"
    );
    assert_eq!(steps.first(), Some(&Uploaded { bytes: PART, of }));
    assert_eq!(
        (steps.last(), steps.len()),
        (Some(&Uploaded { bytes: of, of }), count)
    );
    TREE.check(
        0,
        2,
        &caller.predict(TREE.rows(0, 2)).await.expect("answers"),
    );
    assert!(!stack.is_quarantining().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_that_were_joined_and_not_yet_checked_are_found_again() {
    let stack = Stack::start(|setup| {
        small_parts(setup);
        setup.faulty = true;
    })
    .await;
    let registration = Registration::new(&stack).in_parts(PART);
    for part in registration.declare().await.parts {
        assert_eq!(registration.put(&part).await.status, 200);
    }
    // S3 joins the parts, and then fails.
    stack
        .faults()
        .always("expansion.cfk?x-id=GetObject", Fault::InternalError);
    assert_eq!(
        registration.complete().await.problem().kind,
        ProblemType::StorageUnavailable
    );
    assert!(stack.is_quarantining().await, "joined");
    stack.faults().pass();
    // Whoever starts over learns that nothing is missing.
    let upload = registration.declare().await;
    assert_eq!(
        (upload.status.state, upload.parts.len()),
        (KeyState::Pending, 0)
    );
    assert_eq!(registration.complete().await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_in_parts_that_s3_has_dropped_starts_over() {
    let stack = Stack::start(small_parts).await;
    let registration = Registration::new(&stack).in_parts(PART);
    let upload = registration.declare().await;
    assert_eq!(registration.put(&upload.parts[0]).await.status, 200);
    stack
        .emulator
        .sweep(SystemTime::now() + Duration::from_hours(25));
    assert_eq!(registration.put(&upload.parts[1]).await.status, 404);
    registration.register().await;
}
