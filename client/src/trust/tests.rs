use super::{Accept, Offer, Pin, TrustError, Verdict};
use cipherfn_protocol::hash::{Hash, SpecsHash};
use cipherfn_protocol::statement::{Serial, Statement};
use cipherfn_signing::SigningKey;
use std::sync::LazyLock;

static DEVELOPER: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::generate().unwrap());
static STRANGER: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::generate().unwrap());

fn hash(text: &str) -> SpecsHash {
    Hash::of(text.as_bytes())
}

fn unsigned(specs: &str) -> Offer {
    Offer {
        model: "fraud".parse().unwrap(),
        specs: hash(specs),
        statement: None,
    }
}

fn signed(key: &SigningKey, specs: &str, serial: u64) -> Offer {
    let offer = unsigned(specs);
    let statement = key.sign(Statement {
        model: offer.model.clone(),
        specs: offer.specs,
        serial: Serial(serial),
    });
    Offer {
        statement: Some(statement),
        ..offer
    }
}

fn developer(specs: &str, newest: u64) -> Pin {
    Pin::Developer {
        key: DEVELOPER.public(),
        newest: Serial(newest),
        specs: hash(specs),
    }
}

#[test]
fn a_developer_is_remembered_and_followed() {
    let judge = |offer: Offer, pin: Option<&Pin>| offer.judge(pin, &Accept::Pinned);
    let first = judge(signed(&DEVELOPER, "a", 5), None).unwrap();
    assert_eq!(first, (developer("a", 5), Verdict::First));
    let pin = Some(&first.0);
    let newer = Verdict::Newer { than: hash("a") };
    let taken = [
        (
            signed(&DEVELOPER, "a", 5),
            developer("a", 5),
            Verdict::Known,
        ),
        (
            signed(&DEVELOPER, "a", 6),
            developer("a", 6),
            Verdict::Known,
        ),
        (signed(&DEVELOPER, "b", 6), developer("b", 6), newer),
        // What was stated before on the same specs tells the service nothing new, and is not forgotten.
        (
            signed(&DEVELOPER, "a", 4),
            developer("a", 5),
            Verdict::Known,
        ),
    ];
    for (offer, after, verdict) in taken {
        assert_eq!(judge(offer, pin), Ok((after, verdict)));
    }
    // Two statements of one serial: the second is not newer.
    for (offer, older) in [
        (signed(&DEVELOPER, "b", 5), 5),
        (signed(&DEVELOPER, "b", 4), 4),
    ] {
        let refused = judge(offer, pin).unwrap_err();
        assert!(
            matches!(refused, TrustError::Older { found: Serial(found), .. } if found == older)
        );
    }
    // The same specs too: who has signed them before does so now.
    for specs in ["a", "b"] {
        let refused = judge(signed(&STRANGER, specs, 9), pin).unwrap_err();
        assert!(matches!(refused, TrustError::OtherDeveloper { .. }));
        let refused = judge(unsigned(specs), pin).unwrap_err();
        assert!(matches!(refused, TrustError::Unsigned { .. }));
    }
}

#[test]
fn unsigned_specs_are_themselves_and_no_others() {
    let judge = |offer: Offer, pin: Option<&Pin>| offer.judge(pin, &Accept::Pinned);
    let (pin, verdict) = judge(unsigned("a"), None).unwrap();
    assert_eq!((&pin, verdict), (&Pin::Specs(hash("a")), Verdict::First));
    // A statement that comes later may be anybody's.
    for offer in [unsigned("a"), signed(&STRANGER, "a", 9)] {
        assert_eq!(judge(offer, Some(&pin)), Ok((pin.clone(), Verdict::Known)));
    }
    for offer in [unsigned("b"), signed(&STRANGER, "b", 9)] {
        let refused = judge(offer, Some(&pin)).unwrap_err();
        assert!(matches!(refused, TrustError::Changed { .. }));
    }
}

#[test]
fn the_caller_may_know_better() {
    let pins = [None, Some(developer("a", 5)), Some(Pin::Specs(hash("a")))];
    for pin in pins.each_ref().map(Option::as_ref) {
        // This once, whatever it is.
        for offer in [
            unsigned("b"),
            signed(&STRANGER, "b", 1),
            signed(&DEVELOPER, "b", 1),
        ] {
            let (after, verdict) = offer.judge(pin, &Accept::Offered).unwrap();
            assert_eq!(after, offer.pin());
            let expected = pin.map_or(Verdict::First, |_| Verdict::Accepted);
            assert_eq!(verdict, expected);
        }
        // A key.
        let accept = Accept::Developer(STRANGER.public());
        let (after, _) = signed(&STRANGER, "b", 1).judge(pin, &accept).unwrap();
        assert_eq!(after, signed(&STRANGER, "b", 1).pin());
        for offer in [unsigned("b"), signed(&DEVELOPER, "b", 9)] {
            assert!(offer.judge(pin, &accept).is_err());
        }
        // A hash, which leaves what is remembered as it is.
        let accept = Accept::Specs(hash("b"));
        let (after, verdict) = unsigned("b").judge(pin, &accept).unwrap();
        assert_eq!(verdict, Verdict::Accepted);
        assert_eq!(after, pin.cloned().unwrap_or(Pin::Specs(hash("b"))));
        // Whoever has signed them: a service that adds a signature of its own gains nothing by it.
        let (signed_pin, _) = signed(&STRANGER, "b", 1).judge(pin, &accept).unwrap();
        assert_eq!(signed_pin, after);
        let next = signed(&STRANGER, "c", 2).judge(Some(&signed_pin), &Accept::Pinned);
        assert!(next.is_err(), "{next:?}");
        let refused = unsigned("c").judge(pin, &accept).unwrap_err();
        assert!(matches!(refused, TrustError::OtherSpecs { .. }));
    }
    // Naming the developer who is known does not let a service go back.
    let accept = Accept::Developer(DEVELOPER.public());
    let refused = signed(&DEVELOPER, "b", 4).judge(Some(&developer("a", 5)), &accept);
    assert!(matches!(refused, Err(TrustError::Older { .. })));
}

#[test]
fn statements_that_do_not_fit_are_refused_whatever_the_caller_says() {
    let mut forged = signed(&DEVELOPER, "a", 5);
    forged.statement.as_mut().unwrap().statement.serial = Serial(6);
    let mut other_specs = signed(&DEVELOPER, "a", 5);
    other_specs.specs = hash("b");
    let mut other_model = signed(&DEVELOPER, "a", 5);
    other_model.model = "other".parse().unwrap();
    let accepts = [
        Accept::Pinned,
        Accept::Offered,
        Accept::Developer(DEVELOPER.public()),
        Accept::Specs(hash("a")),
        Accept::Specs(hash("b")),
    ];
    for accept in &accepts {
        for pin in [None, Some(&developer("a", 5))] {
            let refused = forged.judge(pin, accept).unwrap_err();
            assert!(matches!(refused, TrustError::Forged { .. }));
            for offer in [&other_specs, &other_model] {
                let refused = offer.judge(pin, accept).unwrap_err();
                assert!(matches!(refused, TrustError::OtherStatement { .. }));
            }
        }
    }
}
