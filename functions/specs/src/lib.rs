//! The function that lists models and training programs, and serves client specs and programs. It links
//! no cryptography, so it starts fast.
//!
//! | route | answer |
//! |---|---|
//! | `GET /v2/models` | every model and table in the clear, and its live versions |
//! | `GET /v2/models/{model}` | client specs of the current version, or what is public of a table, or of `?specs=HASH`; `ETag` is the specs hash, `Cipherfn-Statement` their developer's signed statement |
//! | `GET /v2/programs` | every training program and its live versions |
//! | `GET /v2/programs/{program}` | the current version of a program, or that of `?specs=HASH`; headers as beside specs |
//! | `GET /v2/openapi.json` | the service's OpenAPI document |
//!
//! Under `/v1` they show what can be said in specs of format 1, without statement.

use cipherfn_protocol::api::{
    self, ApiVersion, Function, ModelList, ModelName, Problem, ProblemType, ProgramList,
    PublishedKind, Requested, Route,
};
use cipherfn_protocol::hash::SpecsHash;
use cipherfn_service::registry::{LiveVersion, Model, Models, live_program, unknown_program};
use cipherfn_service::{Call, Failure, Registry, S3, config, http, telemetry};
use lambda_http::http::{HeaderValue, StatusCode, header};
use lambda_http::{Body, Error, Request, RequestExt, Response};
use std::time::Duration;

/// The OpenAPI document.
pub const OPENAPI: &str = include_str!("../../../docs/openapi.json");
/// How long the URL of a document that is too large for an answer works.
const URL_LIFETIME: Duration = Duration::from_mins(5);
/// What is served as models are.
const MODELS: [PublishedKind; 2] = [PublishedKind::Model, PublishedKind::Table];

/// The function: reads its configuration, then answers until the environment ends.
pub async fn run() -> Result<(), Error> {
    telemetry::init();
    let registry = Registry::new(S3::connect(config::bucket()?).await);
    let registry = &registry;
    cipherfn_service::run(Function::Specs, move |request, call| async move {
        handle(registry, &request, &call).await
    })
    .await
}

async fn handle(
    registry: &Registry,
    request: &Request,
    call: &Call,
) -> Result<Response<Body>, Failure> {
    let Requested {
        version,
        route,
        parameter,
    } = http::route(Function::Specs, request)?;
    call.tenant()?;
    match route {
        Route::OpenApi => Ok(http::response(StatusCode::OK, api::JSON, OPENAPI)),
        Route::Models => {
            let models = published(registry, &MODELS, call).await?;
            let models = models.iter().filter_map(|model| model.summary_for(version));
            let models = models.collect();
            Ok(http::json(StatusCode::OK, &ModelList { models }))
        }
        Route::Programs => {
            let programs = published(registry, &[PublishedKind::Program], call).await?;
            let programs = programs.iter().map(Model::summary).collect();
            Ok(http::json(StatusCode::OK, &ProgramList { programs }))
        }
        Route::Program => program(registry, request, &http::id("program", parameter)?).await,
        _ => specs(registry, request, version, &http::id("model", parameter)?).await,
    }
}

/// What is published of these kinds.
async fn published(
    registry: &Registry,
    kinds: &[PublishedKind],
    call: &Call,
) -> Result<Vec<Model>, Failure> {
    let Models {
        mut models,
        unreadable,
    } = registry.models().await?;
    for error in unreadable {
        call.warn("a model is missing in the list", &error);
    }
    models.retain(|model| kinds.contains(&model.kind));
    Ok(models)
}

/// The version that a request names, if it names one.
fn wanted(request: &Request) -> Result<Option<SpecsHash>, Problem> {
    let query = request.query_string_parameters_ref();
    let text = query.and_then(|query| query.first("specs"));
    text.map(|text| http::id("version", text)).transpose()
}

