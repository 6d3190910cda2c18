//! The function that answers encrypted rows: `POST /v1/models/{model}/predict`, a query in, a reply
//! out.
//!
//! ```text
//!   query ──► head: specs hash, key id
//!               ├── is the version live?   S3, every time        ┐
//!               ├── is the key active?     S3, every time        │ at the same time
//!               └── bundle ──► prepared circuit   warm, or S3 ┐  │
//!                   key    ──► Fourier form       warm, or S3 ┴──┴─► rows, in parallel ──► reply, if both checks held
//! ```
//!
//! Warm, nothing but the two small checks goes to S3, and they run beside the evaluation: a model
//! that was removed or a key that was deleted is refused by the next request of a warm environment.
//! A key in memory counts only if its checksum is the registered one.

mod estimate;
mod query;
mod warm;

use cipherfn_protocol::api::{self, Function, KeyState, ModelName, Problem, ProblemType};
use cipherfn_protocol::hash::{Sha256, SpecsHash};
use cipherfn_protocol::message::KeyId;
use cipherfn_service::telemetry::Metric;
use cipherfn_service::{Call, Failure, Store, Tenant, config, http, telemetry};
use lambda_http::http::StatusCode;
use lambda_http::{Body, Error, Request, Response};
use query::Query;
use std::sync::Arc;
use std::time::Instant;
use warm::{Warm, WarmKey, WarmModel};

/// How often a request is answered anew because its key was registered anew meanwhile.
const ATTEMPTS: u32 = 3;

/// The function: reads its configuration, then answers until the environment ends.
pub async fn run() -> Result<(), Error> {
    telemetry::init();
    // Plans of the Fourier transforms are made while the first request is on its way.
    std::thread::spawn(cipherfn_scheme::fourier::warm_up);
    let infer = Infer {
        store: Store::connect(config::bucket()?).await,
        warm: Warm::new(config::memory()?),
    };
    let infer = &infer;
    cipherfn_service::run(Function::Infer, move |request, call| async move {
        infer.handle(&request, &call).await
    })
    .await
}

struct Infer {
    store: Store,
    warm: Warm,
}

impl Infer {
    async fn handle(&self, request: &Request, call: &Call) -> Result<Response<Body>, Failure> {
        let (_, _, parameter) = http::route(Function::Infer, request)?;
        let name: ModelName = http::id("model", &parameter)?;
        let tenant = call.tenant()?;
        let query = Arc::new(Query::parse(http::body(
            request,
            api::QUERY,
            api::MAX_REQUEST,
        )?)?);
        for _ in 0..ATTEMPTS {
            if let Some(response) = self.attempt(&name, tenant, &query, call).await? {
                return Ok(response);
            }
        }
        Err(Failure::Internal(format!(
            "key {} is registered anew all the time",
            query.head().key
        )))
    }

    /// Answers beside the checks; `None` where the key in memory turned out to be another file than
    /// the one that is registered.
    async fn attempt(
        &self,
        name: &ModelName,
        tenant: &Tenant,
        query: &Arc<Query>,
        call: &Call,
    ) -> Result<Option<Response<Body>>, Failure> {
        let (specs, id) = (query.head().specs, query.head().key);
        let warm = self.warm.model(name, specs);
        // Models that need no key have clients that registered none.
        let keyless = warm.as_ref().is_some_and(|model| !model.model.needs_key());
        let version = self.check_version(name, specs);
        let registered = async {
            if keyless {
                Ok(None)
            } else {
                self.check_key(tenant, id).await.map(Some)
            }
        };
        let answer = async {
            let model = async {
                match warm {
                    Some(model) => Ok(model),
                    None => self.load_model(name, specs, call).await,
                }
            };
            let key = async {
                if keyless {
                    Ok(None)
                } else {
                    self.key(tenant, id, call).await
                }
            };
            match tokio::join!(model, key) {
                (Ok(model), _) if !model.model.needs_key() => (
                    false,
                    self.answer(query, model, None, call)
                        .await
                        .map(|answer| (None, answer)),
                ),
                (Ok(model), Ok(key)) => {
                    let sha256 = key.as_ref().map(|key| key.sha256);
                    (
                        true,
                        self.answer(query, model, key, call)
                            .await
                            .map(|answer| (sha256, answer)),
                    )
                }
                // Whether a model that did not load needs a key, nobody knows: its client may have
                // registered none.
                (Err(failure), _) => (false, Err(failure)),
                (_, Err(failure)) => (true, Err(failure)),
            }
        };
        let (version, registered, (needs_key, answer)) = tokio::join!(version, registered, answer);
        // What a check says comes before what loading and answering made of it.
        version?;
        if !needs_key {
            return answer.map(|(_, response)| Some(response));
        }
        let registered = registered?;
        let (used, response) = answer?;
        if used == registered {
            return Ok(Some(response));
        }
        self.warm.forget_key(tenant, id);
        Ok(None)
    }

