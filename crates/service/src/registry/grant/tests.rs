use super::*;
use crate::registry::{FramePiece, StoredFrame};
use cipherfn_protocol::api::frames::{FrameId, GadgetDocument};
use cipherfn_protocol::api::grant::GrantTarget;
use cipherfn_protocol::frame::ParameterSetTag;
use cipherfn_protocol::hash::Sha256;
use cipherfn_protocol::message::KeyId;
use cipherfn_protocol::statement::{PublicKey, Signature};
use time::Duration;

const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;
const FRAME: FrameId = FrameId::from_bytes([1; 16]);

fn file(number: u8, bytes: u64) -> ChunkFile {
    ChunkFile {
        bytes,
        sha256: Sha256::from_bytes([number; 32]),
    }
}

fn piece(number: u8) -> FramePiece {
    FramePiece {
        file: file(number, 10),
        rows: 5,
    }
}

fn frame() -> StoredFrame {
    StoredFrame {
        id: FRAME,
        tenant: Tenant::of("alice"),
        schema: serde_json::json!({ "name": "sales", "rows": 5, "column": [{ "name": "sku" }] }),
        key: KeyId::from_bytes([9; 16]),
        parameter_set: ParameterSetTag::NONE,
        gadget: GadgetDocument {
            base_log: 6,
            levels: 4,
        },
        pieces: vec![piece(0)],
        created: NOW,
        until: NOW + Duration::DAY,
        grants: Vec::new(),
        columns: Vec::new(),
    }
}

/// A column beside rows in such parts.
fn columns(name: &str, parts: &[u64]) -> GrantedColumns {
    let schema = serde_json::json!({ "name": "sales", "column": [{ "name": name }] });
    GrantedColumns {
        schema: schema.to_string(),
        parts: parts.to_vec(),
    }
}

/// Two pieces of 25 bytes together, for an hour.
fn grant(change: impl FnOnce(&mut Grant)) -> SignedGrant {
    let mut grant = Grant {
        id: GrantId::from_bytes([3; 16]),
        owner: Tenant::of("alice").id(),
        target: FRAME.into(),
        to: None,
        objects: 2,
        bytes: 25,
        expires: NOW + Duration::HOUR,
    };
    change(&mut grant);
    SignedGrant {
        grant,
        key: PublicKey::from_bytes([4; 32]),
        signature: Signature::from_bytes([5; 64]),
    }
}

fn bob() -> Tenant {
    Tenant::of("bob")
}

#[test]
fn tenants_have_one_name_for_all() {
    let tenant = Tenant::of("alice");
    assert_eq!(Tenant::from(tenant.id()), tenant);
    assert_eq!(tenant.id().to_string(), tenant.to_string());
}

#[test]
fn pieces_are_reserved_once_and_added_once() {
    let own = grant(|_| ());
    let offered = frame().offered(&own, NOW).unwrap();
    assert_eq!(offered.offered(&own, NOW).as_ref(), Ok(&offered), "again");
    let reserve =
        |frame: &StoredFrame, files: &[ChunkFile]| frame.reserved(&own, &bob(), files, NOW);
    let first = reserve(&offered, &[file(1, 10)]).unwrap();
    assert_eq!(
        reserve(&first, &[file(1, 10)]).as_ref(),
        Ok(&first),
        "a replay"
    );
    assert_eq!(first.rows(), 5, "no row yet");

    let add = |frame: &StoredFrame, pieces: &[FramePiece]| frame.added(&own, &bob(), pieces, NOW);
    assert_eq!(add(&first, &[piece(2)]), Err(GrantRefusal::NotDeclared(0)));
    let added = add(&first, &[piece(1)]).unwrap();
    assert_eq!((added.rows(), &added.schema["rows"]), (10, &10.into()));
    assert_eq!(add(&added, &[piece(1)]).as_ref(), Ok(&added), "a replay");
    // Another number of rows for what was added changes nothing.
    let lies = FramePiece {
        rows: 50,
        ..piece(1)
    };
    assert_eq!(add(&added, &[lies]).as_ref(), Ok(&added));

    // What counts is what an address was given out for, all grants apart.
    let both = reserve(&added, &[file(1, 10), file(2, 15)]).unwrap();
    assert_eq!(reserve(&both, &[file(3, 1)]), Err(GrantRefusal::Objects(2)));
    assert_eq!(
        reserve(&added, &[file(2, 16)]),
        Err(GrantRefusal::Bytes(25))
    );
    let huge = [file(2, u64::MAX), file(3, u64::MAX)];
    let more = grant(|grant| grant.objects = 9);
    let offered = frame().offered(&more, NOW).unwrap();
    let refused = offered.reserved(&more, &bob(), &huge, NOW);
    assert_eq!(refused, Err(GrantRefusal::Bytes(25)), "sums do not wrap");
    let status = both.held(own.grant.id).unwrap().status();
    assert_eq!(
        (status.objects_used, status.bytes_used, status.rows),
        (2, 25, 5)
    );
}

