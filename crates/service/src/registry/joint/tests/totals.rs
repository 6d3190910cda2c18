//! Totals of sums: an owner has one contribution, and a total its least number of owners.

use super::*;
use crate::registry::GrantedPiece;
use crate::registry::document::{Document, MAX_BYTES};
use cipherfn_protocol::api::grants::Contributor;

fn total() -> JointTraining {
    let declaration = TrainingDeclaration {
        least_owners: Some(2),
        ..declaration()
    };
    let time = (NOW, NOW + Duration::DAY);
    JointTraining::new(&Tenant::of("alice"), &declaration, time)
}

fn of_total(number: u8, change: impl FnOnce(&mut Grant)) -> SignedGrant {
    let mut signed = grant(number, |terms| terms.least_owners = Some(2));
    change(&mut signed.grant);
    signed
}

/// Bob's contribution and others', each by a grant, of a chunk of so many bytes.
fn contributed(to: &JointTraining, owner: &str, number: u8) -> Result<JointTraining, GrantRefusal> {
    let (grant, owner) = (of_total(number, |_| ()), Tenant::of(owner));
    let files = [file(number, 9)];
    let offered = to.offered(&grant, NOW)?;
    let reserved = offered.reserved(&grant, &owner, &files, NOW)?;
    reserved.added(&grant, &owner, (0, &files), NOW)
}

#[test]
fn an_owner_contributes_once() {
    let bobs = contributed(&total(), "bob", 1).expect("added");
    assert_eq!(contributed(&bobs, "bob", 1), Ok(bobs.clone()), "a replay");
    assert_eq!(bobs.owners[0].by, Some(bob().id()));
    let by_another = contributed(&bobs, "bob", 2);
    let caller = GrantRefusal::Contributed(Contributor::Caller);
    assert_eq!(by_another, Err(caller.clone()));
    // By the same grant, which has addresses left, nor does somebody else. None of these is given out.
    let grant = of_total(1, |_| ());
    let another = GrantRefusal::Contributed(Contributor::Another);
    let others = [file(3, 9)];
    for (owner, refusal) in [("bob", caller), ("carol", another)] {
        let owner = Tenant::of(owner);
        let reserved = bobs.reserved(&grant, &owner, &others, NOW);
        assert_eq!(reserved, Err(refusal.clone()));
        // Nor is what had an address before.
        let both = total().offered(&grant, NOW).expect("offered");
        let both = both.reserved(&grant, &owner, &others, NOW).expect("room");
        let both = contributed(&both, "bob", 1).expect("added");
        let more = both.added(&grant, &owner, (0, &others), NOW);
        assert_eq!(more, Err(refusal));
    }
    let stand = |owner: &str, grant: &SignedGrant| {
        let held = bobs.held(grant.grant.id).expect("held");
        bobs.stand(held, &Tenant::of(owner)).contributed
    };
    assert_eq!(stand("bob", &grant), Some(Contributor::Caller));
    assert_eq!(stand("carol", &grant), Some(Contributor::Another));
    let without = bobs.revoked(grant.grant.id, true).expect("revoked");
    assert!(contributed(&without, "bob", 4).is_ok(), "in its place");
}

#[test]
fn totals_are_of_as_many_owners_as_were_told() {
    let job_of = |total: &JointTraining, before: &[ChunkFile]| {
        let own = total.owners.iter().flat_map(|owner| &owner.chunks);
        let chunks: Vec<ChunkFile> = before.iter().chain(own).copied().collect();
        total.trained_by(&job(1, &chunks, |_| ()))
    };
    let few = |found| Err(GrantRefusal::TooFewOwners { found, least: 2 });
    let bobs = contributed(&total(), "bob", 1).expect("added");
    assert_eq!(job_of(&bobs, &[]), few(1));
    // The key holder can tell its own sums from the total.
    let own = contributed(&bobs, "alice", 2).expect("added");
    assert_eq!(job_of(&own, &[]), few(1));
    let carols = contributed(&own, "carol", 3).expect("added");
    assert!(job_of(&carols, &[]).is_ok());
    // Nothing stands beside contributions: what came by no grant, nobody has looked at.
    assert_eq!(
        job_of(&carols, &[file(9, 9)]),
        Err(GrantRefusal::NotAllRows)
    );
    let begun = job_of(&carols, &[]).expect("its job");
    assert_eq!(contributed(&begun, "dave", 4), Err(GrantRefusal::Begun));
}

