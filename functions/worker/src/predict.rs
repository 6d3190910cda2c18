//! Jobs that answer queries: a chunk is a query, its result the reply.

use crate::work::{End, Work};
use cipherfn_answering::{Answering, Asked, Progress, Stage, Stretch};
use cipherfn_protocol::api::job::MAX_CHUNK;
use cipherfn_protocol::api::{ApiVersion, Problem, ProblemType};
use cipherfn_protocol::hash::Sha256;
use cipherfn_service::Failure;
use sha2::Digest;
use std::time::{Duration, Instant};

/// Answers a chunk, and keeps what is answered each time `interval` has gone by and when the worker's
/// time is nearly over.
pub(crate) async fn predict(
    answering: &Answering,
    work: &mut Work<'_>,
    interval: Duration,
) -> Result<End, Failure> {
    let job = work.job;
    let input = work.input().await?;
    let query = cipherfn_answering::parse(&input)?;
    let head = query.head();
    if (head.specs, head.key) != (job.specs, job.key) {
        let detail = format!(
            "chunk {} is for specs {} and key {}, the job is for specs {} and key {}; declare a job of its own for it",
            work.chunk,
            head.specs.short(),
            head.key,
            job.specs.short(),
            job.key
        );
        return Err(Problem::new(ProblemType::MalformedQuery, detail).into());
    }
    let sha256 = Sha256::from_bytes(sha2::Sha256::digest(&input).into());
    drop(input);
    let mut progress = match work.kept().await? {
        Some(kept) => {
            let resumed = cipherfn_answering::resume(&kept, (&query, sha256));
            resumed.map_err(|error| work.altered(&error.detail))?
        }
        None => Progress::default(),
    };
    let asked = Asked {
        api: ApiVersion::V2,
        model: &job.model,
        tenant: &job.tenant,
        reply_limit: MAX_CHUNK as usize,
    };
    loop {
        let stretch = Stretch {
            pause: Instant::now() + interval,
            end: work.end,
        };
        let stage = answering.go_on(asked, &query, (progress, stretch), work.call);
        // On the heap: types of nested futures are deep.
        progress = match Box::pin(stage).await? {
            Stage::Whole(reply) => return work.finish(reply.bytes).await,
            Stage::Paused(progress) => progress,
        };
        let file = || progress.to_file_bytes(sha256, query.tag());
        if let Some(end) = work.keep(progress.rows() as u64, file).await? {
            return Ok(end);
        }
    }
}
