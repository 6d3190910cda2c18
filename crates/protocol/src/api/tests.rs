use super::{KeyDeclarationV1, ModelName, Problem, ProblemType};

#[test]
fn model_names_are_safe_in_paths() {
    for good in ["a", "fraud", "xgb_bc", "0-1_2", &"x".repeat(64)] {
        assert_eq!(good.parse::<ModelName>().unwrap().as_str(), good);
    }
    for bad in [
        "",
        "-a",
        "_a",
        "A",
        "a/b",
        "..",
        "a.b",
        "a b",
        "a\0",
        "ä",
        "a%2f",
        &"x".repeat(65),
        &"x".repeat(10_000),
    ] {
        assert!(bad.parse::<ModelName>().is_err(), "{bad:?}");
    }
}

#[test]
fn problem_types_are_stable_urns() {
    for kind in ProblemType::ALL {
        let problem = Problem::new(*kind, "why");
        let json = serde_json::to_value(&problem).unwrap();
        assert_eq!(
            json["type"],
            format!("urn:cipherfn:problem:{}", kind.slug())
        );
        assert_eq!(json["status"], kind.status());
        assert_eq!(serde_json::from_value::<Problem>(json).unwrap(), problem);
    }
    let later: Problem = serde_json::from_str(
        r#"{"type":"urn:cipherfn:problem:new","title":"t","status":503,"detail":"d","more":1}"#,
    )
    .unwrap();
    assert_eq!(later.kind, ProblemType::Unknown);
    assert!(later.is_retryable());
}

#[test]
fn declarations_have_exactly_these_fields() {
    let json = r#"{
        "key": "000102030405060708090a0b0c0d0e0f",
        "parameter_set": {"name": "s", "hash": "0000000000000000000000000000000000000000000000000000000000000000"},
        "bytes": 3,
        "sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    }"#;
    assert!(serde_json::from_str::<KeyDeclarationV1>(json).is_ok());
    for (from, to) in [
        ("\"bytes\": 3", "\"bytes\": -3"),
        ("\"bytes\": 3", "\"bytes\": 3, \"tenant\": \"other\""),
        ("000102", "../../"),
        ("000102", "00010G"),
        ("0a0b", "0A0B"),
        ("0e0f", "0e0f00"),
    ] {
        assert!(
            serde_json::from_str::<KeyDeclarationV1>(&json.replacen(from, to, 1)).is_err(),
            "{to}"
        );
    }
}
