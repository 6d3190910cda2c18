//! Trainings that several owners add rows to, before their job; what they add to totals is looked at in `sums`.
//!
//! Owners have the key holder's public key and a grant. What they add is looked at by its head alone: that it
//! is rows under the public key, for this program and key, all of them and in order. What the ciphertexts
//! hold, nobody but the key holder could tell.

use crate::grants::{changed, once, signed_grant, stand_of};
use crate::{Jobs, check};
use cipherfn_protocol::api::grants::{GrantedPieces, Revocation};
use cipherfn_protocol::api::job::{ChunkFile, MAX_UPLOADS, UploadPurpose};
use cipherfn_protocol::api::trainings::{TrainingDeclaration, TrainingId, TrainingList};
use cipherfn_protocol::api::{self, Problem, ProblemType};
use cipherfn_service::registry::{
    GrantRefusal, Granting, Job, JobOrder, JointDeclared, JointTraining, live_program,
};
use cipherfn_service::{Call, Failure, Tenant, http};
use cipherfn_training::TrainingProgram;
use cipherfn_training::descent::{PUBLIC_BATCH, ROWS_HEAD, RowsForm, RowsHead, Training};
use futures_util::{StreamExt, TryStreamExt, stream};
use lambda_http::http::{StatusCode, header};
use lambda_http::{Body, Request, Response};

/// Heads that are read at the same time.
const IN_FLIGHT: usize = 16;

impl Jobs {
    /// Takes a training that owners are to add rows to.
    pub(crate) async fn declare_training(
        &self,
        tenant: &Tenant,
        (request, call): (&Request, &Call),
    ) -> Result<Response<Body>, Failure> {
        let declaration: TrainingDeclaration = http::json_body(request)?;
        check::public_key(&declaration)?;
        let (name, specs) = (&declaration.program, declaration.specs);
        let program = self.registry.model(name).await?;
        let version = live_program(program.as_ref(), name, specs)?;
        let program = self.check_steps((name, specs), version).await?;
        check::joint(program.as_ref(), &declaration)?;
        let declared = self
            .registry
            .declare_joint(tenant, &declaration, &self.rules, call.now)
            .await?;
        let (status, training) = match declared {
            JointDeclared::New(training) => (StatusCode::CREATED, training),
            JointDeclared::Known(training) => (StatusCode::OK, training),
            JointDeclared::Quota => {
                let detail = format!(
                    "you have {} jobs and trainings, as many as you may; delete one: DELETE /v2/jobs/ID, DELETE /v2/trainings/ID",
                    self.rules.quota
                );
                return Err(Problem::new(ProblemType::JobQuota, detail).into());
            }
            JointDeclared::Conflict => {
                let detail = "another training was declared under this id; take a new one";
                return Err(Problem::new(ProblemType::JobConflict, detail).into());
            }
        };
        Ok(http::json(status, &unexpired(training, call)?.status()))
    }

    /// The tenant's trainings.
    pub(crate) async fn trainings(
        &self,
        tenant: &Tenant,
        call: &Call,
    ) -> Result<Response<Body>, Failure> {
        let trainings = self.registry.joints(tenant, call.now).await?;
        let trainings = trainings.iter().map(JointTraining::listed).collect();
        Ok(http::json(StatusCode::OK, &TrainingList { trainings }))
    }

    /// Who may add rows to a training, and who did.
    pub(crate) async fn training_status(
        &self,
        tenant: &Tenant,
        id: TrainingId,
        call: &Call,
    ) -> Result<Response<Body>, Failure> {
        let training = self.joint(tenant, id, call).await?;
        Ok(http::json(StatusCode::OK, &training.status()))
    }

    /// Ends a training, and deletes all rows that were added.
    pub(crate) async fn delete_training(
        &self,
        tenant: &Tenant,
        id: TrainingId,
    ) -> Result<Response<Body>, Failure> {
        if !self.registry.delete_joint(tenant, id).await? {
            return Err(unknown(id).into());
        }
        let mut response = http::response(StatusCode::NO_CONTENT, api::JSON, Body::Empty);
        response.headers_mut().remove(header::CONTENT_TYPE);
        Ok(response)
    }

