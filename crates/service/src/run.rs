//! The loop of every function: an event becomes a [`Call`], the handler's answer or problem a
//! response. A panic is a 500 and the environment lives on. Events that are no requests have no
//! response: what fails is told to AWS Lambda, which tries again.

use crate::bucket::StorageError;
use crate::config;
use crate::http;
use crate::telemetry::{Metric, Metrics, Trace};
use crate::tenant::Tenant;
use cipherfn_protocol::api::{Function, Problem, ProblemType};
use futures_util::FutureExt;
use lambda_http::lambda_runtime;
use lambda_http::{Body, Context, LambdaEvent, Request, RequestExt, Response, service_fn};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use time::OffsetDateTime;

/// Name of the deployed function, set by AWS Lambda.
const FUNCTION_NAME: &str = "AWS_LAMBDA_FUNCTION_NAME";
/// What a state machine calls its name in the client context.
const OWNER: &str = "owner";
/// More than any function may run.
const LONGEST: Duration = Duration::from_hours(24);

/// One invocation.
#[derive(Debug)]
pub struct Call {
    /// Names it in logs and problems.
    pub request_id: String,
    /// Names whoever makes this attempt and those after it at the same work: a state machine's
    /// execution, which tells its name beside the event, or else the invocation, whose name the
    /// attempts of AWS Lambda itself share.
    pub owner: String,
    /// When it came, in whole seconds.
    pub now: OffsetDateTime,
    /// What it measures.
    pub metrics: Metrics,
    trace: Option<Trace>,
    tenant: Result<Tenant, Problem>,
    start: Instant,
    deadline: SystemTime,
}

/// Why a handler gives no answer.
#[derive(Debug)]
pub enum Failure {
    /// The caller's to mend.
    Problem(Problem),
    /// The bucket's fault, or that of a stored object.
    Storage(StorageError),
    /// That of a stored object, and the caller has a way out.
    Damaged(StorageError, Problem),
    /// Ours; the text is for the log.
    Internal(String),
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl From<StorageError> for Failure {
    fn from(error: StorageError) -> Self {
        Self::Storage(error)
    }
}

impl Call {
    fn new(context: Option<&Context>, tenant: Result<Tenant, Problem>) -> Self {
        Self {
            owner: owner(context),
            request_id: context
                .map(|context| context.request_id.clone())
                .unwrap_or_default(),
            now: now(),
            start: Instant::now(),
            metrics: Metrics::default(),
            trace: Trace::of(context.and_then(|context| context.xray_trace_id.as_deref())),
            tenant,
            deadline: deadline(context.map_or(0, |context| context.deadline)),
        }
    }

    /// The caller's tenant.
    pub fn tenant(&self) -> Result<&Tenant, Problem> {
        self.tenant.as_ref().map_err(Clone::clone)
    }

    /// What time it is by now, in whole seconds: work of jobs takes long enough for leases and keys to
    /// run out meanwhile.
    pub fn time(&self) -> OffsetDateTime {
        self.now + Duration::from_secs(self.start.elapsed().as_secs())
    }

    /// Time until AWS Lambda stops the invocation.
    pub fn remaining(&self) -> Duration {
        self.deadline
            .duration_since(SystemTime::now())
            .unwrap_or_default()
    }

    /// Tells the operator of something that the caller does not see.
    pub fn warn(&self, what: &str, error: &StorageError) {
        tracing::warn!(
            request_id = self.request_id,
            error = error.to_string(),
            "{what}"
        );
    }

    /// A failure as the caller may hear it; the log has all of it.
    pub fn explain(&self, failure: Failure) -> Problem {
        let mut problem = match failure {
            Failure::Problem(problem) => {
                // What was sent where it does not belong, a token for one, is not for the log.
                let detail = match problem.kind {
                    ProblemType::MalformedRequest | ProblemType::WrongContentType => "",
                    _ => problem.detail.as_str(),
                };
                tracing::info!(
                    request_id = self.request_id,
                    problem = problem.kind.slug(),
                    detail,
                    "refused"
                );
                problem
            }
            Failure::Storage(error) if error.is_transient() => {
                tracing::warn!(
                    request_id = self.request_id,
                    error = error.to_string(),
                    "storage failed"
                );
                Problem::new(
                    ProblemType::StorageUnavailable,
                    "the service's storage did not answer; try again",
                )
            }
            Failure::Storage(error) => {
                tracing::error!(
                    request_id = self.request_id,
                    error = error.to_string(),
                    "storage failed"
                );
                internal(self)
            }
            Failure::Damaged(error, problem) => {
                tracing::error!(
                    request_id = self.request_id,
                    error = error.to_string(),
                    problem = problem.kind.slug(),
                    "a stored object is damaged"
                );
                problem
            }
            Failure::Internal(text) => {
                tracing::error!(request_id = self.request_id, error = text, "internal error");
                internal(self)
            }
        };
        problem.request_id = Some(self.request_id.clone());
        problem
    }