#[test]
fn columns_are_added_once_beside_the_rows_that_they_are_for() {
    let own = grant(|grant| grant.target = GrantTarget::Columns(FRAME, columns("class", &[5])));
    let offered = frame().offered(&own, NOW).unwrap();
    let reserved = |frame: &StoredFrame, grant: &SignedGrant, number| {
        frame.reserved(grant, &bob(), &[file(number, 10)], NOW)
    };
    let first = reserved(&offered, &own, 1).unwrap();
    let add = |frame: &StoredFrame, grant: &SignedGrant, pieces: &[FramePiece]| {
        frame.added(grant, &bob(), pieces, NOW)
    };
    let short = FramePiece {
        rows: 4,
        ..piece(1)
    };
    assert_eq!(add(&first, &own, &[short]), Err(GrantRefusal::OtherRows));
    let added = add(&first, &own, &[piece(1)]).unwrap();
    assert_eq!((added.rows(), &added.schema), (5, &first.schema));
    let whole = added.whole_schema();
    assert_eq!(names(&whole).collect::<Vec<_>>(), ["sku", "class"]);
    assert_eq!(
        add(&added, &own, &[piece(1)]).as_ref(),
        Ok(&added),
        "a replay"
    );
    assert_eq!(added.offered(&own, NOW).as_ref(), Ok(&added), "a replay");
    let status = added.held(own.grant.id).unwrap().status();
    assert_eq!((status.rows, status.columns), (0, vec!["class".to_owned()]));
    let (status, json) = (added.status(), added.to_json().unwrap());
    assert_eq!((status.rows, status.pieces, status.bytes), (5, 2, 20));
    assert_eq!(StoredFrame::from_json(&json).unwrap(), added);
    // Used once, and its pieces are nobody else's.
    let more = reserved(&added, &own, 2).unwrap();
    assert_eq!(add(&more, &own, &[piece(2)]), Err(GrantRefusal::Known(0)));
    let other = grant(|grant| {
        grant.id = GrantId::from_bytes([7; 16]);
        grant.target = GrantTarget::Columns(FRAME, columns("kind", &[5]));
    });
    let both = added.offered(&other, NOW).unwrap();
    assert_eq!(reserved(&both, &other, 1), Err(GrantRefusal::Known(0)));
    let taken = |name: &str| {
        let taken = grant(|grant| {
            grant.id = GrantId::from_bytes([8; 16]);
            grant.target = GrantTarget::Columns(FRAME, columns(name, &[5]));
        });
        added.offered(&taken, NOW).map(drop)
    };
    for name in ["sku", "class"] {
        assert_eq!(taken(name), Err(GrantRefusal::Taken(name.to_owned())));
    }
    assert_eq!(taken("kind"), Ok(()));
    // More rows have nothing in these columns, whoever was to add them.
    let rows = grant(|grant| grant.id = GrantId::from_bytes([9; 16]));
    assert_eq!(added.offered(&rows, NOW), Err(GrantRefusal::BesideColumns));
    let waiting = frame()
        .offered(&rows, NOW)
        .unwrap()
        .offered(&own, NOW)
        .unwrap();
    let waiting = reserved(&reserved(&waiting, &rows, 3).unwrap(), &own, 1).unwrap();
    let beside = add(&waiting, &own, &[piece(1)]).unwrap();
    assert_eq!(
        add(&beside, &rows, &[piece(3)]),
        Err(GrantRefusal::BesideColumns)
    );
    let longer = add(&waiting, &rows, &[piece(3)]).unwrap();
    assert_eq!(
        add(&longer, &own, &[piece(1)]),
        Err(GrantRefusal::OtherRows)
    );
    // Revoked with what came by it, or without.
    let dropped = added.revoked(own.grant.id, true).unwrap();
    assert_eq!(
        (dropped.columns.len(), dropped.has(file(1, 10))),
        (0, false)
    );
    let kept = added.revoked(own.grant.id, false).unwrap();
    assert_eq!((kept.columns.len(), kept.has(file(1, 10))), (1, true));
    // Rows have no place beside columns whose grant is gone, until these are dropped after all.
    assert_eq!(kept.offered(&rows, NOW), Err(GrantRefusal::BesideColumns));
    let later = kept.revoked(own.grant.id, true).unwrap();
    assert_eq!((later.columns.len(), later.grants.len()), (0, 0));
    assert!(later.offered(&rows, NOW).is_ok());
}

