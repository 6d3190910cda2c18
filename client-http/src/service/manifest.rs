//! What has been uploaded for a table, in a file: how a run that was killed goes on.
//!
//! Lines of JSON, each appended when what it says has happened: first whose table it is, then a line
//! a chunk, the names of its jobs, and one that says that the table has ended. A last line without its
//! end was being written when the run was killed, and counts for nothing. Results of jobs that had to
//! make room for others lie beside it, a file a job.

use super::bulk::sha256;
use bytes::Bytes;
use cipherfn_protocol::api::ModelName;
use cipherfn_protocol::api::job::{ChunkFile, IdempotencyKey, JobId, UploadFolder};
use cipherfn_protocol::hash::SpecsHash;
use cipherfn_protocol::message::{KeyId, Nonce};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Whose table it is: what must be the same for a run to go on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Head {
    pub(super) format: u16,
    /// Address of the service.
    pub(super) service: String,
    pub(super) model: ModelName,
    pub(super) specs: SpecsHash,
    pub(super) key: KeyId,
    /// Names the table and how it is read.
    pub(super) table: String,
}

/// A chunk that has arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sent {
    pub(super) upload: UploadFolder,
    pub(super) rows: u64,
    pub(super) nonce: Option<Nonce>,
    pub(super) file: ChunkFile,
}

/// How a job is declared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Named {
    pub(super) name: IdempotencyKey,
    /// Number of its chunks.
    pub(super) chunks: usize,
    /// In how many parts the model is evaluated; manifests of earlier versions do not say.
    #[serde(default = "whole")]
    pub(super) parts: u32,
}

const fn whole() -> u32 {
    1
}

/// A result that lies here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeptResult {
    pub(super) file: ChunkFile,
    /// What a worker took for it.
    pub(super) milliseconds: u64,
}

/// A job whose results lie here, so that the service may forget it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Kept {
    pub(super) job: JobId,
    /// Of its chunks, one behind the other in a file.
    pub(super) results: Vec<KeptResult>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Line {
    Head(Head),
    Chunk(Sent),
    /// A job's declaration; the last one counts.
    Job {
        number: usize,
        named: Named,
    },
    Kept {
        number: usize,
        kept: Kept,
    },
    /// There are no more chunks.
    End,
}

/// What a file of lines says.
#[derive(Debug)]
pub(super) struct Manifest {
    path: PathBuf,
    file: File,
    pub(super) chunks: Vec<Sent>,
    /// Declarations by the number of the job.
    pub(super) jobs: BTreeMap<usize, Named>,
    pub(super) kept: BTreeMap<usize, Kept>,
    pub(super) ended: bool,
}

/// What is wrong with a file of an earlier run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// It cannot be read or written.
    #[error("{path} cannot be read or written: {source}; what was uploaded is kept, so run it again once that is mended", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It is that of another run.
    #[error("{path} is that of another run ({what} is another one); delete it to start anew, or give another output", path = path.display())]
    Other {
        /// The file.
        path: PathBuf,
        /// What differs.
        what: &'static str,
    },
    /// It is none.
    #[error("line {line} of {path} makes no sense: {reason}; delete the file to start anew", path = path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Number of the line, from 1.
        line: usize,
        /// Why.
        reason: String,
    },
}

