//! A directory of keys: one secret key and at most one evaluation key a parameter set.
//!
//! ```text
//! keys/                        0700
//!   .gitignore                 everything: keys do not belong into a repository
//!   .lock                      held while keys are made: of several processes one makes them
//!   secret.cfk                 0600, of the first parameter set
//!   evaluation.cfk             made from it; the server gets this one
//!   secret-SET.cfk             of any further set
//!   evaluation-SET.cfk
//!   models.json                whose specs of each model are taken
//! ```
//!
//! Keys belong to a parameter set and not to a model: every model of the set uses the same ones.

mod pins;

use crate::error::KeyRingError;
use cipherfn_client::Client;
use cipherfn_protocol::message::KeyId;
use cipherfn_scheme::parameters::ParameterSet;
use cipherfn_scheme::{EvaluationKey, SecretKey};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::{fmt, fs};
use zeroize::Zeroizing;

/// Largest key file that is read.
const MAX_KEY_FILE: u64 = 64 << 20;

/// How the names of files begin that are not yet whole.
const UNFINISHED: &str = ".unfinished-";

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
    /// The model needs none.
    NotNeeded,
}

/// What [`KeyRing::fill`] did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filled {
    /// The secret key.
    pub secret: State,
    /// The evaluation key.
    pub evaluation: State,
}

/// An evaluation key as it lies on disk.
#[derive(Clone, PartialEq, Eq)]
pub struct EvaluationKeyFile {
    /// Id of the secret key that it was made from.
    pub key: KeyId,
    /// Where it lies.
    pub path: PathBuf,
    /// Its bytes, which hold a checked evaluation key.
    pub bytes: Vec<u8>,
}

impl fmt::Debug for EvaluationKeyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EvaluationKeyFile")
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

    /// Makes the keys that `client`'s model needs and that are not there yet. A model without need
    /// for an evaluation key gets only the secret key; a later one adds the evaluation key from
    /// the same secret key.
    pub fn fill(&self, client: &Client, existing: Existing) -> Result<Filled, KeyRingError> {
        let set = client.parameter_set();
        let _lock = self.lock()?;
        let slot = self.slot(set)?;
        let replace = existing == Existing::Replace;
        let (key, secret) = match slot.key {
            Some(key) if !replace => (key, State::Kept(slot.secret)),
            _ => {
                if slot.evaluation.exists() && !replace {
                    return Err(KeyRingError::Orphan {
                        path: slot.evaluation,
                    });
                }
                let key = SecretKey::generate(set);
                let bytes = key.to_file_bytes();
                // An evaluation key of the replaced secret key must not outlive it.
                if replace && slot.evaluation.exists() {
                    fs::remove_file(&slot.evaluation).map_err(io_error(&slot.evaluation))?;
                }
                write(&slot.secret, &bytes, replace)?;
                (key, State::Written(slot.secret, bytes.len() as u64))
            }
        };
        let evaluation = if slot.evaluation.exists() {
            let (found, expected) = (read_evaluation(&slot.evaluation)?.id(), key.id());
            if found != expected {
                return Err(KeyRingError::Mismatch {
                    path: slot.evaluation,
                    found,
                    expected,
                });
            }
            State::Kept(slot.evaluation)
        } else if client.needs_evaluation_key() {
            let bytes = EvaluationKey::generate(&key)?.to_file_bytes();
            write(&slot.evaluation, &bytes, replace)?;
            State::Written(slot.evaluation, bytes.len() as u64)
        } else {
            State::NotNeeded
        };
        Ok(Filled { secret, evaluation })
    }

    /// The secret key of a parameter set.
    pub fn secret_key(&self, set: &'static ParameterSet) -> Result<SecretKey, KeyRingError> {
        self.slot(set)?
            .key
            .ok_or_else(|| self.no_key("secret key", set))
    }

    /// The evaluation key of a parameter set.
    pub fn evaluation_key(
        &self,
        set: &'static ParameterSet,
    ) -> Result<EvaluationKey, KeyRingError> {
        let path = self.slot(set)?.evaluation;
        if path.exists() {
            read_evaluation(&path)
        } else {
            Err(self.no_key("evaluation key", set))
        }
    }

    /// The file of a parameter set's evaluation key, for registration with a service.
    pub fn evaluation_key_file(
        &self,
        set: &'static ParameterSet,
    ) -> Result<EvaluationKeyFile, KeyRingError> {
        let slot = self.slot(set)?;
        let path = slot.evaluation;
        let bytes = read(&path)?.ok_or_else(|| self.no_key("evaluation key", set))?;
        let found = parse_evaluation(&path, &bytes)?.id();
        match slot.key.map(|key| key.id()) {
            Some(expected) if expected != found => Err(KeyRingError::Mismatch {
                path,
                found,
                expected,
            }),
            _ => Ok(EvaluationKeyFile {
                key: found,
                path,
                bytes,
            }),
        }
    }

    fn no_key(&self, kind: &'static str, set: &ParameterSet) -> KeyRingError {
        KeyRingError::NoKey {
            directory: self.directory.clone(),
            kind,
            set: set.name,
        }
    }

    /// The files of a set: `secret.cfk` if that is of this set or of none, otherwise files named
    /// after the set.
    fn slot(&self, set: &'static ParameterSet) -> Result<Slot, KeyRingError> {
        let file = |name: String| self.directory.join(name);
        let plain = [file("secret.cfk".into()), file("evaluation.cfk".into())];
        let named = [
            file(format!("secret-{}.cfk", set.name)),
            file(format!("evaluation-{}.cfk", set.name)),
        ];
        let plain_is_free = !plain[0].exists();
        for [secret, evaluation] in [named.clone(), plain.clone()] {
            if let Some(key) = read_secret(&secret)?
                && key.parameter_set().name == set.name
            {
                return Ok(Slot {
                    secret,
                    evaluation,
                    key: Some(key),
                });
            }
        }
        let [secret, evaluation] = if plain_is_free { plain } else { named };
        Ok(Slot {
            secret,
            evaluation,
            key: None,
        })
    }

    /// Makes the directory if need be and waits until no other process changes it; until the file
    /// is dropped none does. What a process that was killed left half written is removed.
    fn lock(&self) -> Result<fs::File, KeyRingError> {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder
            .create(&self.directory)
            .map_err(io_error(&self.directory))?;
        self.check_directory()?;
        let path = self.directory.join(".lock");
        let mut options = fs::File::options();
        options.create(true).truncate(false).write(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let lock = options.open(&path).map_err(io_error(&path))?;
        lock.lock().map_err(io_error(&path))?;
        for entry in fs::read_dir(&self.directory).map_err(io_error(&self.directory))? {
            let entry = entry.map_err(io_error(&self.directory))?;
            let name = entry.file_name();
            if name.to_string_lossy().starts_with(UNFINISHED) {
                fs::remove_file(entry.path()).map_err(io_error(&entry.path()))?;
            }
        }
        let ignore = self.directory.join(".gitignore");
        if !ignore.exists() {
            write(&ignore, b"*\n", true)?;
        }
        Ok(lock)
    }

    /// Refuses a directory in which others could put keys of their own.
    fn check_directory(&self) -> Result<(), KeyRingError> {
        let metadata = fs::metadata(&self.directory).map_err(io_error(&self.directory))?;
        refuse_mode(&self.directory, &metadata, 0o022)
    }
}

