//! Upload grants: rows that one tenant lets another add to a frame, and nothing else; columns are in `columns`.

mod columns;

use crate::frames::{BY_AGE, Encrypted, Owner, Table, kind, query, stack, sums};
use cipherfn_client_http::{Service, ServiceError};
use cipherfn_frame::cells::Units;
use cipherfn_frame::schema::Schema;
use cipherfn_protocol::api::frames::FrameId;
use cipherfn_protocol::api::grant::{Grant, GrantId, SignedGrant};
use cipherfn_protocol::api::grants::{GrantStatus, GrantedPieces, Revocation};
use cipherfn_protocol::api::job::ChunkFile;
use cipherfn_protocol::api::{JSON, ProblemType};
use cipherfn_protocol::hash::Sha256;
use cipherfn_scheme::SecretKey;
use cipherfn_signing::SigningKey;
use std::sync::LazyLock;
use std::time::Duration;
use time::OffsetDateTime;
use tokio::task::JoinSet;

static SIGNS: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::generate().expect("a key"));

/// A grant of a frame of the caller's: two pieces of a megabyte together, for an hour.
async fn grant(
    owner: &Service,
    frame: FrameId,
    number: u8,
    change: impl FnOnce(&mut Grant),
) -> SignedGrant {
    let mut grant = Grant {
        id: GrantId::from_bytes([number; 16]),
        owner: owner.frames().await.expect("a list").tenant,
        target: frame.into(),
        to: None,
        objects: 2,
        bytes: 1 << 20,
        expires: OffsetDateTime::now_utc() + Duration::from_hours(1),
    };
    grant.expires = grant.expires.replace_nanosecond(0).expect("a time");
    change(&mut grant);
    SIGNS.sign_grant(grant)
}

async fn add(
    service: &Service,
    grant: &SignedGrant,
    pieces: &[Vec<u8>],
) -> Result<GrantStatus, ServiceError> {
    let pieces = pieces.iter().cloned().map(Some);
    let added = service.add_rows(grant, pieces, |_| ()).await;
    added.map(|status| status.expect("pieces that do not break off"))
}

/// More rows of the same frame, encrypted by somebody who has its key.
fn more(secret: &SecretKey, count: i64) -> Encrypted {
    Table::sales(count).encrypted(secret, 64)
}

