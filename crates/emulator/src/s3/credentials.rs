//! The access key of a data directory, and the lock that keeps a second server out.

use std::fmt;
use std::fs::{self, File, TryLockError};
use std::io::{self, Write as _};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::{EmulatorError, random};

/// An AWS access key.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct AccessKey {
    #[serde(rename = "access_key_id")]
    pub(crate) id: String,
    #[serde(rename = "secret_access_key")]
    pub(crate) secret: String,
}

impl AccessKey {
    /// The key kept in `directory`; a new one is made and kept where there is none.
    pub(crate) fn of_directory(directory: &Path) -> Result<Self, EmulatorError> {
        let path = directory.join("credentials.json");
        match fs::read(&path) {
            Ok(text) => {
                serde_json::from_slice(&text).map_err(|_| EmulatorError::Credentials { path })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let key = Self {
                    id: format!("AKIA{}", random::hex(8).to_ascii_uppercase()),
                    secret: random::hex(20),
                };
                match key.write(&path) {
                    Ok(()) => Ok(key),
                    Err(source) => Err(EmulatorError::Data { path, source }),
                }
            }
            Err(source) => Err(EmulatorError::Data { path, source }),
        }
    }

    fn write(&self, path: &Path) -> io::Result<()> {
        let mut options = File::options();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options
            .open(path)?
            .write_all(&serde_json::to_vec_pretty(self)?)
    }
}

impl fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessKey")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// Holds a data directory for one server; the system lets go of it with the process.
#[derive(Debug)]
pub(crate) struct DirectoryLock {
    _file: File,
}

impl DirectoryLock {
    /// Makes the directory where absent and takes it.
    pub(crate) fn take(directory: &Path) -> Result<Self, EmulatorError> {
        let path = directory.join("lock");
        let open = || {
            fs::create_dir_all(directory)?;
            File::options()
                .write(true)
                .create(true)
                .truncate(false)
                .open(&path)
        };
        let file = open().map_err(|source| EmulatorError::Data {
            path: path.clone(),
            source,
        })?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(EmulatorError::InUse {
                path: directory.to_owned(),
            }),
            Err(TryLockError::Error(source)) => Err(EmulatorError::Data { path, source }),
        }
    }
}
