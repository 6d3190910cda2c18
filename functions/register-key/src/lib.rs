//! The function that registers, checks and deletes evaluation keys.
//!
//! | route | what |
//! |---|---|
//! | `POST /v2/keys` | declare parts of a key: where to upload each, bound to exactly its size and checksum, once |
//! | `GET /v2/keys` | the caller's registrations: what the quota counts |
//! | `POST /v2/keys/{id}/complete` | check what was uploaded and move it from quarantine to the tenant's keys |
//! | `GET /v2/keys/{id}` | where a registration stands |
//! | `DELETE /v2/keys/{id}` | delete the key now |
//!
//! Under `/v1` a key is one file, which is the part `expansion`.

mod check;
mod v1;
mod v2;

use cipherfn_protocol::api::v2::KeyList;
use cipherfn_protocol::api::{self, ApiVersion, Function, Problem, ProblemType, Requested, Route};
use cipherfn_protocol::message::KeyId;
use cipherfn_service::config::{self, KeyRules};
use cipherfn_service::registry::{Checked, Declared, PartName, Record, Registration, Settled};
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
        let Requested {
            version,
            route,
            parameter,
        } = http::route(Function::RegisterKey, request)?;
        let tenant = call.tenant()?;
        match route {
            Route::Keys => return self.list(tenant, call).await,
            Route::DeclareKey => return self.declare(version, tenant, request, call).await,
            _ => {}
        }
        let key: KeyId = http::id("key", parameter)?;
        match route {
            Route::CompleteKey => self.complete(version, tenant, key, call).await,
            Route::DeleteKey => self.delete(tenant, key).await,
            _ => {
                let record = self.record(version, tenant, key, call).await?;
                status(version, &record)
            }
        }
    }

    async fn list(&self, tenant: &Tenant, call: &Call) -> Result<Response<Body>, Failure> {
        let keys = self.registry.keys(tenant, call.now).await?;
        let list = KeyList {
            keys: keys.records.iter().map(v2::status).collect(),
            unreadable: keys.unreadable,
        };
        Ok(http::json(StatusCode::OK, &list))
    }

    async fn declare(
        &self,
        version: ApiVersion,
        tenant: &Tenant,
        request: &Request,
        call: &Call,
    ) -> Result<Response<Body>, Failure> {
        let (set, declaration) = match version {
            ApiVersion::V1 => v1::declaration(http::json_body(request)?),
            ApiVersion::V2 => v2::declaration(http::json_body(request)?)?,
        };
        check::declaration(&set, &declaration)?;
        let key = declaration.key;
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
                return Ok(match version {
                    ApiVersion::V1 => http::json(status, &v1::upload(&record, missing)?),
                    ApiVersion::V2 => http::json(status, &v2::upload(&record, missing)),
                });
            }
            Declared::Conflict => Problem::new(
                ProblemType::KeyConflict,
                format!(
                    "key {key} is registered with other content; delete it first: DELETE /v2/keys/{key}"
                ),
            ),
            Declared::Quota => self.quota(),
            Declared::BadPieces(reason) => {
                Problem::new(ProblemType::MalformedRequest, format!("parts: {reason}"))
            }
        };
        Err(problem.into())
    }

    /// Checks every part that is pending; those that version 1 knows, for its clients.
    async fn complete(
        &self,
        version: ApiVersion,
        tenant: &Tenant,
        key: KeyId,
        call: &Call,
    ) -> Result<Response<Body>, Failure> {
        for _ in 0..ATTEMPTS {
            let record = self.record(version, tenant, key, call).await?;
            let parts = record.parts.iter();
            let parts: Vec<_> = parts
                .filter(|(part, state)| {
                    !state.is_expired(call.now)
                        && (version != ApiVersion::V1 || **part == PartName::expansion())
                })
                .collect();
            let is_pending = |state: &Registration| matches!(state, Registration::Pending { .. });
            if !parts.iter().any(|(_, state)| is_pending(state)) {
                for (part, state) in parts {
                    if let Registration::Rejected { reason, .. } = state {
                        return Err(rejected(key, part, reason).into());
                    }
                }
                return status(version, &record);
            }
            let mut missing = None;
            for (part, state) in parts.into_iter().filter(|(_, state)| is_pending(state)) {
                if !self.check(tenant, &record, part, state, call).await? {
                    missing = missing.or(Some(part));
                }
            }
            // Those that have arrived are settled, whatever became of the others.
            if let Some(part) = missing {
                return Err(upload_missing(key, part).into());
            }
            // What came of it is in the record, or the record is another one: read again.
        }
        Err(upload_missing(key, &PartName::expansion()).into())
    }

    /// Checks a part and records what came of it; `false` where not everything of it has arrived.
    async fn check(
        &self,
        tenant: &Tenant,
        record: &Record,
        part: &PartName,
        pending: &Registration,
        call: &Call,
    ) -> Result<bool, Failure> {
        let key = record.key;
        let uploaded = self.registry.uploaded(tenant, key, part, pending).await?;
        let (Some(bytes), Some(place)) = (uploaded, pending.place()) else {
            return Ok(false);
        };
        let checked = Checked {
            part: part.clone(),
            place,
            verdict: check::upload(record, part, pending.file(), &bytes).await,
            bytes,
        };
        let settled = self
            .registry
            .settle(tenant, key, checked, &self.rules, call.now)
            .await?;
        match settled {
            Settled::Quota => Err(self.quota().into()),
            // What came of it is in the record.
            _ => Ok(true),
        }
    }

    fn quota(&self) -> Problem {
        Problem::new(
            ProblemType::KeyQuota,
            format!(
                "you have {} keys, as many as you may; delete one that you no longer use: GET /v2/keys lists them",
                self.rules.quota
            ),
        )
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
    async fn record(
        &self,
        version: ApiVersion,
        tenant: &Tenant,
        key: KeyId,
        call: &Call,
    ) -> Result<Record, Failure> {
        let record = match self.registry.record(tenant, key).await {
            Err(error @ StorageError::Corrupt { .. }) => {
                let detail = format!(
                    "the registration of key {key} cannot be read; register it again, or delete it"
                );
                let problem = Problem::new(ProblemType::UnknownKey, detail);
                return Err(Failure::Damaged(error, problem));
            }
            record => record?.ok_or_else(|| unknown(key))?,
        };
        let is_expired = match version {
            ApiVersion::V1 => v1::part(&record)?.is_expired(call.now),
            ApiVersion::V2 => record.is_expired(call.now),
        };
        if is_expired {
            let detail = format!("the registration of key {key} has run out; register it again");
            return Err(Problem::new(ProblemType::KeyExpired, detail).into());
        }
        Ok(record)
    }
}

fn status(version: ApiVersion, record: &Record) -> Result<Response<Body>, Failure> {
    Ok(match version {
        ApiVersion::V1 => http::json(StatusCode::OK, &v1::status(record)?),
        ApiVersion::V2 => http::json(StatusCode::OK, &v2::status(record)),
    })
}

fn unknown(key: KeyId) -> Problem {
    Problem::new(
        ProblemType::UnknownKey,
        format!("you have no key {key}; register it: POST /v2/keys"),
    )
}

fn upload_missing(key: KeyId, part: &PartName) -> Problem {
    Problem::new(
        ProblemType::UploadMissing,
        format!(
            "not everything of the part {part} of key {key} has arrived; declare it again to learn what is missing"
        ),
    )
}

fn rejected(key: KeyId, part: &PartName, reason: &str) -> Problem {
    Problem::new(
        ProblemType::KeyRejected,
        format!(
            "the part {part} of key {key} was rejected: {reason}; make a sound key and declare it again"
        ),
    )
}