    /// Takes a grant that the key holder of a training has signed.
    pub(crate) async fn offer_training_grant(
        &self,
        tenant: &Tenant,
        id: TrainingId,
        (request, call): (&Request, &Call),
    ) -> Result<Response<Body>, Failure> {
        let grant = signed_grant(request)?;
        self.joint(tenant, id, call).await?;
        let offered = self
            .registry
            .change_joint((tenant, id), |training| training.offered(&grant, call.now));
        let training = changed(offered.await?)?.ok_or_else(|| unknown(id))?;
        Ok(http::json(StatusCode::CREATED, &training.status()))
    }

    /// Ends a grant of a training of the tenant's.
    pub(crate) async fn revoke_training_grant(
        &self,
        tenant: &Tenant,
        id: TrainingId,
        (request, call): (&Request, &Call),
    ) -> Result<Response<Body>, Failure> {
        let Revocation { grant, drop_rows } = http::json_body(request)?;
        let before = self.joint(tenant, id, call).await?;
        let revoked = self.registry.change_joint((tenant, id), |training| {
            let revoked = training.revoked(grant, drop_rows);
            once((&before, training), grant, revoked)
        });
        let training = changed(revoked.await?)?.ok_or_else(|| unknown(id))?;
        // What never became rows, and what ceased to be.
        let pieces = before.held(grant).map(|held| held.pieces.clone());
        let files = pieces.into_iter().flatten().map(|piece| piece.file);
        let gone = files.filter(|file| !training.has(*file));
        self.registry.delete_uploads(&training, gone).await?;
        Ok(http::json(StatusCode::OK, &training.status()))
    }

    /// Says where an owner uploads chunks by a grant. They count from now on.
    pub(crate) async fn training_uploads(
        &self,
        tenant: &Tenant,
        (granted, id): (&GrantedPieces, TrainingId),
        call: &Call,
    ) -> Result<Response<Body>, Failure> {
        let owner = Tenant::from(granted.grant.grant.owner);
        self.registry.open_joint(&owner, id, call.now).await?;
        let reserved = self.registry.change_joint((&owner, id), |training| {
            training.reserved(&granted.grant, tenant, &granted.pieces, call.now)
        });
        changed(reserved.await?)?.ok_or(Problem::from(GrantRefusal::Unknown))?;
        let place = (id.into(), UploadPurpose::Job);
        self.transfers(&owner, place, &granted.pieces, call).await
    }

    /// Adds all chunks of an owner's rows by a grant, after a look at their heads; or its sums, after a look at all
    /// of them. Without chunks nothing is added, and the answer is as always where the grant stands.
    pub(crate) async fn add_training_rows(
        &self,
        tenant: &Tenant,
        (granted, id): (&GrantedPieces, TrainingId),
        call: &Call,
    ) -> Result<Response<Body>, Failure> {
        let (grant, files) = (&granted.grant, &granted.pieces);
        let owner = Tenant::from(grant.grant.owner);
        let training = self.registry.open_joint(&owner, id, call.now).await?;
        let training = training.ok_or(Problem::from(GrantRefusal::Unknown))?;
        let held = training.granted(grant, tenant, call.now);
        let held = held.map_err(Problem::from)?;
        if files.is_empty() {
            return stand_of(&training, grant, tenant);
        }
        check::chunks(files, MAX_UPLOADS)?;
        let declared = |file: &ChunkFile| held.pieces.iter().any(|piece| piece.file == *file);
        if let Some(place) = files.iter().position(|file| !declared(file)) {
            return Err(Problem::from(GrantRefusal::NotDeclared(place)).into());
        }
        let place = (&training.tenant, training.id.into());
        if let Some(number) = self.registry.missing_upload(place, files).await? {
            return Err(gone(number).into());
        }
        let rows = match self.program_of(&training).await? {
            TrainingProgram::Descent(program) => {
                self.look_at_rows((&training, &program), files).await?
            }
            TrainingProgram::Statistics(spec) => {
                self.look_at_sums((&training, &spec), files).await?;
                0
            }
            TrainingProgram::Frame(schema) => {
                self.look_at_tables((&training, &schema), files).await?;
                0
            }
            TrainingProgram::Leaves(_) => return Err(Problem::from(GrantRefusal::Unknown).into()),
        };
        let added = self.registry.change_joint((&owner, id), |training| {
            training.added(grant, tenant, (rows, files), call.now)
        });
        let training = changed(added.await?)?.ok_or(Problem::from(GrantRefusal::Unknown))?;
        stand_of(&training, grant, tenant)
    }

