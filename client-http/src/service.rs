//! A service over HTTP: models, keys and predictions of one endpoint.
//!
//! ```text
//!   Service::client     GET  /v2/models/{model}            specs, cached by their hash
//!   Service::register   POST /v2/keys, PUT to S3, complete: parts of the evaluation key, once
//!   Service::predict    POST /v2/models/{model}/predict    rows in, predictions out, in order
//!   Service::upload_frame   POST /v2/uploads, PUT to S3, POST /v2/frames: encrypted tables that the service keeps
//!   Service::program     GET  /v2/programs/{program}       a training program, checked as specs are
//!   Service::train       POST /v2/uploads, PUT to S3, POST /v2/jobs: encrypted rows in, weights out
//!   Service::predict_trained   POST /v2/jobs/{job}/predict   rows in, predictions by weights that stay encrypted out
//!   Service::query_frames   POST /v2/frames/query, or /v2/frames/jobs where it takes longer
//!   Service::predict_bulk   POST /v2/uploads, PUT to S3, POST /v2/jobs, GET from S3: the same for large tables
//! ```
//!
//! Every request can be repeated without harm, and is, where its failure can pass. Nothing that a
//! service sends is believed: specs must have the hash that names them and be the known developer's, replies the specs, the key
//! and the number of rows of their request.

mod awaited;
mod bulk;
mod collect;
mod declare;
mod endpoint;
mod error;
mod expect;
mod frames;
mod going_on;
mod joint;
mod leaves;
mod manifest;
mod options;
mod pace;
mod predict;
mod problems;
mod register;
mod retry;
mod send;
mod sent;
mod sign;
mod specs;
mod totals;
mod train;
mod trained;
mod transfer;
mod transport;
mod upload;
mod uploaded;
mod words;

pub use bulk::{Bulk, BulkDone, BulkPass, BulkProgress, BulkReport};
pub use error::{ServiceError, Skew};
pub use expect::BulkExpectation;
pub use going_on::GoingOn;
pub use joint::public_key_hash;
pub use manifest::ManifestError;
pub use options::{
    Authentication, ParseTokenError, Retry, RetryListener, Retrying, ServiceOptions, Timeouts,
    Token,
};
pub use register::{Registered, Uploaded};
pub use specs::{Fetched, FetchedProgram, FetchedScore, FetchedTable};
pub use totals::OwnSums;
pub use train::RowsUpload;
pub use uploaded::{RowsName, SameTraining, UploadedRows};

use cipherfn_protocol::api::v2::{KeyList, KeyStatus};
use cipherfn_protocol::api::{self, ApiVersion, ModelList, ProblemType, ProgramList, Route};
use cipherfn_protocol::message::KeyId;
use endpoint::Endpoint;
use http::Method;
use http::header::CONTENT_TYPE;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::sync::Arc;
use transport::{Answer, Call, Clock};

/// One endpoint, with its connections. Clones share them. Works inside a tokio runtime.
///
/// ```no_run
/// use cipherfn_client::{Accept, Batch, Values};
/// use cipherfn_client_http::{Authentication, Existing, KeyRing, Service, ServiceOptions, Token};
///
/// # async fn predictions() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
/// let options = ServiceOptions {
///     authentication: Authentication::Bearer(Token::new(std::env::var("TOKEN")?)?),
///     specs_cache: Some("cache/specs".into()),
///     ..ServiceOptions::default()
/// };
/// let service = Service::new("https://abc123.execute-api.eu-central-1.amazonaws.com/prod", options)?;
/// let model = "fraud".parse()?;
/// let keys = KeyRing::at("keys");
/// let client = service.client(&model, &keys, &Accept::Pinned).await?.client;
///
/// keys.fill(&client, Existing::Keep)?;
/// service.register(&keys, &client, |_| ()).await?; // once; nothing happens where its parts are active already
///
/// let batch = Batch::new().with("amount", Values::F64(vec![12.5, 4000.0]));
/// let rows = client.rows(&batch)?.into_iter().map(Ok);
/// let mut answers = Vec::new();
/// let take = |more| { answers.extend(more); Ok::<_, cipherfn_client_http::ServiceError>(()) };
/// service.predict(&model, &client, &keys, rows, take).await?;
/// println!("{:?}", client.predictions(&answers));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Service(Arc<Inner>);

