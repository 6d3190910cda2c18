//! What the client knows of the queries that it wrote to files: which of their rows mean nothing.
//!
//! A row that cannot be encoded is sent as zeros, whose answer looks like any other. So `queries/`
//! holds a file for each query, named by the nonce that its reply repeats. Reasons quote cells of
//! the rows, so a file goes once its query's reply is decrypted.

use super::KeyRing;
use super::directory::{Directory, Refused};
use crate::error::KeyRingError;
use cipherfn_client::{Encrypted, Mark};
use cipherfn_protocol::message::Nonce;
use serde::{Deserialize, Serialize};

/// The folder in the key ring's.
const FOLDER: &str = "queries";

/// The stored form. Fields that are not known are of a later release, which knows more of the rows.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    rows: u64,
    marks: Vec<MarkedRow>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct MarkedRow {
    /// From 0.
    row: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unusable: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    limited: Option<String>,
}

impl KeyRing {
    /// Keeps what there is to say about the rows of a query, for [`Self::recall`].
    pub fn remember(&self, nonce: Nonce, encrypted: &Encrypted) -> Result<(), KeyRingError> {
        Directory::create(&self.directory)?;
        let directory = Directory::create(&self.directory.join(FOLDER))?;
        let name = file_name(nonce);
        let marks = encrypted.marks.iter().map(|(row, mark)| MarkedRow {
            row: *row,
            unusable: match mark {
                Mark::Unusable(reason) => Some(reason.clone()),
                _ => None,
            },
            limited: match mark {
                Mark::Limited(remark) => Some(remark.clone()),
                _ => None,
            },
        });
        let record = Record {
            rows: encrypted.rows,
            marks: marks.collect(),
        };
        let json = serde_json::to_vec(&record).map_err(unreadable(&directory, &name))?;
        directory.write(&name, &json)
    }

    /// What there is to say about the rows of a query that was encrypted with this key ring, in
    /// their order; `None` if it was not.
    pub fn recall(&self, nonce: Nonce) -> Result<Option<Encrypted>, KeyRingError> {
        let Some(directory) = Directory::open(&self.directory.join(FOLDER))? else {
            return Ok(None);
        };
        let name = file_name(nonce);
        let Some(json) = directory.read(&name, Refused::OthersAnything)? else {
            return Ok(None);
        };
        let record: Record =
            serde_json::from_slice(&json).map_err(unreadable(&directory, &name))?;
        let mark = |marked: MarkedRow| match (marked.unusable, marked.limited) {
            (Some(reason), _) => (marked.row, Mark::Unusable(reason)),
            (None, Some(remark)) => (marked.row, Mark::Limited(remark)),
            (None, None) => (marked.row, Mark::Sound),
        };
        let mut marks: Vec<_> = record.marks.into_iter().map(mark).collect();
        marks.sort_by_key(|(row, _)| *row);
        Ok(Some(Encrypted {
            nonce: Some(nonce),
            rows: record.rows,
            marks,
        }))
    }

    /// Forgets a query.
    pub fn forget(&self, nonce: Nonce) -> Result<(), KeyRingError> {
        match Directory::open(&self.directory.join(FOLDER))? {
            Some(directory) => directory.remove(&file_name(nonce)),
            None => Ok(()),
        }
    }
}

fn file_name(nonce: Nonce) -> String {
    format!("{nonce}.json")
}

fn unreadable(directory: &Directory, name: &str) -> impl FnOnce(serde_json::Error) -> KeyRingError {
    let path = directory.path(name);
    |error| KeyRingError::Io {
        path,
        source: error.into(),
    }
}