    /// The program of a training, as long as it is published.
    async fn program_of(&self, training: &JointTraining) -> Result<TrainingProgram, Failure> {
        let (name, specs) = (&training.program, training.specs);
        let program = self.registry.model(name).await?;
        let version = live_program(program.as_ref(), name, specs)?;
        let program = self.registry.specs(name, version, specs).await?;
        let program = program.and_then(|bytes| TrainingProgram::from_json(&bytes).ok());
        program.ok_or_else(|| {
            Failure::Internal(format!("version {specs} of program {name} does not load"))
        })
    }

    /// How many rows chunks have, if they are all chunks of an owner's rows.
    async fn look_at_rows(
        &self,
        (training, program): (&JointTraining, &Training),
        files: &[ChunkFile],
    ) -> Result<u64, Failure> {
        let place = (&training.tenant, training.id.into());
        let heads = (0..).zip(files).map(|(number, file)| async move {
            let start = (*file, ROWS_HEAD as u64);
            let start = self.registry.upload_start(place, start).await?;
            let start = start.ok_or_else(|| gone(number))?;
            let head = RowsHead::read(&start);
            let head = head.map_err(|error| malformed(number, &error.to_string()))?;
            if file.bytes - start.len() as u64 == head.bytes {
                return Ok::<_, Failure>(head);
            }
            let problem =
                "it has another number of bytes than its head says; encrypt the rows again";
            Err(malformed(number, problem).into())
        });
        let heads: Vec<_> = heads.collect();
        let heads = stream::iter(heads).buffered(IN_FLIGHT);
        let heads: Vec<RowsHead> = heads.try_collect().await?;
        Ok(complete(training, program, &heads)?)
    }

    /// A training of the tenant's that has not run out. Another tenant's is as unknown as one that never
    /// was.
    async fn joint(
        &self,
        tenant: &Tenant,
        id: TrainingId,
        call: &Call,
    ) -> Result<JointTraining, Failure> {
        let training = self.registry.open_joint(tenant, id, call.now).await?;
        Ok(unexpired(training.ok_or_else(|| unknown(id))?, call)?)
    }

    /// Whether a job is over a training's folder. That the training takes it is looked at before there is one; a job
    /// that was declared before is told of, whatever became of its training.
    pub(crate) async fn is_of_training(
        &self,
        tenant: &Tenant,
        order: &JobOrder,
        call: &Call,
    ) -> Result<bool, Failure> {
        let Some(work) = order.work.uploaded() else {
            return Ok(false);
        };
        let id = TrainingId::from(work.upload);
        if self.registry.joint(tenant, id).await?.is_none() {
            return Ok(false);
        }
        if self.registry.declared_job(tenant, order).await?.is_none() {
            let training = self.joint(tenant, id, call).await?;
            let taken = training.takes_job(&order.work, order.key);
            taken.map_err(Problem::from)?;
        }
        Ok(true)
    }

