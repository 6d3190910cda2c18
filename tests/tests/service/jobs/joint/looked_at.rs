//! What an owner sends is looked at before it is rows of a training.

use super::{Holder, add};
use crate::jobs::training::{program, publish, stack_with};
use crate::jobs::{Requests, file};
use crate::stack::name;
use cipherfn_client::training::RowsEncryption;
use cipherfn_protocol::api::ProblemType;
use cipherfn_protocol::api::grants::{GrantStatus, GrantedPieces, Revocation};
use cipherfn_protocol::hash::Hash;
use cipherfn_protocol::message::KeyId;
use cipherfn_service::config;
use cipherfn_training::descent::{RowsChunk, Training, synthetic};
use std::num::NonZeroUsize;
use std::sync::Arc;

/// Of three classes, so that an owner has three ciphertexts.
fn three_classes() -> Training {
    let text = "format = 1\nname = \"risk\"\nalgorithm = \"logistic\"\nbatch = 8\nepochs = 1\nrate = 1.0\n[[column]]\nname = \"a\"\nlow = -3\nhigh = 3\n[target]\nname = \"y\"\nclasses = [\"low\", \"middle\", \"high\"]\n";
    Training::from_toml(text).expect("a program")
}

/// What is not all chunks of an owner's rows, for this training, within its grant, never is rows of it.
#[tokio::test(flavor = "multi_thread")]
async fn rows_of_owners_are_looked_at_before_they_are_rows() {
    let training = three_classes();
    let stack = stack_with(&training, |setup| {
        let quota = (config::JOB_QUOTA, "1".to_owned());
        setup.environment.push(quota);
    })
    .await;
    let alice = Holder::new(&stack, training.clone()).await;
    let bob = Requests {
        stack: &stack,
        token: "bob-token",
    };
    let rows = synthetic(&training, 20);
    let chunks = alice.chunks(&rows);
    assert_eq!(chunks.len(), 3);
    let files: Vec<Vec<u8>> = chunks.iter().map(RowsChunk::to_file_bytes).collect();
    let changed = |change: &dyn Fn(&mut RowsChunk)| -> Vec<Vec<u8>> {
        let changed = chunks.iter().cloned().map(|mut chunk| {
            change(&mut chunk);
            chunk.to_file_bytes()
        });
        changed.collect()
    };
    let secret = RowsEncryption::new(
        Arc::clone(&alice.secret),
        &training,
        rows.as_slice().into(),
        Some(NonZeroUsize::MIN),
    );
    let secret = secret
        .expect("rows")
        .map(|chunk| chunk.expect("a chunk").to_file_bytes());
    let few = changed(&|chunk| chunk.rows = 7);
    let many = changed(&|chunk| chunk.rows = 5000);
    let cases: [(Vec<Vec<u8>>, &str); 10] = [
        (files[..2].to_vec(), "2 ciphertexts where 20 rows take 3"),
        (
            vec![files[0].clone(), files[2].clone()],
            "chunk 1: it begins with ciphertext 2 where ciphertext 1",
        ),
        (files[1..].to_vec(), "chunk 0: it begins with ciphertext 1"),
        (secret.collect(), "not under a public key"),
        (
            changed(&|chunk| chunk.program = Hash::of(b"another")),
            "another program",
        ),
        (
            changed(&|chunk| {
                chunk.key = KeyId::from_bytes([9; 16]);
            }),
            "another key",
        ),
        (few, "fewer than a batch"),
        (many, "3 ciphertexts where 5000 rows take"),
        (
            changed(&|chunk| chunk.batches.truncate(99)),
            "bytes of ciphertexts, which have 96256 each",
        ),
        (vec![b"no rows".to_vec()], "chunk 0: not a cipherfn file"),
    ];
    for (number, (files, expected)) in (1..).zip(&cases) {
        let grant = alice.grant(number, 20, |_| ()).await;
        let refused = add(&bob, &grant, files).await.expect_err(expected);
        assert_eq!(refused.kind, ProblemType::MalformedRows, "{expected}");
        assert!(
            refused.detail.contains(expected),
            "{expected}: {}",
            refused.detail
        );
        let revocation = Revocation {
            grant: grant.grant.id,
            drop_rows: true,
        };
        let id = alice.declared.training;
        let revoked = alice.service.revoke_training_grant(id, &revocation).await;
        assert!(revoked.expect("revoked").owners.is_empty());
    }
    let objects = stack.objects().await;
    assert!(
        !objects.iter().any(|key| key.starts_with("uploads/")),
        "{objects:?}"
    );

    // Within its grant, whoever comes first: two uploads of which one has room.
    let grant = alice.grant(20, 39, |grant| grant.objects = 6).await;
    let others: Vec<_> = alice.chunks(&rows);
    let others: Vec<_> = others.iter().map(RowsChunk::to_file_bytes).collect();
    let both = tokio::join!(add(&bob, &grant, &files), add(&bob, &grant, &others));
    let refused = match both {
        (Ok(_), Err(refused)) | (Err(refused), Ok(_)) => refused,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused.kind, ProblemType::GrantUsedUp);
    assert!(refused.detail.contains("39 rows"), "{}", refused.detail);
    let status = alice.status().await;
    assert_eq!((status.rows, status.owners.len()), (20, 1));
    // The client says so before it uploads.
    let too_many = stack.service_of("bob-token");
    let small = alice.grant(21, 19, |_| ()).await;
    let too_many = too_many.add_training_rows(&small, alice.encryption(&rows), |_| ());
    let too_many = too_many.await.expect_err("it is refused").to_string();
    assert!(
        too_many.contains("the grant allows 19 rows, and these are 20"),
        "{too_many}"
    );
    what_is_not_there_is_not_added(&alice, &bob).await;

    // It counts as a job, and rows wait for the program that they were encrypted for.
    let of = (&name("risk"), training.hash());
    let second = alice.service.declare_training(of, &alice.public);
    let second = second.await.expect_err("it is refused");
    let kind = second.problem().map(|problem| problem.kind);
    assert_eq!(kind, Some(ProblemType::JobQuota), "{second}");
    publish(&stack, &program(1), 1).await;
    let late = alice.grant(23, 20, |_| ()).await;
    let late = add(&bob, &late, &[alice.chunks(&rows)[0].to_file_bytes()]).await;
    assert_eq!(late.expect_err("stale").kind, ProblemType::StaleProgram);
}