async fn program(
    registry: &Registry,
    request: &Request,
    name: &ModelName,
) -> Result<Response<Body>, Failure> {
    let unknown = || unknown_program(name);
    let program = registry.model(name).await?.ok_or_else(unknown)?;
    let hash = wanted(request)?.unwrap_or(program.current);
    let version = live_program(Some(&program), name, hash)?;
    let served = Served {
        name,
        version,
        hash,
        content_type: api::PROGRAM,
        unknown: &unknown,
    };
    document(registry, request, served).await
}

async fn specs(
    registry: &Registry,
    request: &Request,
    api_version: ApiVersion,
    name: &ModelName,
) -> Result<Response<Body>, Failure> {
    let unknown = || {
        Problem::new(
            ProblemType::UnknownModel,
            format!("there is no model {name}; GET /v2/models lists those that there are"),
        )
    };
    let model = registry.model(name).await?;
    let model = model.filter(|model| MODELS.contains(&model.kind));
    let model = model.ok_or_else(unknown)?;
    let current = model.current(api_version).ok_or_else(|| {
        Problem::new(
            ProblemType::NewerClientNeeded,
            format!("model {name} cannot be said to clients of version 1; use a newer client"),
        )
    })?;
    let hash = wanted(request)?.unwrap_or(current);
    let Some(version) = model.version(hash) else {
        let mut problem = Problem::new(
            ProblemType::StaleSpecs,
            format!(
                "model {name} has no live version {}; fetch the current specs",
                hash.short()
            ),
        );
        problem.current_specs = Some(current);
        return Err(problem.into());
    };
    let served = Served {
        name,
        version,
        hash,
        content_type: api::SPECS,
        unknown: &unknown,
    };
    document(registry, request, served).await
}

/// A document of a live version.
struct Served<'a> {
    name: &'a ModelName,
    version: &'a LiveVersion,
    /// Of the document.
    hash: SpecsHash,
    content_type: &'static str,
    /// What to tell where it is gone.
    unknown: &'a (dyn Fn() -> Problem + Sync),
}

async fn document(
    registry: &Registry,
    request: &Request,
    served: Served<'_>,
) -> Result<Response<Body>, Failure> {
    let Served {
        name,
        version,
        hash,
        ..
    } = served;
    let etag = format!("\"{hash}\"");
    let known = request.headers().get_all(header::IF_NONE_MATCH).iter();
    let mut known = known
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    let value =
        HeaderValue::from_str(&etag).map_err(|error| Failure::Internal(error.to_string()))?;
    let mut response = if known.any(|value| value.trim().trim_start_matches("W/") == etag) {
        let mut response = Response::new(Body::Empty);
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    } else {
        // The pointer names complete versions only; one that was removed since is as good as
        // unknown.
        let document = registry
            .specs(name, version, hash)
            .await?
            .ok_or_else(served.unknown)?;
        if document.len() > api::MAX_REPLY {
            let request = registry.specs_request(name, version, hash, URL_LIFETIME);
            let request = request.await?;
            redirect(&request.url)?
        } else {
            http::response(StatusCode::OK, served.content_type, document.to_vec())
        }
    };
    response.headers_mut().insert(header::ETAG, value);
    // A statement is about programs and the specs of version 2 alone. It may be newer than the document
    // that the client has, so "not modified" brings it too.
    if let Some(statement) = &version.statement
        && statement.statement.specs == hash
    {
        let json = statement.to_json();
        let json = json.map_err(|error| Failure::Internal(error.to_string()))?;
        let value =
            HeaderValue::from_str(&json).map_err(|error| Failure::Internal(error.to_string()))?;
        response.headers_mut().insert(api::STATEMENT, value);
    }
    // Cached by whoever likes to, asked for again each time.
    response.headers_mut().insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("private, no-cache"),
    );
    Ok(response)
}

fn redirect(url: &str) -> Result<Response<Body>, Failure> {
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
    let value = HeaderValue::from_str(url).map_err(|error| Failure::Internal(error.to_string()))?;
    response.headers_mut().insert(header::LOCATION, value);
    Ok(response)
}