    /// Evaluates the rows, if there is time and room for all of them.
    async fn answer(
        &self,
        query: &Arc<Query>,
        model: Arc<WarmModel>,
        key: Option<Arc<WarmKey>>,
        call: &Call,
    ) -> Result<Response<Body>, Failure> {
        query.check(&model.model, key.as_ref().map(|key| &key.key))?;
        let deadline = Instant::now() + call.remaining();
        model.estimate.check(query.rows(), deadline)?;
        call.metrics.add(Metric::Rows, query.rows() as f64);
        let query = Arc::clone(query);
        let work = move || {
            query.answer(
                &model.model,
                key.as_ref().map(|key| &key.key),
                &model.estimate,
                deadline,
            )
        };
        let work = tokio::task::spawn_blocking(work);
        let reply = call.stage(Metric::Evaluate, work).await;
        let reply = reply.unwrap_or_else(|error| match error.try_into_panic() {
            // The loop counts it and answers 500.
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(error) => Err(Failure::Internal(format!("evaluation failed: {error}"))),
        })?;
        call.metrics.add(Metric::RowsFailed, reply.failed as f64);
        Ok(http::response(StatusCode::OK, api::REPLY, reply.bytes))
    }

    /// Whether the version is live.
    async fn check_version(&self, name: &ModelName, specs: SpecsHash) -> Result<(), Failure> {
        let Some(model) = self.store.model(name).await? else {
            self.warm.forget(name, specs);
            let detail =
                format!("there is no model {name}; GET /v1/models lists those that there are");
            return Err(Problem::new(ProblemType::UnknownModel, detail).into());
        };
        if model.versions.iter().any(|version| version.specs == specs) {
            return Ok(());
        }
        self.warm.forget(name, specs);
        let mut problem = Problem::new(
            ProblemType::StaleSpecs,
            format!(
                "the query was made for specs {} of model {name}, which are not live; fetch the current specs ({}) and encrypt the rows again",
                specs.short(),
                model.current.short()
            ),
        );
        problem.current_specs = Some(model.current);
        Err(problem.into())
    }

    /// Checksum of the tenant's key, which must be active. Another tenant's key is as unknown as
    /// one that never was.
    async fn check_key(&self, tenant: &Tenant, id: KeyId) -> Result<Sha256, Failure> {
        let record = self.store.record(tenant, id).await?;
        let problem = match &record {
            Some(record) if record.is_expired() => Problem::new(
                ProblemType::KeyExpired,
                format!("the registration of key {id} has run out; register it again"),
            ),
            Some(record) if record.status.state == KeyState::Active => {
                return Ok(record.status.sha256);
            }
            Some(_) => Problem::new(
                ProblemType::KeyNotActive,
                format!("key {id} is declared and not active; upload and complete it"),
            ),
            None => unknown_key(id),
        };
        self.warm.forget_key(tenant, id);
        Err(problem.into())
    }

    /// A model that is not warm.
    async fn load_model(
        &self,
        name: &ModelName,
        specs: SpecsHash,
        call: &Call,
    ) -> Result<Arc<WarmModel>, Failure> {
        let bytes = call
            .stage(Metric::ModelFetch, self.store.bundle(name, specs))
            .await?;
        let bytes = bytes.ok_or_else(|| {
            Failure::Internal(format!("the bundle {specs} of model {name} is missing"))
        })?;
        let prepare = tokio::task::spawn_blocking(move || WarmModel::new(&bytes));
        let model = call.stage(Metric::ModelPrepare, prepare).await;
        let model = model
            .map_err(|error| error.to_string())
            .and_then(|model| model)
            .map_err(|error| {
                Failure::Internal(format!(
                    "the bundle {specs} of model {name} does not load: {error}"
                ))
            })?;
        if model.model.specs() != specs {
            return Err(Failure::Internal(format!(
                "the bundle {specs} of model {name} is that of other specs"
            )));
        }
        Ok(self.warm.keep(name, model))
    }

    /// The tenant's key, warm or from S3; `None` where there is none.
    async fn key(
        &self,
        tenant: &Tenant,
        id: KeyId,
        call: &Call,
    ) -> Result<Option<Arc<WarmKey>>, Failure> {
        if let Some(key) = self.warm.key(tenant, id) {
            return Ok(Some(key));
        }
        let Some(bytes) = call
            .stage(Metric::KeyFetch, self.store.key(tenant, id, api::MAX_KEY))
            .await?
        else {
            return Ok(None);
        };
        let expand = tokio::task::spawn_blocking(move || WarmKey::new(&bytes));
        let key = call.stage(Metric::KeyExpand, expand).await;
        let key = key
            .map_err(|error| error.to_string())
            .and_then(|key| key)
            .map_err(|error| {
                Failure::Internal(format!("the stored key {id} does not load: {error}"))
            })?;
        if key.key.id() != id {
            return Err(Failure::Internal(format!(
                "the stored key {id} is key {}",
                key.key.id()
            )));
        }
        Ok(Some(self.warm.keep_key(tenant, key)))
    }
}

fn unknown_key(id: KeyId) -> Problem {
    Problem::new(
        ProblemType::UnknownKey,
        format!("you have no key {id}; register it: POST /v1/keys"),
    )
}
