//! What a key must be before a query can name it.

use bytes::Bytes;
use cipherfn_protocol::api::{MAX_KEY, Problem, ProblemType};
use cipherfn_protocol::message::KeyId;
use cipherfn_protocol::specs::ParameterSetRef;
use cipherfn_scheme::EvaluationKey;
use cipherfn_scheme::parameters::ParameterSet;
use cipherfn_service::registry::{Declaration, KeyFile, PartName, Record};

/// Refuses sets that are unknown, have other numbers here, or have no evaluation key, and parts that
/// the set does not have or that have another size.
pub(crate) fn declaration(set: &ParameterSetRef, declaration: &Declaration) -> Result<(), Problem> {
    let wrong = |detail: String| Err(Problem::new(ProblemType::WrongParameterSet, detail));
    let malformed = |detail: String| Err(Problem::new(ProblemType::MalformedRequest, detail));
    let name = &set.name;
    let Ok(known) = ParameterSet::by_name(name) else {
        return wrong(format!(
            "parameter_set: this service knows no set of that name; it knows {}",
            names(ParameterSet::all().iter().map(|set| set.name))
        ));
    };
    if known.hash() != set.hash {
        return wrong(format!(
            "parameter_set: {name} has other numbers here; use the client version that the specs were made with"
        ));
    }
    if known.parts.is_empty() {
        return wrong(format!(
            "parameter_set: {name} has no evaluation key; queries of its models need none"
        ));
    }
    for (part, declared) in &declaration.parts {
        let Ok(known_part) = known.part(part.as_str()) else {
            return malformed(format!(
                "an evaluation key of {name} has no part {part}; it has {}",
                names(known.parts.iter().map(|part| part.name))
            ));
        };
        let (bytes, found) = (known_part.file_bytes(known) as u64, declared.file.bytes);
        if found != bytes || found > MAX_KEY {
            return malformed(format!(
                "bytes: the part {part} of an evaluation key of {name} has {bytes} bytes, {found} are declared"
            ));
        }
    }
    Ok(())
}

/// Checks an uploaded part in full: size, checksum, every dimension, set, part and id.
///
/// # Errors
/// Why it is not what was declared.
pub(crate) async fn upload(
    record: &Record,
    part: &PartName,
    file: KeyFile,
    bytes: &Bytes,
) -> Result<(), String> {
    let (key, set) = (record.key, record.parameter_set.clone());
    let (part, bytes) = (part.clone(), bytes.clone());
    tokio::task::spawn_blocking(move || conforms((key, &set, &part), file, &bytes))
        .await
        .unwrap_or_else(|_| Err("checking it failed".to_owned()))
}

fn conforms(
    (declared, set, part): (KeyId, &str, &PartName),
    file: KeyFile,
    bytes: &[u8],
) -> Result<(), String> {
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
    let (found_set, found_part) = (key.parameter_set().name, key.part().name);
    if found_set != set {
        return Err(format!(
            "it is of parameter set {found_set}, {set} was declared"
        ));
    }
    if found_part != part.as_str() {
        return Err(format!(
            "it is the part {found_part} of a key, {part} was declared"
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

fn names(names: impl Iterator<Item = &'static str>) -> String {
    names.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use cipherfn_protocol::api::KeyDeclarationV1;
    use cipherfn_protocol::hash::{Hash, Sha256};
    use cipherfn_scheme::SecretKey;
    use sha2::Digest;

    fn set() -> &'static ParameterSet {
        ParameterSet::by_name("cipherfn-128-n2048-m8-compact-v1").unwrap()
    }

    #[test]
    fn declarations_must_fit_their_set() {
        let good = KeyDeclarationV1 {
            key: KeyId::from_bytes([0; 16]),
            parameter_set: ParameterSetRef {
                name: set().name.into(),
                hash: set().hash(),
            },
            bytes: EvaluationKey::file_bytes(set()).unwrap() as u64,
            sha256: Sha256::from_bytes([0; 32]),
            parts: None,
        };
        let check = |it: KeyDeclarationV1| declaration(&it.parameter_set.clone(), &it.into());
        assert_eq!(check(good.clone()), Ok(()));
        let bad = |change: fn(&mut KeyDeclarationV1)| {
            let mut bad = good.clone();
            change(&mut bad);
            check(bad).unwrap_err().kind
        };
        assert_eq!(bad(|it| it.bytes += 1), ProblemType::MalformedRequest);
        let wrong = ProblemType::WrongParameterSet;
        assert_eq!(bad(|it| it.parameter_set.name = "other".into()), wrong);
        assert_eq!(bad(|it| it.parameter_set.hash = Hash::of(b"")), wrong);
        assert_eq!(
            bad(|it| it.parameter_set.name = "cipherfn-128-n512k4-v1".into()),
            wrong
        );

        let mut other: Declaration = good.clone().into();
        let part = other.parts.pop_first().unwrap().1;
        other.parts.insert("inverse".parse().unwrap(), part);
        let problem = declaration(&good.parameter_set, &other).unwrap_err();
        assert_eq!(problem.kind, ProblemType::MalformedRequest);
        assert!(
            problem.detail.contains("has no part inverse"),
            "{}",
            problem.detail
        );
    }

    #[test]
    fn uploads_must_be_what_was_declared() {
        let key = EvaluationKey::generate(&SecretKey::generate(set()).unwrap()).unwrap();
        let bytes = key.to_file_bytes();
        let file = |bytes: &[u8]| KeyFile {
            bytes: bytes.len() as u64,
            sha256: Sha256::from_bytes(sha2::Sha256::digest(bytes).into()),
        };
        let (part, good) = (PartName::expansion(), file(&bytes));
        let declared = (key.id(), set().name, &part);
        let reason = |declared, file, bytes: &[u8]| conforms(declared, file, bytes).unwrap_err();
        assert_eq!(conforms(declared, good, &bytes), Ok(()));
        assert!(reason(declared, good, &bytes[1..]).contains("bytes"));
        let mut changed = bytes.clone();
        changed[100] ^= 1;
        assert!(reason(declared, good, &changed).contains("SHA-256"));
        assert!(reason(declared, file(&changed), &changed).contains("checksum"));
        let other = (SecretKey::generate(set()).unwrap().id(), set().name, &part);
        assert!(reason(other, good, &bytes).contains("secret key"));
        let other = (key.id(), "cipherfn-128-n2048-m8-v1", &part);
        assert!(reason(other, good, &bytes).contains("parameter set"));
        let inverse = "inverse".parse().unwrap();
        let other = (key.id(), set().name, &inverse);
        assert!(reason(other, good, &bytes).contains("the part expansion"));
    }
}