struct Inner {
    endpoint: Endpoint,
    options: ServiceOptions,
    /// Region of signatures; empty where nothing is signed.
    region: String,
    clock: Clock,
    http: reqwest::Client,
}

impl Service {
    /// The service at `url`: `https`, or `http` on this machine; a path is put before every route.
    /// `{function}` in it stands for the name of the function that answers, as in `http://localhost:9000/lambda-url/{function}` for `cargo lambda watch`. Nothing is sent yet.
    pub fn new(url: &str, options: ServiceOptions) -> Result<Self, ServiceError> {
        let endpoint = Endpoint::parse(url)?;
        let region = match &options.authentication {
            Authentication::SigV4 { region, .. } => {
                let region = region.as_deref().or(endpoint.region());
                region
                    .ok_or_else(|| ServiceError::NoRegion {
                        url: endpoint.as_str().to_owned(),
                    })?
                    .to_owned()
            }
            _ => String::new(),
        };
        let http = http_client(&endpoint, &options)?;
        let clock = Clock::default();
        Ok(Self(Arc::new(Inner {
            endpoint,
            options,
            region,
            clock,
            http,
        })))
    }

    /// The address, without a slash at its end.
    pub fn url(&self) -> &str {
        self.0.endpoint.as_str()
    }

    /// The models that the service has.
    pub async fn models(&self) -> Result<ModelList, ServiceError> {
        let (call, answer) = self.get(Route::Models, "", |call| call).await?;
        self.json(&call, &answer)
    }

    /// The training programs that the service has.
    pub async fn programs(&self) -> Result<ProgramList, ServiceError> {
        let call = Call::new(Method::GET, Route::Programs.path(ApiVersion::V2, ""));
        let answer = self.call(&call).await;
        let (answer, _) = answer.map_err(|error| self.trains(error))?;
        self.json(&call, &answer)
    }

    /// Asks in the newest version, or in version 1 where the service is older and has no other.
    async fn newest<T, F: Future<Output = Result<T, ServiceError>>>(
        ask: impl Fn(ApiVersion) -> F,
    ) -> Result<T, ServiceError> {
        match ask(ApiVersion::V2).await {
            Err(newest) if newest.is_no_route() => match ask(ApiVersion::V1).await {
                Err(older) if older.is_no_route() => Err(newest),
                result => result,
            },
            result => result,
        }
    }

    /// Asks for a document.
    async fn get(
        &self,
        route: Route,
        parameter: &str,
        prepare: impl Fn(Call) -> Call,
    ) -> Result<(Call, Answer), ServiceError> {
        let prepare = &prepare;
        Self::newest(move |version| async move {
            let call = prepare(Call::new(Method::GET, route.path(version, parameter)));
            let (answer, _) = self.call(&call).await?;
            Ok((call, answer))
        })
        .await
    }

    /// The evaluation keys that the caller has registered; services of version 1 do not tell.
    pub async fn keys(&self) -> Result<KeyList, ServiceError> {
        let call = Call::new(Method::GET, Route::Keys.path(ApiVersion::V2, ""));
        let (answer, _) = self.call(&call).await?;
        self.json(&call, &answer)
    }

    /// Where the registration of an evaluation key stands.
    pub async fn key_status(&self, key: KeyId) -> Result<KeyStatus, ServiceError> {
        Self::newest(|version| self.key_status_in(version, key)).await
    }

    /// The version that the service speaks, and what is registered.
    async fn registered(
        &self,
        key: KeyId,
    ) -> Result<(ApiVersion, Option<KeyStatus>), ServiceError> {
        Self::newest(move |version| async move {
            match self.key_status_in(version, key).await {
                Ok(status) => Ok((version, Some(status))),
                Err(ServiceError::UnknownKey { .. } | ServiceError::KeyExpired { .. }) => {
                    Ok((version, None))
                }
                Err(error) => Err(error),
            }
        })
        .await
    }