/// What was never uploaded, and what has no address; nothing at all tells where the grant stands.
async fn what_is_not_there_is_not_added(alice: &Holder<'_>, bob: &Requests<'_>) {
    let pieces = GrantedPieces {
        grant: alice.grant(22, 20, |_| ()).await,
        pieces: vec![file(b"never")],
    };
    let none = GrantedPieces {
        pieces: Vec::new(),
        ..pieces.clone()
    };
    let stand = bob.post("/v2/grants/rows", &none).await;
    let stand: GrantStatus = serde_json::from_slice(&stand.body).expect("a status");
    assert_eq!((stand.grant, stand.rows), (none.grant.grant.id, 0));
    let nowhere = bob.post("/v2/grants/uploads", &none).await.problem();
    assert_eq!(nowhere.kind, ProblemType::MalformedRequest);
    let undeclared = bob.post("/v2/grants/rows", &pieces).await.problem();
    assert_eq!(undeclared.kind, ProblemType::UploadMissing);
    let declared = bob.post("/v2/grants/uploads", &pieces).await;
    assert_eq!(declared.status, 201);
    let missing = bob.post("/v2/grants/rows", &pieces).await.problem();
    assert_eq!(missing.kind, ProblemType::UploadMissing);
    assert!(
        missing.detail.contains("chunk 0 is not there"),
        "{}",
        missing.detail
    );
}