/// Each grant goes beside the frame as it is, and both together do not.
#[test]
fn columns_of_several_grants_stay_within_a_frame_s() {
    let many = |number: u8| {
        let names = (0..600).map(|own| format!("{number}-{own}"));
        let columns: Vec<_> = names
            .map(|name| serde_json::json!({ "name": name }))
            .collect();
        let schema = serde_json::json!({ "name": "sales", "column": columns });
        grant(|grant| {
            grant.id = GrantId::from_bytes([number; 16]);
            let columns = GrantedColumns {
                schema: schema.to_string(),
                parts: vec![5],
            };
            grant.target = GrantTarget::Columns(FRAME, columns);
        })
    };
    let mut both = frame();
    for number in [1, 2] {
        both = both.offered(&many(number), NOW).unwrap();
        let file = [file(number, 10)];
        both = both.reserved(&many(number), &bob(), &file, NOW).unwrap();
    }
    let one = both.added(&many(1), &bob(), &[piece(1)], NOW).unwrap();
    let refused = one.added(&many(2), &bob(), &[piece(2)], NOW);
    assert_eq!(refused, Err(GrantRefusal::Columns(1024)));
    let dropped = one.revoked(many(1).grant.id, true).unwrap();
    assert!(dropped.added(&many(2), &bob(), &[piece(2)], NOW).is_ok());
}

#[test]
fn a_piece_is_that_of_whoever_added_it_first() {
    let (one, two) = (
        grant(|_| ()),
        grant(|grant| grant.id = GrantId::from_bytes([7; 16])),
    );
    let frame = frame()
        .offered(&one, NOW)
        .unwrap()
        .offered(&two, NOW)
        .unwrap();
    // The owner's own.
    let owners = frame.reserved(&one, &bob(), &[file(0, 10)], NOW);
    assert_eq!(owners, Err(GrantRefusal::Known(0)));
    let frame = frame.reserved(&one, &bob(), &[file(1, 10)], NOW).unwrap();
    let frame = frame.reserved(&two, &bob(), &[file(1, 10)], NOW).unwrap();
    let frame = frame.added(&one, &bob(), &[piece(1)], NOW).unwrap();
    let again = frame.added(&two, &bob(), &[piece(1)], NOW);
    assert_eq!(again, Err(GrantRefusal::Known(0)));
    // Revoking the other one takes no row of the first.
    assert_eq!(frame.revoked(two.grant.id, true).unwrap().rows(), 10);
    let dropped = frame.revoked(one.grant.id, true).unwrap();
    assert_eq!((dropped.rows(), &dropped.schema["rows"]), (5, &5.into()));
    let kept = frame.revoked(one.grant.id, false).unwrap();
    assert_eq!((kept.rows(), kept.grants.len()), (10, 2));
    let shown = kept.status().grants;
    assert_eq!(
        (shown[0].revoked, shown[0].rows, shown[1].revoked),
        (true, 5, false)
    );
    let gone = kept.reserved(&one, &bob(), &[file(2, 1)], NOW);
    assert_eq!(gone, Err(GrantRefusal::Unknown));
    assert_eq!(
        kept.added(&one, &bob(), &[piece(1)], NOW),
        Err(GrantRefusal::Unknown)
    );
    let again = GrantRefusal::Malformed("grant", "was revoked");
    assert_eq!(kept.offered(&one, NOW), Err(again));
    // What came by it can be dropped later.
    assert_eq!(kept.revoked(one.grant.id, false), Ok(kept.clone()));
    let later = kept.revoked(one.grant.id, true).unwrap();
    assert_eq!((&later, later.rows()), (&dropped, 5));
    assert_eq!(
        later.revoked(one.grant.id, true),
        Err(GrantRefusal::Unknown)
    );
}