/// A record that says less than the grants that its owners have is not what they were told.
#[test]
fn a_total_is_of_as_many_owners_as_its_grants_say() {
    let bobs = contributed(&total(), "bob", 1).expect("added");
    let few = Err(GrantRefusal::TooFewOwners { found: 1, least: 2 });
    for least_owners in [None, Some(0), Some(1)] {
        let told_less = JointTraining {
            least_owners,
            ..bobs.clone()
        };
        let job = job(1, &bobs.owners[0].chunks, |_| ());
        assert_eq!(told_less.takes_job(&job.work, job.key), few);
    }
    // Nor are two contributions of one owner two owners.
    let mut twice = bobs.clone();
    twice.owners.push(OwnerRows {
        chunks: vec![file(2, 9)],
        ..bobs.owners[0].clone()
    });
    let job = job(1, &[file(1, 9), file(2, 9)], |_| ());
    assert_eq!(twice.takes_job(&job.work, job.key), few);
}

#[test]
fn grants_of_a_total_say_what_it_is() {
    let refused = |grant: &SignedGrant| match total().offered(grant, NOW) {
        Err(GrantRefusal::Malformed(field, _)) => field,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(&grant(1, |_| ())), "least_owners");
    let more = grant(1, |terms| terms.least_owners = Some(3));
    assert_eq!(refused(&more), "least_owners");
    assert_eq!(refused(&of_total(1, |grant| grant.objects = 4)), "objects");
    let of_rows = training().offered(&of_total(1, |_| ()), NOW);
    assert!(matches!(
        of_rows,
        Err(GrantRefusal::Malformed("least_owners", _))
    ));
    let declared = TrainingDeclaration {
        least_owners: Some(3),
        ..declaration()
    };
    assert!(!total().is(&declared) && !total().is(&declaration()));
}

/// The record of a full total, each grant with all files that it allows, can be read.
#[test]
fn records_have_room_for_a_thousand_owners() {
    let mut full = total();
    let id = |number: u16| {
        let mut id = [0; 16];
        id[..2].copy_from_slice(&number.to_le_bytes());
        GrantId::from_bytes(id)
    };
    for number in 0..1000 {
        let owner = Tenant::of(&number.to_string()).id();
        let mut grant = of_total(0, |grant| {
            grant.id = id(number);
            grant.to = Some(owner);
            grant.bytes = u64::MAX;
        });
        if let GrantTarget::Training(terms) = &mut grant.grant.target {
            terms.rows = u64::MAX;
            terms.program = "p".repeat(64).parse().expect("a name");
        }
        let piece = |place| GrantedPiece {
            file: file(place, 24_000),
            rows: (place == 0).then_some(0),
        };
        full.owners.push(OwnerRows {
            grant: grant.grant.id,
            by: Some(owner),
            rows: 0,
            chunks: vec![file(0, 24_000)],
        });
        full.grants.push(HeldGrant {
            grant,
            pieces: (0..3).map(piece).collect(),
            revoked: false,
        });
    }
    let more = of_total(0, |grant| grant.id = id(1000));
    let refused = full.offered(&more, NOW);
    assert_eq!(refused, Err(GrantRefusal::TooManyOwners(1000)));
    let record = full.to_json().expect("JSON");
    assert!((record.len() as u64) < MAX_BYTES, "{}", record.len());
    assert_eq!(JointTraining::from_json(&record).expect("read"), full);
}
