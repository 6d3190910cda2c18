use super::*;

fn signed() -> SignedGrant {
    SignedGrant {
        grant: Grant {
            id: GrantId([1; 16]),
            owner: TenantId([2; 16]),
            target: FrameId::from_bytes([3; 16]).into(),
            to: None,
            objects: 4,
            bytes: 5,
            expires: OffsetDateTime::UNIX_EPOCH,
        },
        key: PublicKey::from_bytes([6; 32]),
        signature: Signature::from_bytes([7; 64]),
    }
}

/// Exact bytes: grants that were given away must stay readable.
#[test]
fn documents_have_exactly_these_bytes() {
    let text = format!(
        r#"{{"format":1,"grant":"{}","owner":"{}","frame":"{}","objects":4,"bytes":5,"expires":"1970-01-01T00:00:00Z","key":"ed25519:{}","signature":"{}"}}"#,
        "01".repeat(16),
        "02".repeat(16),
        "03".repeat(16),
        "06".repeat(32),
        "07".repeat(64),
    );
    assert_eq!(signed().to_json().unwrap(), text);
    assert_eq!(SignedGrant::from_json(text.as_bytes()).unwrap(), signed());
    assert_eq!(
        serde_json::from_str::<SignedGrant>(&text).unwrap(),
        signed()
    );
    let other = text.replace("\"format\":1", "\"format\":5");
    assert!(matches!(
        SignedGrant::from_json(other.as_bytes()),
        Err(GrantError::Format { found: 5 })
    ));
    assert!(serde_json::from_str::<SignedGrant>(&other).is_err());
    for bad in [
        &text[1..],
        "{}",
        &text.replace("objects", "rows"),
        &" ".repeat(MAX_BYTES + 1),
    ] {
        assert!(SignedGrant::from_json(bad.as_bytes()).is_err(), "{bad}");
    }
}

fn of_training() -> SignedGrant {
    let SignedGrant {
        grant,
        key,
        signature,
    } = signed();
    let terms = TrainingTerms {
        training: TrainingId::from_bytes([3; 16]),
        program: "risk".parse().unwrap(),
        specs: SpecsHash::from_bytes([8; 32]),
        key: KeyId::from_bytes([9; 16]),
        public_key: Sha256::from_bytes([10; 32]),
        rows: 11,
        least_owners: None,
    };
    let grant = Grant {
        target: GrantTarget::Training(terms),
        ..grant
    };
    SignedGrant {
        grant,
        key,
        signature,
    }
}

/// That a grant is written as these bytes, and read from them, by itself and in a document.
fn has_bytes(signed: &SignedGrant, text: &str) {
    assert_eq!(signed.to_json().unwrap(), text);
    assert_eq!(SignedGrant::from_json(text.as_bytes()).unwrap(), *signed);
    assert_eq!(serde_json::from_str::<SignedGrant>(text).unwrap(), *signed);
}

/// The same of a training.
#[test]
fn documents_of_trainings_have_exactly_these_bytes() {
    let text = format!(
        r#"{{"format":2,"grant":"{}","owner":"{}","training":"{}","program":"risk","specs":"{}","encryption_key":"{}","public_key":"{}","rows":11,"objects":4,"bytes":5,"expires":"1970-01-01T00:00:00Z","key":"ed25519:{}","signature":"{}"}}"#,
        "01".repeat(16),
        "02".repeat(16),
        "03".repeat(16),
        "08".repeat(32),
        "09".repeat(16),
        "0a".repeat(32),
        "06".repeat(32),
        "07".repeat(64),
    );
    let signed = of_training();
    has_bytes(&signed, &text);
    let frame = text.replace("\"training\"", "\"frame\"");
    assert!(SignedGrant::from_json(frame.as_bytes()).is_err());
}

fn of_total() -> SignedGrant {
    let mut signed = of_training();
    if let GrantTarget::Training(terms) = &mut signed.grant.target {
        terms.least_owners = Some(12);
    }
    signed
}

/// The same of a total. What is signed for one is no grant of a training, whatever its format is called.
#[test]
fn documents_of_totals_have_exactly_these_bytes() {
    let text = format!(
        r#"{{"format":4,"grant":"{}","owner":"{}","training":"{}","program":"risk","specs":"{}","encryption_key":"{}","public_key":"{}","least_owners":12,"rows":11,"objects":4,"bytes":5,"expires":"1970-01-01T00:00:00Z","key":"ed25519:{}","signature":"{}"}}"#,
        "01".repeat(16),
        "02".repeat(16),
        "03".repeat(16),
        "08".repeat(32),
        "09".repeat(16),
        "0a".repeat(32),
        "06".repeat(32),
        "07".repeat(64),
    );
    let signed = of_total();
    has_bytes(&signed, &text);
    let (of_total, of_training) = (signed.grant.message(), of_training().grant.message());
    assert_ne!(of_total[..24], of_training[..24], "domains");
    let renamed = text.replace("\"format\":4", "\"format\":2");
    assert!(SignedGrant::from_json(renamed.as_bytes()).is_err());
    let without = text.replace("\"least_owners\":12,", "");
    assert!(SignedGrant::from_json(without.as_bytes()).is_err());
}

