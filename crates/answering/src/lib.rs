//! A tenant's query to its reply, by models and keys of the bucket: what the functions with an engine
//! share.
//!
//! ```text
//!   query ──► head: specs hash, key id
//!               ├── is the version live?   S3, every time ──► bundle ──► prepared circuit   warm, or S3 ┐
//!               └── are its parts active?  S3, every time ──► parts  ──► Fourier form       warm, or S3 ┴─► rows, in parallel ──► reply
//! ```
//!
//! Warm, nothing but the two small checks goes to S3, and they run beside the evaluation: a model
//! that was removed or a key that was deleted is refused by the next query of a warm environment.
//! Cold, they say where the files are. Of a key those parts are loaded that the model needs; one in
//! memory counts only if its parts' checksums are the registered ones.

mod forms;
mod frames;
mod keys;
mod published;
mod refusal;
mod scores;
mod stored_frames;
mod tables;
mod total;
mod training;

use bytes::Bytes;
use cipherfn_protocol::api::{ApiVersion, ModelName, Problem};
use cipherfn_protocol::hash::{Sha256, SpecsHash};
use cipherfn_protocol::message::KeyId;
use cipherfn_protocol::specs::EXPANSION;
use cipherfn_service::registry::{LiveVersion, live_version};
use cipherfn_service::telemetry::Metric;
use cipherfn_service::{Call, Failure, Registry, S3, Tenant, config};
use cipherfn_serving::{Key, Reply, Warm, WarmKey, WarmModel};
pub use cipherfn_serving::{Part, Progress, Query, Stretch};
pub use cipherfn_training::descent::files_hash;
pub use frames::Asking;
use lambda_http::Error;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;
pub use total::SumsUpload;
pub use training::{
    AskedTraining, TrainingRun, TrainingRunError, TrainingUpload, Uploaded, is_of_owner,
};

/// How often a query is answered anew because its model or key changed meanwhile.
const ATTEMPTS: u32 = 3;

/// Models and keys of a bucket, those that were used last in memory.
pub struct Answering {
    registry: Registry,
    warm: Warm<Prepared, (Tenant, KeyId)>,
    /// Of the function, in bytes.
    memory: u64,
}

/// A version of a model, or a part of it.
type Prepared = (ModelName, SpecsHash, Option<Part>);

/// Whose query it is, and to what.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Version of the API, in whose terms problems are told.
    pub api: ApiVersion,
    /// The model.
    pub model: &'a ModelName,
    /// Whose key it is under.
    pub tenant: &'a Tenant,
    /// Most bytes of a reply.
    pub reply_limit: usize,
}

/// Where an answer that can be interrupted stands.
#[derive(Debug)]
pub enum Stage {
    /// The stretch was over before it was.
    Paused(Progress),
    /// It is whole.
    Whole(Reply),
}

/// What is done with a query by a model and a key: on a thread of its own, and once more where they
/// turn out to be no longer what was loaded.
trait Work<T>:
    Fn(&Query, &WarmModel, Option<&Key>) -> Result<T, Problem> + Clone + Send + Sync + 'static
{
}

impl<T, F> Work<T> for F where
    F: Fn(&Query, &WarmModel, Option<&Key>) -> Result<T, Problem> + Clone + Send + Sync + 'static
{
}

/// A query from its bytes.
///
/// # Errors
/// What is wrong with it, as the API says it.
pub fn parse(bytes: &[u8]) -> Result<Arc<Query>, Problem> {
    let query = Query::parse(bytes).map_err(|error| refusal::malformed(&error))?;
    Ok(Arc::new(query))
}

/// What is there of the answer to a query, from the file that says so.
///
/// # Errors
/// What is wrong with it, as the API says it.
pub fn resume(bytes: &[u8], (query, sha256): (&Query, Sha256)) -> Result<Progress, Problem> {
    let progress = Progress::from_file_bytes(bytes, sha256, query.tag());
    progress.map_err(|error| refusal::other_checkpoint(&error))
}

impl Answering {
    /// Bucket and memory as the environment says.
    pub async fn connect() -> Result<Self, Error> {
        // Plans of the Fourier transforms are made while the first query is on its way.
        std::thread::spawn(cipherfn_scheme::fourier::warm_up);
        let memory = config::memory()?;
        Ok(Self {
            registry: Registry::new(S3::connect(config::bucket()?).await),
            warm: Warm::new(memory),
            memory,
        })
    }

    /// What is in the bucket.
    pub const fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Answers a query: all its rows, or none.
    pub async fn answer(
        &self,
        asked: Asked<'_>,
        query: &Arc<Query>,
        call: &Call,
    ) -> Result<Reply, Failure> {
        let deadline = Instant::now() + call.remaining();
        let work = move |query: &Query, warm: &WarmModel, key: Option<&Key>| {
            let (model, estimate) = (&warm.model, &warm.estimate);
            let in_time = estimate.check(query.work(model), deadline);
            let reply = in_time.and_then(|()| query.answer(model, key, estimate, deadline));
            reply.map_err(|error| refusal::too_late(&error))
        };
        let reply = self.evaluated((asked, None), query, call, work).await?;
        Ok(counted(query, reply, call))
    }

