//! What the client knows of trainings whose weights a service keeps encrypted: `trainings/` holds a file for
//! each, named by its job. Nothing of it tells weights or rows.

use super::KeyRing;
use super::directory::{Directory, Refused};
use super::documents::unreadable;
use crate::error::KeyRingError;
use cipherfn_client::training::{DescentError, TrainedRows, decrypt_weights};
use cipherfn_protocol::api::ModelName;
use cipherfn_protocol::api::job::JobId;
use cipherfn_protocol::hash::Hash;
use cipherfn_protocol::message::KeyId;
use cipherfn_scheme::SecretKey;
use cipherfn_training::descent::{DescentStart, KeptWeights, Training};
use serde::{Deserialize, Serialize};
use std::fs;

/// The folder in the key ring's.
const FOLDER: &str = "trainings";
const FORMAT: u16 = 1;

/// A training whose weights a service keeps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptTraining {
    format: u16,
    /// Its job, which is its name at the service.
    pub job: JobId,
    /// Address of the service.
    pub service: String,
    /// Name of the program.
    pub name: ModelName,
    /// The program, JSON.
    pub program: String,
    /// Rows that it was trained on.
    pub rows: usize,
    /// How many of them each owner has, where there are several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    owners: Vec<usize>,
    /// What names their encryption, and that of the start.
    pub rows_hash: Hash,
    /// The secret key that they are encrypted under.
    pub key: KeyId,
    /// What the training's result was when it was kept: a service that gives another one later is caught.
    pub result: Hash,
    /// Its weights.
    pub weights: KeptWeights,
}

impl KeptTraining {
    /// A training by `program`, which is published as `name`.
    pub fn new(
        (service, job): (&str, JobId),
        (name, program): (&ModelName, &[u8]),
        trained: impl Into<TrainedRows>,
        (key, result): (KeyId, Hash),
        weights: KeptWeights,
    ) -> Self {
        let TrainedRows {
            owners,
            name: rows_hash,
        } = trained.into();
        let rows = owners.iter().sum();
        let owners = if owners.len() == 1 {
            Vec::new()
        } else {
            owners
        };
        Self {
            format: FORMAT,
            job,
            service: service.to_owned(),
            name: name.clone(),
            program: String::from_utf8_lossy(program).into_owned(),
            rows,
            owners,
            rows_hash,
            key,
            result,
            weights,
        }
    }

    /// How many rows each owner has.
    pub fn owners(&self) -> &[usize] {
        match &self.owners[..] {
            [] => std::slice::from_ref(&self.rows),
            owners => owners,
        }
    }

    /// What it was trained on.
    pub fn trained(&self) -> TrainedRows {
        TrainedRows {
            owners: self.owners().to_vec(),
            name: self.rows_hash,
        }
    }

    /// Whether another one is the same training with the same result, whatever is said of its weights.
    pub fn is_same(&self, other: &Self) -> bool {
        let numbers = |own: &Self| (own.job, own.rows, own.rows_hash, own.key, own.result);
        numbers(self) == numbers(other)
            && self.owners == other.owners
            && self.service == other.service
            && self.name == other.name
            && self.program == other.program
    }

    /// What training goes on from: the weights of its result, the state after the last step, and the steps that
    /// have led to them. `training` is its program.
    ///
    /// Weights that the service chose could make the training fail or not as new rows are, which it would see. So
    /// they must be those that were kept, and within their reach, before any row is looked at.
    ///
    /// # Errors
    /// A result of something else, or of another step; another one than was kept, or beyond what it can have led to.
    pub fn start(
        &self,
        key: &SecretKey,
        training: &Training,
        result: &[u8],
    ) -> Result<DescentStart, DescentError> {
        if Hash::of(result) != self.result {
            return Err(DescentError::OtherWeights);
        }
        let fractions = decrypt_weights(key, training, self.trained(), result)?;
        if !self.weights.holds(&fractions) {
            return Err(DescentError::FarWeights);
        }
        let own = training.steps_of(self.owners())?;
        let before = self.weights.steps.saturating_sub(own);
        let steps = training.schedule_of(before, self.owners())?;
        let deviation = self.weights.deviation / training.weight_deviation(&steps, 1.0);
        Ok(DescentStart::after((before, &steps), &fractions, deviation))
    }
}

impl KeyRing {
    /// Keeps what there is to say about a training. The same again is kept once.
    ///
    /// # Errors
    /// What is kept under the same job is another training, of another service or of one that gives a job's id
    /// twice, or cannot be read: it stays as it is.
    pub fn keep_training(&self, training: &KeptTraining) -> Result<(), KeyRingError> {
        let name = file_name(training.job);
        self.keep_where(FOLDER, &name, training, |directory| {
            match read(directory, training.job)? {
                Some(kept) if !kept.is_same(training) => Err(KeyRingError::OtherTraining {
                    path: directory.path(&name),
                    service: kept.service,
                }),
                _ => Ok(()),
            }
        })
    }