    async fn key_status_in(
        &self,
        version: ApiVersion,
        key: KeyId,
    ) -> Result<KeyStatus, ServiceError> {
        let path = Route::KeyStatus.path(version, &key.to_string());
        let call = Call::new(Method::GET, path);
        let (answer, _) = self
            .call(&call)
            .await
            .map_err(|error| error.about_key(key))?;
        self.status((version, key), &call, &answer)
    }

    /// Deletes an evaluation key from the service with all its parts, now.
    pub async fn delete_key(&self, key: KeyId) -> Result<(), ServiceError> {
        Self::newest(move |version| async move {
            let path = Route::DeleteKey.path(version, &key.to_string());
            match self.call(&Call::new(Method::DELETE, path)).await {
                // The attempt before was heard, its answer was not.
                Err(ServiceError::Problem {
                    attempts, problem, ..
                }) if attempts > 1 && problem.kind == ProblemType::UnknownKey => Ok(()),
                result => result.map(drop).map_err(|error| error.about_key(key)),
            }
        })
        .await
    }

    /// The status of `key` and of no other.
    fn status(
        &self,
        (version, key): (ApiVersion, KeyId),
        call: &Call,
        answer: &Answer,
    ) -> Result<KeyStatus, ServiceError> {
        let status: KeyStatus = match version {
            ApiVersion::V1 => self.json::<api::KeyStatusV1>(call, answer)?.into(),
            ApiVersion::V2 => self.json(call, answer)?,
        };
        if status.key == key {
            Ok(status)
        } else {
            Err(self.answer_error(
                call,
                format!("the status of key {} instead of {key}", status.key),
            ))
        }
    }

    /// Sends a document.
    async fn send_document(
        &self,
        path: String,
        document: &impl Serialize,
    ) -> Result<(Call, Answer), ServiceError> {
        let call = Call::new(Method::POST, path);
        let body = serde_json::to_vec(document).map_err(|error| ServiceError::Request {
            route: call.route(&self.0.endpoint),
            cause: error.to_string(),
        })?;
        let call = call.body(api::JSON, body);
        let (answer, _) = self.call(&call).await?;
        Ok((call, answer))
    }

    fn json<T: DeserializeOwned>(&self, call: &Call, answer: &Answer) -> Result<T, ServiceError> {
        if !answer.status.is_success() {
            return Err(self.answer_error(call, format!("status {}", answer.status)));
        }
        serde_json::from_slice(&answer.body)
            .map_err(|error| self.answer_error(call, error.to_string()))
    }

    /// That an answer is a reply.
    fn require_reply(&self, call: &Call, answer: &Answer) -> Result<(), ServiceError> {
        let content_type = answer.header(CONTENT_TYPE).unwrap_or_default();
        if answer.status.is_success() && content_type == api::REPLY {
            return Ok(());
        }
        let status = answer.status.as_u16();
        let reason = format!("status {status} and content type {content_type:?}");
        Err(self.answer_error(call, reason))
    }

    fn answer_error(&self, call: &Call, reason: impl Into<String>) -> ServiceError {
        ServiceError::Answer {
            route: call.route(&self.0.endpoint),
            reason: reason.into(),
        }
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service")
            .field("url", &self.url())
            .field("options", &self.0.options)
            .finish_non_exhaustive()
    }
}

fn http_client(
    endpoint: &Endpoint,
    options: &ServiceOptions,
) -> Result<reqwest::Client, ServiceError> {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // An error means that another thread was faster, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
    let builder = reqwest::Client::builder()
        .user_agent(concat!("cipherfn/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(options.timeouts.connect)
        .timeout(options.timeouts.request)
        // Redirects are followed by hand: signatures and tokens must not go to another host.
        .redirect(reqwest::redirect::Policy::none())
        // Attempts are counted here and nowhere else.
        .retry(reqwest::retry::never());
    let builder = if endpoint.is_loopback() {
        builder.no_proxy()
    } else {
        builder
    };
    builder.build().map_err(|error| ServiceError::Setup {
        cause: error.to_string(),
    })
}

/// Runs what computes or reads files beside the runtime's own threads.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ServiceError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => Ok(done),
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(ServiceError::Cancelled),
        },
    }
}