#[test]
fn a_grant_is_what_its_owner_signed_for_whom_it_names_and_until_when() {
    let own = grant(|grant| grant.to = Some(bob().id()));
    let frame = frame().offered(&own, NOW).unwrap();
    let by = |presented: &SignedGrant, tenant: &Tenant, now| {
        frame.granted(presented, tenant, now).map(drop)
    };
    assert_eq!(by(&own, &bob(), NOW), Ok(()));
    assert_eq!(
        by(&own, &Tenant::of("eve"), NOW),
        Err(GrantRefusal::Unknown)
    );
    let mut more = own.clone();
    more.grant.objects = 100;
    let mut everybody = own.clone();
    everybody.grant.to = None;
    let mut unsigned = own.clone();
    unsigned.signature = Signature::from_bytes([0; 64]);
    let other = grant(|grant| grant.id = GrantId::from_bytes([8; 16]));
    for forged in [more, everybody, unsigned, other] {
        assert_eq!(by(&forged, &bob(), NOW), Err(GrantRefusal::Unknown));
    }
    let end = own.grant.expires;
    assert_eq!(by(&own, &bob(), end - Duration::SECOND), Ok(()));
    assert_eq!(by(&own, &bob(), end), Err(GrantRefusal::Expired));
}

#[test]
fn grants_that_make_no_sense_are_refused() {
    let offer = |change: fn(&mut Grant)| frame().offered(&grant(change), NOW).map(drop);
    let field = |refusal: Result<(), GrantRefusal>| match refusal {
        Err(GrantRefusal::Malformed(field, _)) => field,
        other => panic!("{other:?}"),
    };
    assert_eq!(field(offer(|grant| grant.owner = bob().id())), "owner");
    assert_eq!(
        field(offer(
            |grant| grant.target = FrameId::from_bytes([2; 16]).into()
        )),
        "frame"
    );
    assert_eq!(field(offer(|grant| grant.objects = 0)), "objects");
    assert_eq!(field(offer(|grant| grant.objects = 101)), "objects");
    assert_eq!(field(offer(|grant| grant.bytes = 0)), "bytes");
    assert_eq!(
        offer(|grant| grant.expires = NOW),
        Err(GrantRefusal::Expired)
    );
    let known = frame().offered(&grant(|_| ()), NOW).unwrap();
    let other = grant(|grant| grant.bytes = 26);
    assert_eq!(field(known.offered(&other, NOW).map(drop)), "grant");

    let many = |frame: StoredFrame, number: u8, now| {
        let own = grant(|grant| {
            grant.id = GrantId::from_bytes([number; 16]);
            grant.expires = now + Duration::HOUR;
        });
        frame.offered(&own, now)
    };
    let full = (0..MAX_GRANTS as u8).try_fold(frame(), |frame, number| many(frame, number, NOW));
    let full = full.unwrap();
    assert_eq!(many(full.clone(), 99, NOW), Err(GrantRefusal::TooMany(32)));
    let later = many(full, 99, NOW + Duration::hours(2)).unwrap();
    assert_eq!(later.grants.len(), 1, "those that ran out made room");
}
