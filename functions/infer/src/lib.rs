//! The function that answers encrypted rows: `POST /v2/models/{model}/predict`, a query in, a reply
//! out. Under `/v1` problems name specs of format 1; queries are answered in kind under both.

use cipherfn_answering::{Answering, Asked};
use cipherfn_protocol::api::{self, Function, ModelName, Requested};
use cipherfn_service::{Call, Failure, http, telemetry};
use lambda_http::http::StatusCode;
use lambda_http::{Body, Error, Request, Response};

/// The function: reads its configuration, then answers until the environment ends.
pub async fn run() -> Result<(), Error> {
    telemetry::init();
    let answering = &Answering::connect().await?;
    cipherfn_service::run(Function::Infer, move |request, call| async move {
        handle(answering, &request, &call).await
    })
    .await
}

<<<<<<< HEAD
async fn handle(
    answering: &Answering,
    request: &Request,
    call: &Call,
) -> Result<Response<Body>, Failure> {
    let Requested {
        version, parameter, ..
    } = http::route(Function::Infer, request)?;
    let name: ModelName = http::id("model", parameter)?;
    let asked = Asked {
        api: version,
        model: &name,
        tenant: call.tenant()?,
        reply_limit: api::MAX_REPLY,
    };
    let query = cipherfn_answering::parse(http::body(request, api::QUERY, api::MAX_REQUEST)?)?;
    let reply = answering.answer(asked, &query, call).await?;
    Ok(http::response(StatusCode::OK, api::REPLY, reply.bytes))
=======
struct Infer {
    registry: Registry,
    warm: Warm<(ModelName, SpecsHash), (Tenant, KeyId)>,
}

impl Infer {
    async fn handle(&self, request: &Request, call: &Call) -> Result<Response<Body>, Failure> {
        let Requested {
            version, parameter, ..
        } = http::route(Function::Infer, request)?;
        let name: ModelName = http::id("model", parameter)?;
        let tenant = call.tenant()?;
        let body = http::body(request, api::QUERY, api::MAX_REQUEST)?;
        let query = Query::parse(body).map_err(|error| refusal::malformed(&error))?;
        let query = Arc::new(query);
        for _ in 0..ATTEMPTS {
            if let Some(response) = self.attempt((version, &name), tenant, &query, call).await? {
                return Ok(response);
            }
        }
        Err(Failure::Internal(format!(
            "model {name} or key {} changes all the time",
            query.head().key
        )))
    }

    /// Answers beside the checks; `None` where model or key turned out to be no longer what was
    /// loaded.
    async fn attempt(
        &self,
        (api, name): (ApiVersion, &ModelName),
        tenant: &Tenant,
        query: &Arc<Query>,
        call: &Call,
    ) -> Result<Option<Response<Body>>, Failure> {
        let (specs, id) = (query.head().specs, query.head().key);
        let warm_model = self.warm.model(&(name.clone(), specs));
        let warm_key = self.warm.key(&(tenant.clone(), id));
        // Models that need no key have clients that registered none.
        let keyless = warm_model
            .as_ref()
            .is_some_and(|model| !model.model.needs_key());
        // What is warm is used beside its check; what is cold is found by it.
        let version = async {
            match &warm_model {
                Some(_) => self.live_version(api, name, specs).await.map(drop),
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
                    None => self.load_model((api, name), specs, call).await,
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
                let answer = self.answer(query, model, None, call).await;
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
                Ok(Some(key)) => self.answer(query, model, Some(key), call).await.map(Some),
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

    /// Evaluates the rows, if there is time and room for all of them.
    async fn answer(
        &self,
        query: &Arc<Query>,
        model: Arc<WarmModel>,
        key: Option<Arc<WarmKey>>,
        call: &Call,
    ) -> Result<Response<Body>, Failure> {
        query
            .check(&model.model, key.as_ref().map(|key| &key.key))
            .map_err(|error| refusal::misdirected(&error))?;
        query
            .check_reply(&model.model, api::MAX_REPLY)
            .map_err(|error| refusal::too_large(&error))?;
        let deadline = Instant::now() + call.remaining();
        let in_time = model.estimate.check(query.work(&model.model), deadline);
        in_time.map_err(|error| refusal::too_late(&error))?;
        call.metrics.add(Metric::Rows, query.rows() as f64);
        let query = Arc::clone(query);
        let work = move || {
            let key = key.as_ref().map(|key| &key.key);
            query
                .answer(&model.model, key, &model.estimate, deadline)
                .map_err(|error| Failure::from(refusal::too_late(&error)))
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

    /// The version, which must be live.
    async fn live_version(
        &self,
        api: ApiVersion,
        name: &ModelName,
        specs: SpecsHash,
    ) -> Result<LiveVersion, Failure> {
        let Some(model) = self.registry.model(name).await? else {
            self.warm.forget_model(&(name.clone(), specs));
            let detail =
                format!("there is no model {name}; GET /v2/models lists those that there are");
            return Err(Problem::new(ProblemType::UnknownModel, detail).into());
        };
        if let Some(version) = model.version(specs) {
            return Ok(version.clone());
        }
        self.warm.forget_model(&(name.clone(), specs));
        let current = model.current(api);
        let current_text = current.map_or_else(String::new, |hash| format!(" ({})", hash.short()));
        let mut problem = Problem::new(
            ProblemType::StaleSpecs,
            format!(
                "the query was made for specs {} of model {name}, which are not live; fetch the current specs{current_text} and encrypt the rows again",
                specs.short()
            ),
        );
        problem.current_specs = current;
        Err(problem.into())
    }

    /// A model that is not warm; `None` where it ceased to be live meanwhile.
    async fn load_model(
        &self,
        (api, name): (ApiVersion, &ModelName),
        specs: SpecsHash,
        call: &Call,
    ) -> Result<Option<Arc<WarmModel>>, Failure> {
        let fetch = async {
            let version = self.live_version(api, name, specs).await?;
            Ok::<_, Failure>(self.registry.bundle(name, &version).await?)
        };
        let Some(bytes) = call.stage(Metric::ModelFetch, fetch).await? else {
            return Ok(None);
        };
        let memory = self.warm.row_memory();
        let prepare = tokio::task::spawn_blocking(move || WarmModel::new(&bytes, memory));
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
        Ok(Some(self.warm.keep_model((name.clone(), specs), model)))
    }
>>>>>>> main
}
