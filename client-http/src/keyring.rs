//! A directory of keys: of a parameter set the secret key, and those parts of its evaluation key
//! that some model has needed.
//!
//! ```text
//! keys/                        0700
//!   .gitignore                 everything: keys do not belong into a repository
//!   .lock                      held while keys are made: of several processes one makes them
//!   secret.cfk                 0600, of the first parameter set
//!   expansion.cfk              parts of the evaluation key, made from it;
//!   inverse.cfk                the server gets these
//!   secret-SET.cfk             of any further set
//!   expansion-SET.cfk
//!   models.json                whose specs of each model are taken
//!   names.key                  0600, hashes names and texts of frames; who shares it can join them
//!   names.json                 names and texts that were hashed
//!   trainings/JOB.json         of each training whose weights a service keeps, what predictions take
//!   queries/NONCE.json         of each query that was written to a file, what its rows' answers
//!                              are worth; once the reply is decrypted, a digest of the rows alone
//! ```
//!
//! Keys belong to a parameter set and not to a model: every model of the set uses the same ones. In
//! older key rings the expansion is called `evaluation.cfk`: it is found under that name, and
//! renamed when keys are made.

mod directory;
mod documents;
mod names;
mod pins;
mod queries;
mod trainings;

use crate::error::KeyRingError;
use cipherfn_client::Client;
use cipherfn_protocol::message::KeyId;
use cipherfn_protocol::specs::EXPANSION;
use cipherfn_scheme::parameters::{KeyPart, ParameterSet};
use cipherfn_scheme::{EvaluationKey, SecretKey};
pub use directory::{Directory, Refused};
pub use queries::KnownQuery;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
pub use trainings::KeptTraining;

/// What older key rings call the expansion.
const OLD_EXPANSION: &str = "evaluation";

/// The key ring in one directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRing {
    directory: PathBuf,
}

/// What to do with keys that are already there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// Use them.
    Keep,
    /// Make new ones in their place; replies under the old ones can no longer be decrypted.
    Replace,
}

/// What became of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Written now, with its size in bytes.
    Written(PathBuf, u64),
    /// Already there and left alone.
    Kept(PathBuf),
}

/// What [`KeyRing::fill`] did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filled {
    /// The secret key.
    pub secret: State,
    /// Parts of the evaluation key by name: those that are needed, and what else is there.
    pub parts: BTreeMap<&'static str, State>,
}

/// How far the parts are that are being made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Made {
    /// Bytes of their files that are done.
    pub bytes: u64,
    /// Bytes of all files that were missing.
    pub of: u64,
}

/// A part of an evaluation key as it lies on disk.
#[derive(Clone, PartialEq)]
pub struct KeyPartFile {
    /// Which part.
    pub part: &'static KeyPart,
    /// Id of the secret key that it was made from.
    pub key: KeyId,
    /// Where it lies.
    pub path: PathBuf,
    /// Its bytes, which hold a checked part.
    pub bytes: Vec<u8>,
}

impl fmt::Debug for KeyPartFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyPartFile")
            .field("part", &self.part.name)
            .field("key", &self.key)
            .field("path", &self.path)
            .field("bytes", &self.bytes.len())
            .finish()
    }
}

