use super::*;

fn signed() -> SignedGrant {
    SignedGrant {
        grant: Grant {
            id: GrantId([1; 16]),
            owner: TenantId([2; 16]),
            frame: FrameId::from_bytes([3; 16]),
            to: None,
            objects: 4,
            bytes: 5,
            expires: OffsetDateTime::UNIX_EPOCH,
            columns: None,
        },
        key: PublicKey::from_bytes([6; 32]),
        signature: Signature::from_bytes([7; 64]),
    }
}

fn columns() -> GrantedColumns {
    GrantedColumns {
        schema: r#"{"name":"f"}"#.to_owned(),
        parts: vec![3, 4],
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
    let mut of_columns = signed();
    of_columns.grant.columns = Some(columns());
    let columns = text.replace("\"format\":1", "\"format\":2").replace(
        "\"key\"",
        r#""columns":{"schema":"{\"name\":\"f\"}","parts":[3,4]},"key""#,
    );
    assert_eq!(of_columns.to_json().unwrap(), columns);
    assert_eq!(
        SignedGrant::from_json(columns.as_bytes()).unwrap(),
        of_columns
    );
    for (other, kind) in [(&text, "format 2"), (&columns, "format 1")] {
        let number = &kind[kind.len() - 1..];
        let from = if number == "2" { '1' } else { '2' };
        let other = other.replace(
            &format!("\"format\":{from}"),
            &format!("\"format\":{number}"),
        );
        assert!(matches!(
            SignedGrant::from_json(other.as_bytes()),
            Err(GrantError::Kind { .. })
        ));
        assert!(serde_json::from_str::<SignedGrant>(&other).is_err());
    }
    let other = text.replace("\"format\":1", "\"format\":3");
    assert!(matches!(
        SignedGrant::from_json(other.as_bytes()),
        Err(GrantError::Format { found: 3 })
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

/// Nothing of a grant can be changed without changing what is signed.
#[test]
fn every_field_is_signed() {
    let grant = signed().grant;
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
            frame: FrameId::from_bytes([9; 16]),
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
        Grant {
            columns: Some(columns()),
            ..grant.clone()
        },
    ];
    let of = |columns| Grant {
        columns: Some(columns),
        ..grant.clone()
    };
    for other in [
        GrantedColumns {
            schema: String::new(),
            ..columns()
        },
        GrantedColumns {
            parts: vec![7],
            ..columns()
        },
    ] {
        assert_ne!(of(other).message(), of(columns()).message());
    }
    for other in changed {
        assert_ne!(other.message(), grant.message(), "{other:?}");
    }
}
