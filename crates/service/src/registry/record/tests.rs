use super::{Declaration, DeclaredPart, Record};
use crate::registry::document::{Document, Unreadable};
use crate::registry::{Event, KeyFile, PartName, Place, Refusal, Registration, UniqueId};
use cipherfn_protocol::hash::Sha256;
use cipherfn_protocol::message::KeyId;
use std::collections::BTreeMap;
use std::time::Duration;
use time::OffsetDateTime;

const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

fn declaration(set: &str, parts: &[(&str, u8)]) -> Declaration {
    let part = |(name, byte): &(&str, u8)| {
        let part = DeclaredPart {
            file: KeyFile {
                bytes: 10,
                sha256: Sha256::from_bytes([*byte; 32]),
            },
            pieces: None,
        };
        (name.parse().unwrap(), part)
    };
    Declaration {
        key: KeyId::from_bytes([7; 16]),
        parameter_set: set.to_owned(),
        parts: parts.iter().map(part).collect(),
    }
}

fn declare(
    known: Option<&Record>,
    set: &str,
    parts: &[(&str, u8)],
    fresh: &str,
) -> Result<Record, Refusal> {
    let fresh = UniqueId::derived(fresh);
    Record::declared(known, &declaration(set, parts), fresh, NOW)
}

fn accept(record: &mut Record, part: &str) {
    let part: PartName = part.parse().unwrap();
    let place = record.parts[&part].place().unwrap();
    let lifetime = Duration::from_hours(1000);
    record
        .apply(&part, Event::Accept { place, lifetime }, NOW)
        .unwrap();
}

#[test]
fn parts_are_declared_one_after_the_other() {
    let mut first = declare(None, "wide", &[("expansion", 1)], "1").unwrap();
    accept(&mut first, "expansion");
    let both = declare(Some(&first), "wide", &[("inverse", 2)], "2").unwrap();
    assert_eq!(both.id, first.id, "the same registration");
    let expansion = PartName::expansion();
    assert_eq!(both.parts[&expansion], first.parts[&expansion]);
    let place = both.parts[&"inverse".parse().unwrap()].place();
    assert_eq!(place, Some(Place::Upload(UniqueId::derived("2"))));
    // One part that is in the way refuses all of them.
    let refused = declare(
        Some(&first),
        "wide",
        &[("expansion", 3), ("inverse", 2)],
        "3",
    );
    assert_eq!(refused, Err(Refusal::Conflict));
}

#[test]
fn another_parameter_set_replaces_what_is_not_active() {
    let mut first = declare(None, "wide", &[("expansion", 1), ("inverse", 2)], "1").unwrap();
    let other = declare(Some(&first), "compact", &[("expansion", 1)], "2").unwrap();
    assert_eq!(
        (other.parts.len(), other.parameter_set.as_str()),
        (1, "compact")
    );
    accept(&mut first, "inverse");
    let refused = declare(Some(&first), "compact", &[("expansion", 1)], "2");
    assert_eq!(refused, Err(Refusal::Conflict));
}

#[test]
fn what_a_deletion_left_is_another_registration() {
    let first = declare(None, "wide", &[("expansion", 1)], "1").unwrap();
    let emptied = first.emptied();
    assert_eq!((emptied.id, emptied.parts.len()), (first.id, 0));
    let again = declare(Some(&emptied), "wide", &[("expansion", 1)], "2").unwrap();
    assert_ne!(again.id, first.id);
}

#[test]
fn documents_of_both_formats_are_read() {
    let expansion = PartName::expansion();
    let read = |bytes: &[u8]| Record::from_json(bytes).unwrap();
    let record = read(include_bytes!(
        "../../../../../tests/golden/v1/http/record.json"
    ));
    let part = &record.parts[&expansion];
    assert!(matches!(
        part,
        Registration::Active {
            place: Place::Single,
            ..
        }
    ));
    assert_eq!(part.file().bytes, 774_228);
    assert_eq!(record.parameter_set, "cipherfn-128-n2048-m8-compact-v1");
    let record = read(include_bytes!(
        "../../../../../tests/golden/v1/http/record-pending.json"
    ));
    let Registration::Pending { pieces, upload, .. } = &record.parts[&expansion] else {
        panic!("{record:?}")
    };
    assert!(
        pieces
            .as_ref()
            .is_some_and(|pieces| pieces.sha256.len() == 2)
            && upload.is_some()
    );
    assert_eq!(read(&record.to_json().unwrap()), record, "migrated");

    let golden = include_bytes!("../../../../../tests/golden/v2/bucket/record.json");
    let record = read(golden);
    assert_eq!(record.to_json().unwrap(), golden);
    let states: BTreeMap<_, _> = record
        .parts
        .iter()
        .map(|(name, part)| (name.as_str(), part.is_active(NOW)))
        .collect();
    let expected = [
        ("a-pending-one", false),
        ("a-rejected-one", false),
        ("expansion", true),
    ];
    assert_eq!(states, BTreeMap::from(expected));

    let newer = br#"{"format":3,"anything":[]}"#;
    assert!(matches!(
        Record::from_json(newer),
        Err(Unreadable::Newer(3))
    ));
    let text = String::from_utf8(golden.to_vec()).unwrap();
    for (from, to) in [
        ("{", ""),
        ("\"registration\"", "\"more\":1,\"registration\""),
        ("\"bytes\":", "\"more\":1,\"bytes\":"),
        ("\"state\":\"active\"", "\"state\":\"other\""),
        ("\"expansion\"", "\"../expansion\""),
        ("\"format\":2", "\"format\":1"),
    ] {
        let corrupt = text.replacen(from, to, 1);
        assert_ne!(corrupt, text, "{from}");
        let read = Record::from_json(corrupt.as_bytes());
        assert!(
            matches!(read, Err(Unreadable::Corrupt(_))),
            "{to}: {read:?}"
        );
    }
}