fn columns() -> GrantedColumns {
    GrantedColumns {
        schema: r#"{"name":"f"}"#.to_owned(),
        parts: vec![3, 4],
    }
}

fn of_columns(columns: GrantedColumns) -> SignedGrant {
    let mut signed = signed();
    signed.grant.target = GrantTarget::Columns(FrameId::from_bytes([3; 16]), columns);
    signed
}

/// The same of columns. Each is of its own format: rows are signed as rows, and columns as columns.
#[test]
fn documents_of_columns_have_exactly_these_bytes() {
    let text = format!(
        r#"{{"format":3,"grant":"{}","owner":"{}","frame":"{}","columns":{{"schema":"{{\"name\":\"f\"}}","parts":[3,4]}},"objects":4,"bytes":5,"expires":"1970-01-01T00:00:00Z","key":"ed25519:{}","signature":"{}"}}"#,
        "01".repeat(16),
        "02".repeat(16),
        "03".repeat(16),
        "06".repeat(32),
        "07".repeat(64),
    );
    let of_columns = of_columns(columns());
    assert_eq!(of_columns.to_json().unwrap(), text);
    assert_eq!(SignedGrant::from_json(text.as_bytes()).unwrap(), of_columns);
    assert_eq!(
        serde_json::from_str::<SignedGrant>(&text).unwrap(),
        of_columns
    );
    let rows = signed().to_json().unwrap();
    for (document, other) in [(&text, "1"), (&text, "2"), (&rows, "2"), (&rows, "3")] {
        let (_, rest) = document.split_once(',').unwrap();
        let other = format!("{{\"format\":{other},{rest}");
        assert!(matches!(
            SignedGrant::from_json(other.as_bytes()),
            Err(GrantError::Json(_))
        ));
        assert!(serde_json::from_str::<SignedGrant>(&other).is_err());
    }
}

/// Nothing of a grant can be changed without changing what is signed.
#[test]
fn every_field_is_signed() {
    let of_training = of_training().grant;
    let terms = of_training.target.training().unwrap().clone();
    let changed = [
        TrainingTerms {
            training: TrainingId::from_bytes([4; 16]),
            ..terms.clone()
        },
        TrainingTerms {
            program: "risks".parse().unwrap(),
            ..terms.clone()
        },
        TrainingTerms {
            specs: SpecsHash::from_bytes([9; 32]),
            ..terms.clone()
        },
        TrainingTerms {
            key: KeyId::from_bytes([8; 16]),
            ..terms.clone()
        },
        TrainingTerms {
            public_key: Sha256::from_bytes([9; 32]),
            ..terms.clone()
        },
        TrainingTerms {
            rows: 12,
            ..terms.clone()
        },
        TrainingTerms {
            least_owners: Some(12),
            ..terms.clone()
        },
    ];
    for terms in changed {
        let other = Grant {
            target: GrantTarget::Training(terms),
            ..of_training.clone()
        };
        assert_ne!(other.message(), of_training.message(), "{other:?}");
    }
    let of_total = of_total().grant;
    let mut other = of_total.clone();
    if let GrantTarget::Training(terms) = &mut other.target {
        terms.least_owners = Some(13);
    }
    assert_ne!(other.message(), of_total.message());
    let changed = [
        of_columns(GrantedColumns {
            schema: String::new(),
            ..columns()
        }),
        of_columns(GrantedColumns {
            parts: vec![7],
            ..columns()
        }),
        signed(),
    ];
    let of_columns = of_columns(columns()).grant;
    for other in changed {
        assert_ne!(other.grant.message(), of_columns.message(), "{other:?}");
    }
    assert_ne!(of_columns.message(), of_training.message());
    let grant = signed().grant;
    assert_ne!(grant.message(), of_training.message());
    let changed = [
        Grant {
            id: GrantId([9; 16]),
            ..grant.clone()
        },
        Grant {
            owner: TenantId([9; 16]),
            ..grant.clone()
        },
        Grant {
            target: FrameId::from_bytes([9; 16]).into(),
            ..grant.clone()
        },
        Grant {
            to: Some(TenantId([0; 16])),
            ..grant.clone()
        },
        Grant {
            objects: 5,
            ..grant.clone()
        },
        Grant {
            bytes: 6,
            ..grant.clone()
        },
        Grant {
            expires: grant.expires + time::Duration::SECOND,
            ..grant.clone()
        },
    ];
    for other in changed {
        assert_ne!(other.message(), grant.message(), "{other:?}");
    }
}
