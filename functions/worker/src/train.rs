//! Jobs that train: all chunks are rows of one training, the result its state after the last step. Of counts in
//! leaves a step is some rows of a sum. Where chunks are sums of owners, the result is their total.

use crate::owners::Owners;
use crate::work::{End, Work};
use cipherfn_answering::{Answering, AskedTraining, Stretch, SumsUpload, Uploaded, files_hash};
use cipherfn_service::Failure;
use cipherfn_service::registry::UploadedWork;
use std::time::{Duration, Instant};

/// Runs steps, and keeps the state each time `interval` has gone by and when the worker's time is nearly
/// over.
pub(crate) async fn train(
    answering: &Answering,
    order: &UploadedWork,
    work: &mut Work<'_>,
    interval: Duration,
) -> Result<End, Failure> {
    let job = work.job;
    let asked = AskedTraining {
        tenant: &job.tenant,
        program: &order.model,
        version: order.specs,
        key: job.key,
    };
    let files = order.chunks.iter().map(|chunk| chunk.sha256);
    let named = files_hash(files);
    let owners = Owners::of(work, order).await?;
    let named = (named, owners.public_key());
    let upload = answering.training_upload(asked, named, work.call);
    let mut upload = match upload.await? {
        Uploaded::Rows(upload) => upload,
        Uploaded::Sums(total) => return add(total, (order, &owners), work).await,
    };
    let bytes = order.chunks.iter().map(|chunk| chunk.bytes).sum();
    answering.check_rows(bytes)?;
    for number in 0..order.chunks.len() {
        let file = work.uploaded(number).await?;
        owners.check((number, order.chunks[number]), &file)?;
        upload.add((number, &file))?;
    }
    let mut run = answering.begin_training(asked, upload, work.call).await?;
    if let Some(kept) = work.kept().await? {
        let resumed = run.resume(&kept);
        resumed.map_err(|error| work.altered(&error.to_string()))?;
    }
    loop {
        let stretch = Stretch {
            pause: Instant::now() + interval,
            end: work.end,
        };
        // On the heap: types of nested futures are deep.
        run = Box::pin(answering.train(asked, (run, stretch), work.call)).await?;
        if run.is_over() {
            return work.finish(run.state()).await;
        }
        if let Some(end) = work.keep(run.steps(), || run.state()).await? {
            return Ok(end);
        }
    }
}

/// Adds all sums of a total, one after the other: each takes less than it takes to fetch.
async fn add(
    mut total: SumsUpload,
    (order, owners): (&UploadedWork, &Owners),
    work: &mut Work<'_>,
) -> Result<End, Failure> {
    owners.check_total(order)?;
    for number in 0..order.chunks.len() {
        total.add((number, &work.uploaded(number).await?))?;
    }
    work.finish(total.finish()?).await
}