    /// What there is to say about a training; `None` of one that was not kept with this key ring.
    pub fn training(&self, job: JobId) -> Result<Option<KeptTraining>, KeyRingError> {
        match Directory::open(&self.directory.join(FOLDER))? {
            Some(directory) => read(&directory, job),
            None => Ok(None),
        }
    }

    /// All trainings that are kept, by their jobs; in place of one that cannot be read why.
    ///
    /// # Errors
    /// A folder that cannot be read.
    pub fn trainings(&self) -> Result<Vec<Result<KeptTraining, KeyRingError>>, KeyRingError> {
        let path = self.directory.join(FOLDER);
        let Some(directory) = Directory::open(&path)? else {
            return Ok(Vec::new());
        };
        let io = |source| KeyRingError::Io {
            path: path.clone(),
            source,
        };
        let mut jobs = Vec::new();
        for entry in fs::read_dir(&path).map_err(io)? {
            let name = entry.map_err(io)?.file_name();
            let stem = name.to_str().and_then(|name| name.strip_suffix(".json"));
            jobs.extend(stem.and_then(|stem| stem.parse::<JobId>().ok()));
        }
        jobs.sort_unstable();
        let read = jobs.into_iter().map(|job| read(&directory, job));
        Ok(read.filter_map(Result::transpose).collect())
    }

    /// Forgets a training.
    pub fn forget_training(&self, job: JobId) -> Result<(), KeyRingError> {
        let _lock = Directory::create(&self.directory)?.lock()?;
        match Directory::open(&self.directory.join(FOLDER))? {
            Some(directory) => directory.remove(&file_name(job)),
            None => Ok(()),
        }
    }
}

fn read(directory: &Directory, job: JobId) -> Result<Option<KeptTraining>, KeyRingError> {
    let name = file_name(job);
    let Some(json) = directory.read(&name, Refused::OthersWrite)? else {
        return Ok(None);
    };
    let read = serde_json::from_slice(&json);
    let training: KeptTraining = read.map_err(unreadable(directory, &name))?;
    if training.format != FORMAT || training.job != job {
        let reason = "it is of a later release, or of another training";
        let error = serde::de::Error::custom(reason);
        return Err(unreadable(directory, &name)(error));
    }
    Ok(Some(training))
}

fn file_name(job: JobId) -> String {
    format!("{job}.json")
}

#[cfg(test)]
mod tests {
    use super::{FOLDER, KeptTraining, file_name};
    use crate::error::KeyRingError;
    use crate::keyring::KeyRing;
    use cipherfn_protocol::api::job::JobId;
    use cipherfn_protocol::hash::Hash;
    use cipherfn_protocol::message::KeyId;
    use cipherfn_training::descent::KeptWeights;
    use std::fs;

    fn kept(service: &str, result: &[u8], deviation: f64) -> KeptTraining {
        let weights = KeptWeights {
            steps: 12,
            shrunk: 1.0,
            deviation,
            reach: 0.25,
        };
        KeptTraining::new(
            (service, JobId::from_bytes([1; 16])),
            (&"risk".parse().unwrap(), b"{}"),
            (20, Hash::of(b"rows")),
            (KeyId::from_bytes([2; 16]), Hash::of(result)),
            weights,
        )
    }

    /// Jobs are named by services: what one names may be another's, and its weights must stay known.
    #[test]
    fn a_training_takes_no_other_one_s_place() {
        let directory = tempfile::tempdir().unwrap();
        let ring = KeyRing::at(directory.path().join("keys"));
        let first = kept("https://one", b"result", 0.1);
        ring.keep_training(&first).unwrap();
        // Kept again after an interruption, whatever the simulation says this time.
        let again = kept("https://one", b"result", 0.2);
        ring.keep_training(&again).unwrap();
        for other in [
            kept("https://two", b"result", 0.1),
            kept("https://one", b"another", 0.1),
        ] {
            let refused = ring.keep_training(&other).unwrap_err();
            let is_told = matches!(&refused, KeyRingError::OtherTraining { service, .. } if service == "https://one");
            assert!(is_told, "{refused}");
        }
        assert_eq!(ring.training(again.job).unwrap(), Some(again.clone()));
        // What cannot be read is not written over either, and hides no others.
        let folder = directory.path().join("keys").join(FOLDER);
        let other = JobId::from_bytes([0; 16]);
        fs::write(folder.join(file_name(other)), b"{}").unwrap();
        let listed = ring.trainings().unwrap();
        assert!(listed[0].is_err() && listed[1].as_ref().unwrap() == &again);
        let unreadable = KeptTraining {
            job: other,
            ..first
        };
        assert!(ring.keep_training(&unreadable).is_err());
        assert_eq!(fs::read(folder.join(file_name(other))).unwrap(), b"{}");
    }
}