impl KeyRing {
    /// The key ring in `directory`, which need not exist yet.
    pub fn at(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
        }
    }

    /// Makes the keys that `client`'s model needs and that are not there yet: a secret key, and
    /// parts of its evaluation key. A later model adds what it needs from the same secret key.
    pub fn fill(&self, client: &Client, existing: Existing) -> Result<Filled, KeyRingError> {
        self.fill_telling(client, existing, |_| ())
    }

    /// [`Self::fill`] that tells how far the parts are: those of bootstraps take a moment.
    pub fn fill_telling(
        &self,
        client: &Client,
        existing: Existing,
        progress: impl FnMut(Made),
    ) -> Result<Filled, KeyRingError> {
        let (set, parts) = (client.parameter_set(), client.key_parts());
        self.make((set, parts), existing, progress)
    }

    /// The same for these parts of a set's evaluation key.
    pub fn fill_parts(
        &self,
        set: &'static ParameterSet,
        parts: &[&'static KeyPart],
        existing: Existing,
    ) -> Result<Filled, KeyRingError> {
        self.make((set, parts), existing, |_| ())
    }

    fn make(
        &self,
        (set, parts): (&'static ParameterSet, &[&'static KeyPart]),
        existing: Existing,
        mut progress: impl FnMut(Made),
    ) -> Result<Filled, KeyRingError> {
        let directory = Directory::create(&self.directory)?;
        let _lock = directory.lock()?;
        if directory
            .read(".gitignore", Refused::OthersWrite)?
            .is_none()
        {
            directory.write(".gitignore", b"*\n")?;
        }
        let Slot { files, key } = slot(&directory, set)?;
        let replaced = existing == Existing::Replace;
        let kept = key.filter(|_| !replaced);
        let mut states = BTreeMap::new();
        let secret = directory.path(&files.secret());
        for part in set.parts {
            if replaced {
                // Those of the replaced secret key must not outlive it.
                for name in files.part(part) {
                    directory.remove(&name)?;
                }
                continue;
            }
            let Some(file) = read_part(&directory, &files, part)? else {
                continue;
            };
            match &kept {
                None => return Err(KeyRingError::Orphan { path: file.path }),
                Some(key) => file.check(key)?,
            }
            let [name, old] = files.part(part);
            if file.path == directory.path(&old) && name != old {
                directory.rename(&old, &name)?;
            }
            states.insert(part.name, State::Kept(directory.path(&name)));
        }
        let (key, secret) = if let Some(key) = kept {
            (key, State::Kept(secret))
        } else {
            let key = SecretKey::generate(set)?;
            let bytes = key.to_file_bytes();
            directory.write(&files.secret(), &bytes)?;
            (key, State::Written(secret, bytes.len() as u64))
        };
        let missing = |part: &&&'static KeyPart| !states.contains_key(part.name);
        let missing: Vec<&KeyPart> = parts.iter().filter(missing).copied().collect();
        let of = missing.iter().map(|part| part.file_bytes(set) as u64).sum();
        let mut done = 0;
        for part in missing {
            let len = part.file_bytes(set) as u64;
            let mut told = |row: usize, rows: usize| {
                let bytes = done + len * row as u64 / rows.max(1) as u64;
                progress(Made { bytes, of });
            };
            let made = EvaluationKey::generate_part_telling(&key, part.name, &mut told)?;
            let bytes = made.to_file_bytes();
            let [name, _] = files.part(part);
            directory.write(&name, &bytes)?;
            done += len;
            progress(Made { bytes: done, of });
            let state = State::Written(directory.path(&name), bytes.len() as u64);
            states.insert(part.name, state);
        }
        Ok(Filled {
            secret,
            parts: states,
        })
    }

    /// The secret key of a parameter set.
    pub fn secret_key(&self, set: &'static ParameterSet) -> Result<SecretKey, KeyRingError> {
        let no_key = || self.no_key("secret key".to_owned(), set);
        let directory = Directory::open(&self.directory)?.ok_or_else(no_key)?;
        slot(&directory, set)?.key.ok_or_else(no_key)
    }

    /// A part of a parameter set's evaluation key.
    pub fn key_part(
        &self,
        set: &'static ParameterSet,
        part: &'static KeyPart,
    ) -> Result<EvaluationKey, KeyRingError> {
        let file = self.key_part_file(set, part)?;
        EvaluationKey::from_file_bytes(&file.bytes).map_err(|source| KeyRingError::KeyFile {
            path: file.path,
            source,
        })
    }

    /// The file of a part, for registration with a service.
    pub fn key_part_file(
        &self,
        set: &'static ParameterSet,
        part: &'static KeyPart,
    ) -> Result<KeyPartFile, KeyRingError> {
        let no_key = || self.no_key(format!("part {} of an evaluation key", part.name), set);
        let directory = Directory::open(&self.directory)?.ok_or_else(no_key)?;
        let Slot { files, key } = slot(&directory, set)?;
        let file = read_part(&directory, &files, part)?.ok_or_else(no_key)?;
        if let Some(key) = key {
            file.check(&key)?;
        }
        Ok(file)
    }

    fn no_key(&self, what: String, set: &ParameterSet) -> KeyRingError {
        KeyRingError::NoKey {
            directory: self.directory.clone(),
            what,
            set: set.name,
        }
    }
}

