mod totals;

use super::*;
use crate::registry::JobOrder;
use crate::registry::document::Document;
use cipherfn_protocol::api::grant::{GrantTarget, TrainingTerms};
use cipherfn_protocol::api::job::{IdempotencyKey, UploadFolder};
use cipherfn_protocol::hash::Sha256;
use cipherfn_protocol::statement::{PublicKey, Signature};
use time::Duration;

const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

fn file(number: u8, bytes: u64) -> ChunkFile {
    ChunkFile {
        bytes,
        sha256: Sha256::from_bytes([number; 32]),
    }
}

fn declaration() -> TrainingDeclaration {
    TrainingDeclaration {
        training: TrainingId::from_bytes([1; 16]),
        program: "risk".parse().expect("a name"),
        specs: SpecsHash::from_bytes([2; 32]),
        key: KeyId::from_bytes([3; 16]),
        parameter_set: ParameterSetTag::NONE,
        public_key: PublicKeyFile::new(vec![7]),
        least_owners: None,
    }
}

fn training() -> JointTraining {
    let time = (NOW, NOW + Duration::DAY);
    JointTraining::new(&Tenant::of("alice"), &declaration(), time)
}

fn bob() -> Tenant {
    Tenant::of("bob")
}

/// 50 rows in three chunks of 100 bytes together, for an hour.
fn grant(number: u8, change: impl FnOnce(&mut TrainingTerms)) -> SignedGrant {
    let declared = declaration();
    let mut terms = TrainingTerms {
        training: declared.training,
        program: declared.program,
        specs: declared.specs,
        key: declared.key,
        public_key: Sha256::from_bytes([6; 32]),
        rows: 50,
        least_owners: None,
    };
    change(&mut terms);
    SignedGrant {
        grant: Grant {
            id: GrantId::from_bytes([number; 16]),
            owner: Tenant::of("alice").id(),
            target: GrantTarget::Training(terms),
            to: None,
            objects: 3,
            bytes: 100,
            expires: NOW + Duration::HOUR,
        },
        key: PublicKey::from_bytes([4; 32]),
        signature: Signature::from_bytes([5; 64]),
    }
}

#[test]
fn grants_of_another_training_are_refused_by_field() {
    let offered = |change: &dyn Fn(&mut TrainingTerms)| training().offered(&grant(1, change), NOW);
    assert!(offered(&|_| ()).is_ok());
    let field = |change: &dyn Fn(&mut TrainingTerms)| match offered(change) {
        Err(GrantRefusal::Malformed(field, _)) => field,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        field(&|terms| terms.training = TrainingId::from_bytes([9; 16])),
        "training"
    );
    assert_eq!(
        field(&|terms| terms.program = "other".parse().expect("a name")),
        "program"
    );
    assert_eq!(
        field(&|terms| terms.specs = SpecsHash::from_bytes([9; 32])),
        "specs"
    );
    assert_eq!(
        field(&|terms| terms.key = KeyId::from_bytes([9; 16])),
        "encryption_key"
    );
    assert_eq!(field(&|terms| terms.rows = 0), "rows");
}