    /// Makes a job over a training's folder the job of that training. A new one that the training does not take
    /// is taken back.
    pub(crate) async fn join(&self, job: &Job, is_new: bool, call: &Call) -> Result<(), Failure> {
        let Some(work) = job.work.uploaded() else {
            return Ok(());
        };
        let (tenant, id) = (&job.tenant, TrainingId::from(work.upload));
        let joined = match self.joint(tenant, id, call).await {
            Ok(_) => {
                let change = self
                    .registry
                    .change_joint((tenant, id), |training| training.trained_by(job));
                changed(change.await?).map(drop).map_err(Failure::from)
            }
            Err(refused) => Err(refused),
        };
        match joined {
            // One that was declared before is told of, whatever became of its training: a worker trains on
            // owners' rows for the training's own job alone.
            Err(refused) if is_new && self.withdraw(job, call).await? => Err(refused),
            _ => Ok(()),
        }
    }

    /// Takes back a job that its training has not taken; `false` where somebody works on it by now.
    async fn withdraw(&self, job: &Job, call: &Call) -> Result<bool, Failure> {
        let detail = "its training did not take the job, which was taken back; declare it again";
        let problem = Problem::new(ProblemType::JobConflict, detail);
        Ok(self.registry.withdraw_job(job, problem, call.now).await?)
    }
}

/// That heads are those of all chunks of an owner's rows, in order; how many rows these are.
fn complete(
    training: &JointTraining,
    program: &Training,
    heads: &[RowsHead],
) -> Result<u64, Problem> {
    let rows = heads.first().map_or(0, |head| head.rows);
    let mut next = 0;
    for (number, head) in heads.iter().enumerate() {
        let unlike = [
            ("another program", head.program == training.specs),
            ("another key", head.key == training.key),
            (
                "another parameter set",
                head.parameter_set == training.parameter_set,
            ),
            (
                "rows that are not under a public key",
                head.form == RowsForm::Public,
            ),
            ("another number of rows than chunk 0", head.rows == rows),
        ];
        if let Some((what, _)) = unlike.iter().find(|(_, same)| !same) {
            let problem = format!("it is of {what}; encrypt the rows for this training");
            return Err(malformed(number, &problem));
        }
        if head.first != next {
            let problem = format!(
                "it begins with ciphertext {} where ciphertext {next} comes next: a chunk is missing, doubled or in another place; give all chunks once, in order",
                head.first
            );
            return Err(malformed(number, &problem));
        }
        if head.bytes == 0 || !head.bytes.is_multiple_of(PUBLIC_BATCH as u64) {
            let problem = format!(
                "it has {} bytes of ciphertexts, which have {PUBLIC_BATCH} each; encrypt the rows again",
                head.bytes
            );
            return Err(malformed(number, &problem));
        }
        next += head.bytes / PUBLIC_BATCH as u64;
    }
    let count = usize::try_from(rows).unwrap_or(usize::MAX);
    let batches = program
        .batches(count)
        .map_err(|error| malformed(0, &error.to_string()))?;
    let expected = batches
        .div_ceil(program.batches_together())
        .saturating_mul(program.sets()) as u64;
    if next != expected {
        let detail = format!(
            "the chunks have {next} ciphertexts where {rows} rows take {expected}: chunks are missing at the end, or too many; give all chunks once, in order"
        );
        return Err(Problem::new(ProblemType::MalformedRows, detail));
    }
    Ok(rows)
}

pub(crate) fn malformed(number: usize, problem: &str) -> Problem {
    let detail = format!("chunk {number}: {problem}");
    Problem::new(ProblemType::MalformedRows, detail)
}

pub(crate) fn gone(number: usize) -> Problem {
    let detail = format!(
        "chunk {number} is not there; upload it (POST /v2/grants/uploads, then PUT) and add the rows again"
    );
    Problem::new(ProblemType::UploadMissing, detail)
}

fn unexpired(training: JointTraining, call: &Call) -> Result<JointTraining, Problem> {
    if training.is_expired(call.now) {
        let detail = format!(
            "training {} has run out, and its rows are gone; declare another one",
            training.id
        );
        return Err(Problem::new(ProblemType::JobExpired, detail));
    }
    Ok(training)
}

fn unknown(id: TrainingId) -> Problem {
    Problem::new(
        ProblemType::UnknownJob,
        format!("you have no training {id}; declare it: POST /v2/trainings"),
    )
}
