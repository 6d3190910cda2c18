//! Trainings: program and key from the bucket, steps on encrypted rows.
//!
//! Program and key are looked at again before each stretch of steps, so a program that was removed or a
//! key that ran out ends the training there.

use crate::{Answering, SumsUpload, blocking, refusal};
use bytes::Bytes;
use cipherfn_frame::schema::SchemaError;
use cipherfn_protocol::api::{ModelName, Problem, ProblemType};
use cipherfn_protocol::hash::{Hash, SpecsHash};
use cipherfn_protocol::message::KeyId;
use cipherfn_scheme::SchemeError;
use cipherfn_scheme::parameters::{KeyPart, ParameterSet};
use cipherfn_service::registry::{LiveVersion, live_program};
use cipherfn_service::telemetry::Metric;
use cipherfn_service::{Call, Failure, Tenant};
use cipherfn_serving::training::leaves::{self, LeafPass, LeafPassError};
use cipherfn_serving::training::{Descent, DescentError, SET, required_parts};
use cipherfn_serving::{Stretch, WarmKey};
use cipherfn_training::TrainingProgram;
use cipherfn_training::descent::{DescentUpload, RowsForm, RowsHead, Training};
use cipherfn_training::leaves::{LeafTraining, LeafUpload};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Part of a worker's memory that the rows of a training may have, beside the key and a chunk that is
/// being read.
const MEMORY_PART: u64 = 2;