    /// Runs a stage, which is then in the metrics and in the trace.
    pub async fn stage<T>(&self, metric: Metric, work: impl Future<Output = T>) -> T {
        let start = SystemTime::now();
        let instant = Instant::now();
        let result = work.await;
        self.metrics.add_time(metric, instant.elapsed());
        if let Some(trace) = &self.trace {
            trace.stage(&format!("{metric:?}"), start, SystemTime::now());
        }
        result
    }
}

/// Answers invocations with `handler` until the environment ends.
pub async fn run<H, F>(function: Function, handler: H) -> Result<(), lambda_http::Error>
where
    H: Fn(Request, Arc<Call>) -> F + Sync,
    F: Future<Output = Result<Response<Body>, Failure>> + Send,
{
    let handler = &handler;
    let name = deployed_name(function);
    let name = name.as_str();
    let cold = AtomicBool::new(true);
    let cold = &cold;
    lambda_http::run(service_fn(move |request: Request| async move {
        let start = Instant::now();
        let tenant = Tenant::of_request(&request);
        let call = Arc::new(Call::new(request.lambda_context_ref(), tenant));
        let was_cold = cold.swap(false, Ordering::Relaxed);
        call.metrics
            .add(Metric::ColdStart, f64::from(u8::from(was_cold)));
        call.metrics
            .add(Metric::RequestBytes, request.body().len() as f64);
        let route = format!("{} {}", request.method(), route_pattern(function, &request));
        let outcome = AssertUnwindSafe(async { handler(request, call.clone()).await })
            .catch_unwind()
            .await;
        let response = match outcome {
            Ok(Ok(response)) => response,
            Ok(Err(failure)) => http::problem(&call.explain(failure)),
            Err(_) => {
                call.metrics.add(Metric::Panics, 1.0);
                tracing::error!(request_id = call.request_id, route, "the handler panicked");
                http::problem(&internal(&call))
            }
        };
        let status = response.status();
        call.metrics.add(
            Metric::Rejected,
            f64::from(u8::from(status.is_client_error())),
        );
        call.metrics.add(
            Metric::Failed,
            f64::from(u8::from(status.is_server_error())),
        );
        call.metrics
            .add(Metric::ReplyBytes, response.body().len() as f64);
        call.metrics.add_time(Metric::Duration, start.elapsed());
        let mut properties = Map::new();
        properties.insert("request_id".into(), call.request_id.clone().into());
        properties.insert("route".into(), route.into());
        properties.insert("status".into(), status.as_u16().into());
        if let Ok(tenant) = call.tenant() {
            properties.insert("tenant".into(), Value::String(tenant.to_string()));
        }
        println!("{}", call.metrics.line(name, properties));
        Ok::<_, lambda_http::Error>(response)
    }))
    .await
}

/// Works on events that are no requests, and so have no tenant, until the environment ends. What
/// fails, AWS Lambda tries again.
pub async fn run_events<E, H, F>(function: Function, handler: H) -> Result<(), lambda_http::Error>
where
    E: DeserializeOwned,
    H: Fn(E, Arc<Call>) -> F + Sync,
    F: Future<Output = Result<(), Problem>> + Send,
{
    let handler = &handler;
    let name = deployed_name(function);
    let name = name.as_str();
    let cold = AtomicBool::new(true);
    let cold = &cold;
    lambda_runtime::run(service_fn(move |event: LambdaEvent<E>| async move {
        let start = Instant::now();
        let nobody = Problem::new(ProblemType::Unauthenticated, "the event is no request");
        let call = Arc::new(Call::new(Some(&event.context), Err(nobody)));
        let was_cold = cold.swap(false, Ordering::Relaxed);
        call.metrics
            .add(Metric::ColdStart, f64::from(u8::from(was_cold)));
        let outcome = AssertUnwindSafe(async { handler(event.payload, call.clone()).await })
            .catch_unwind()
            .await;
        let result = match outcome {
            Ok(Ok(())) => Ok(()),
            Ok(Err(problem)) => Err(problem.detail),
            Err(_) => {
                call.metrics.add(Metric::Panics, 1.0);
                tracing::error!(request_id = call.request_id, "the handler panicked");
                Err("the handler panicked".to_owned())
            }
        };
        call.metrics
            .add(Metric::Failed, f64::from(u8::from(result.is_err())));
        call.metrics.add_time(Metric::Duration, start.elapsed());
        let mut properties = Map::new();
        properties.insert("request_id".into(), call.request_id.clone().into());
        println!("{}", call.metrics.line(name, properties));
        result.map_err(lambda_http::Error::from)
    }))
    .await
}

fn owner(context: Option<&Context>) -> String {
    let Some(context) = context else {
        return String::new();
    };
    let beside = context.client_context.as_ref();
    let told = beside.and_then(|beside| beside.custom.get(OWNER));
    told.unwrap_or(&context.request_id).clone()
}

/// The deployed name tells stacks apart; alarms watch it.
fn deployed_name(function: Function) -> String {
    config::text(FUNCTION_NAME).unwrap_or_else(|| function.name().to_owned())
}

/// The time of day in whole seconds, as documents have it.
fn now() -> OffsetDateTime {
    let now = OffsetDateTime::now_utc();
    now.replace_nanosecond(0).unwrap_or(now)
}

/// A point in time in milliseconds since 1970. `cargo lambda watch` gives the number of
/// milliseconds that are left instead.
fn deadline(milliseconds: u64) -> SystemTime {
    let time = Duration::from_millis(milliseconds);
    if time < LONGEST {
        SystemTime::now() + time
    } else {
        UNIX_EPOCH + time
    }
}

/// The pattern and not the path: ids stay out of the logs' dimensions, and hostile paths out of the
/// logs.
fn route_pattern(function: Function, request: &Request) -> String {
    http::route(function, request).map_or_else(
        |_| "unknown".to_owned(),
        |requested| requested.route.pattern(requested.version),
    )
}

fn internal(call: &Call) -> Problem {
    let mut problem = Problem::new(
        ProblemType::Internal,
        "the service failed; try again, and report the request id if it goes on",
    );
    problem.request_id = Some(call.request_id.clone());
    problem
}
