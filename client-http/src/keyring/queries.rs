//! What the client knows of the queries that it wrote to files: which of their rows mean nothing,
//! and by which rows they were made.
//!
//! A row that cannot be encoded is sent as zeros, whose answer looks like any other. So `queries/`
//! holds a file for each query, named by the nonce that its reply repeats. Reasons quote cells of
//! the rows, so they go once the query's reply is decrypted. What stays is the digest of the rows,
//! which tells nothing without the secret key: rows that are given for the same reply later must
//! have it.

use super::KeyRing;
use super::directory::{Directory, Refused};
use super::documents::unreadable;
use crate::error::KeyRingError;
use cipherfn_client::{Encrypted, Mark};
use cipherfn_protocol::hash::Hash;
use cipherfn_protocol::message::Nonce;
use serde::{Deserialize, Serialize};

/// The folder in the key ring's.
const FOLDER: &str = "queries";

/// What a key ring knows of a query that was encrypted with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownQuery {
    /// Number of its rows.
    pub rows: u64,
    /// Of its rows, as [`RowsDigest`](cipherfn_client::RowsDigest) makes it; earlier releases kept
    /// none.
    pub digest: Option<Hash>,
    /// Marks of the rows that are not sound, each with the row's number from 0, in their order;
    /// `None` once they are forgotten.
    pub marks: Option<Vec<(u64, Mark)>>,
}

/// The stored form. Fields that are not known are of a later release, which knows more of the rows.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    rows: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    digest: Option<Hash>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    marks: Option<Vec<MarkedRow>>,
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
        self.keep(
            FOLDER,
            &file_name(nonce),
            &Record {
                rows: encrypted.rows,
                digest: encrypted.digest,
                marks: Some(marks.collect()),
            },
        )
    }

    /// What there is to say about the rows of a query that was encrypted with this key ring; `None`
    /// if it was not.
    pub fn recall(&self, nonce: Nonce) -> Result<Option<KnownQuery>, KeyRingError> {
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
        let marks = record.marks.map(|marks| {
            let mut marks: Vec<_> = marks.into_iter().map(mark).collect();
            marks.sort_by_key(|(row, _)| *row);
            marks
        });
        Ok(Some(KnownQuery {
            rows: record.rows,
            digest: record.digest,
            marks,
        }))
    }

    /// Forgets what there is to say about the rows of a query, and keeps by which rows it was made.
    pub fn forget(&self, nonce: Nonce) -> Result<(), KeyRingError> {
        match self.recall(nonce)? {
            Some(KnownQuery {
                rows,
                digest: digest @ Some(_),
                ..
            }) => {
                let marks = None;
                self.keep(
                    FOLDER,
                    &file_name(nonce),
                    &Record {
                        rows,
                        digest,
                        marks,
                    },
                )
            }
            // Without the digest there is nothing to keep.
            Some(_) => match Directory::open(&self.directory.join(FOLDER))? {
                Some(directory) => directory.remove(&file_name(nonce)),
                None => Ok(()),
            },
            None => Ok(()),
        }
    }
}

fn file_name(nonce: Nonce) -> String {
    format!("{nonce}.json")
}