    /// Goes on with an answer as far as a stretch reaches. Model and key are checked anew, as for any
    /// query.
    pub async fn go_on(
        &self,
        asked: Asked<'_>,
        query: &Arc<Query>,
        (progress, stretch): (Progress, Stretch),
        call: &Call,
    ) -> Result<Stage, Failure> {
        let before = progress.rows();
        let work = move |query: &Query, warm: &WarmModel, key: Option<&Key>| {
            // What is answered beside a check that fails is not kept.
            let mut progress = progress.clone();
            let (model, pace) = (&warm.model, (&warm.estimate, stretch));
            let reply = query.go_on(model, key, &mut progress, pace);
            let reply = reply.map_err(|error| refusal::other_checkpoint(&error))?;
            Ok(reply.map_or_else(|| Stage::Paused(progress), Stage::Whole))
        };
        let stage = self.evaluated((asked, None), query, call, work).await?;
        let after = match &stage {
            Stage::Paused(progress) => progress.rows(),
            Stage::Whole(reply) => {
                call.metrics.add(Metric::RowsFailed, reply.failed as f64);
                query.rows()
            }
        };
        call.metrics
            .add(Metric::Rows, after.saturating_sub(before) as f64);
        Ok(stage)
    }

    /// What a part of the model makes of a query with this checksum: a file of sums, which no client
    /// may see.
    pub async fn sums(
        &self,
        asked: Asked<'_>,
        part: Part,
        (query, sha256): (&Arc<Query>, Sha256),
        call: &Call,
    ) -> Result<Vec<u8>, Failure> {
        let deadline = Instant::now() + call.remaining();
        let work = move |query: &Query, warm: &WarmModel, key: Option<&Key>| {
            let sums = query.sums(&warm.model, key, sha256, &warm.estimate, deadline);
            sums.map_err(|error| refusal::no_sums(&error))
        };
        self.evaluated((asked, Some(part)), query, call, work).await
    }

    /// Adds the sums of all parts of the model to a query's reply. `part` is any of them.
    pub async fn add(
        &self,
        asked: Asked<'_>,
        part: Part,
        (query, sha256): (&Arc<Query>, Sha256),
        sums: Vec<Bytes>,
        call: &Call,
    ) -> Result<Reply, Failure> {
        let deadline = Instant::now() + call.remaining();
        let work = move |query: &Query, warm: &WarmModel, key: Option<&Key>| {
            let (model, estimate) = (&warm.model, &warm.estimate);
            let reply = query.add(model, key, (sha256, &sums), estimate, deadline);
            reply.map_err(|error| refusal::no_sums(&error))
        };
        let reply = self.evaluated((asked, Some(part)), query, call, work);
        Ok(counted(query, reply.await?, call))
    }

    /// What `work` makes of a query, model or part of one, and key that belong together.
    async fn evaluated<T: Send + 'static>(
        &self,
        (asked, part): (Asked<'_>, Option<Part>),
        query: &Arc<Query>,
        call: &Call,
        work: impl Work<T>,
    ) -> Result<T, Failure> {
        for _ in 0..ATTEMPTS {
            let attempt = Box::pin(self.attempt((asked, part), query, call, &work));
            if let Some(done) = attempt.await? {
                return Ok(done);
            }
        }
        Err(Failure::Internal(format!(
            "model {} or key {} changes all the time",
            asked.model,
            query.head().key
        )))
    }