#[test]
fn owners_add_rows_within_their_grants() {
    let first = grant(1, |_| ());
    let mut offered = training().offered(&first, NOW).expect("offered");
    for number in 2..=32 {
        let next = offered.offered(&grant(number, |_| ()), NOW);
        offered = next.expect("offered");
    }
    let many = offered.offered(&grant(33, |_| ()), NOW);
    assert_eq!(many, Err(GrantRefusal::TooManyOwners(32)));

    // Addresses count, whatever arrives.
    let files = [file(1, 40), file(2, 30)];
    let reserved = offered.reserved(&first, &bob(), &files, NOW);
    let reserved = reserved.expect("reserved");
    let more = |file| reserved.reserved(&first, &bob(), &[file], NOW);
    assert_eq!(more(file(3, 31)), Err(GrantRefusal::Bytes(100)));
    let third = more(file(3, 30)).expect("reserved");
    let fourth = third.reserved(&first, &bob(), &[file(4, 0)], NOW);
    assert_eq!(fourth, Err(GrantRefusal::Objects(3)));

    let add = |to: &JointTraining, rows, files: &[ChunkFile]| {
        to.added(&first, &bob(), (rows, files), NOW)
    };
    assert_eq!(add(&third, 51, &files), Err(GrantRefusal::GrantRows(50)));
    let undeclared = add(&third, 1, &[file(9, 1)]);
    assert_eq!(undeclared, Err(GrantRefusal::NotDeclared(0)));
    let added = add(&third, 40, &files).expect("added");
    assert_eq!(added.status().rows, 40);
    assert_eq!(added.status().grants[0].rows, 40);
    assert_eq!(add(&added, 40, &files), Ok(added.clone()), "a replay");
    assert_eq!(add(&added, 1, &files[1..]), Err(GrantRefusal::Known(0)));
    let last = [file(3, 30)];
    assert_eq!(add(&added, 11, &last), Err(GrantRefusal::GrantRows(50)));
    let both = add(&added, 10, &last).expect("added");
    assert_eq!((both.status().rows, both.owners.len()), (50, 2));

    // A piece is its grant's: another one's is refused.
    let second = grant(2, |_| ());
    let stolen = both.reserved(&second, &bob(), &files, NOW);
    assert_eq!(stolen, Err(GrantRefusal::Known(0)));
    let late = NOW + Duration::HOUR;
    let late = both.added(&first, &bob(), (40, &files), late);
    assert_eq!(late, Err(GrantRefusal::Expired));

    let kept = both.revoked(first.grant.id, false).expect("revoked");
    assert_eq!((kept.status().rows, kept.grants.len()), (50, 32));
    let room = kept.offered(&grant(33, |_| ()), NOW).expect("room");
    assert_eq!(
        room.status()
            .grants
            .iter()
            .filter(|own| own.revoked)
            .count(),
        1
    );
    let later = kept.revoked(first.grant.id, true).expect("dropped");
    assert_eq!((later.status().rows, later.grants.len()), (0, 31));
    let dropped = both.revoked(first.grant.id, true).expect("revoked");
    assert_eq!(dropped.status().rows, 0);
    assert_eq!(
        dropped.revoked(first.grant.id, true),
        Err(GrantRefusal::Unknown)
    );
    assert_eq!(add(&kept, 40, &files), Err(GrantRefusal::Unknown));
}

/// A job of the key holder's over chunks of the training's folder.
fn job(number: u8, chunks: &[ChunkFile], change: impl FnOnce(&mut JobOrder)) -> Job {
    let declared = declaration();
    let mut order = JobOrder {
        idempotency_key: IdempotencyKey::from_bytes([number; 16]),
        key: declared.key,
        work: Work::Train(UploadedWork {
            model: declared.program,
            specs: declared.specs,
            upload: UploadFolder::from(declared.training),
            chunks: chunks.to_vec(),
        }),
        parts: 1,
    };
    change(&mut order);
    let id = JobId::from_bytes([number; 16]);
    Job::new(id, &Tenant::of("alice"), order, (NOW, NOW + Duration::DAY))
}

