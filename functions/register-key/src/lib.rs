//! The function that registers, checks and deletes evaluation keys.
//!
//! | route | what |
//! |---|---|
//! | `POST /v1/keys` | declare a key: where to upload it, bound to exactly its size and checksum, once |
//! | `POST /v1/keys/{id}/complete` | check what was uploaded and move it from quarantine to the tenant's keys |
//! | `GET /v1/keys/{id}` | where a registration stands |
//! | `DELETE /v1/keys/{id}` | delete the key now |

mod check;
mod v1;

use cipherfn_protocol::api::{self, Function, KeyDeclaration, Problem, ProblemType};
use cipherfn_protocol::message::KeyId;
use cipherfn_service::config::{self, KeyRules};
use cipherfn_service::registry::{Checked, Declared, PartName, Record, Registration};
use cipherfn_service::{Call, Failure, Registry, S3, StorageError, Tenant, http, telemetry};
use lambda_http::http::{StatusCode, header};
use lambda_http::{Body, Error, Request, Response};

/// How often a key is checked again because its registration changed meanwhile.
const ATTEMPTS: u32 = 3;

/// The function: reads its configuration, then answers until the environment ends.
pub async fn run() -> Result<(), Error> {
    telemetry::init();
    let keys = Keys {
        registry: Registry::new(S3::connect(config::bucket()?).await),
        rules: KeyRules::from_env()?,
    };
    let keys = &keys;
    cipherfn_service::run(Function::RegisterKey, move |request, call| async move {
        keys.handle(&request, &call).await
    })
    .await
}

struct Keys {
    registry: Registry,
    rules: KeyRules,
}

impl Keys {
    async fn handle(&self, request: &Request, call: &Call) -> Result<Response<Body>, Failure> {
        let (method, pattern, parameter) = http::route(Function::RegisterKey, request)?;
        let tenant = call.tenant()?;
        if pattern == "/v1/keys" {
            return self.declare(tenant, request, call).await;
        }
        let key: KeyId = http::id("key", &parameter)?;
        match (method, pattern) {
            ("POST", _) => self.complete(tenant, key, call).await,
            ("DELETE", _) => self.delete(tenant, key).await,
            _ => {
                let record = self.record(tenant, key, call).await?;
                Ok(http::json(StatusCode::OK, &v1::status(&record)?))
            }
        }
    }

    async fn declare(
        &self,
        tenant: &Tenant,
        request: &Request,
        call: &Call,
    ) -> Result<Response<Body>, Failure> {
        let declaration: KeyDeclaration = http::json_body(request)?;
        let (key, set) = (declaration.key, declaration.parameter_set.clone());
        let declaration = declaration.into();
        check::declaration(&set, &declaration)?;
        let declared = self
            .registry
            .declare(tenant, &declaration, &self.rules, call.now)
            .await?;
        let problem = match declared {
            Declared::Registered { record, missing } => {
                let status = if missing.is_empty() {
                    StatusCode::OK
                } else {
                    StatusCode::CREATED
                };
                return Ok(http::json(status, &v1::upload(&record, missing)?));
            }
            Declared::Conflict => Problem::new(
                ProblemType::KeyConflict,
                format!(
                    "key {key} is registered with other content; delete it first: DELETE /v1/keys/{key}"
                ),
            ),
            Declared::Quota => Problem::new(
                ProblemType::KeyQuota,
                format!(
                    "you have {} keys, as many as you may; delete one that you no longer use",
                    self.rules.quota
                ),
            ),
            Declared::BadPieces(reason) => {
                Problem::new(ProblemType::MalformedRequest, format!("parts: {reason}"))
            }
        };
        Err(problem.into())
    }

    async fn complete(
        &self,
        tenant: &Tenant,
        key: KeyId,
        call: &Call,
    ) -> Result<Response<Body>, Failure> {
        for _ in 0..ATTEMPTS {
            let record = self.record(tenant, key, call).await?;
            let part = PartName::expansion();
            match record.parts.get(&part) {
                Some(Registration::Active { .. }) => {
                    return Ok(http::json(StatusCode::OK, &v1::status(&record)?));
                }
                Some(Registration::Rejected { reason, .. }) => {
                    return Err(rejected(key, reason).into());
                }
                // What it says is in the record, or the record is another one: read again.
                Some(pending) => {
                    self.check(tenant, &record, &part, pending, call).await?;
                }
                None => return Err(unknown(key).into()),
            }
        }
        Err(upload_missing(key).into())
    }

    /// Checks a part that was uploaded, and records what came of it.
    async fn check(
        &self,
        tenant: &Tenant,
        record: &Record,
        part: &PartName,
        pending: &Registration,
        call: &Call,
    ) -> Result<(), Failure> {
        let key = record.key;
        let uploaded = self.registry.uploaded(tenant, key, part, pending).await?;
        let (Some(bytes), Some(place)) = (uploaded, pending.place()) else {
            return Err(upload_missing(key).into());
        };
        let checked = Checked {
            part: part.clone(),
            place,
            verdict: check::upload(record, part, pending.file(), &bytes).await,
            bytes,
        };
        self.registry
            .settle(tenant, key, checked, &self.rules, call.now)
            .await?;
        Ok(())
    }

    async fn delete(&self, tenant: &Tenant, key: KeyId) -> Result<Response<Body>, Failure> {
        if !self.registry.delete_key(tenant, key).await? {
            return Err(unknown(key).into());
        }
        let mut response = http::response(StatusCode::NO_CONTENT, api::JSON, Body::Empty);
        response.headers_mut().remove(header::CONTENT_TYPE);
        Ok(response)
    }

    /// A registration that has not run out.
    async fn record(&self, tenant: &Tenant, key: KeyId, call: &Call) -> Result<Record, Failure> {
        match self.registry.record(tenant, key).await {
            Ok(None) => Err(unknown(key).into()),
            Ok(Some(record)) if record.is_expired(call.now) => Err(Problem::new(
                ProblemType::KeyExpired,
                format!("the registration of key {key} has run out; register it again"),
            )
            .into()),
            Ok(Some(record)) => Ok(record),
            Err(error @ StorageError::Corrupt { .. }) => Err(Failure::Damaged(
                error,
                Problem::new(
                    ProblemType::UnknownKey,
                    format!(
                        "the registration of key {key} cannot be read; register it again, or delete it"
                    ),
                ),
            )),
            Err(error) => Err(error.into()),
        }
    }
}

fn unknown(key: KeyId) -> Problem {
    Problem::new(
        ProblemType::UnknownKey,
        format!("you have no key {key}; register it: POST /v1/keys"),
    )
}

fn upload_missing(key: KeyId) -> Problem {
    Problem::new(
        ProblemType::UploadMissing,
        format!(
            "not everything of key {key} has arrived; declare it again to learn which parts are missing"
        ),
    )
}

fn rejected(key: KeyId, reason: &str) -> Problem {
    Problem::new(
        ProblemType::KeyRejected,
        format!("key {key} was rejected: {reason}; make a sound key and declare it again"),
    )
}
