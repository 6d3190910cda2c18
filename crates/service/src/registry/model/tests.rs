use super::{Folder, LiveVersion, Model};
use crate::registry::UniqueId;
use crate::registry::document::{Document, Unreadable};
use cipherfn_protocol::api::{ApiVersion, PublishedKind};
use cipherfn_protocol::hash::{Hash, SpecsHash};
use cipherfn_protocol::statement::{PublicKey, Serial, Signature, SignedStatement, Statement};
use std::num::NonZeroUsize;
use time::OffsetDateTime;

const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

fn hash(text: &str) -> SpecsHash {
    Hash::of(text.as_bytes())
}

fn version(specs: &str, folder: &str) -> LiveVersion {
    LiveVersion {
        specs: hash(specs),
        specs_v1: None,
        statement: None,
        folder: Folder::Publication(UniqueId::derived(folder)),
        bundle_bytes: 10,
        published: NOW,
    }
}

fn publish(known: Option<&Model>, specs: &str, folder: &str, keep: usize) -> Model {
    let keep = NonZeroUsize::new(keep).unwrap();
    let name = "fraud".parse().unwrap();
    Model::published(
        known,
        (&name, PublishedKind::Model),
        version(specs, folder),
        keep,
        NOW,
    )
}

fn live(model: &Model) -> Vec<SpecsHash> {
    model.versions.iter().map(|version| version.specs).collect()
}

#[test]
fn the_newest_versions_stay_live_and_the_others_retire() {
    let first = publish(None, "a", "1", 2);
    let second = publish(Some(&first), "b", "2", 2);
    assert_eq!(live(&second), [hash("b"), hash("a")]);
    let third = publish(Some(&second), "c", "3", 2);
    assert_eq!(live(&third), [hash("c"), hash("b")]);
    assert_eq!(third.current, hash("c"));
    assert_eq!(third.retired.len(), 1);
    assert_eq!(third.retired[0].folder, version("a", "1").folder);

    // Published again, a version is the current one, from its new folder.
    let again = publish(Some(&third), "b", "4", 2);
    assert_eq!(live(&again), [hash("b"), hash("c")]);
    assert_eq!(again.versions[0].folder, version("b", "4").folder);
    assert!(again.names(version("b", "2").folder), "not forgotten");
    // The same publication, written without knowing so, changes nothing.
    assert_eq!(publish(Some(&again), "b", "4", 2), again);
    let later = publish(Some(&again), "d", "5", 2);
    assert_eq!(publish(Some(&later), "b", "4", 2), later);
}

#[test]
fn versions_roll_back_and_go() {
    let model = publish(Some(&publish(None, "a", "1", 2)), "b", "2", 2);
    let back = model.rolled_back(None).unwrap();
    assert_eq!((back.current, live(&back)), (hash("a"), live(&model)));
    assert_eq!(back.rolled_back(Some(hash("b"))), Some(model.clone()));
    assert_eq!(model.rolled_back(Some(hash("c"))), None);

    let left = model.without(Some(hash("b"))).unwrap();
    assert_eq!((left.current, live(&left)), (hash("a"), vec![hash("a")]));
    assert_eq!(left.rolled_back(None), None);
    assert_eq!(left.without(Some(hash("a"))), None);
    assert_eq!(model.without(None), None);
    assert_eq!(model.without(Some(hash("c"))), Some(model));
}

#[test]
fn the_current_version_can_be_stated_anew() {
    let signed = |serial, specs| SignedStatement {
        statement: Statement {
            model: "fraud".parse().unwrap(),
            specs,
            serial: Serial(serial),
        },
        key: PublicKey::from_bytes([1; 32]),
        signature: Signature::from_bytes([2; 64]),
    };
    let model = publish(Some(&publish(None, "a", "1", 2)), "b", "2", 2);
    assert_eq!(model.statement(), None);
    let model = model.stated(Some(signed(5, hash("b"))));
    let back = model.rolled_back(None).unwrap();
    let back = back.stated(Some(signed(6, hash("a"))));
    let statement = |specs| {
        let version = back.version(hash(specs)).unwrap();
        version.statement.as_ref().unwrap().statement.serial
    };
    assert_eq!((statement("a"), statement("b")), (Serial(6), Serial(5)));
    assert_eq!(back.statement().unwrap().statement.serial, Serial(6));
    assert_eq!(Model::from_json(&back.to_json().unwrap()).unwrap(), back);
}

#[test]
fn documents_of_both_formats_are_read() {
    let old = include_bytes!("../../../../../tests/golden/v1/http/model.json");
    let model = Model::from_json(old).unwrap();
    for api in ApiVersion::ALL {
        let summary = serde_json::to_vec(&model.summary_for(api)).unwrap();
        assert_eq!(summary, old, "clients see the same");
    }
    let folders = model.versions.iter().map(|version| version.folder);
    assert!(
        folders.eq(live(&model).into_iter().map(Folder::Specs)),
        "its files are where version 1 has put them"
    );

    let golden = include_bytes!("../../../../../tests/golden/v2/bucket/model.json");
    let model = Model::from_json(golden).unwrap();
    assert_eq!(model.to_json().unwrap(), golden);
    assert!(matches!(model.versions[0].folder, Folder::Publication(_)));
    assert_eq!((model.versions.len(), model.retired.len()), (2, 1));
    // Its newest version has specs of both formats, the one before only of the newer one.
    let first = model.versions[0].specs_v1.unwrap();
    assert_ne!(first, model.versions[0].specs);
    assert_eq!(model.version(first), Some(&model.versions[0]));
    let shown = model.summary_for(ApiVersion::V1).unwrap();
    assert_eq!((shown.current, shown.versions.len()), (first, 1));
    let back = model.rolled_back(None).unwrap();
    assert_eq!(
        back.current(ApiVersion::V1),
        Some(first),
        "the newest that can be said"
    );
    assert_eq!(back.current(ApiVersion::V2), Some(back.current));
    let left = back.without(Some(model.current)).unwrap();
    assert_eq!(left.summary_for(ApiVersion::V1), None);

    // Those of programs and tables are other formats, so that nothing takes them for models.
    for (format, kind) in [(3, PublishedKind::Program), (4, PublishedKind::Table)] {
        let text = String::from_utf8(golden.to_vec()).unwrap();
        let text = text.replacen("\"format\":2", &format!("\"format\":{format}"), 1);
        let other = Model::from_json(text.as_bytes()).unwrap();
        assert_eq!(other.kind, kind);
        assert_eq!(other.to_json().unwrap(), text.as_bytes());
    }

    let newer = br#"{"format":5,"anything":[]}"#;
    assert!(matches!(Model::from_json(newer), Err(Unreadable::Newer(5))));
    for corrupt in [&b"{}"[..], b"", br#"{"format":2}"#, &old[..old.len() - 1]] {
        let read = Model::from_json(corrupt);
        assert!(matches!(read, Err(Unreadable::Corrupt(_))), "{read:?}");
    }
    // The current version must be a live one.
    let text = String::from_utf8(old.to_vec()).unwrap();
    let (from, to) = ("\"current\":\"af", "\"current\":\"bf");
    let read = Model::from_json(text.replacen(from, to, 1).as_bytes());
    assert!(matches!(read, Err(Unreadable::Corrupt(_))), "{read:?}");
}