/// Refuses a file or directory with one of these permissions. Elsewhere than on Unix nothing is
/// known of them.
fn refuse_mode(path: &Path, metadata: &fs::Metadata, refused: u32) -> Result<(), KeyRingError> {
    #[cfg(unix)]
    let mode = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o777;
    #[cfg(not(unix))]
    let mode = {
        let _ = metadata;
        0
    };
    if mode & refused == 0 {
        return Ok(());
    }
    Err(KeyRingError::Lax {
        path: path.to_owned(),
        mode,
    })
}

/// Where the keys of one set lie.
struct Slot {
    secret: PathBuf,
    evaluation: PathBuf,
    key: Option<SecretKey>,
}

fn read_evaluation(path: &Path) -> Result<EvaluationKey, KeyRingError> {
    let bytes = read(path)?.ok_or_else(|| KeyRingError::Io {
        path: path.to_owned(),
        source: io::ErrorKind::NotFound.into(),
    })?;
    parse_evaluation(path, &bytes)
}

fn parse_evaluation(path: &Path, bytes: &[u8]) -> Result<EvaluationKey, KeyRingError> {
    EvaluationKey::from_file_bytes(bytes).map_err(|source| KeyRingError::KeyFile {
        path: path.to_owned(),
        source,
    })
}

fn read_secret(path: &Path) -> Result<Option<SecretKey>, KeyRingError> {
    let Some(bytes) = read(path)?.map(Zeroizing::new) else {
        return Ok(None);
    };
    let metadata = fs::metadata(path).map_err(io_error(path))?;
    refuse_mode(path, &metadata, 0o077)?;
    SecretKey::from_file_bytes(&bytes)
        .map(Some)
        .map_err(|source| KeyRingError::KeyFile {
            path: path.to_owned(),
            source,
        })
}

/// The bytes of a file, or `None` where there is none.
fn read(path: &Path) -> Result<Option<Vec<u8>>, KeyRingError> {
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => {
            return Err(KeyRingError::Io {
                path: path.to_owned(),
                source,
            });
        }
    };
    let mut bytes = Vec::new();
    file.take(MAX_KEY_FILE + 1)
        .read_to_end(&mut bytes)
        .map_err(io_error(path))?;
    Ok(Some(bytes))
}

/// Writes a file readable by its owner alone, whole or not at all.
pub(crate) fn write(path: &Path, bytes: &[u8], replace: bool) -> Result<(), KeyRingError> {
    let directory = path.parent().unwrap_or(Path::new("."));
    // Temporary files have mode 0600 from the start.
    let mut file = tempfile::Builder::new()
        .prefix(UNFINISHED)
        .tempfile_in(directory)
        .map_err(io_error(path))?;
    file.write_all(bytes)
        .and_then(|()| file.as_file().sync_all())
        .map_err(io_error(path))?;
    let persisted = if replace {
        file.persist(path)
    } else {
        file.persist_noclobber(path)
    };
    persisted.map(drop).map_err(|error| KeyRingError::Io {
        path: path.to_owned(),
        source: error.error,
    })
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> KeyRingError + '_ {
    |source| KeyRingError::Io {
        path: path.to_owned(),
        source,
    }
}