impl Manifest {
    /// Opens the file of an earlier run over the same table, or begins one.
    pub(super) fn open(path: &Path, head: &Head) -> Result<Self, ManifestError> {
        let io = |source| ManifestError::Io {
            path: path.to_owned(),
            source,
        };
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(io(error)),
        };
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path).map_err(io)?;
        let mut manifest = Self {
            path: path.to_owned(),
            file,
            chunks: Vec::new(),
            jobs: BTreeMap::new(),
            kept: BTreeMap::new(),
            ended: false,
        };
        manifest.read(&text[..whole], head)?;
        manifest.file.set_len(whole as u64).map_err(io)?;
        manifest.file.seek(SeekFrom::End(0)).map_err(io)?;
        if whole == 0 {
            manifest.write(&Line::Head(head.clone()))?;
        }
        Ok(manifest)
    }

    fn read(&mut self, text: &str, head: &Head) -> Result<(), ManifestError> {
        for (index, text) in text.lines().enumerate() {
            let corrupt = |reason: String| ManifestError::Corrupt {
                path: self.path.clone(),
                line: index + 1,
                reason,
            };
            let line = serde_json::from_str(text).map_err(|error| corrupt(error.to_string()))?;
            match line {
                Line::Head(found) if index == 0 => self.compare(&found, head)?,
                _ if index == 0 => return Err(corrupt("it does not say whose it is".to_owned())),
                Line::Chunk(sent) if !self.ended => self.chunks.push(sent),
                Line::Job { number, named } => {
                    self.jobs.insert(number, named);
                }
                Line::Kept { number, kept } => {
                    self.kept.insert(number, kept);
                }
                Line::End => self.ended = true,
                Line::Head(_) | Line::Chunk(_) => {
                    return Err(corrupt("it does not belong there".to_owned()));
                }
            }
        }
        Ok(())
    }

    fn compare(&self, found: &Head, head: &Head) -> Result<(), ManifestError> {
        let differences = [
            ("the format", found.format != head.format),
            ("the service", found.service != head.service),
            ("the model", found.model != head.model),
            ("the model's version", found.specs != head.specs),
            ("the key ring", found.key != head.key),
            ("the table, or how it is read,", found.table != head.table),
        ];
        match differences.into_iter().find(|(_, differs)| *differs) {
            Some((what, _)) => Err(ManifestError::Other {
                path: self.path.clone(),
                what,
            }),
            None => Ok(()),
        }
    }

    /// Remembers a chunk that has arrived.
    pub(super) fn sent(&mut self, chunk: Sent) -> Result<(), ManifestError> {
        self.write(&Line::Chunk(chunk))?;
        self.chunks.push(chunk);
        Ok(())
    }

    /// Remembers that all chunks have.
    pub(super) fn end(&mut self) -> Result<(), ManifestError> {
        self.write(&Line::End)?;
        self.ended = true;
        Ok(())
    }

    /// Remembers a job's declaration, before anybody hears it.
    pub(super) fn name_job(&mut self, number: usize, named: Named) -> Result<(), ManifestError> {
        self.write(&Line::Job { number, named })?;
        self.jobs.insert(number, named);
        Ok(())
    }

    /// Where the results of a job lie once they are kept here.
    pub(super) fn results(&self, number: usize) -> PathBuf {
        let mut path = self.path.clone().into_os_string();
        path.push(format!(".{number}"));
        path.into()
    }

    /// Remembers that the results of a job lie here.
    pub(super) fn keep(&mut self, number: usize, kept: Kept) -> Result<(), ManifestError> {
        let line = Line::Kept { number, kept };
        self.write(&line)?;
        if let Line::Kept { number, kept } = line {
            self.kept.insert(number, kept);
        }
        Ok(())
    }

    /// Removes the file and the results: everything is done.
    pub(super) fn remove(&self) -> Result<(), ManifestError> {
        let results = self.jobs.keys().map(|number| self.results(*number));
        for path in std::iter::once(self.path.clone()).chain(results) {
            match fs::remove_file(&path) {
                // Most jobs have none here.
                Err(error) if path != self.path && error.kind() == io::ErrorKind::NotFound => {}
                removed => removed.map_err(|source| ManifestError::Io { path, source })?,
            }
        }
        Ok(())
    }

    fn write(&mut self, line: &Line) -> Result<(), ManifestError> {
        let io = |source| ManifestError::Io {
            path: self.path.clone(),
            source,
        };
        let mut bytes = serde_json::to_vec(line).map_err(|error| io(error.into()))?;
        bytes.push(b'\n');
        let written = self.file.write_all(&bytes);
        written.and_then(|()| self.file.sync_data()).map_err(io)
    }
}

