//! Step Functions' `StartExecution` and `DescribeExecution` for state machines that are one
//! Distributed Map over a function: what those of `cipherfn dev` are. `.ci/lambda` runs the
//! deployed definition itself.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{HeaderValue, Method, Response, StatusCode, header};
use http_body_util::Full;
use serde_json::{Map as Fields, Value, json};

use super::{Invocation, Pool, Queue};
use crate::EmulatorError;
use crate::config::{Map, arn};

const TARGET: &str = "AWSStepFunctions.";

/// Answers the requests of Step Functions' API.
pub(crate) struct StatesApi {
    maps: BTreeMap<String, (Map, Arc<Pool>)>,
    queue: Arc<Queue>,
    executions: Executions,
}

/// Executions by their ARNs.
#[derive(Clone, Default)]
pub(crate) struct Executions(Arc<Mutex<BTreeMap<String, Execution>>>);

struct Execution {
    machine: String,
    input: String,
    started: f64,
    is_running: bool,
}

/// Why there is no answer: the error's name, and what it says.
type StatesRefusal = (&'static str, String);

impl StatesApi {
    /// What its signatures are for.
    pub(crate) const SERVICE: &'static str = "states";

    /// State machines over functions.
    pub(crate) fn new(
        maps: Vec<Map>,
        functions: &BTreeMap<String, Arc<Pool>>,
        queue: &Arc<Queue>,
        executions: Executions,
    ) -> Result<Self, EmulatorError> {
        let with_pool = |map: Map| {
            let pool = functions.get(&map.function).map(Arc::clone);
            let pool = pool.ok_or_else(|| EmulatorError::Function {
                name: map.function.clone(),
                problem: "a state machine names it, and there is none",
            })?;
            Ok((map.arn(), (map, pool)))
        };
        Ok(Self {
            maps: maps.into_iter().map(with_pool).collect::<Result<_, _>>()?,
            queue: Arc::clone(queue),
            executions,
        })
    }

    /// The operation that a request asks for, if it is one of Step Functions'.
    pub(crate) fn operation(parts: &http::request::Parts) -> Option<&str> {
        let target = parts.headers.get("x-amz-target")?.to_str().ok()?;
        let is_root = parts.method == Method::POST && parts.uri.path() == "/";
        target.strip_prefix(TARGET).filter(|_| is_root)
    }

    /// Answers a request whose signature was verified.
    pub(crate) fn answer(&self, operation: &str, body: &[u8]) -> Response<Full<Bytes>> {
        let asked: Value = serde_json::from_slice(body).unwrap_or_default();
        let field = |name: &str| asked[name].as_str().unwrap_or_default();
        let answer = match operation {
            "StartExecution" => self.start(field("stateMachineArn"), field("name"), field("input")),
            "DescribeExecution" => self.describe(field("executionArn")),
            _ => Err((
                "UnknownOperationException",
                "of Step Functions' API this emulator has StartExecution and DescribeExecution"
                    .to_owned(),
            )),
        };
        let (status, document) = match answer {
            Ok(document) => (StatusCode::OK, document),
            Err((kind, message)) => (
                StatusCode::BAD_REQUEST,
                json!({ "__type": kind, "message": message }),
            ),
        };
        let mut response = Response::new(Full::new(document.to_string().into()));
        *response.status_mut() = status;
        let json = HeaderValue::from_static("application/x-amz-json-1.0");
        response.headers_mut().insert(header::CONTENT_TYPE, json);
        response
    }

    fn start(&self, machine: &str, name: &str, input: &str) -> Result<Value, StatesRefusal> {
        let (map, pool) = self.maps.get(machine).ok_or_else(|| {
            let message = format!("State Machine Does Not Exist: '{machine}'");
            ("StateMachineDoesNotExist", message)
        })?;
        let events = events(map, input).ok_or_else(|| {
            let message = format!("the input is no object with a list {:?}", map.items);
            ("InvalidExecutionInput", message)
        })?;
        let execution = arn("execution", &format!("{}:{name}", map.name));
        let mut executions = self.executions.lock();
        if let Some(known) = executions.get(&execution) {
            // As on AWS: the same again while it runs is the same execution.
            if known.is_running && known.input == input {
                return Ok(json!({ "executionArn": execution, "startDate": known.started }));
            }
            let message = format!("Execution Already Exists: '{execution}'");
            return Err(("ExecutionAlreadyExists", message));
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let started = now.unwrap_or_default().as_secs_f64();
        executions.insert(
            execution.clone(),
            Execution {
                machine: machine.to_owned(),
                input: input.to_owned(),
                started,
                is_running: true,
            },
        );
        drop(executions);
        let (pool, queue, concurrency) =
            (Arc::clone(pool), Arc::clone(&self.queue), map.concurrency);
        let (all, name) = (self.executions.clone(), execution.clone());
        self.queue.spawn(async move {
            let work = stream::iter(events).for_each_concurrent(concurrency.max(1), |event| {
                let invocation = Invocation::new(event);
                queue.deliver(&pool, invocation)
            });
            work.await;
            if let Some(execution) = all.lock().get_mut(&name) {
                execution.is_running = false;
            }
        });
        Ok(json!({ "executionArn": execution, "startDate": started }))
    }

    fn describe(&self, execution: &str) -> Result<Value, StatesRefusal> {
        let executions = self.executions.lock();
        let found = executions.get(execution).ok_or_else(|| {
            let message = format!("Execution Does Not Exist: '{execution}'");
            ("ExecutionDoesNotExist", message)
        })?;
        Ok(json!({
            "executionArn": execution,
            "stateMachineArn": found.machine,
            "startDate": found.started,
            "status": if found.is_running { "RUNNING" } else { "SUCCEEDED" },
        }))
    }
}

impl Executions {
    /// Names in alphabetical order.
    pub(crate) fn names(&self) -> Vec<String> {
        let name = |arn: &String| arn.rsplit(':').next().map(str::to_owned);
        self.lock().keys().filter_map(name).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Execution>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Executions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

/// An event an item of an execution's input.
fn events(map: &Map, input: &str) -> Option<Vec<Bytes>> {
    let mut fields: Fields<String, Value> = serde_json::from_str(input).ok()?;
    let Some(Value::Array(items)) = fields.remove(&map.items) else {
        return None;
    };
    let event = |item| {
        let mut event = fields.clone();
        event.insert(map.item.clone(), item);
        Value::Object(event).to_string().into()
    };
    Some(items.into_iter().map(event).collect())
}