/// North has two chunks, south one; what is left of west's grant came to nothing. One job is on all of them.
#[test]
fn a_training_has_one_job_over_all_rows() {
    let (north, south, west) = (grant(1, |_| ()), grant(2, |_| ()), grant(3, |_| ()));
    let files = [file(1, 40), file(2, 30), file(3, 10)];
    let mut open = training();
    for (grant, files) in [
        (&north, &files[..2]),
        (&south, &files[2..]),
        (&west, &[file(4, 9)][..]),
    ] {
        open = open.offered(grant, NOW).expect("offered");
        open = open.reserved(grant, &bob(), files, NOW).expect("reserved");
    }
    let add =
        |to: &JointTraining, grant, files: &[ChunkFile]| to.added(grant, &bob(), (20, files), NOW);
    let open = add(&open, &north, &files[..2]).expect("added");
    let open = add(&open, &south, &files[2..]).expect("added");

    let [first, second, third] = files;
    let own = file(9, 5);
    for part in [
        &[first, second][..],
        &[third],
        &[second, first, third],
        &[third, first, second],
        &[first, second, third, own],
        &[first, own, second, third],
        &[file(4, 9), first, second, third],
        &[],
    ] {
        let refused = open.trained_by(&job(1, part, |_| ()));
        assert_eq!(refused, Err(GrantRefusal::NotAllRows), "{part:?}");
    }
    let other = |change: fn(&mut JobOrder)| match open.trained_by(&job(1, &files, change)) {
        Err(GrantRefusal::OtherJob(field)) => field,
        other => panic!("{other:?}"),
    };
    assert_eq!(other(|it| it.key = KeyId::from_bytes([9; 16])), "key");
    let predicts = |it: &mut JobOrder| {
        if let Work::Train(work) = it.work.clone() {
            it.work = Work::Predict(work);
        }
    };
    assert_eq!(other(predicts), "kind");
    let with_own = [own, first, second, third];
    assert!(open.trained_by(&job(1, &with_own, |_| ())).is_ok());

    let whole = job(1, &files, |_| ());
    let begun = open.trained_by(&whole).expect("its job");
    assert!(begun.trains(whole.id, first) && !begun.trains(whole.id, own));
    assert!(!begun.trains(JobId::from_bytes([2; 16]), first) && !open.trains(whole.id, first));
    assert_eq!(begun.trained_by(&whole).as_ref(), Ok(&begun), "a replay");
    for chunks in [&files[..], &with_own] {
        let again = begun.trained_by(&job(2, chunks, |_| ()));
        assert_eq!(again, Err(GrantRefusal::Trained(whole.id)));
    }
    // Nothing is added any more; what was is as it was.
    assert_eq!(add(&begun, &north, &files[..2]), Ok(begun.clone()));
    assert_eq!(add(&begun, &west, &[file(4, 9)]), Err(GrantRefusal::Begun));
    let more = begun.reserved(&west, &bob(), &[file(5, 1)], NOW);
    assert_eq!(more, Err(GrantRefusal::Begun));
    assert_eq!(
        begun.offered(&grant(4, |_| ()), NOW),
        Err(GrantRefusal::Begun)
    );
    let stored = begun.to_json().expect("JSON");
    assert_eq!(JointTraining::from_json(&stored).expect("read"), begun);

    assert_eq!(begun.reopened(JobId::from_bytes([2; 16])), begun);
    assert_eq!(begun.reopened(whole.id), open);
}

#[test]
fn a_training_has_room_for_what_a_worker_has() {
    let large = grant(1, |terms| terms.rows = u64::MAX);
    let large = SignedGrant {
        grant: Grant {
            bytes: u64::MAX,
            ..large.grant
        },
        ..large
    };
    let offered = training().offered(&large, NOW).expect("offered");
    let files = [file(1, MAX_TRAINING), file(2, 1)];
    let reserved = offered.reserved(&large, &bob(), &files, NOW);
    let reserved = reserved.expect("reserved");
    let add = |to: &JointTraining, file| to.added(&large, &bob(), (16, &[file]), NOW);
    let full = add(&reserved, files[0]).expect("all of it");
    let refused = add(&full, files[1]);
    assert_eq!(refused, Err(GrantRefusal::Training("1 GiB of rows")));
}

/// Exact bytes of today's format: what is stored now must stay readable.
#[test]
fn stored_trainings_have_exactly_these_bytes() {
    let mut training = training();
    training.owners.push(OwnerRows {
        grant: GrantId::from_bytes([7; 16]),
        by: None,
        rows: 5,
        chunks: vec![file(8, 9)],
    });
    let stored = concat!(
        r#"{"format":1,"training":"01010101010101010101010101010101","tenant":"TENANT","program":"risk","#,
        r#""specs":"0202020202020202020202020202020202020202020202020202020202020202","#,
        r#""key":"03030303030303030303030303030303","parameter_set":"00000000000000000000000000000000","#,
        r#""public_key":"07","created":"1970-01-01T00:00:00Z","until":"1970-01-02T00:00:00Z","grants":[],"#,
        r#""owners":[{"grant":"07070707070707070707070707070707","rows":5,"chunks":[{"bytes":9,"#,
        r#""sha256":"0808080808080808080808080808080808080808080808080808080808080808"}]}]}"#
    );
    let stored = stored.replace("TENANT", &training.tenant.to_string());
    let written = training.to_json().expect("JSON");
    assert_eq!(String::from_utf8(written).expect("text"), stored);
    let read = JointTraining::from_json(stored.as_bytes()).expect("a training");
    assert_eq!(read, training);
    // As it was written before owners' trainings had public keys.
    let before = stored.replace(r#""public_key":"07","#, "");
    let read = JointTraining::from_json(before.as_bytes()).expect("a training");
    assert_eq!(read.public_key, None);
    assert!(!read.is(&declaration()) && training.is(&declaration()));
    assert!(!training.is_buried() && training.buried().is_buried());
    let place = format!("jobs/joint/{}/{}.json", training.tenant, training.id);
    assert!(training.belongs_to(&place) && !training.belongs_to("jobs/joint/other.json"));
}
