//! What was uploaded for a training, as a document that a caller keeps: how another run goes on with it.

use super::error::ServiceError;
use super::going_on::GoingOn;
use crate::unfinished::{Readers, unfinished_file};
use cipherfn_client::training::TrainedRows;
use cipherfn_protocol::api::job::JobDeclaration;
use cipherfn_protocol::api::{ModelName, ProblemType};
use cipherfn_protocol::hash::Hash;
use cipherfn_protocol::message::KeyId;
use cipherfn_training::descent::DescentStart;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;

/// Format of [`UploadedRows`] as a document.
const FORMAT: u16 = 1;

/// Rows that were uploaded, and the training that they are for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UploadedRows {
    pub(super) format: u16,
    /// Address of the service.
    pub service: String,
    /// The job as it is declared. The same again is the same job.
    pub declaration: JobDeclaration,
    /// Number of rows.
    pub rows: usize,
    /// Of each owner, where there are several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub owners: Vec<usize>,
    /// What names their encryption.
    pub rows_hash: Hash,
    /// Names the table and how it is read, for whoever goes on.
    pub table: Hash,
    /// Names the weights that it starts from, in the clear, where there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<Hash>,
    /// The kept weights that it starts from, where it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub going_on: Option<GoingOn>,
    /// Of a tree that is grown the jobs of the levels after the first, as they are declared.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) levels: Vec<JobDeclaration>,
    /// What the results of jobs are that were there, by their level: there is one of each.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) results: BTreeMap<usize, Hash>,
}

/// What names a table, and the weights that a training on it starts from, for whoever goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowsName {
    /// The table and how it is read.
    pub table: Hash,
    /// The weights, where there are any.
    pub start: Option<Hash>,
}

/// What must be the same for a run to go on with what was uploaded.
#[derive(Clone, Copy, Debug)]
pub struct SameTraining<'a> {
    /// Address of the service.
    pub service: &'a str,
    /// Name of the program.
    pub program: &'a ModelName,
    /// Its version.
    pub version: Hash,
    /// The secret key that rows are encrypted under.
    pub key: KeyId,
    /// The table's rows, and what weights the training starts from.
    pub rows: RowsName,
}

impl RowsName {
    /// Of rows and, where the training has one, its start; in the clear: for files that do not leave this
    /// machine.
    pub fn of(rows: &[(Vec<i32>, usize)], start: Option<&DescentStart>) -> Self {
        let rows = rows.iter().flat_map(|(features, class)| {
            let features = features.iter().flat_map(|value| value.to_le_bytes());
            features.chain((*class as u64).to_le_bytes())
        });
        let start = start.map(|start| {
            let weights = start.fractions.iter().flatten();
            let weights = weights.flat_map(|fraction| fraction.to_le_bytes());
            let bytes = weights.chain(start.before.to_le_bytes());
            Hash::of(&bytes.collect::<Vec<u8>>())
        });
        Self {
            table: Hash::of(&rows.collect::<Vec<u8>>()),
            start,
        }
    }
}

impl UploadedRows {
    /// Rows for a job at the service at `service`: how many, and what names them.
    pub(super) fn new(
        service: &str,
        declaration: JobDeclaration,
        (rows, rows_hash): (usize, Hash),
        name: RowsName,
    ) -> Self {
        Self {
            format: FORMAT,
            service: service.to_owned(),
            declaration,
            rows,
            owners: Vec::new(),
            rows_hash,
            table: name.table,
            start: name.start,
            going_on: None,
            levels: Vec::new(),
            results: BTreeMap::new(),
        }
    }

    /// Takes the result of a job before anything is decrypted, by its level from 0; whether it is new, and this is
    /// to be written. A job has one result: whether it is refused may depend on the key, and a service that gave
    /// others until one is taken would learn of the key by each.
    ///
    /// # Errors
    /// Another one than before.
    pub fn take_result(&mut self, level: usize, result: &[u8]) -> Result<bool, ServiceError> {
        let result = Hash::of(result);
        match self.results.insert(level, result) {
            None => Ok(true),
            Some(before) if before == result => Ok(false),
            Some(before) => {
                self.results.insert(level, before);
                Err(ServiceError::OtherResult)
            }
        }
    }

    /// The job of a level of a tree that is grown, from 0, if it was prepared
    /// ([`Service::upload_tree`](super::Service::upload_tree)).
    pub fn level(&self, number: usize) -> Option<&JobDeclaration> {
        match number.checked_sub(1) {
            None => Some(&self.declaration),
            Some(later) => self.levels.get(later),
        }
    }

    /// Reads a document.
    ///
    /// # Errors
    /// Bytes that are none, or of a later format.
    pub fn from_json(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        let taken: Self = serde_json::from_slice(bytes)?;
        if taken.format == FORMAT {
            return Ok(taken);
        }
        let reason = format!("format {} is that of a later client", taken.format);
        Err(serde::de::Error::custom(reason))
    }

    /// The rows of each owner, and what names them.
    pub fn trained(&self) -> TrainedRows {
        TrainedRows {
            owners: if self.owners.is_empty() {
                vec![self.rows]
            } else {
                self.owners.clone()
            },
            name: self.rows_hash,
        }
    }

    /// What it is of another one than a training, if anything.
    pub fn unlike(&self, same: &SameTraining<'_>) -> Option<&'static str> {
        let declared = &self.declaration;
        let is_same = [
            ("service", self.service == same.service),
            ("program", declared.model == *same.program),
            ("version of the program", declared.specs == same.version),
            ("key", declared.key == same.key),
            ("table", self.table == same.rows.table),
            ("start", self.start == same.rows.start),
        ];
        let unlike = is_same.into_iter().find(|(_, is_same)| !is_same);
        unlike.map(|(what, _)| what)
    }

    /// Writes the document to a file that nobody but its owner reads, whole or not at all.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let parent = path.parent().filter(|path| !path.as_os_str().is_empty());
        let mut file = unfinished_file(parent.unwrap_or(Path::new(".")), Readers::Owner)?;
        file.write_all(&serde_json::to_vec_pretty(self)?)?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    }
}

impl ServiceError {
    /// Whether the service has nothing left of a training, or will do nothing with it.
    pub fn is_of_gone_training(&self) -> bool {
        self.problem().is_some_and(|problem| {
            matches!(
                problem.kind,
                ProblemType::UploadMissing
                    | ProblemType::UnknownJob
                    // On rows of owners: some were added or dropped since, or another job has them.
                    | ProblemType::JobConflict
                    | ProblemType::JobExpired
                    | ProblemType::UnknownProgram
                    | ProblemType::StaleProgram
            )
        })
    }
}
