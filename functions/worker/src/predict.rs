//! Jobs that answer queries: a chunk is a query, its result the reply.

use crate::work::{End, Work, sound};
use cipherfn_answering::{Answering, Asked, Part, Progress, Query, Stage, Stretch};
use cipherfn_protocol::api::job::MAX_CHUNK;
use cipherfn_protocol::api::{ApiVersion, Problem, ProblemType};
use cipherfn_protocol::hash::Sha256;
use cipherfn_service::Failure;
use cipherfn_service::registry::{Chunk, Job, UploadedWork};
use sha2::Digest;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Answers a chunk, and keeps what is answered each time `interval` has gone by and when the worker's
/// time is nearly over.
pub(crate) async fn predict(
    answering: &Answering,
    prediction: &UploadedWork,
    work: &mut Work<'_>,
    interval: Duration,
) -> Result<End, Failure> {
    let job = work.job;
    let (query, sha256) = query_of(prediction, work).await?;
    let mut progress = match work.kept().await? {
        Some(kept) => {
            let resumed = cipherfn_answering::resume(&kept, (&query, sha256));
            resumed.map_err(|error| work.altered(&error.detail))?
        }
        None => Progress::default(),
    };
    let asked = asked(job, prediction);
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

/// What a part of the model makes of a chunk, for whoever adds the parts. It is not interrupted: its
/// rows are few.
pub(crate) async fn sums(
    answering: &Answering,
    prediction: &UploadedWork,
    work: &mut Work<'_>,
    part: u32,
) -> Result<End, Failure> {
    let (query, sha256) = query_of(prediction, work).await?;
    let part = part_of(work.job, part);
    let sums = answering.sums(
        asked(work.job, prediction),
        part,
        (&query, sha256),
        work.call,
    );
    let sums = Box::pin(sums).await?;
    work.finish(sums).await
}

/// Adds what the parts of a chunk made, all of which are done. `part` is the one that is ready here.
pub(crate) async fn add(
    answering: &Answering,
    prediction: &UploadedWork,
    work: &mut Work<'_>,
    (part, parts): (u32, &[Option<Chunk>]),
) -> Result<End, Failure> {
    let (job, chunk, registry) = (work.job, work.chunk, work.registry);
    let (query, sha256) = query_of(prediction, work).await?;
    // What the parts made is of no use once they are added. What they took counts.
    let mut sums = Vec::with_capacity(parts.len());
    for (number, done) in (0..).zip(parts.iter().flatten()) {
        let made = registry.sums(job, (chunk, number), done).await?;
        sums.push(sound(
            made,
            &format!("what part {number} made of chunk {chunk}"),
        )?);
        if let Chunk::Done {
            attempt,
            milliseconds,
            ..
        } = done
        {
            work.uses_up(
                (chunk, number, *attempt),
                Duration::from_millis(*milliseconds),
            );
        }
    }
    let part = part_of(job, part);
    let reply = answering.add(
        asked(job, prediction),
        part,
        (&query, sha256),
        sums,
        work.call,
    );
    let reply = Box::pin(reply).await?;
    work.finish(reply.bytes).await
}

const fn part_of(job: &Job, number: u32) -> Part {
    Part {
        number,
        of: job.parts,
    }
}

const fn asked<'a>(job: &'a Job, prediction: &'a UploadedWork) -> Asked<'a> {
    Asked {
        api: ApiVersion::V2,
        model: &prediction.model,
        tenant: &job.tenant,
        reply_limit: MAX_CHUNK as usize,
    }
}

/// The query that a chunk is, and its checksum.
async fn query_of(
    prediction: &UploadedWork,
    work: &Work<'_>,
) -> Result<(Arc<Query>, Sha256), Failure> {
    let job = work.job;
    let input = work.input().await?;
    let query = cipherfn_answering::parse(&input)?;
    let head = query.head();
    if (head.specs, head.key) != (prediction.specs, job.key) {
        let detail = format!(
            "chunk {} is for specs {} and key {}, the job is for specs {} and key {}; declare a job of its own for it",
            work.chunk,
            head.specs.short(),
            head.key,
            prediction.specs.short(),
            job.key
        );
        return Err(Problem::new(ProblemType::MalformedQuery, detail).into());
    }
    let sha256 = Sha256::from_bytes(sha2::Sha256::digest(&input).into());
    Ok((query, sha256))
}