impl KeyPartFile {
    /// Refuses a part of another secret key.
    fn check(&self, secret: &SecretKey) -> Result<(), KeyRingError> {
        let (found, expected) = (self.key, secret.id());
        if found == expected {
            return Ok(());
        }
        Err(KeyRingError::Mismatch {
            path: self.path.clone(),
            found,
            expected,
        })
    }
}

/// Names of the files of one set.
struct Files {
    /// What stands before `.cfk`: nothing, or the set's name.
    suffix: String,
}

impl Files {
    fn secret(&self) -> String {
        format!("secret{}.cfk", self.suffix)
    }

    /// The name of a part's file, and what it is called in older key rings.
    fn part(&self, part: &KeyPart) -> [String; 2] {
        let old = match part.name {
            EXPANSION => OLD_EXPANSION,
            name => name,
        };
        [part.name, old].map(|name| format!("{name}{}.cfk", self.suffix))
    }
}

/// Where the keys of one set lie, and its secret key if there is one.
struct Slot {
    files: Files,
    key: Option<SecretKey>,
}

/// The files of a set: `secret.cfk` if that is of this set or of none, otherwise files named after
/// the set.
fn slot(directory: &Directory, set: &'static ParameterSet) -> Result<Slot, KeyRingError> {
    let named = || Files {
        suffix: format!("-{}", set.name),
    };
    let plain = || Files {
        suffix: String::new(),
    };
    let mut plain_is_free = true;
    for files in [named(), plain()] {
        let Some(key) = read_secret(directory, &files.secret())? else {
            continue;
        };
        if key.parameter_set().name == set.name {
            return Ok(Slot {
                files,
                key: Some(key),
            });
        }
        plain_is_free &= !files.suffix.is_empty();
    }
    let files = if plain_is_free { plain() } else { named() };
    Ok(Slot { files, key: None })
}

fn read_secret(directory: &Directory, name: &str) -> Result<Option<SecretKey>, KeyRingError> {
    let Some(bytes) = directory.read(name, Refused::OthersAnything)? else {
        return Ok(None);
    };
    let key = SecretKey::from_file_bytes(&bytes).map_err(|source| KeyRingError::KeyFile {
        path: directory.path(name),
        source,
    })?;
    Ok(Some(key))
}

fn read_part(
    directory: &Directory,
    files: &Files,
    part: &'static KeyPart,
) -> Result<Option<KeyPartFile>, KeyRingError> {
    for name in files.part(part) {
        let Some(mut bytes) = directory.read(&name, Refused::OthersWrite)? else {
            continue;
        };
        let path = directory.path(&name);
        let found =
            EvaluationKey::from_file_bytes(&bytes).map_err(|source| KeyRingError::KeyFile {
                path: path.clone(),
                source,
            })?;
        if found.part() != part {
            return Err(KeyRingError::OtherPart {
                path,
                found: found.part().name,
                expected: part.name,
            });
        }
        return Ok(Some(KeyPartFile {
            part,
            key: found.id(),
            path,
            bytes: std::mem::take(&mut bytes),
        }));
    }
    Ok(None)
}
