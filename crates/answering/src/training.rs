//! Trainings: program and key from the bucket, steps on encrypted rows.
//!
//! Program and key are looked at again before each stretch of steps, so a program that was removed or a
//! key that ran out ends the training there.

use crate::{Answering, blocking, refusal};
use bytes::Bytes;
use cipherfn_protocol::api::{ModelName, Problem, ProblemType};
use cipherfn_protocol::hash::SpecsHash;
use cipherfn_protocol::message::KeyId;
use cipherfn_scheme::parameters::ParameterSet;
use cipherfn_service::registry::{LiveVersion, live_program};
use cipherfn_service::telemetry::Metric;
use cipherfn_service::{Call, Failure, Tenant};
use cipherfn_serving::training::{Descent, DescentError, SET, required_parts};
use cipherfn_serving::{Stretch, WarmKey};
use cipherfn_training::descent::{DescentUpload, RowsForm, RowsHead, Training};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Part of a worker's memory that the rows of a training may have, beside the key and a chunk that is
/// being read.
const MEMORY_PART: u64 = 2;

/// Whose training it is, and which.
#[derive(Clone, Copy, Debug)]
pub struct AskedTraining<'a> {
    /// Whose key it is under.
    pub tenant: &'a Tenant,
    /// The program.
    pub program: &'a ModelName,
    /// Its version, by its hash.
    pub version: SpecsHash,
    /// The key that rows are under.
    pub key: KeyId,
}

/// A training under way.
#[derive(Debug)]
pub struct TrainingRun {
    descent: Descent,
    /// The longest step so far.
    longest: Duration,
}

/// Takes the next file that was uploaded, by its number.
///
/// # Errors
/// What is wrong with it, as the API says it.
pub fn take_rows(
    upload: &mut DescentUpload,
    (number, bytes): (usize, &[u8]),
) -> Result<(), Problem> {
    upload.add(bytes).map_err(|error| {
        let detail = format!("chunk {number}: {error}; encrypt the rows again");
        Problem::new(ProblemType::MalformedRows, detail)
    })
}

/// Whether a file is rows that somebody has encrypted under the key holder's public key.
pub fn is_of_owner(file: &[u8]) -> bool {
    RowsHead::read(file).is_ok_and(|head| head.form == RowsForm::Public)
}

impl TrainingRun {
    /// Goes on from a state that was kept of the same training.
    ///
    /// # Errors
    /// Bytes that are no such state.
    pub fn resume(&mut self, state: &Bytes) -> Result<(), DescentError> {
        self.descent.resume(state)
    }

    /// Steps that were done.
    pub const fn steps(&self) -> u64 {
        self.descent.progress().0 as u64
    }

    /// Whether the last step was done.
    pub const fn is_over(&self) -> bool {
        let (done, all) = self.descent.progress();
        done == all
    }

    /// All that it takes to go on; after the last step the result.
    pub fn state(&self) -> Vec<u8> {
        self.descent.state()
    }

    /// Steps until a stretch is over. None is begun that would not end in time.
    fn go_on(&mut self, key: &WarmKey, stretch: Stretch) -> Result<(), DescentError> {
        let mut now = Instant::now();
        while now + self.longest < stretch.end && self.descent.step(key.key.expanded())? {
            let before = std::mem::replace(&mut now, Instant::now());
            self.longest = self.longest.max(now - before);
            if now >= stretch.pause {
                break;
            }
        }
        Ok(())
    }
}

impl Answering {
    /// That a worker has room for rows of so many bytes.
    ///
    /// # Errors
    /// What is wrong, as the API says it.
    pub fn check_rows(&self, bytes: u64) -> Result<(), Problem> {
        let most = self.memory / MEMORY_PART;
        if bytes <= most {
            return Ok(());
        }
        let detail = format!(
            "the rows have {bytes} bytes, a worker has room for {most}; train on fewer rows, or have the operator give workers more memory (WorkerMemory)"
        );
        Err(Problem::new(ProblemType::TooLittleMemory, detail))
    }

    /// A training on what was uploaded, before its first step.
    pub async fn begin_training(
        &self,
        asked: AskedTraining<'_>,
        upload: DescentUpload,
        call: &Call,
    ) -> Result<TrainingRun, Failure> {
        let training = self.program(asked, call).await?;
        let key = self.training_key(asked, call).await?;
        let begin = move || Descent::new(&training, key.key.expanded(), upload);
        let begun = move || begin().map_err(|error| refusal::malformed_rows(&error));
        Ok(TrainingRun {
            descent: blocking(begun, call).await?,
            longest: Duration::ZERO,
        })
    }

    /// Goes on as far as a stretch reaches.
    pub async fn train(
        &self,
        asked: AskedTraining<'_>,
        (mut run, stretch): (TrainingRun, Stretch),
        call: &Call,
    ) -> Result<TrainingRun, Failure> {
        self.live(asked).await?;
        let key = self.training_key(asked, call).await?;
        let work = move || {
            let done = run.go_on(&key, stretch);
            done.map_err(|error| refusal::malformed_rows(&error))?;
            Ok::<_, Problem>(run)
        };
        blocking(work, call).await
    }

    /// The program's version, which must be live.
    async fn live(&self, asked: AskedTraining<'_>) -> Result<LiveVersion, Failure> {
        let program = self.registry.model(asked.program).await?;
        let version = live_program(program.as_ref(), asked.program, asked.version);
        Ok(version?.clone())
    }

    async fn program(&self, asked: AskedTraining<'_>, call: &Call) -> Result<Training, Failure> {
        let (name, hash) = (asked.program, asked.version);
        let fetch = async {
            let version = self.live(asked).await?;
            Ok::<_, Failure>(self.registry.specs(name, &version, hash).await?)
        };
        let bytes = call.stage(Metric::ModelFetch, fetch).await?;
        let unusable =
            |why| Failure::Internal(format!("version {hash} of training program {name} {why}"));
        let bytes = bytes.ok_or_else(|| unusable("is gone".to_owned()))?;
        let training = Training::from_json(&bytes)
            .map_err(|error| unusable(format!("does not load: {error}")))?;
        if training.hash() != hash {
            return Err(unusable("is another program".to_owned()));
        }
        Ok(training)
    }

    /// The key of a training, by what is registered now.
    async fn training_key(
        &self,
        asked: AskedTraining<'_>,
        call: &Call,
    ) -> Result<Arc<WarmKey>, Failure> {
        let set = ParameterSet::by_name(SET);
        let set = set.map_err(|error| Failure::Internal(error.to_string()))?;
        let record = self.record(asked.tenant, asked.key).await?;
        if let Some(found) = record.map(|record| record.parameter_set)
            && found != set.name
        {
            let detail = format!(
                "key {} is registered for parameter set {}, trainings are of {}; register a key of that, and encrypt the rows under it",
                asked.key, found, set.name
            );
            return Err(Problem::new(ProblemType::WrongParameterSet, detail).into());
        }
        let parts = required_parts(set);
        let parts = parts.map_err(|error| Failure::Internal(error.to_string()))?;
        let parts: BTreeSet<String> = parts.iter().map(|part| part.name.to_owned()).collect();
        self.registered_key(asked.tenant, asked.key, parts, call)
            .await
    }
}