fn refused<T: std::fmt::Debug>(result: Result<T, ServiceError>, wanted: ProblemType, text: &str) {
    let error = result.expect_err("it is refused");
    assert_eq!(kind(&error), Some(wanted), "{error}");
    let detail = error.problem().map(|problem| problem.detail.clone());
    assert!(
        detail.is_some_and(|detail| detail.contains(text)),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_others_add_are_the_frame_s_last_ones() {
    let stack = stack(|_| ()).await;
    let alice = Owner::new(&stack, "alice-token").await;
    let bob = stack.service_of("bob-token");
    let table = Table::sales(40);
    let sales = table.encrypted(&alice.secret, 64);
    let id = alice.upload(&sales).await.frame;
    let to = bob.frames().await.expect("a list").tenant;
    let own = grant(&alice.service, id, 1, |grant| grant.to = Some(to)).await;
    let offered = alice.service.offer_grant(&own).await.expect("a grant");
    assert_eq!(offered.grants.len(), 1);
    let again = alice.service.offer_grant(&own).await.expect("the same");
    assert_eq!(again, offered);

    let others = more(&alice.secret, 30);
    let added = add(&bob, &own, &others.pieces).await.expect("added");
    assert_eq!((added.objects_used, added.rows), (1, 30));
    // A replay adds nothing and counts nothing.
    let again = add(&bob, &own, &others.pieces).await.expect("known");
    assert_eq!(again, added);
    let shown = alice.service.frame(id).await.expect("a status");
    assert_eq!((shown.rows, shown.pieces), (70, 2));
    assert_eq!(shown.grants, [added]);
    let schema = serde_json::to_vec(&shown.schema).expect("JSON");
    let schema = Schema::from_json(&schema).expect("a schema");
    assert_eq!(schema.rows().count, Some(70));

    // Queries go over all rows, in a request and by several invocations.
    let whole = Table {
        schema: table.schema.clone(),
        rows: table
            .rows
            .iter()
            .chain(&table.rows[..30])
            .cloned()
            .collect(),
    };
    let whole = whole.encrypted(&alice.secret, 100);
    let asked = query(BY_AGE, &[&whole], &[id]);
    let cell = |row: &Units, column: usize| row[column].expect("no nulls");
    let rows = table.rows.iter().chain(&table.rows[..30]);
    let expected = rows.filter(|row| cell(row, 1) > 30);
    let expected = sums(expected.map(|row| (cell(row, 0), cell(row, 2))));
    let request = alice.service.query_frames(&asked).await;
    let request = request.expect("an answer");
    let job = alice.service.query_frames_as_job(&asked, 64).await;
    assert!(job.expect("an answer") == request);
    assert_eq!(alice.open(BY_AGE, &[&whole], &request), expected);

    // Who adds rows learns nothing of them, and nobody else may use what was for bob.
    for error in [
        bob.frame(id).await.map(drop),
        bob.query_frames(&asked).await.map(drop),
        bob.delete_frame(id).await,
        bob.offer_grant(&own).await.map(drop),
        bob.revoke_grant(id, &revocation(&own, true))
            .await
            .map(drop),
    ] {
        refused(error, ProblemType::UnknownFrame, "you have no frame");
    }
    assert!(bob.frames().await.expect("a list").frames.is_empty());
    let eve = stack.service_of("eve-token");
    for stranger in [&eve, &alice.service] {
        let tried = add(stranger, &own, &more(&alice.secret, 5).pieces).await;
        refused(tried, ProblemType::UnknownGrant, "no such grant");
    }

    // Revoked with what came by it.
    let left = alice
        .service
        .revoke_grant(id, &revocation(&own, true))
        .await;
    let left = left.expect("revoked");
    assert_eq!((left.rows, left.pieces, left.grants.len()), (40, 1, 0));
    let objects = stack.objects().await.into_iter();
    let pieces = objects.filter(|key| key.contains(".cff")).count();
    assert_eq!(pieces, 1, "no piece of bob's is left");
    let tried = add(&bob, &own, &others.pieces).await;
    refused(tried, ProblemType::UnknownGrant, "revoked");
    let twice = alice
        .service
        .revoke_grant(id, &revocation(&own, true))
        .await;
    refused(twice, ProblemType::UnknownGrant, "no such grant");
}

fn revocation(grant: &SignedGrant, drop_rows: bool) -> Revocation {
    Revocation {
        grant: grant.grant.id,
        drop_rows,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_allows_what_its_owner_signed_and_nothing_else() {
    let stack = stack(|_| ()).await;
    let alice = Owner::new(&stack, "alice-token").await;
    let bob = stack.service_of("bob-token");
    let sales = Table::sales(10).encrypted(&alice.secret, 64);
    let id = alice.upload(&sales).await.frame;
    let piece = |count| more(&alice.secret, count).pieces.remove(0);
    let offer = async |grant: &SignedGrant| alice.service.offer_grant(grant).await;

    // What is no grant of this frame.
    let own = grant(&alice.service, id, 1, |_| ()).await;
    refused(
        add(&bob, &own, &[piece(3)]).await,
        ProblemType::UnknownGrant,
        "no such grant",
    );
    let mut forged = own.clone();
    forged.grant.objects = 100;
    refused(
        offer(&forged).await,
        ProblemType::MalformedRequest,
        "signature",
    );
    let owner = bob.frames().await.expect("a list").tenant;
    let other = grant(&alice.service, id, 2, |grant| grant.owner = owner).await;
    refused(offer(&other).await, ProblemType::MalformedRequest, "owner");
    let prices = alice
        .upload(&Table::prices().encrypted(&alice.secret, 64))
        .await;
    let looked = grant(&alice.service, prices.frame, 3, |_| ()).await;
    refused(
        offer(&looked).await,
        ProblemType::MalformedRequest,
        "looked up",
    );

    // What was changed after it was signed, and another frame of the same owner.
    offer(&own).await.expect("a grant");
    let mut longer = own.clone();
    longer.grant.expires += Duration::from_hours(1);
    let mut elsewhere = own.clone();
    elsewhere.grant.target = prices.frame.into();
    let signed_anew = SIGNS.sign_grant(longer.grant.clone());
    for other in [forged, longer, elsewhere, signed_anew] {
        refused(
            add(&bob, &other, &[piece(3)]).await,
            ProblemType::UnknownGrant,
            "no such grant",
        );
    }

    // Rows that do not go with the frame's. They count, and are no rows.
    let stranger = SecretKey::generate(alice.secret.parameter_set()).expect("a key");
    for (pieces, text) in [
        (more(&stranger, 3).pieces, "under another key"),
        (
            Table::prices().encrypted(&alice.secret, 64).pieces,
            "another schema",
        ),
    ] {
        let tried = add(&bob, &own, &pieces).await;
        refused(tried, ProblemType::MalformedFrame, text);
    }
    let tried = add(&bob, &own, &[piece(3)]).await;
    refused(tried, ProblemType::GrantUsedUp, "2 pieces");
    let held = alice.service.frame(id).await.expect("a status");
    assert_eq!((held.rows, held.grants[0].objects_used), (10, 2));

    // Too large, before anything is uploaded.
    let small = grant(&alice.service, id, 4, |grant| grant.bytes = 500).await;
    offer(&small).await.expect("a grant");
    let tried = add(&bob, &small, &[piece(3)]).await;
    refused(tried, ProblemType::GrantUsedUp, "500 bytes");

    // Declared and not uploaded; uploaded and not declared.
    let roomy = grant(&alice.service, id, 5, |_| ()).await;
    offer(&roomy).await.expect("a grant");
    let missing = GrantedPieces {
        grant: roomy.clone(),
        pieces: vec![ChunkFile {
            bytes: 1000,
            sha256: Sha256::from_bytes([1; 32]),
        }],
    };
    let body = serde_json::to_vec(&missing).expect("JSON");
    let headers = [
        ("content-type", JSON),
        ("authorization", "Bearer bob-token"),
    ];
    let send = async |target| stack.send("POST", target, &headers, body.clone()).await;
    let undeclared = send("/v2/grants/rows").await.problem();
    assert_eq!(undeclared.kind, ProblemType::UploadMissing);
    assert_eq!(send("/v2/grants/uploads").await.status, 201);
    let gone = send("/v2/grants/rows").await.problem();
    assert_eq!(gone.kind, ProblemType::UploadMissing);
    // A piece of the owner's under somebody's grant.
    let owners = add(&bob, &roomy, &sales.pieces).await;
    refused(owners, ProblemType::MalformedRequest, "already");

    // All at once: no more than it allows.
    let shared = grant(&alice.service, id, 6, |grant| grant.objects = 3).await;
    offer(&shared).await.expect("a grant");
    let pieces: Vec<Vec<u8>> = (1..=6).map(piece).collect();
    let mut tries = JoinSet::new();
    for piece in pieces {
        let (bob, shared) = (bob.clone(), shared.clone());
        tries.spawn(async move { add(&bob, &shared, &[piece]).await.is_ok() });
    }
    let done = tries.join_all().await;
    assert_eq!(done.iter().filter(|added| **added).count(), 3);
    let status = alice.service.frame(id).await.expect("a status");
    assert_eq!(status.pieces, 4);

    // It ends when it says so, also for what was uploaded before.
    let brief = grant(&alice.service, id, 7, |grant| {
        grant.expires = OffsetDateTime::now_utc() + Duration::from_secs(2);
        grant.expires = grant.expires.replace_nanosecond(0).expect("a time");
    })
    .await;
    offer(&brief).await.expect("a grant");
    tokio::time::sleep(Duration::from_millis(2100)).await;
    let tried = add(&bob, &brief, &[piece(3)]).await;
    refused(tried, ProblemType::GrantExpired, "run out");

    // With the frame all grants of it go, and none brings it back.
    alice.service.delete_frame(id).await.expect("deleted");
    let tried = add(&bob, &roomy, &[piece(3)]).await;
    refused(
        tried,
        ProblemType::UnknownGrant,
        "what it is for was deleted",
    );
    let rest = stack.objects().await.into_iter();
    let rest: Vec<_> = rest.filter(|key| key.contains(&id.to_string())).collect();
    assert_eq!(rest, Vec::<String>::new());
}
