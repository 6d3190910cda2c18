//! What a row of a job is predicted to take.

use crate::{Jobs, check};
use cipherfn_protocol::api::job::RowCost;
use cipherfn_protocol::api::{ApiVersion, ModelName, Problem, ProblemType};
use cipherfn_protocol::hash::SpecsHash;
use cipherfn_service::registry::{LiveVersion, live_version};
use cipherfn_service::{Failure, http};
use cipherfn_training::TrainingProgram;
use lambda_http::http::StatusCode;
use lambda_http::{Body, Request, RequestExt, Response};
use std::env;

impl Jobs {
    /// The cost of the version that `?specs=HASH` names.
    pub(crate) async fn cost(
        &self,
        request: &Request,
        name: &ModelName,
    ) -> Result<Response<Body>, Failure> {
        let query = request.query_string_parameters_ref();
        let specs = query
            .and_then(|query| query.first("specs"))
            .ok_or_else(|| {
                let detail = "no version is named: GET /v2/models/NAME/cost?specs=HASH";
                Problem::new(ProblemType::MalformedRequest, detail)
            })?;
        let specs: SpecsHash = http::id("version", specs)?;
        let model = self.registry.model(name).await?;
        let version = live_version(model.as_ref(), (ApiVersion::V2, name), specs)?;
        let cost = self.predicted((name, specs), version).await?;
        let cost = cost.ok_or_else(|| {
            // As services without the route say it: clients go on without a prediction.
            let detail = format!("the report of model {name} predicts no time");
            Problem::new(ProblemType::UnknownRoute, detail)
        })?;
        Ok(http::json(StatusCode::OK, &cost))
    }

    /// What a row of a version is predicted to take; `None` where its report does not say.
    pub(crate) async fn predicted(
        &self,
        (name, specs): (&ModelName, SpecsHash),
        version: &LiveVersion,
    ) -> Result<Option<RowCost>, Failure> {
        let predicted = self.registry.row_microseconds(name, version).await?;
        Ok(predicted.map(|row_microseconds| self.of_worker(specs, row_microseconds)))
    }

    /// That a worker ends a step of a training program. The program, if it can be read: what cannot be the
    /// worker says.
    pub(crate) async fn check_steps(
        &self,
        (name, hash): (&ModelName, SpecsHash),
        version: &LiveVersion,
    ) -> Result<Option<TrainingProgram>, Failure> {
        let program = self.registry.specs(name, version, hash).await?;
        let program = program.and_then(|bytes| TrainingProgram::from_json(&bytes).ok());
        if let Some(TrainingProgram::Descent(training)) = &program {
            let cost = self.of_worker(hash, training.step_microseconds());
            check::steps(training, &cost)?;
        }
        Ok(program)
    }

    fn of_worker(&self, specs: SpecsHash, row_microseconds: f64) -> RowCost {
        RowCost {
            specs,
            row_microseconds,
            worker_memory_mb: self.rules.worker_memory_mb,
            // All functions of a stack have the same.
            architecture: match env::consts::ARCH {
                "aarch64" => "arm64".to_owned(),
                other => other.to_owned(),
            },
        }
    }
}
