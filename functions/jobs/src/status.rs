//! Where a job stands, as its owner sees it.

use crate::Jobs;
use cipherfn_protocol::api::job::{ChunkState, JobStatus, MAX_STATES};
use cipherfn_service::registry::{Chunk, Job};
use cipherfn_service::{Call, Failure, http};
use lambda_http::http::StatusCode;
use lambda_http::{Body, Response};

impl Jobs {
    /// A job's status, with the state of its chunks from number `from` on.
    pub(crate) async fn status(
        &self,
        status: StatusCode,
        job: &Job,
        from: usize,
        call: &Call,
    ) -> Result<Response<Body>, Failure> {
        let from = from.min(job.chunks());
        let numbers = from..job.chunks().min(from + MAX_STATES);
        let chunks = self.registry.chunks(job, numbers.clone(), call.now);
        let chunks = chunks.await?;
        let mut states = Vec::with_capacity(chunks.len());
        for (number, chunk) in numbers.zip(chunks) {
            states.push(self.state(job, number, chunk, call).await?);
        }
        // Where all states are here, they say it.
        let done = if states.len() == job.chunks() {
            let is_done = |state: &&ChunkState| matches!(state, ChunkState::Done { .. });
            states.iter().filter(is_done).count()
        } else {
            self.registry.results(job).await?
        };
        let uploaded = job.work.uploaded();
        let document = JobStatus {
            job: job.id,
            kind: job.work.kind(),
            model: uploaded.map(|work| work.model.clone()),
            specs: uploaded.map(|work| work.specs),
            key: job.key,
            created: job.created,
            expires: job.until,
            chunks: job.chunks(),
            done,
            from,
            states,
        };
        Ok(http::json(status, &document))
    }

    async fn state(
        &self,
        job: &Job,
        number: usize,
        chunk: Option<Chunk>,
        call: &Call,
    ) -> Result<ChunkState, Failure> {
        Ok(match chunk {
            None => ChunkState::Waiting {
                attempts: 0,
                steps: 0,
            },
            Some(Chunk::Held {
                attempt: attempts,
                until,
                checkpoint,
                ..
            }) => {
                let steps = checkpoint.map_or(0, |checkpoint| checkpoint.steps);
                if until <= call.now {
                    ChunkState::Waiting { attempts, steps }
                } else {
                    ChunkState::Running {
                        attempts,
                        until,
                        steps,
                    }
                }
            }
            Some(Chunk::Done {
                attempt,
                result,
                milliseconds,
            }) => {
                let lifetime = self.rules.transfer_lifetime;
                let request = self
                    .registry
                    .result_request(job, (number, attempt), lifetime)
                    .await?;
                ChunkState::Done {
                    attempts: attempt,
                    milliseconds,
                    result: self.transfer(result, request, call),
                }
            }
            Some(Chunk::Failed { attempts, problem }) => ChunkState::Failed { attempts, problem },
        })
    }
}
