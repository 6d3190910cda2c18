//! Predictions by the weights that a training has left at the service, under its tenant's key.

use crate::{Answering, blocking, refusal};
use cipherfn_protocol::api::job::JobId;
use cipherfn_protocol::api::{Problem, ProblemType};
use cipherfn_protocol::frame::{FrameKind, kind};
use cipherfn_service::registry::{Chunk, Input, Job, Work};
use cipherfn_service::{Call, Failure, Tenant};
use cipherfn_serving::training::answer_forms;
use cipherfn_training::descent::DescentState;

impl Answering {
    /// The forms of a query's rows by the weights that a job of the tenant's has trained. Another tenant's
    /// job is as unknown as one that never was.
    pub async fn forms(
        &self,
        tenant: &Tenant,
        (id, query): (JobId, Vec<u8>),
        call: &Call,
    ) -> Result<Vec<u8>, Failure> {
        let state = self.trained(tenant, id, call).await?;
        let answer = move || {
            let forms = answer_forms(&state, &query).map_err(|error| refusal::no_forms(&error))?;
            Ok::<_, Problem>(forms.to_file_bytes())
        };
        blocking(answer, call).await
    }

    /// The state after the last step of a tenant's training.
    async fn trained(
        &self,
        tenant: &Tenant,
        id: JobId,
        call: &Call,
    ) -> Result<DescentState, Failure> {
        let job = self.training(tenant, id, call).await?;
        let not_trained = |why: &str| {
            let detail = format!("training {id} has no weights: {why}");
            Problem::new(ProblemType::NotTrained, detail)
        };
        let chunks = self.registry.chunks(&job, 0..1, call.now).await?;
        let (attempt, file) = match chunks.into_iter().next().flatten() {
            Some(Chunk::Done {
                attempt, result, ..
            }) => (attempt, result),
            Some(Chunk::Failed { problem, .. }) => {
                return Err(not_trained(&format!("it has failed: {}", problem.detail)).into());
            }
            Some(Chunk::Held { .. }) => {
                return Err(not_trained("it is not over; wait for its last step").into());
            }
            None => {
                // Deleted meanwhile, or nobody has begun.
                self.training(tenant, id, call).await?;
                return Err(not_trained("it is not over; wait for its last step").into());
            }
        };
        let unusable = |why: String| Failure::Internal(format!("weights of training {id}: {why}"));
        match self.registry.result(&job, (0, attempt), file).await? {
            Input::Sound(bytes) if kind(&bytes) == Some(FrameKind::LeafSums) => {
                Err(not_trained("it has counted rows in the leaves of trees").into())
            }
            Input::Sound(bytes) => {
                DescentState::from_file_bytes(&bytes).map_err(|error| unusable(error.to_string()))
            }
            Input::Missing => {
                // Deleted meanwhile, or lost.
                self.training(tenant, id, call).await?;
                Err(unusable("gone".to_owned()))
            }
            Input::Altered(how) => Err(unusable(how)),
        }
    }

    /// A tenant's training that has not run out.
    async fn training(&self, tenant: &Tenant, id: JobId, call: &Call) -> Result<Job, Failure> {
        let job = self.registry.job(id).await?;
        let own = |job: &Job| job.tenant == *tenant && matches!(job.work, Work::Train(_));
        let job = job.filter(own).ok_or_else(|| {
            let detail = format!("you have no training {id}; train with --keep-encrypted");
            Problem::new(ProblemType::UnknownJob, detail)
        })?;
        if job.is_expired(call.now) {
            let detail = format!(
                "training {id} has run out, and its weights are gone; train again, and go on from weights before they run out"
            );
            return Err(Problem::new(ProblemType::JobExpired, detail).into());
        }
        Ok(job)
    }
}
