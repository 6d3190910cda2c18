use super::{Demand, Limit, Limits};

#[test]
fn limits_are_a_default_functions_unless_they_are_given() {
    let parse = |text: &str| text.parse::<Limits>().unwrap();
    assert_eq!(parse("lambda"), Limits::LAMBDA);
    let own = parse("3538MB, 5s, 1MB");
    assert_eq!(
        (own.memory, own.seconds, own.bytes),
        (3538 << 20, 5.0, 1_000_000)
    );
    assert_eq!(
        parse("0.5s"),
        Limits {
            seconds: 0.5,
            ..Limits::LAMBDA
        }
    );
    assert_eq!(
        parse("2s,300KB"),
        Limits {
            seconds: 2.0,
            bytes: 300_000,
            ..Limits::LAMBDA
        }
    );
    for bad in [
        "",
        "lambda,5s",
        "5",
        "1MB",
        "20GB",
        "5s,5s",
        "5s,1769MB",
        "1769MB,1MB,5s",
        "nans",
        "-1s",
        "1769MB,5s,1MB,2s",
        "1769 potatoes",
    ] {
        let error = bad.parse::<Limits>().unwrap_err().to_string();
        assert!(error.contains("1769MB,5s,1MB"), "{bad:?}: {error}");
    }
}

#[test]
fn what_is_missed_is_named() {
    let demand = Demand {
        memory: 1769 << 20,
        seconds: 29.0,
        query_bytes: Limits::LAMBDA.bytes,
        reply_bytes: 10,
    };
    assert_eq!(demand.missed(&Limits::LAMBDA), []);
    let larger = Demand {
        memory: (1769 << 20) + 1,
        seconds: 30.0,
        query_bytes: Limits::LAMBDA.bytes + 1,
        reply_bytes: Limits::LAMBDA.bytes + 1,
    };
    assert_eq!(
        larger.missed(&Limits::LAMBDA),
        [Limit::Memory, Limit::Time, Limit::Query, Limit::Reply]
    );
}
