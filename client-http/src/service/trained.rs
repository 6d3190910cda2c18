//! Weights that a service keeps encrypted after a training: predictions by them, and the weights themselves
//! for whoever trains on.

use super::error::ServiceError;
use super::transport::Call;
use super::{Service, blocking};
use crate::keyring::KeptTraining;
use bytes::Bytes;
use cipherfn_client::Prediction;
use cipherfn_client::training::KeptModel;
use cipherfn_protocol::api::job::{ChunkState, JobId, JobStatus};
use cipherfn_protocol::api::{self, ApiVersion, Route};
use cipherfn_scheme::SecretKey;
use cipherfn_training::descent::Training;
use http::header::ACCEPT;
use http::{HeaderValue, Method};
use std::sync::Arc;

impl Service {
    /// Predicts rows' features ([`Training::encode`]) by the weights that a training has left: as many as
    /// [`KeptModel::most_rows`] says in one request. Neither rows nor weights are seen by the service.
    pub async fn predict_trained(
        &self,
        kept: &Arc<KeptTraining>,
        (training, key): (&Arc<Training>, &Arc<SecretKey>),
        rows: Vec<Vec<i32>>,
    ) -> Result<Vec<Prediction>, ServiceError> {
        let own = (Arc::clone(kept), Arc::clone(training), Arc::clone(key));
        let ask = move || {
            let (kept, training, key) = &own;
            let asked = model(kept, training).ask(key, &rows);
            asked.map(|asked| (asked, own))
        };
        let (asked, own) = blocking(ask).await??;
        let path = Route::PredictTrained.path(ApiVersion::V2, &kept.job.to_string());
        let call = Call::new(Method::POST, path)
            .header(ACCEPT, HeaderValue::from_static(api::REPLY))
            .body(api::QUERY, asked.query.clone());
        let answered = self.call(&call).await;
        let (answer, _) = answered.map_err(|error| self.trains(error))?;
        self.require_reply(&call, &answer)?;
        let open = move || {
            let (kept, training, key) = &own;
            model(kept, training).open(key, &asked, &answer.body)
        };
        Ok(blocking(open).await??)
    }

    /// The state after the last step of a training whose weights are kept.
    pub async fn kept_weights(&self, job: JobId) -> Result<Bytes, ServiceError> {
        let status = self.job_status(job).await?;
        match status.states.into_iter().next() {
            Some(ChunkState::Done { result, .. }) => {
                self.fetched(&result, "the weights of the training").await
            }
            Some(ChunkState::Failed { attempts, problem }) => Err(ServiceError::TrainingFailed {
                attempts,
                problem: Box::new(problem),
            }),
            _ => Err(ServiceError::StillTraining { job }),
        }
    }

    /// Where a job stands: its first chunks, or the training that it is.
    pub async fn job_status(&self, job: JobId) -> Result<JobStatus, ServiceError> {
        let path = Route::JobStatus.path(ApiVersion::V2, &job.to_string());
        let call = Call::new(Method::GET, path);
        let (answer, _) = self.call(&call).await?;
        self.json(&call, &answer)
    }
}

fn model<'a>(kept: &'a KeptTraining, training: &'a Training) -> KeptModel<'a> {
    KeptModel {
        training,
        weights: &kept.weights,
        owners: kept.owners(),
    }
}
