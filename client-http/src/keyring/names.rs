//! The secret by which names of frames are hashed, and the names that were: `names.key`, which others who
//! are to join dictionaries are given, and `names.json`.

use super::KeyRing;
use super::directory::{Directory, Refused};
use super::documents::unreadable;
use crate::error::KeyRingError;
use cipherfn_frame::schema::{KnownNames, NameHasher, SECRET_LEN, Schema};
use cipherfn_protocol::hash::Hash;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// The secret, as 64 hexadecimal digits.
const SECRET: &str = "names.key";
const NAMES: &str = "names.json";
const FORMAT: u16 = 1;

/// Names as a document.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct NamesV1 {
    format: u16,
    names: KnownNames,
}

impl KeyRing {
    /// What hashes names, and knows those that were hashed with this key ring; `None` without a secret.
    pub fn name_hasher(&self) -> Result<Option<NameHasher>, KeyRingError> {
        let Some(directory) = Directory::open(&self.directory)? else {
            return Ok(None);
        };
        match secret(&directory)? {
            Some(secret) => hasher(&directory, &secret, known(&directory)?).map(Some),
            None => Ok(None),
        }
    }

    /// Hashes the names of a schema, and remembers them. The first call makes the secret.
    ///
    /// # Errors
    /// Two names of one hash; the files; the operating system has no random bytes.
    pub fn hash_names(&self, schema: &Schema) -> Result<Schema, KeyRingError> {
        let directory = Directory::create(&self.directory)?;
        let _lock = directory.lock()?;
        let secret = match secret(&directory)? {
            Some(secret) => secret,
            None => make(&directory)?,
        };
        let mut names = known(&directory)?;
        let is_new = names.extend(KnownNames::of(schema));
        let path = || directory.path(NAMES);
        let refused = |source| KeyRingError::Names {
            path: path(),
            source,
        };
        let hashed = hasher(&directory, &secret, names.clone())?.hash(schema);
        let hashed = hashed.map_err(refused)?;
        if is_new {
            keep(&directory, names)?;
        }
        Ok(hashed)
    }

    /// Remembers that a frame is kept with its names in the clear, beside others whose names are hashed; without
    /// a secret there are none.
    ///
    /// # Errors
    /// Those of the files.
    pub fn keep_clear(&self, frame: &str) -> Result<(), KeyRingError> {
        let Some(directory) = Directory::open(&self.directory)? else {
            return Ok(());
        };
        let _lock = directory.lock()?;
        if secret(&directory)?.is_none() {
            return Ok(());
        }
        let mut names = known(&directory)?;
        if names.extend(KnownNames::in_the_clear(frame)) {
            keep(&directory, names)?;
        }
        Ok(())
    }
}

fn keep(directory: &Directory, names: KnownNames) -> Result<(), KeyRingError> {
    let document = NamesV1 {
        format: FORMAT,
        names,
    };
    let json = serde_json::to_vec(&document).map_err(unreadable(directory, NAMES))?;
    directory.write(NAMES, &json)?;
    Ok(())
}

fn hasher(
    directory: &Directory,
    secret: &[u8; SECRET_LEN],
    names: KnownNames,
) -> Result<NameHasher, KeyRingError> {
    NameHasher::new(secret, names).map_err(|source| KeyRingError::Names {
        path: directory.path(NAMES),
        source,
    })
}

/// The secret, if there is one.
fn secret(directory: &Directory) -> Result<Option<Zeroizing<[u8; SECRET_LEN]>>, KeyRingError> {
    let Some(bytes) = directory.read(SECRET, Refused::OthersAnything)? else {
        return Ok(None);
    };
    let text = str::from_utf8(&bytes).ok().map(str::trim);
    let secret = text.and_then(|text| text.parse::<Hash>().ok());
    match secret {
        Some(secret) => Ok(Some(Zeroizing::new(*secret.as_bytes()))),
        None => Err(KeyRingError::NoNamesKey {
            path: directory.path(SECRET),
        }),
    }
}

fn make(directory: &Directory) -> Result<Zeroizing<[u8; SECRET_LEN]>, KeyRingError> {
    let mut secret = Zeroizing::new([0; SECRET_LEN]);
    getrandom::fill(secret.as_mut_slice()).map_err(|error| KeyRingError::Io {
        path: directory.path(SECRET),
        source: std::io::Error::other(error),
    })?;
    let text = Zeroizing::new(format!("{}\n", Hash::from_bytes(*secret)));
    directory.write(SECRET, text.as_bytes())?;
    Ok(secret)
}

fn known(directory: &Directory) -> Result<KnownNames, KeyRingError> {
    let Some(json) = directory.read(NAMES, Refused::OthersWrite)? else {
        return Ok(KnownNames::default());
    };
    let document: NamesV1 = serde_json::from_slice(&json).map_err(unreadable(directory, NAMES))?;
    if document.format != FORMAT {
        let error = serde::de::Error::custom("it is of a later release; use that");
        return Err(unreadable(directory, NAMES)(error));
    }
    Ok(document.names)
}
