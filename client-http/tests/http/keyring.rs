//! The key ring's files.

use crate::echo;
use cipherfn_client::{Client, Encrypted, Mark, Remedy};
use cipherfn_client_http::{Existing, KeyRing, KeyRingError, KnownQuery, State};
use cipherfn_protocol::hash::Hash;
use cipherfn_protocol::message::Nonce;
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
fn a_file_is_no_key_ring() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let error = KeyRing::at(file.path()).fill(&client(), Existing::Keep);
    let error = error.unwrap_err().to_string().to_lowercase();
    assert!(error.contains("not a directory"), "{error}");
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
    assert!(filled.parts.is_empty());
    assert_eq!(files(&path), [".gitignore", ".lock", "secret.cfk"]);
    assert_eq!(fs::read(path.join(".gitignore")).unwrap(), b"*\n");
}

/// Names of what is in a directory.
fn files(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn several_at_once_make_one_key() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keys");
    let ids: Vec<_> = std::thread::scope(|scope| {
        let fill = || {
            let ring = KeyRing::at(&path);
            ring.fill(&client(), Existing::Keep).unwrap();
            ring.secret_key(echo::set()).unwrap().id()
        };
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(fill)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    assert!(ids.iter().all(|id| *id == ids[0]));
}

#[test]
fn what_was_left_half_written_is_removed() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join(".unfinished-x1"), b"half a key").unwrap();
    let ring = KeyRing::at(directory.path());
    ring.fill(&client(), Existing::Keep).unwrap();
    assert_eq!(
        files(directory.path()),
        [".gitignore", ".lock", "secret.cfk"]
    );
}

#[test]
fn what_others_may_read_or_write_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keys");
    let ring = KeyRing::at(&path);
    ring.fill(&client(), Existing::Keep).unwrap();
    let secret = path.join("secret.cfk");
    let set_mode = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    set_mode(&secret, 0o640);
    let error = ring.secret_key(echo::set()).unwrap_err();
    assert!(matches!(error, KeyRingError::Lax { mode: 0o640, .. }));
    assert!(matches!(error.remedy(), Some(Remedy::Restrict { .. })));
    set_mode(&secret, 0o600);
    // In a directory that others may write, nothing is what it was.
    set_mode(&path, 0o770);
    let lax = |result| matches!(result, Err(KeyRingError::Lax { mode: 0o770, .. }));
    assert!(lax(ring.fill(&client(), Existing::Keep).map(drop)));
    assert!(lax(ring.secret_key(echo::set()).map(drop)));
    let part = &echo::set().parts[0];
    assert!(lax(ring.key_part_file(echo::set(), part).map(drop)));
}

#[test]
fn links_pipes_and_directories_are_no_keys() {
    let directory = tempfile::tempdir().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    write_secret(elsewhere.path(), echo::set());
    let secret = directory.path().join("secret.cfk");
    let ring = KeyRing::at(directory.path());
    let refused = || {
        let read = ring.secret_key(echo::set()).map(drop);
        let fill = ring.fill(&client(), Existing::Keep).map(drop);
        assert_eq!(
            read.unwrap_err().to_string(),
            fill.as_ref().unwrap_err().to_string()
        );
        fill.unwrap_err().to_string()
    };
    std::os::unix::fs::symlink(elsewhere.path().join("secret.cfk"), &secret).unwrap();
    assert!(refused().contains("symbolic link"));
    fs::remove_file(&secret).unwrap();
    fs::create_dir(&secret).unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o700)).unwrap();
    assert!(refused().contains("not a file"));
    fs::remove_dir(&secret).unwrap();
    // Nobody writes into it: opening it must not wait.
    let made = std::process::Command::new("mkfifo")
        .args(["-m", "600"])
        .arg(&secret)
        .status();
    assert!(made.unwrap().success());
    assert!(refused().contains("not a file"));
}

#[test]
fn parts_are_made_when_a_model_needs_them() {
    let directory = tempfile::tempdir().unwrap();
    let ring = KeyRing::at(directory.path());
    let mut sets = ParameterSet::all().iter();
    let set = sets.find(|set| set.parts.len() > 1).unwrap();
    let [first, second, ..] = set.parts else {
        panic!("two parts")
    };
    let filled = ring.fill_parts(set, &[first], Existing::Keep).unwrap();
    assert_eq!(filled.parts.keys().collect::<Vec<_>>(), [&first.name]);
    let before = ring.key_part_file(set, first).unwrap();
    assert!(matches!(
        ring.key_part_file(set, second),
        Err(KeyRingError::NoKey { .. })
    ));
    let filled = ring.fill_parts(set, &[first, second], Existing::Keep);
    let filled = filled.unwrap();
    assert_eq!(filled.parts[first.name], State::Kept(before.path.clone()));
    assert!(matches!(filled.parts[second.name], State::Written(..)));
    assert_eq!(ring.key_part_file(set, first).unwrap(), before);
    let added = ring.key_part(set, second).unwrap();
    assert_eq!((added.part(), added.id()), (second, before.key));

    // A file of another part under its name.
    fs::copy(&before.path, directory.path().join("inverse.cfk")).unwrap();
    assert!(matches!(
        ring.key_part(set, second),
        Err(KeyRingError::OtherPart { .. })
    ));
    // New keys take the place of all of them.
    ring.fill_parts(set, &[first], Existing::Replace).unwrap();
    assert_eq!(
        files(directory.path()),
        [".gitignore", ".lock", "expansion.cfk", "secret.cfk"]
    );
    let after = ring.secret_key(set).unwrap().id();
    assert_ne!(after, before.key);
}

