//! What a key must be before a query can name it.

use bytes::Bytes;
use cipherfn_protocol::api::{KeyDeclaration, KeyStatus, MAX_KEY, Problem, ProblemType};
use cipherfn_scheme::EvaluationKey;
use cipherfn_scheme::parameters::ParameterSet;
use sha2::{Digest, Sha256};

/// Refuses sets that are unknown, have other numbers here, or have no evaluation key, and files
/// that cannot be of the declared set.
pub(crate) fn declaration(declaration: &KeyDeclaration) -> Result<(), Problem> {
    let wrong = |detail: String| Err(Problem::new(ProblemType::WrongParameterSet, detail));
    let name = &declaration.parameter_set.name;
    let Ok(set) = ParameterSet::by_name(name) else {
        return wrong(format!(
            "parameter_set: this service knows no set of that name; it knows {}",
            known()
        ));
    };
    if set.hash() != declaration.parameter_set.hash {
        return wrong(format!(
            "parameter_set: {name} has other numbers here; use the client version that the specs were made with"
        ));
    }
    let Some(bytes) = EvaluationKey::file_bytes(set) else {
        return wrong(format!(
            "parameter_set: {name} has no evaluation key; queries of its models need none"
        ));
    };
    if declaration.bytes != bytes as u64 || declaration.bytes > MAX_KEY {
        return Err(Problem::new(
            ProblemType::MalformedRequest,
            format!(
                "bytes: an evaluation key of {name} has {bytes} bytes, {} are declared",
                declaration.bytes
            ),
        ));
    }
    Ok(())
}

/// Checks an upload in full: size, checksum, every dimension, set and id.
///
/// # Errors
/// Why it is no key of the declaration.
pub(crate) async fn upload(status: &KeyStatus, bytes: &Bytes) -> Result<(), String> {
    let (status, bytes) = (status.clone(), bytes.clone());
    tokio::task::spawn_blocking(move || conforms(&status, &bytes))
        .await
        .unwrap_or_else(|_| Err("checking it failed".to_owned()))
}

fn conforms(status: &KeyStatus, bytes: &[u8]) -> Result<(), String> {
    if bytes.len() as u64 != status.bytes {
        return Err(format!(
            "it has {} bytes, {} were declared",
            bytes.len(),
            status.bytes
        ));
    }
    if Sha256::digest(bytes).as_slice() != status.sha256.as_bytes() {
        return Err("its SHA-256 is not the declared one".to_owned());
    }
    let key = EvaluationKey::from_file_bytes(bytes).map_err(|error| error.to_string())?;
    if key.parameter_set().name != status.parameter_set {
        return Err(format!(
            "it is of parameter set {}, {} was declared",
            key.parameter_set().name,
            status.parameter_set
        ));
    }
    if key.id() != status.key {
        return Err(format!(
            "it was made from secret key {}, {} was declared",
            key.id(),
            status.key
        ));
    }
    Ok(())
}

fn known() -> String {
    let names: Vec<&str> = ParameterSet::all().iter().map(|set| set.name).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use cipherfn_protocol::api::KeyState;
    use cipherfn_protocol::specs::ParameterSetRef;
    use cipherfn_scheme::SecretKey;
    use time::OffsetDateTime;

    fn key() -> (&'static ParameterSet, EvaluationKey) {
        let set = ParameterSet::by_name("cipherfn-128-n2048-m8-compact-v1").unwrap();
        (
            set,
            EvaluationKey::generate(&SecretKey::generate(set)).unwrap(),
        )
    }

    #[test]
    fn declarations_must_fit_their_set() {
        let (set, key) = key();
        let bytes = key.to_file_bytes().len() as u64;
        let good = KeyDeclaration {
            key: key.id(),
            parameter_set: ParameterSetRef {
                name: set.name.into(),
                hash: set.hash(),
            },
            bytes,
            sha256: cipherfn_protocol::hash::Sha256::from_bytes([0; 32]),
            parts: None,
        };
        assert_eq!(declaration(&good), Ok(()));
        let bad = |change: fn(&mut KeyDeclaration)| {
            let mut bad = good.clone();
            change(&mut bad);
            declaration(&bad).unwrap_err().kind
        };
        assert_eq!(bad(|it| it.bytes += 1), ProblemType::MalformedRequest);
        assert_eq!(
            bad(|it| it.parameter_set.name = "other".into()),
            ProblemType::WrongParameterSet
        );
        assert_eq!(
            bad(|it| it.parameter_set.hash = cipherfn_protocol::hash::Hash::of(b"")),
            ProblemType::WrongParameterSet
        );
        assert_eq!(
            bad(|it| it.parameter_set.name = "cipherfn-128-n512k4-v1".into()),
            ProblemType::WrongParameterSet
        );
    }

    #[test]
    fn uploads_must_be_what_was_declared() {
        let (set, key) = key();
        let bytes = key.to_file_bytes();
        let status = |key, bytes: &[u8]| KeyStatus {
            key,
            parameter_set: set.name.into(),
            bytes: bytes.len() as u64,
            sha256: cipherfn_protocol::hash::Sha256::from_bytes(Sha256::digest(bytes).into()),
            state: KeyState::Pending,
            reason: None,
            created: OffsetDateTime::UNIX_EPOCH,
            expires: OffsetDateTime::UNIX_EPOCH,
        };
        let good = status(key.id(), &bytes);
        assert_eq!(conforms(&good, &bytes), Ok(()));
        assert!(conforms(&good, &bytes[1..]).unwrap_err().contains("bytes"));
        let mut changed = bytes.clone();
        changed[100] ^= 1;
        assert!(conforms(&good, &changed).unwrap_err().contains("SHA-256"));
        assert!(
            conforms(&status(key.id(), &changed), &changed)
                .unwrap_err()
                .contains("checksum")
        );
        let other = SecretKey::generate(set).id();
        assert!(
            conforms(&status(other, &bytes), &bytes)
                .unwrap_err()
                .contains("secret key")
        );
        let mut elsewhere = good.clone();
        elsewhere.parameter_set = "cipherfn-128-n2048-m8-v1".into();
        assert!(
            conforms(&elsewhere, &bytes)
                .unwrap_err()
                .contains("parameter set")
        );
    }
}
