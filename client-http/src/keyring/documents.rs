//! Documents in folders of a key ring, beside the keys.

use super::KeyRing;
use super::directory::Directory;
use crate::error::KeyRingError;
use serde::Serialize;

impl KeyRing {
    /// Writes a document into a folder of the key ring.
    pub(super) fn keep(
        &self,
        folder: &str,
        name: &str,
        document: &impl Serialize,
    ) -> Result<(), KeyRingError> {
        self.keep_where(folder, name, document, |_| Ok(()))
    }

    /// The same, unless what is in the folder is a reason against it; nobody else writes between.
    pub(super) fn keep_where(
        &self,
        folder: &str,
        name: &str,
        document: &impl Serialize,
        check: impl FnOnce(&Directory) -> Result<(), KeyRingError>,
    ) -> Result<(), KeyRingError> {
        let _lock = Directory::create(&self.directory)?.lock()?;
        let directory = Directory::create(&self.directory.join(folder))?;
        // Whoever writes here holds the key ring's lock: what is unfinished is nobody's.
        directory.tidy()?;
        check(&directory)?;
        let json = serde_json::to_vec(document).map_err(unreadable(&directory, name))?;
        directory.write(name, &json)
    }
}

pub(super) fn unreadable(
    directory: &Directory,
    name: &str,
) -> impl FnOnce(serde_json::Error) -> KeyRingError {
    let path = directory.path(name);
    |error| KeyRingError::Io {
        path,
        source: error.into(),
    }
}
