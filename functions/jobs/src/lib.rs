//! The function that takes jobs, tells where they stand and ends them. It links no cryptography: the
//! function `worker` does the work.
//!
//! | route | what |
//! |---|---|
//! | `GET /v2/models/{model}/cost` | what a row is predicted to take, by which clients size chunks |
//! | `POST /v2/uploads` | where to upload chunks, each address bound to exactly one size and checksum |
//! | `POST /v2/jobs` | a job over uploaded chunks, each of which becomes an event for a worker; all of them become one, where the job is a training |
//! | `GET /v2/jobs/{id}` | where its chunks stand, and addresses of results |
//! | `DELETE /v2/jobs/{id}` | end it, and delete all there is of it |
//! | `GET`, `POST /v2/frames` | the caller's frames; a frame of uploaded pieces |
//! | `GET`, `DELETE /v2/frames/{frame}` | what is public of it; delete it |
//! | `POST /v2/frames/{frame}/grants`, `/revocations` | lets others add rows to a frame; ends that |
//! | `POST /v2/grants/uploads`, `/v2/grants/rows` | where others upload rows; adds them |
//! | `POST /v2/trainings` | a training that several owners add rows to, before its job |
//! | `GET`, `DELETE /v2/trainings/{training}` | who added rows; end it |
//! | `POST /v2/trainings/{training}/grants`, `/revocations` | lets owners add rows; ends that |
//! | `POST /v2/frames/jobs` | a query over frames, whose parts become events for workers |

mod check;
mod cost;
mod dispatch;
mod frames;
mod grants;
mod joint;
mod query;
mod status;
mod sums;

use cipherfn_protocol::api::job::{
    ChunkFile, JobDeclaration, JobId, JobKind, Transfer, UploadDeclaration, UploadFolder,
    UploadPurpose, Uploads,
};
use cipherfn_protocol::api::{self, Function, Problem, ProblemType, Requested, Route};
use cipherfn_service::bucket::Presigned;
use cipherfn_service::config::{self, FrameRules, JobRules};
use cipherfn_service::registry::{
    Chunk, Job, JobDeclared, JobOrder, Share, Work, live_program, live_version,
};
use cipherfn_service::{Call, Failure, Registry, S3, Tenant, http, telemetry};
use dispatch::Dispatch;
use futures_util::future;
use lambda_http::http::{StatusCode, header};
use lambda_http::{Body, Error, Request, RequestExt, Response};

/// The function: reads its configuration, then answers until the environment ends.
pub async fn run() -> Result<(), Error> {
    telemetry::init();
    let jobs = Jobs {
        registry: Registry::new(S3::connect(config::bucket()?).await),
        rules: JobRules::from_env()?,
        frame_rules: FrameRules::from_env()?,
        dispatch: Dispatch::connect().await?,
    };
    let jobs = &jobs;
    cipherfn_service::run(Function::Jobs, move |request, call| async move {
        jobs.handle(&request, &call).await
    })
    .await
}

struct Jobs {
    registry: Registry,
    rules: JobRules,
    frame_rules: FrameRules,
    dispatch: Dispatch,
}

impl Jobs {
    async fn handle(&self, request: &Request, call: &Call) -> Result<Response<Body>, Failure> {
        let Requested {
            route, parameter, ..
        } = http::route(Function::Jobs, request)?;
        let tenant = call.tenant()?;
        match route {
            Route::Cost => {
                let name = http::id("model", parameter)?;
                self.cost(request, &name).await
            }
            Route::DeclareUploads => self.uploads(tenant, request, call).await,
            Route::DeclareJob => self.declare(tenant, request, call).await,
            Route::DeleteJob => self.delete(tenant, http::id("job", parameter)?).await,
            Route::Frames => self.frames(tenant, call).await,
            Route::DeclareFrame => self.declare_frame(tenant, request, call).await,
            Route::FrameStatus => {
                let frame = http::id("frame", parameter)?;
                self.frame_status(tenant, frame, call).await
            }
            Route::DeleteFrame => {
                let frame = http::id("frame", parameter)?;
                self.delete_frame(tenant, frame).await
            }
            Route::DeclareQuery => self.declare_query(tenant, request, call).await,
            Route::Trainings => self.trainings(tenant, call).await,
            Route::DeclareTraining => self.declare_training(tenant, (request, call)).await,
            Route::TrainingStatus => {
                let training = http::id("training", parameter)?;
                self.training_status(tenant, training, call).await
            }
            Route::DeleteTraining => {
                let training = http::id("training", parameter)?;
                self.delete_training(tenant, training).await
            }
            Route::OfferTrainingGrant => {
                let training = http::id("training", parameter)?;
                self.offer_training_grant(tenant, training, (request, call))
                    .await
            }
            Route::RevokeTrainingGrant => {
                let training = http::id("training", parameter)?;
                self.revoke_training_grant(tenant, training, (request, call))
                    .await
            }
            Route::OfferGrant => {
                let frame = http::id("frame", parameter)?;
                self.offer_grant(tenant, frame, (request, call)).await
            }
            Route::RevokeGrant => {
                let frame = http::id("frame", parameter)?;
                self.revoke_grant(tenant, frame, (request, call)).await
            }
            Route::GrantUploads => self.granted_uploads(tenant, (request, call)).await,
            Route::AddRows => self.add_rows(tenant, (request, call)).await,
            _ => {
                let job = self.job(tenant, http::id("job", parameter)?, call).await?;
                let query = request.query_string_parameters_ref();
                let from = match query.and_then(|query| query.first("from")) {
                    Some(text) => http::id("chunk", text)?,
                    None => 0,
                };
                self.status(StatusCode::OK, &job, from, call).await
            }
        }
    }

