use super::{Event, KeyFile, Pieces, Place, Refusal, Registration, UNFINISHED};
use crate::bucket::UploadId;
use crate::registry::UniqueId;
use cipherfn_protocol::hash::Sha256;
use std::time::Duration;
use time::OffsetDateTime;

const DECLARED: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;
const DAY: Duration = Duration::from_hours(24);
/// While everything below lasts, and when all of it is over.
const EARLY: Duration = Duration::from_hours(1);
const LATE: Duration = Duration::from_hours(1000);

fn file(byte: u8) -> KeyFile {
    KeyFile {
        bytes: 100,
        sha256: Sha256::from_bytes([byte; 32]),
    }
}

fn place(text: &str) -> Place {
    Place::Upload(UniqueId::derived(text))
}

fn upload(id: &str) -> UploadId {
    serde_json::from_value(id.into()).unwrap()
}

fn pending() -> Registration {
    Registration::Pending {
        file: file(1),
        place: place("a"),
        pieces: None,
        upload: None,
        declared: DECLARED,
        until: DECLARED + DAY,
    }
}

fn active() -> Registration {
    Registration::Active {
        file: file(1),
        place: place("a"),
        declared: DECLARED,
        until: DECLARED + 30 * DAY,
    }
}

fn rejected() -> Registration {
    Registration::Rejected {
        file: file(1),
        reason: "why".to_owned(),
        declared: DECLARED,
        until: DECLARED + DAY,
    }
}

fn declare(byte: u8, pieces: Option<Pieces>) -> Event {
    Event::Declare {
        file: file(byte),
        pieces,
        place: place("b"),
    }
}

/// What a declaration of something new becomes.
fn anew(byte: u8, pieces: Option<Pieces>, now: OffsetDateTime) -> Registration {
    Registration::Pending {
        file: file(byte),
        place: place("b"),
        pieces,
        upload: None,
        declared: now,
        until: now + UNFINISHED,
    }
}

/// Every state and every event, in time and too late.
#[test]
fn every_event_in_every_state() {
    let cut = Some(Pieces {
        bytes: 50,
        sha256: vec![file(8).sha256, file(9).sha256],
    });
    let begin = |at| Event::Begin {
        place: place(at),
        upload: upload("s3"),
    };
    let accept = |at| Event::Accept {
        place: place(at),
        lifetime: 90 * DAY,
    };
    let reject = |at| Event::Reject {
        place: place(at),
        reason: "bad".to_owned(),
    };
    let lose = |at| Event::Lose { place: place(at) };
    let early = DECLARED + EARLY;
    let superseded = Err(Refusal::Superseded);

    let begun = Registration::Pending {
        file: file(1),
        place: place("a"),
        pieces: None,
        upload: Some(upload("s3")),
        declared: DECLARED,
        until: DECLARED + DAY,
    };
    let accepted = Registration::Active {
        file: file(1),
        place: place("a"),
        declared: DECLARED,
        until: early + 90 * DAY,
    };
    let refused = Registration::Rejected {
        file: file(1),
        reason: "bad".to_owned(),
        declared: DECLARED,
        until: DECLARED + DAY,
    };
    let lost = Registration::Rejected {
        file: file(1),
        reason: "the stored file is damaged".to_owned(),
        declared: DECLARED,
        until: early + UNFINISHED,
    };

    // The event; then what it makes of nothing, and of what is pending, active and rejected at "a".
    let new = |byte, pieces: &Option<Pieces>| Ok(anew(byte, pieces.clone(), early));
    let table = [
        (
            declare(1, None),
            [new(1, &None), Ok(pending()), Ok(active()), new(1, &None)],
        ),
        (
            declare(1, cut.clone()),
            [new(1, &cut), new(1, &cut), Ok(active()), new(1, &cut)],
        ),
        (
            declare(2, None),
            [
                new(2, &None),
                new(2, &None),
                Err(Refusal::Conflict),
                new(2, &None),
            ],
        ),
        (
            begin("a"),
            [
                superseded.clone(),
                Ok(begun),
                superseded.clone(),
                superseded.clone(),
            ],
        ),
        (
            accept("a"),
            [
                superseded.clone(),
                Ok(accepted),
                Ok(active()),
                superseded.clone(),
            ],
        ),
        (
            reject("a"),
            [
                superseded.clone(),
                Ok(refused),
                superseded.clone(),
                superseded.clone(),
            ],
        ),
        (
            lose("a"),
            [
                superseded.clone(),
                superseded.clone(),
                Ok(lost),
                superseded.clone(),
            ],
        ),
    ];
    let states = [None, Some(pending()), Some(active()), Some(rejected())];
    for (event, expected) in table {
        for (state, expected) in states.iter().zip(expected) {
            let next = Registration::next(state.as_ref(), event.clone(), early);
            assert_eq!(next, expected, "{event:?} in {state:?}");
        }
    }

    // What is about another place is about another upload.
    for event in [begin("c"), accept("c"), reject("c"), lose("c")] {
        for state in &states {
            let next = Registration::next(state.as_ref(), event.clone(), early);
            assert_eq!(next, superseded, "{event:?} in {state:?}");
        }
    }
    // What has run out is as if it had never been.
    let late = DECLARED + LATE;
    for event in [
        declare(1, None),
        declare(2, cut),
        begin("a"),
        accept("a"),
        reject("a"),
        lose("a"),
    ] {
        let of_nothing = Registration::next(None, event.clone(), late);
        for state in &states {
            let next = Registration::next(state.as_ref(), event.clone(), late);
            assert_eq!(next, of_nothing, "{event:?} in {state:?}");
        }
    }
}

#[test]
fn a_registration_ends_at_its_time() {
    let end = DECLARED + DAY;
    let before = end - Duration::from_secs(1);
    assert!(!pending().is_expired(before) && pending().is_expired(end));
    let end = DECLARED + 30 * DAY;
    let before = end - Duration::from_secs(1);
    assert!(active().is_active(before) && !active().is_active(end));
    assert!(!pending().is_active(DECLARED) && !rejected().is_active(DECLARED));
}
