//! What the client knows of trainings whose weights a service keeps encrypted: `trainings/` holds a file for
//! each, named by its job. Nothing of it tells weights or rows.

use super::directory::{Directory, Refused};
use super::{KeyRing, unreadable};
use crate::error::KeyRingError;
use cipherfn_client::training::{DescentError, decrypt_weights};
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
        (rows, rows_hash): (usize, Hash),
        (key, result): (KeyId, Hash),
        weights: KeptWeights,
    ) -> Self {
        Self {
            format: FORMAT,
            job,
            service: service.to_owned(),
            name: name.clone(),
            program: String::from_utf8_lossy(program).into_owned(),
            rows,
            rows_hash,
            key,
            result,
            weights,
        }
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
        let named = (self.rows, self.rows_hash);
        let fractions = decrypt_weights(key, training, named, result)?;
        if !self.weights.holds(&fractions) {
            return Err(DescentError::FarWeights);
        }
        let own = training.schedule(self.rows)?.len() as u64;
        let before = self.weights.steps.saturating_sub(own);
        let steps = training.schedule_after(before, self.rows)?;
        let deviation = self.weights.deviation / training.weight_deviation(&steps, 1.0);
        Ok(DescentStart::after((before, &steps), &fractions, deviation))
    }
}

impl KeyRing {
    /// Keeps what there is to say about a training.
    pub fn keep_training(&self, training: &KeptTraining) -> Result<(), KeyRingError> {
        self.keep(FOLDER, &file_name(training.job), training)
    }

    /// What there is to say about a training; `None` of one that was not kept with this key ring.
    pub fn training(&self, job: JobId) -> Result<Option<KeptTraining>, KeyRingError> {
        let Some(directory) = Directory::open(&self.directory.join(FOLDER))? else {
            return Ok(None);
        };
        let name = file_name(job);
        let Some(json) = directory.read(&name, Refused::OthersWrite)? else {
            return Ok(None);
        };
        let read = serde_json::from_slice(&json);
        let training: KeptTraining = read.map_err(unreadable(&directory, &name))?;
        if training.format != FORMAT || training.job != job {
            let reason = "it is of a later release, or of another training";
            let error = serde::de::Error::custom(reason);
            return Err(unreadable(&directory, &name)(error));
        }
        Ok(Some(training))
    }

    /// All trainings that are kept, by their jobs.
    pub fn trainings(&self) -> Result<Vec<KeptTraining>, KeyRingError> {
        let path = self.directory.join(FOLDER);
        if Directory::open(&path)?.is_none() {
            return Ok(Vec::new());
        }
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
        let read = jobs.into_iter().map(|job| self.training(job));
        read.filter_map(Result::transpose).collect()
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

fn file_name(job: JobId) -> String {
    format!("{job}.json")
}
