//! What a key must be before a query can name it.

use bytes::Bytes;
use cipherfn_protocol::api::{KeyDeclaration, MAX_KEY, Problem, ProblemType};
use cipherfn_protocol::message::KeyId;
use cipherfn_scheme::EvaluationKey;
use cipherfn_scheme::parameters::ParameterSet;
use cipherfn_service::registry::{KeyFile, Record};

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
pub(crate) async fn upload(record: &Record, file: KeyFile, bytes: &Bytes) -> Result<(), String> {
    let (key, set, bytes) = (record.key, record.parameter_set.clone(), bytes.clone());
    tokio::task::spawn_blocking(move || conforms(key, &set, file, &bytes))
        .await
        .unwrap_or_else(|_| Err("checking it failed".to_owned()))
}

fn conforms(declared: KeyId, set: &str, file: KeyFile, bytes: &[u8]) -> Result<(), String> {
    if bytes.len() as u64 != file.bytes {
        return Err(format!(
            "it has {} bytes, {} were declared",
            bytes.len(),
            file.bytes
        ));
    }
    if !file.is(bytes) {
        return Err("its SHA-256 is not the declared one".to_owned());
    }
    let key = EvaluationKey::from_file_bytes(bytes).map_err(|error| error.to_string())?;
    if key.parameter_set().name != set {
        return Err(format!(
            "it is of parameter set {}, {set} was declared",
            key.parameter_set().name
        ));
    }
    if key.id() != declared {
        return Err(format!(
            "it was made from secret key {}, {declared} was declared",
            key.id()
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
    use cipherfn_protocol::specs::ParameterSetRef;
    use cipherfn_scheme::SecretKey;

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
        let file = |bytes: &[u8]| KeyFile {
            bytes: bytes.len() as u64,
            sha256: sha256(bytes),
        };
        let (id, good) = (key.id(), file(&bytes));
        let reason =
            |id, set: &str, file, bytes: &[u8]| conforms(id, set, file, bytes).unwrap_err();
        assert_eq!(conforms(id, set.name, good, &bytes), Ok(()));
        assert!(reason(id, set.name, good, &bytes[1..]).contains("bytes"));
        let mut changed = bytes.clone();
        changed[100] ^= 1;
        assert!(reason(id, set.name, good, &changed).contains("SHA-256"));
        assert!(reason(id, set.name, file(&changed), &changed).contains("checksum"));
        let other = SecretKey::generate(set).id();
        assert!(reason(other, set.name, good, &bytes).contains("secret key"));
        assert!(reason(id, "cipherfn-128-n2048-m8-v1", good, &bytes).contains("parameter set"));
    }

    fn sha256(bytes: &[u8]) -> cipherfn_protocol::hash::Sha256 {
        use sha2::Digest;
        cipherfn_protocol::hash::Sha256::from_bytes(sha2::Sha256::digest(bytes).into())
    }
}
