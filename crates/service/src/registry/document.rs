//! JSON documents of several formats, read with what it takes to write over them.

use crate::bucket::{Bucket, Condition, Etag, Range, StorageError};
use bytes::Bytes;
use cipherfn_protocol::versions::{Versions, json_version};

/// Largest document that is read, in bytes.
pub(super) const MAX_BYTES: u64 = 4 << 20;

/// A stored type. Reads every format it ever had, writes the newest.
pub(super) trait Document: Sized {
    /// Its formats.
    type Versions: Versions<Error = serde_json::Error>;

    /// The value of a document of any format, or why it makes no sense.
    fn migrate(document: Self::Versions) -> Result<Self, String>;
    /// Whether it is the one that belongs to this key: one that lies elsewhere, as a copy does,
    /// would be written to its own place.
    fn belongs_to(&self, key: &str) -> bool;
    /// The document in the newest format.
    fn to_json(&self) -> serde_json::Result<Vec<u8>>;

    fn from_json(bytes: &[u8]) -> Result<Self, Unreadable> {
        let format = json_version(bytes).map_err(serde_json::Error::from)?;
        let document = Self::Versions::read(format, bytes).ok_or(Unreadable::Newer(format))?;
        Self::migrate(document?).map_err(Unreadable::Corrupt)
    }
}

/// Why bytes are no document.
#[derive(Debug)]
pub(super) enum Unreadable {
    /// They make no sense.
    Corrupt(String),
    /// They are of a later build's format.
    Newer(u16),
}

impl From<serde_json::Error> for Unreadable {
    fn from(error: serde_json::Error) -> Self {
        Self::Corrupt(error.to_string())
    }
}

/// What lies in a document's place.
#[derive(Debug)]
pub(super) enum Stored<T> {
    /// Nothing.
    Absent,
    /// A document.
    Sound(T, Etag),
    /// Bytes that are none; they can be written over as a document can.
    Corrupt(StorageError, Etag),
}

impl<T> Stored<T> {
    /// The document, if it is one.
    pub(super) fn value(&self) -> Option<&T> {
        match self {
            Self::Sound(value, _) => Some(value),
            Self::Absent | Self::Corrupt(..) => None,
        }
    }

    /// The document, if there is one; what is corrupt is an error.
    pub(super) fn sound(self) -> Result<Option<T>, StorageError> {
        match self {
            Self::Absent => Ok(None),
            Self::Sound(value, _) => Ok(Some(value)),
            Self::Corrupt(error, _) => Err(error),
        }
    }

    /// Tag of what is there.
    pub(super) fn etag(&self) -> Option<&Etag> {
        match self {
            Self::Absent => None,
            Self::Sound(_, etag) | Self::Corrupt(_, etag) => Some(etag),
        }
    }

    /// Holds as long as nobody else has written.
    pub(super) fn unchanged(&self) -> Condition<'_> {
        self.etag().map_or(Condition::Absent, Condition::Unchanged)
    }
}

/// Reads a document.
pub(super) async fn read<T: Document>(
    bucket: &impl Bucket,
    key: &str,
) -> Result<Stored<T>, StorageError> {
    let corrupt = |reason, etag| {
        let key = key.to_owned();
        Ok(Stored::Corrupt(StorageError::Corrupt { key, reason }, etag))
    };
    let object = match bucket.get(key, MAX_BYTES).await {
        Ok(Some(object)) => object,
        Ok(None) => return Ok(Stored::Absent),
        // No document of ours is as large; it can be written over like any other that is none.
        Err(error @ StorageError::TooLarge { .. }) => {
            return match bucket.range(key, 0, 1, None).await? {
                Some(first) => corrupt(error.to_string(), first.object.etag),
                None => Ok(Stored::Absent),
            };
        }
        Err(error) => return Err(error),
    };
    match T::from_json(&object.bytes) {
        Ok(value) if value.belongs_to(key) => Ok(Stored::Sound(value, object.etag)),
        Ok(_) => corrupt("it belongs elsewhere".to_owned(), object.etag),
        Err(Unreadable::Corrupt(reason)) => corrupt(reason, object.etag),
        // Never written over: it makes sense to somebody.
        Err(Unreadable::Newer(format)) => Err(StorageError::Newer {
            key: key.to_owned(),
            format,
        }),
    }
}

/// Writes a document; `None` where the condition did not hold.
///
/// Storage may write, lose its answer and be asked again, and then it refuses, as what is there is no longer what was
/// read. So what lies there already is written, whoever wrote it: of two that make equal documents of one state each
/// has what it wanted. Where only one of them may (a chunk is claimed, a name is taken), the documents have a random
/// id in them.
pub(super) async fn write<T: Document>(
    bucket: &impl Bucket,
    key: &str,
    value: &T,
    condition: Condition<'_>,
) -> Result<Option<Etag>, StorageError> {
    let bytes = value.to_json().map_err(|error| StorageError::Corrupt {
        key: key.to_owned(),
        reason: error.to_string(),
    })?;
    let bytes = Bytes::from(bytes);
    let written = bucket.put(key, bytes.clone(), "application/json", condition);
    if let Some(etag) = written.await? {
        return Ok(Some(etag));
    }
    let there = bucket.range(key, 0, bytes.len() as u64, None).await?;
    let is_written =
        |there: &Range| there.object.bytes == bytes && there.total == bytes.len() as u64;
    Ok(there.filter(is_written).map(|there| there.object.etag))
}