/// Version 1 called the expansion `evaluation.cfk`.
#[test]
fn old_key_rings_are_read_and_brought_up_to_date() {
    let directory = tempfile::tempdir().unwrap();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/v1");
    for (name, mode) in [("secret.cfk", 0o600), ("evaluation.cfk", 0o644)] {
        let path = directory.path().join(name);
        fs::copy(golden.join(name), &path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }
    let ring = KeyRing::at(directory.path());
    let set = ParameterSet::by_name("cipherfn-128-n2048-m8-compact-v1").unwrap();
    let part = &set.parts[0];
    let before = ring.key_part_file(set, part).unwrap();
    assert_eq!(before.key, ring.secret_key(set).unwrap().id());
    assert_eq!(before.path, directory.path().join("evaluation.cfk"));

    let filled = ring.fill_parts(set, &[part], Existing::Keep).unwrap();
    let path = directory.path().join("expansion.cfk");
    assert_eq!(filled.parts[part.name], State::Kept(path));
    assert_eq!(
        files(directory.path()),
        [".gitignore", ".lock", "expansion.cfk", "secret.cfk"]
    );
    assert_eq!(ring.key_part_file(set, part).unwrap().bytes, before.bytes);
}

/// A secret key's file, as an earlier release left it.
fn write_secret(directory: &Path, set: &'static ParameterSet) {
    let path = directory.join("secret.cfk");
    fs::write(&path, SecretKey::generate(set).unwrap().to_file_bytes()).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
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
    write_secret(directory.path(), second);
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
        EvaluationKey::generate(&SecretKey::generate(echo::set()).unwrap())
            .unwrap()
            .to_file_bytes(),
    )
    .unwrap();
    assert!(matches!(
        ring.fill(&client(), Existing::Keep),
        Err(KeyRingError::Orphan { .. })
    ));
    write_secret(directory.path(), echo::set());
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
    let secret = directory.path().join("secret.cfk");
    fs::write(&secret, b"not a key").unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
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

#[test]
fn what_rows_are_worth_is_remembered_by_query() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keys");
    let ring = KeyRing::at(&path);
    let [nonce, other] = [1, 2].map(|byte| Nonce::from_bytes([byte; 16]));
    let encrypted = Encrypted {
        nonce: Some(nonce),
        rows: 9,
        digest: Some(Hash::of(b"rows")),
        marks: vec![
            (3, Mark::Unusable("\"x\" is missing".into())),
            (8, Mark::Limited("\"x\" is 7".into())),
        ],
    };
    // What a process that was killed left goes with the next one.
    fs::create_dir_all(path.join("queries")).unwrap();
    for directory in [&path, &path.join("queries")] {
        let mode = std::fs::Permissions::from_mode(0o700);
        fs::set_permissions(directory, mode).unwrap();
        fs::write(directory.join(".unfinished-x"), "a cell").unwrap();
    }
    ring.remember(nonce, &encrypted).unwrap();
    let left = ["", "queries"].map(|folder| path.join(folder).join(".unfinished-x").exists());
    assert_eq!(left, [false; 2]);
    let known = KnownQuery {
        rows: 9,
        digest: encrypted.digest,
        marks: Some(encrypted.marks.clone()),
    };
    assert_eq!(ring.recall(nonce).unwrap().as_ref(), Some(&known));
    assert_eq!(ring.recall(other).unwrap(), None);
    let file = path.join(format!("queries/{nonce}.json"));
    for _ in 0..2 {
        ring.forget(nonce).unwrap();
        let known = KnownQuery {
            marks: None,
            ..known.clone()
        };
        assert_eq!(ring.recall(nonce).unwrap(), Some(known));
        assert!(!fs::read_to_string(&file).unwrap().contains("missing"));
    }
    ring.forget(other).unwrap();
    // Of an earlier release.
    fs::write(&file, r#"{"rows":9,"marks":[]}"#).unwrap();
    ring.forget(nonce).unwrap();
    assert_eq!(ring.recall(nonce).unwrap(), None);
    ring.remember(nonce, &encrypted).unwrap();
    assert_eq!((mode(&path), mode(&file)), (0o700, 0o600));
    fs::write(&file, "{").unwrap();
    let error = ring.recall(nonce).unwrap_err().to_string();
    assert!(error.contains(&file.display().to_string()), "{error}");
}
