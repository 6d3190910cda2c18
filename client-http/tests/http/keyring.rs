//! The key ring's files.

use crate::echo;
use cipherfn_client::Client;
use cipherfn_client_http::{Existing, KeyRing, KeyRingError, State};
use cipherfn_scheme::parameters::ParameterSet;
use cipherfn_scheme::{EvaluationKey, SecretKey};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn client() -> Client {
    Client::from_specs(&echo::specs("echo")).unwrap()
}

#[test]
fn secrets_are_for_their_owner_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a/keys");
    let filled = KeyRing::at(&path).fill(&client(), Existing::Keep).unwrap();
    assert_eq!(mode(&path), 0o700);
    assert_eq!(mode(&path.join("secret.cfk")), 0o600);
    assert!(
        matches!(filled.secret, State::Written(ref file, _) if *file == path.join("secret.cfk"))
    );
    assert_eq!(filled.evaluation, State::NotNeeded);
    assert_eq!(
        fs::read_dir(&path).unwrap().count(),
        1,
        "no temporary file is left"
    );
}

#[test]
fn keys_are_kept_unless_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let ring = KeyRing::at(directory.path());
    ring.fill(&client(), Existing::Keep).unwrap();
    let secret = directory.path().join("secret.cfk");
    let before = fs::read(&secret).unwrap();
    assert_eq!(
        ring.fill(&client(), Existing::Keep).unwrap().secret,
        State::Kept(secret.clone())
    );
    assert_eq!(fs::read(&secret).unwrap(), before);
    assert!(matches!(
        ring.fill(&client(), Existing::Replace).unwrap().secret,
        State::Written(..)
    ));
    assert_ne!(fs::read(&secret).unwrap(), before);
}

#[test]
fn a_second_set_gets_files_of_its_own() {
    let directory = tempfile::tempdir().unwrap();
    let [first, second, ..] = ParameterSet::all() else {
        panic!("at least two sets")
    };
    fs::write(
        directory.path().join("secret.cfk"),
        SecretKey::generate(second).to_file_bytes(),
    )
    .unwrap();
    let ring = KeyRing::at(directory.path());
    assert!(matches!(
        ring.secret_key(first),
        Err(KeyRingError::NoKey { .. })
    ));
    ring.fill(&client(), Existing::Keep).unwrap();
    assert!(
        directory
            .path()
            .join(format!("secret-{}.cfk", first.name))
            .exists()
    );
    assert_eq!(
        ring.secret_key(first).unwrap().parameter_set().name,
        first.name
    );
    assert_eq!(
        ring.secret_key(second).unwrap().parameter_set().name,
        second.name
    );
}

#[test]
fn an_evaluation_key_without_its_secret_key_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let ring = KeyRing::at(directory.path());
    let path = directory.path().join("evaluation.cfk");
    fs::write(
        &path,
        EvaluationKey::generate(&SecretKey::generate(echo::set()))
            .unwrap()
            .to_file_bytes(),
    )
    .unwrap();
    assert!(matches!(
        ring.fill(&client(), Existing::Keep),
        Err(KeyRingError::Orphan { .. })
    ));
    fs::write(
        directory.path().join("secret.cfk"),
        SecretKey::generate(echo::set()).to_file_bytes(),
    )
    .unwrap();
    assert!(matches!(
        ring.fill(&client(), Existing::Keep),
        Err(KeyRingError::Mismatch { .. })
    ));
    ring.fill(&client(), Existing::Replace).unwrap();
    assert!(!path.exists(), "the key of the replaced secret key is gone");
}

#[test]
fn a_corrupt_key_names_its_file() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("secret.cfk"), b"not a key").unwrap();
    let error = KeyRing::at(directory.path())
        .secret_key(echo::set())
        .unwrap_err()
        .to_string();
    assert!(error.contains("secret.cfk: "), "{error}");
}

#[test]
fn a_key_ring_serves_further_models() {
    let directory = tempfile::tempdir().unwrap();
    let ring = KeyRing::at(directory.path().join("keys"));
    assert!(matches!(
        ring.secret_key(echo::set()),
        Err(KeyRingError::NoKey { .. })
    ));
    ring.fill(&client(), Existing::Keep).unwrap();
    let first = ring.secret_key(echo::set()).unwrap().id();
    let second = Client::from_specs(&echo::specs("second")).unwrap();
    ring.fill(&second, Existing::Keep).unwrap();
    assert_eq!(ring.secret_key(echo::set()).unwrap().id(), first);
}
