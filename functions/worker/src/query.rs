//! Jobs that answer a query over frames: a part is rows of a pass, the chunk's result the answer.

use crate::work::{End, Work, sound};
use bytes::Bytes;
use cipherfn_answering::Answering;
use cipherfn_service::Failure;
use cipherfn_service::registry::{Chunk, SharedQuery};
use std::ops::Range;
use std::time::Duration;

/// What a part makes of its rows, for whoever adds the parts and for the passes after it. It is not
/// interrupted: a part is as long as its owner has made it.
pub(crate) async fn part(
    answering: &Answering,
    shared: &SharedQuery,
    work: &mut Work<'_>,
    part: u32,
) -> Result<End, Failure> {
    let Some((pass, _)) = shared.part(part) else {
        return Ok(End::Over);
    };
    let (registry, job) = (work.registry, work.job);
    let parts = registry.parts(job, work.chunk, work.call.time()).await?;
    let mut earlier = Vec::with_capacity(pass);
    for pass in 0..pass {
        earlier.push(made(work, &parts, shared.parts_of_pass(pass)).await?);
    }
    let made = answering.query_part(&job.tenant, (shared, part), earlier, work.call);
    let made = Box::pin(made).await?;
    work.finish(made).await
}

/// The answer, of what the parts of the last pass made; what they and those before them took counts.
pub(crate) async fn reply(
    answering: &Answering,
    shared: &SharedQuery,
    work: &mut Work<'_>,
    parts: &[Option<Chunk>],
) -> Result<End, Failure> {
    let (job, chunk) = (work.job, work.chunk);
    let last = shared.passes.len().saturating_sub(1);
    let files = made(work, parts, shared.parts_of_pass(last)).await?;
    for (number, part) in (0..).zip(parts) {
        if let Some(Chunk::Done {
            attempt,
            milliseconds,
            ..
        }) = part
        {
            let time = Duration::from_millis(*milliseconds);
            work.uses_up((chunk, number, *attempt), time);
        }
    }
    let reply = answering.query_reply(&job.tenant, shared, files, work.call);
    let reply = Box::pin(reply).await?;
    work.finish(reply).await
}

/// What parts that are done made.
async fn made(
    work: &Work<'_>,
    parts: &[Option<Chunk>],
    numbers: Range<u32>,
) -> Result<Vec<Bytes>, Failure> {
    let mut files = Vec::with_capacity(numbers.len());
    for number in numbers {
        if let Some(done) = parts.get(number as usize).and_then(Option::as_ref) {
            let place = (work.chunk, number);
            let file = work.registry.sums(work.job, place, done).await?;
            files.push(sound(
                file,
                &format!("what part {number} of the query made"),
            )?);
        }
    }
    Ok(files)
}
