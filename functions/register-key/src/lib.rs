//! The function that registers, checks and deletes evaluation keys.
//!
//! | route | what |
//! |---|---|
//! | `POST /v1/keys` | declare a key: where to upload it, bound to exactly its size and checksum, once |
//! | `POST /v1/keys/{id}/complete` | check what was uploaded and move it from quarantine to the tenant's keys |
//! | `GET /v1/keys/{id}` | where a registration stands |
//! | `DELETE /v1/keys/{id}` | delete the key now |

mod check;

use bytes::Bytes;
use cipherfn_protocol::api::{
    self, Function, KeyDeclaration, KeyState, KeyUpload, Problem, ProblemType,
};
use cipherfn_protocol::message::KeyId;
use cipherfn_service::config::{self, KeyRules};
use cipherfn_service::store::{Declared, Record};
use cipherfn_service::{Call, Failure, Store, Tenant, http, telemetry};
use lambda_http::http::StatusCode;
use lambda_http::{Body, Error, Request, Response};

/// The function: reads its configuration, then answers until the environment ends.
pub async fn run() -> Result<(), Error> {
    telemetry::init();
    let registry = Registry {
        store: Store::connect(config::bucket()?).await,
        rules: KeyRules::from_env()?,
    };
    let registry = &registry;
    cipherfn_service::run(Function::RegisterKey, move |request, call| async move {
        registry.handle(&request, &call).await
    })
    .await
}

struct Registry {
    store: Store,
    rules: KeyRules,
}

impl Registry {
    async fn handle(&self, request: &Request, call: &Call) -> Result<Response<Body>, Failure> {
        let (method, pattern, parameter) = http::route(Function::RegisterKey, request)?;
        let tenant = call.tenant()?;
        if pattern == "/v1/keys" {
            return self.declare(tenant, request).await;
        }
        let key: KeyId = http::id("key", &parameter)?;
        match (method, pattern) {
            ("POST", _) => self.complete(tenant, key).await,
            ("DELETE", _) => self.delete(tenant, key).await,
            _ => {
                let record = self.record(tenant, key).await?;
                Ok(http::json(StatusCode::OK, &record.status))
            }
        }
    }

    async fn declare(&self, tenant: &Tenant, request: &Request) -> Result<Response<Body>, Failure> {
        let declaration: KeyDeclaration = http::json_body(request)?;
        check::declaration(&declaration)?;
        let key = declaration.key;
        match self.store.declare(tenant, &declaration, &self.rules).await? {
            Declared::Pending(upload) => Ok(http::json(StatusCode::CREATED, &upload)),
            Declared::Active(status) => Ok(http::json(StatusCode::OK, &KeyUpload { status, parts: Vec::new() })),
            Declared::Conflict => Err(Problem::new(
                ProblemType::KeyConflict,
                format!("key {key} is registered with other content; delete it first: DELETE /v1/keys/{key}"),
            )
            .into()),
            Declared::Quota => Err(Problem::new(
                ProblemType::KeyQuota,
                format!(
                    "you have {} keys, as many as you may; delete one that you no longer use",
                    self.rules.quota
                ),
            )
            .into()),
            Declared::BadParts(reason) => Err(Problem::new(ProblemType::MalformedRequest, format!("parts: {reason}")).into()),
        }
    }

    async fn complete(&self, tenant: &Tenant, key: KeyId) -> Result<Response<Body>, Failure> {
        let record = self.record(tenant, key).await?;
        match record.status.state {
            KeyState::Active => return Ok(http::json(StatusCode::OK, &record.status)),
            KeyState::Rejected => return Err(rejected(key, record.status.reason.as_deref()).into()),
            KeyState::Pending => (),
        }
        let Some(bytes) = self.store.uploaded(tenant, &record).await? else {
            return Err(Problem::new(
                ProblemType::UploadMissing,
                format!("not everything of key {key} has arrived; declare it again to learn which parts are missing"),
            )
            .into());
        };
        match check::upload(&record.status, &bytes).await {
            Ok(()) => self.activate(tenant, record, bytes).await,
            Err(reason) => {
                let status = self.store.reject(tenant, record, reason).await?;
                Err(rejected(key, status.reason.as_deref()).into())
            }
        }
    }

    async fn activate(
        &self,
        tenant: &Tenant,
        record: Record,
        bytes: Bytes,
    ) -> Result<Response<Body>, Failure> {
        let status = self
            .store
            .activate(tenant, record, bytes, self.rules.lifetime)
            .await?;
        Ok(http::json(StatusCode::OK, &status))
    }

    async fn delete(&self, tenant: &Tenant, key: KeyId) -> Result<Response<Body>, Failure> {
        if !self.store.delete_key(tenant, key).await? {
            return Err(unknown(key).into());
        }
        let mut response = http::response(StatusCode::NO_CONTENT, api::JSON, Body::Empty);
        response
            .headers_mut()
            .remove(lambda_http::http::header::CONTENT_TYPE);
        Ok(response)
    }

    /// A registration that has not run out.
    async fn record(&self, tenant: &Tenant, key: KeyId) -> Result<Record, Failure> {
        match self.store.record(tenant, key).await? {
            None => Err(unknown(key).into()),
            Some(record) if record.is_expired() => Err(Problem::new(
                ProblemType::KeyExpired,
                format!("the registration of key {key} has run out; register it again"),
            )
            .into()),
            Some(record) => Ok(record),
        }
    }
}

fn unknown(key: KeyId) -> Problem {
    Problem::new(
        ProblemType::UnknownKey,
        format!("you have no key {key}; register it: POST /v1/keys"),
    )
}

fn rejected(key: KeyId, reason: Option<&str>) -> Problem {
    let reason = reason.unwrap_or("it is no evaluation key");
    Problem::new(
        ProblemType::KeyRejected,
        format!("key {key} was rejected: {reason}; make a sound key and declare it again"),
    )
}