/// A result that lies in a file behind so many bytes.
pub(super) fn kept_result(
    path: &Path,
    before: u64,
    wanted: ChunkFile,
) -> Result<Bytes, ManifestError> {
    let read = || {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(before))?;
        let mut bytes = Vec::new();
        file.take(wanted.bytes).read_to_end(&mut bytes)?;
        if (bytes.len() as u64, sha256(&bytes)) == (wanted.bytes, wanted.sha256) {
            Ok(bytes.into())
        } else {
            Err(io::Error::other("it is not what was written"))
        }
    };
    read().map_err(|source| ManifestError::Io {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::{Head, Manifest, ManifestError, Named, Sent};
    use cipherfn_protocol::api::job::{ChunkFile, IdempotencyKey, UploadFolder};
    use cipherfn_protocol::hash::{Hash, Sha256};
    use cipherfn_protocol::message::KeyId;
    use std::fs;

    fn head() -> Head {
        Head {
            format: 1,
            service: "http://127.0.0.1:1".to_owned(),
            model: "fraud".parse().unwrap(),
            specs: Hash::of(b"specs"),
            key: KeyId::from_bytes([1; 16]),
            table: "table".to_owned(),
        }
    }

    fn sent(rows: u64) -> Sent {
        Sent {
            upload: UploadFolder::from_bytes([2; 16]),
            rows,
            nonce: None,
            file: ChunkFile {
                bytes: rows,
                sha256: Sha256::from_bytes([rows as u8; 32]),
            },
        }
    }

    fn named(name: [u8; 16]) -> Named {
        Named {
            name: IdempotencyKey::from_bytes(name),
            chunks: 2,
            parts: 1,
        }
    }

    #[test]
    fn what_was_written_before_the_end_is_remembered_wherever_it_came() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("manifest");
        let mut manifest = Manifest::open(&path, &head()).unwrap();
        manifest.sent(sent(3)).unwrap();
        manifest.sent(sent(4)).unwrap();
        for name in [[5; 16], [6; 16]] {
            manifest.name_job(0, named(name)).unwrap();
        }
        manifest.end().unwrap();
        let text = fs::read(&path).unwrap();
        for len in 0..=text.len() {
            fs::write(&path, &text[..len]).unwrap();
            let manifest = Manifest::open(&path, &head()).unwrap();
            let lines = text[..len].split(|byte| *byte == b'\n').count() - 1;
            let chunks = lines.saturating_sub(1).min(2);
            assert_eq!(manifest.chunks, [sent(3), sent(4)][..chunks], "{len}");
            let job = manifest.jobs.get(&0).copied();
            let names = [None, Some([5; 16]), Some([6; 16])];
            let name = names[lines.saturating_sub(3).min(2)];
            assert_eq!(job, name.map(named), "{len}");
            assert_eq!(manifest.ended, lines == 6);
            drop(manifest);
            // What is left is whole lines, to which others can be added.
            let mut manifest = Manifest::open(&path, &head()).unwrap();
            manifest.name_job(7, named([7; 16])).unwrap();
            let again = Manifest::open(&path, &head()).unwrap();
            assert!(again.jobs.contains_key(&7) && again.chunks.len() == chunks);
        }
    }

    #[test]
    fn other_tables_and_other_files_are_told_apart() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("manifest");
        drop(Manifest::open(&path, &head()).unwrap());
        let mut other = head();
        other.table = "another".to_owned();
        let error = Manifest::open(&path, &other).unwrap_err();
        assert!(error.to_string().contains("the table"), "{error}");
        let mut other = head();
        other.key = KeyId::from_bytes([9; 16]);
        let error = Manifest::open(&path, &other).unwrap_err();
        assert!(matches!(
            error,
            ManifestError::Other {
                what: "the key ring",
                ..
            }
        ));
        for text in ["a,b\n1,2\n", "\n", "{}\n", "\"end\"\n"] {
            fs::write(&path, text).unwrap();
            let error = Manifest::open(&path, &head()).unwrap_err();
            assert!(
                matches!(error, ManifestError::Corrupt { line: 1, .. }),
                "{text:?}"
            );
            assert_eq!(fs::read_to_string(&path).unwrap(), text, "nothing is lost");
        }
    }
}