    /// Answers beside the checks; `None` where model or key turned out to be no longer what was
    /// loaded.
    async fn attempt<T: Send + 'static>(
        &self,
        (asked, part): (Asked<'_>, Option<Part>),
        query: &Arc<Query>,
        call: &Call,
        work: &impl Work<T>,
    ) -> Result<Option<T>, Failure> {
        let Asked {
            api,
            model: name,
            tenant,
            ..
        } = asked;
        let (specs, id) = (query.head().specs, query.head().key);
        let warm_model = self.warm.model(&(name.clone(), specs, part));
        let warm_key = self.warm.key(&(tenant.clone(), id));
        // Models that need no key have clients that registered none.
        let keyless = warm_model
            .as_ref()
            .is_some_and(|model| !model.model.needs_key());
        // What is warm is used beside its check; what is cold is found by it.
        let version = async {
            match &warm_model {
                Some(_) => {
                    let live = self.live_version((api, name), (specs, part));
                    live.await.map(drop)
                }
                None => Ok(()),
            }
        };
        let registered = async {
            match &warm_key {
                Some(_) if !keyless => self.record(tenant, id).await.map(Some),
                _ => Ok(None),
            }
        };
        let answer = async {
            let model = async {
                match &warm_model {
                    Some(model) => Ok(Some(Arc::clone(model))),
                    None => self.load_model((api, name), (specs, part), call).await,
                }
            };
            let key = async {
                if keyless || warm_key.is_some() {
                    return Ok(None);
                }
                // What a model needs that is not there yet is at least the expansion, or nothing.
                let parts = warm_model.as_ref().map_or_else(
                    || BTreeSet::from([EXPANSION.to_owned()]),
                    |model| model.model.key_parts().clone(),
                );
                self.load_key(tenant, id, (None, parts), call).await
            };
            let (model, fresh) = tokio::join!(model, key);
            let model = match model {
                Ok(Some(model)) => model,
                Ok(None) => return (None, Ok(None)),
                // Whether a model that did not load needs a key, nobody knows: its client may have
                // registered none.
                Err(failure) => return (None, Err(failure)),
            };
            if !model.model.needs_key() {
                let warm = (model, None);
                let answer = Self::evaluate(query, warm, asked.reply_limit, call, work).await;
                return (None, answer.map(Some));
            }
            let parts = Some(model.model.key_parts().clone());
            let key = match fresh {
                Ok(fresh) => {
                    self.complete_key(tenant, id, (warm_key.clone(), fresh), &model, call)
                        .await
                }
                Err(failure) => Err(failure),
            };
            let answer = match key {
                Ok(Some(key)) => {
                    let warm = (model, Some(key));
                    let answer = Self::evaluate(query, warm, asked.reply_limit, call, work).await;
                    answer.map(Some)
                }
                Ok(None) => Ok(None),
                Err(failure) => Err(failure),
            };
            (parts, answer)
        };
        let (version, registered, (parts, answer)) = tokio::join!(version, registered, answer);
        // What a check says comes before what loading and answering made of it.
        version?;
        if let (Some(parts), Some(key)) = (parts, warm_key)
            && let Some(record) = registered?
        {
            let active = self.active_parts(tenant, id, record.as_ref(), &parts, call)?;
            if !keys::are_held(&key, &active) {
                self.warm.forget_key(&(tenant.clone(), id));
                return Ok(None);
            }
        }
        answer
    }

    /// Evaluates rows, if there is room for all of them.
    async fn evaluate<T: Send + 'static>(
        query: &Arc<Query>,
        (model, key): (Arc<WarmModel>, Option<Arc<WarmKey>>),
        reply_limit: usize,
        call: &Call,
        work: &impl Work<T>,
    ) -> Result<T, Failure> {
        query
            .check(&model.model, key.as_ref().map(|key| &key.key))
            .map_err(|error| refusal::misdirected(&error))?;
        let in_memory = model.model.check_memory();
        in_memory.map_err(|error| refusal::too_little_memory(&error))?;
        query
            .check_reply(&model.model, reply_limit)
            .map_err(|error| refusal::too_large(&error))?;
        let (query, work) = (Arc::clone(query), work.clone());
        let work = move || work(&query, &model, key.as_ref().map(|key| &key.key));
        blocking(work, call).await
    }

    /// The version, which must be live.
    async fn live_version(
        &self,
        (api, name): (ApiVersion, &ModelName),
        (specs, part): (SpecsHash, Option<Part>),
    ) -> Result<LiveVersion, Failure> {
        let model = self.registry.model(name).await?;
        let version = live_version(model.as_ref(), (api, name), specs).cloned();
        if version.is_err() {
            self.warm.forget_model(&(name.clone(), specs, part));
        }
        Ok(version?)
    }

    /// A model that is not warm; `None` where it ceased to be live meanwhile.
    async fn load_model(
        &self,
        (api, name): (ApiVersion, &ModelName),
        (specs, part): (SpecsHash, Option<Part>),
        call: &Call,
    ) -> Result<Option<Arc<WarmModel>>, Failure> {
        let fetch = async {
            let version = self.live_version((api, name), (specs, part)).await?;
            Ok::<_, Failure>(self.registry.bundle(name, &version).await?)
        };
        let Some(bytes) = call.stage(Metric::ModelFetch, fetch).await? else {
            return Ok(None);
        };
        let memory = self.warm.row_memory();
        let prepare = tokio::task::spawn_blocking(move || WarmModel::new(&bytes, part, memory));
        let model = call.stage(Metric::ModelPrepare, prepare).await;
        let model = model
            .map_err(|error| error.to_string())
            .and_then(|model| model.map_err(|error| error.to_string()))
            .map_err(|error| {
                Failure::Internal(format!(
                    "the bundle {specs} of model {name} does not load: {error}"
                ))
            })?;
        if !model.model.knows(specs) {
            return Err(Failure::Internal(format!(
                "the bundle {specs} of model {name} is that of other specs"
            )));
        }
        Ok(Some(
            self.warm.keep_model((name.clone(), specs, part), model),
        ))
    }
}

fn counted(query: &Query, reply: Reply, call: &Call) -> Reply {
    call.metrics.add(Metric::Rows, query.rows() as f64);
    call.metrics.add(Metric::RowsFailed, reply.failed as f64);
    reply
}

/// An evaluation, on a thread of its own.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
    call: &Call,
) -> Result<T, Failure> {
    let work = tokio::task::spawn_blocking(work);
    let done = call.stage(Metric::Evaluate, work).await;
    let done = done.map_err(|error| match error.try_into_panic() {
        // The loop counts it and answers 500.
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(error) => Failure::Internal(format!("evaluation failed: {error}")),
    })?;
    Ok(done?)
}