    async fn uploads(
        &self,
        tenant: &Tenant,
        request: &Request,
        call: &Call,
    ) -> Result<Response<Body>, Failure> {
        let declaration: UploadDeclaration = http::json_body(request)?;
        check::chunks(&declaration.chunks, api::job::MAX_UPLOADS)?;
        let upload = match declaration.upload {
            Some(upload) => upload,
            None => self.registry.new_upload()?,
        };
        let place = (upload, declaration.purpose);
        self.transfers(tenant, place, &declaration.chunks, call)
            .await
    }

    /// Where to upload files to: that of a tenant's folder.
    async fn transfers(
        &self,
        tenant: &Tenant,
        place: (UploadFolder, UploadPurpose),
        files: &[ChunkFile],
        call: &Call,
    ) -> Result<Response<Body>, Failure> {
        let transfers = files.iter();
        let transfers = transfers.map(|file| self.upload(tenant, place, *file, call));
        let uploads = Uploads {
            upload: place.0,
            chunks: future::try_join_all(transfers).await?,
        };
        Ok(http::json(StatusCode::CREATED, &uploads))
    }

    async fn upload(
        &self,
        tenant: &Tenant,
        (upload, purpose): (UploadFolder, UploadPurpose),
        chunk: ChunkFile,
        call: &Call,
    ) -> Result<Transfer, Failure> {
        let lifetime = self.rules.transfer_lifetime;
        let registry = &self.registry;
        let request = match purpose {
            UploadPurpose::Job => {
                registry
                    .upload_request(tenant, upload, chunk, lifetime)
                    .await?
            }
            UploadPurpose::Frame => {
                registry
                    .piece_request(tenant, upload.into(), chunk, lifetime)
                    .await?
            }
        };
        Ok(self.transfer(chunk, request, call))
    }

    /// A presigned request as the API says it.
    fn transfer(&self, file: ChunkFile, request: Presigned, call: &Call) -> Transfer {
        Transfer {
            file,
            method: request.method,
            url: request.url,
            headers: request.headers,
            expires: call.now + self.rules.transfer_lifetime,
        }
    }

    /// Takes a job, and gives workers those of its chunks that nobody works on: all of a new one's.
    async fn declare(
        &self,
        tenant: &Tenant,
        request: &Request,
        call: &Call,
    ) -> Result<Response<Body>, Failure> {
        let declaration: JobDeclaration = http::json_body(request)?;
        check::chunks(&declaration.chunks, api::job::MAX_CHUNKS)?;
        check::parts(&declaration)?;
        let (name, specs) = (&declaration.model, declaration.specs);
        match declaration.kind {
            JobKind::Predict => {
                let model = self.registry.model(name).await?;
                let version = live_version(model.as_ref(), (api::ApiVersion::V2, name), specs)?;
                if let Some(cost) = self.predicted((name, specs), version).await? {
                    check::time(declaration.parts, &cost)?;
                }
            }
            JobKind::Train => {
                check::training(&declaration)?;
                let program = self.registry.model(name).await?;
                let checked = match live_program(program.as_ref(), name, specs) {
                    Ok(version) => self.check_steps((name, specs), version).await.map(drop),
                    Err(refused) => Err(refused.into()),
                };
                if let Err(refused) = checked {
                    // A training that was begun is told of and ended, whatever became of its program and of the
                    // workers.
                    let known = self.registry.declared_job(tenant, &declaration);
                    if known.await?.is_none() {
                        return Err(refused);
                    }
                }
            }
            JobKind::Query => {
                let detail = "kind: a query over frames is declared with POST /v2/frames/jobs";
                return Err(Problem::new(ProblemType::MalformedRequest, detail).into());
            }
        }
        self.begin(tenant, &(&declaration).into(), call).await
    }