/// The parts of a key that steps take.
type KeyParts = fn(&'static ParameterSet) -> Result<Vec<&'static KeyPart>, SchemeError>;

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

/// What was uploaded for a training, by its program.
#[derive(Debug)]
pub enum TrainingUpload {
    /// For gradient descent.
    Descent(Box<Training>, DescentUpload),
    /// For counts of rows in the leaves of trees.
    Leaves(Box<LeafTraining>, LeafUpload),
}

/// What a job of a training's program is on.
#[derive(Debug)]
pub enum Uploaded {
    /// Rows, on which steps are run.
    Rows(TrainingUpload),
    /// Sums of owners, which are added.
    Sums(SumsUpload),
}

/// A training under way.
pub struct TrainingRun {
    work: TrainingWork,
    key_parts: KeyParts,
    /// The longest step so far.
    longest: Duration,
}

/// What a training does.
enum TrainingWork {
    /// Steps of descent.
    Descent(Box<Descent>),
    /// Rows counted in leaves, some of a sum a step.
    Leaves(Box<LeafPass>),
}

/// Why a training does not go on.
#[derive(Debug, thiserror::Error)]
pub enum TrainingRunError {
    /// Of descent.
    #[error(transparent)]
    Descent(#[from] DescentError),
    /// Of counts.
    #[error(transparent)]
    Leaves(#[from] LeafPassError),
}

impl Uploaded {
    /// For a program and a key, before the first file. `name` names the files of it ([`files_hash`](cipherfn_training::descent::files_hash));
    /// `public_key` is the file of that which owners have encrypted under, if any.
    fn new(
        (program, key): (TrainingProgram, KeyId),
        (name, public_key): (Hash, Option<Vec<u8>>),
    ) -> Result<Self, SchemaError> {
        Ok(match program {
            TrainingProgram::Descent(training) => {
                let upload = DescentUpload {
                    name: Some(name),
                    public_key,
                    ..DescentUpload::default()
                };
                Self::Rows(TrainingUpload::Descent(training, upload))
            }
            TrainingProgram::Leaves(training) => {
                Self::Rows(TrainingUpload::Leaves(training, LeafUpload::default()))
            }
            TrainingProgram::Statistics(spec) => Self::Sums(SumsUpload::of_statistics(&spec, key)),
            TrainingProgram::Frame(schema) => Self::Sums(SumsUpload::of_frame(&schema, key)?),
        })
    }
}

impl TrainingUpload {
    /// Takes the next file that was uploaded, by its number.
    ///
    /// # Errors
    /// What is wrong with it, as the API says it.
    pub fn add(&mut self, (number, bytes): (usize, &[u8])) -> Result<(), Problem> {
        let added = match self {
            Self::Descent(_, upload) => upload.add(bytes),
            Self::Leaves(_, upload) => upload.add(bytes),
        };
        added.map_err(|error| {
            let detail = format!("chunk {number}: {error}; encrypt the rows again");
            Problem::new(ProblemType::MalformedRows, detail)
        })
    }

    const fn key_parts(&self) -> KeyParts {
        match self {
            Self::Descent(..) => required_parts,
            Self::Leaves(..) => leaves::key_parts,
        }
    }

    fn begin(self, key: &WarmKey) -> Result<TrainingWork, TrainingRunError> {
        let key = key.key.expanded();
        Ok(match self {
            Self::Descent(training, upload) => {
                TrainingWork::Descent(Box::new(Descent::new(&training, key, upload)?))
            }
            Self::Leaves(training, upload) => {
                TrainingWork::Leaves(Box::new(LeafPass::new(&training, key, upload)?))
            }
        })
    }
}

impl TrainingWork {
    const fn progress(&self) -> (u64, u64) {
        match self {
            Self::Descent(descent) => {
                let (done, all) = descent.progress();
                (done as u64, all as u64)
            }
            Self::Leaves(pass) => pass.progress(),
        }
    }

    fn step(&mut self, key: &WarmKey) -> Result<bool, TrainingRunError> {
        let key = key.key.expanded();
        Ok(match self {
            Self::Descent(descent) => descent.step(key)?,
            Self::Leaves(pass) => pass.step(key)?,
        })
    }
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
    pub fn resume(&mut self, state: &Bytes) -> Result<(), TrainingRunError> {
        match &mut self.work {
            TrainingWork::Descent(descent) => descent.resume(state)?,
            TrainingWork::Leaves(pass) => pass.resume(state)?,
        }
        Ok(())
    }

    /// Steps that were done; of counts rows.
    pub const fn steps(&self) -> u64 {
        self.work.progress().0
    }

    /// Whether the last step was done.
    pub const fn is_over(&self) -> bool {
        let (done, all) = self.work.progress();
        done == all
    }

    /// All that it takes to go on; after the last step the result.
    pub fn state(&self) -> Vec<u8> {
        match &self.work {
            TrainingWork::Descent(descent) => descent.state(),
            TrainingWork::Leaves(pass) => pass.state(),
        }
    }

    /// Steps until a stretch is over. None is begun that would not end in time.
    fn go_on(&mut self, key: &WarmKey, stretch: Stretch) -> Result<(), TrainingRunError> {
        let mut now = Instant::now();
        while now + self.longest < stretch.end && self.work.step(key)? {
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

    /// What a training's files are taken by, before the first of them: its program says what they must be. They
    /// are named by `files` ([`files_hash`](cipherfn_training::descent::files_hash)); rows of owners are under a
    /// public key, whose file it takes beside them.
    pub async fn training_upload(
        &self,
        asked: AskedTraining<'_>,
        (files, public_key): (Hash, Option<Vec<u8>>),
        call: &Call,
    ) -> Result<Uploaded, Failure> {
        let program = self.program(asked, call).await?;
        let uploaded = Uploaded::new((program, asked.key), (files, public_key));
        uploaded
            .map_err(|error| Failure::Internal(format!("the schema of {}: {error}", asked.program)))
    }

    /// A training on what was uploaded, before its first step.
    pub async fn begin_training(
        &self,
        asked: AskedTraining<'_>,
        upload: TrainingUpload,
        call: &Call,
    ) -> Result<TrainingRun, Failure> {
        let key_parts = upload.key_parts();
        let key = self.training_key(asked, key_parts, call).await?;
        let begin = move || upload.begin(&key);
        let begun = move || begin().map_err(|error| refusal::malformed_rows(&error));
        Ok(TrainingRun {
            work: blocking(begun, call).await?,
            key_parts,
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
        let key = self.training_key(asked, run.key_parts, call).await?;
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

    async fn program(
        &self,
        asked: AskedTraining<'_>,
        call: &Call,
    ) -> Result<TrainingProgram, Failure> {
        let (name, hash) = (asked.program, asked.version);
        let fetch = async {
            let version = self.live(asked).await?;
            Ok::<_, Failure>(self.registry.specs(name, &version, hash).await?)
        };
        let bytes = call.stage(Metric::ModelFetch, fetch).await?;
        let unusable =
            |why| Failure::Internal(format!("version {hash} of training program {name} {why}"));
        let bytes = bytes.ok_or_else(|| unusable("is gone".to_owned()))?;
        let training = TrainingProgram::from_json(&bytes)
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
        parts: KeyParts,
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
        let parts = parts(set);
        let parts = parts.map_err(|error| Failure::Internal(error.to_string()))?;
        let parts: BTreeSet<String> = parts.iter().map(|part| part.name.to_owned()).collect();
        self.registered_key(asked.tenant, asked.key, parts, call)
            .await
    }
}