    /// Takes a job that was found to make sense.
    async fn begin(
        &self,
        tenant: &Tenant,
        order: &JobOrder,
        call: &Call,
    ) -> Result<Response<Body>, Failure> {
        let is_of_training = self.is_of_training(tenant, order, call).await?;
        let declared = self
            .registry
            .declare_job(tenant, order, &self.rules, call.now)
            .await?;
        let (status, job) = match declared {
            JobDeclared::New(job) => (StatusCode::CREATED, job),
            JobDeclared::Known(job) => (StatusCode::OK, job),
            refused => return Err(self.refusal(&refused).into()),
        };
        let job = unexpired(job, call)?;
        let is_new = status == StatusCode::CREATED;
        if is_of_training {
            self.join(&job, is_new, call).await?;
        }
        let free = self.free_shares(&job, is_new, call);
        self.dispatch.start(job.id, &free.await?).await?;
        self.status(status, &job, 0, call).await
    }

    /// What nobody works on: all of a new job.
    async fn free_shares(
        &self,
        job: &Job,
        is_new: bool,
        call: &Call,
    ) -> Result<Vec<Share>, Failure> {
        let numbers = 0..job.chunks();
        if job.is_in_parts() {
            let mut free = Vec::new();
            for chunk in numbers {
                let parts = if is_new {
                    match &job.work {
                        Work::Predict(_) | Work::Train(_) => (0..job.parts).collect(),
                        // The workers of a pass begin the next one.
                        Work::Query(shared) => shared.parts_of_pass(0).collect(),
                    }
                } else {
                    self.registry.free_parts(job, chunk, call.now).await?
                };
                let share = |part| Share {
                    chunk,
                    part: Some(part),
                };
                free.extend(parts.into_iter().map(share));
            }
            return Ok(free);
        }
        if is_new {
            return Ok(numbers.map(Share::from).collect());
        }
        let chunks = self.registry.chunks(job, numbers, call.now).await?;
        let free = chunks.iter().enumerate();
        let free = free.filter(|(_, chunk)| Chunk::is_free(chunk.as_ref(), call.now));
        Ok(free.map(|(number, _)| Share::from(number)).collect())
    }

    fn refusal(&self, declared: &JobDeclared) -> Problem {
        match declared {
            JobDeclared::Quota => Problem::new(
                ProblemType::JobQuota,
                format!(
                    "you have {} jobs, as many as you may; delete one whose results you have: DELETE /v2/jobs/ID",
                    self.rules.quota
                ),
            ),
            JobDeclared::Missing(number) => Problem::new(
                ProblemType::UploadMissing,
                format!(
                    "chunk {number} is not there; upload it (POST /v2/uploads, then PUT) and declare the job again"
                ),
            ),
            _ => Problem::new(
                ProblemType::JobConflict,
                "another job was declared under this idempotency key; take a new one",
            ),
        }
    }

    async fn delete(&self, tenant: &Tenant, id: JobId) -> Result<Response<Body>, Failure> {
        if !self.registry.delete_job(tenant, id).await? {
            return Err(unknown(id).into());
        }
        let mut response = http::response(StatusCode::NO_CONTENT, api::JSON, Body::Empty);
        response.headers_mut().remove(header::CONTENT_TYPE);
        Ok(response)
    }

    /// A job of the tenant's that has not run out. Another tenant's is as unknown as one that never
    /// was.
    async fn job(&self, tenant: &Tenant, id: JobId, call: &Call) -> Result<Job, Failure> {
        let job = self.registry.job(id).await?;
        let job = job.filter(|job| job.tenant == *tenant);
        Ok(unexpired(job.ok_or_else(|| unknown(id))?, call)?)
    }
}

fn unexpired(job: Job, call: &Call) -> Result<Job, Problem> {
    if job.is_expired(call.now) {
        let detail = format!(
            "job {} has run out, and its results are gone; declare it anew under another idempotency key",
            job.id
        );
        return Err(Problem::new(ProblemType::JobExpired, detail));
    }
    Ok(job)
}

fn unknown(id: JobId) -> Problem {
    Problem::new(
        ProblemType::UnknownJob,
        format!("you have no job {id}; declare it: POST /v2/jobs"),
    )
}
