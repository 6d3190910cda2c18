//! Training by a service: rows are uploaded encrypted, workers run the steps, or count.

use super::rows::read_rows;
use super::unfinished::Unfinished;
use super::{Given, Train, Trained, kept, simulated};
use crate::files::Content;
use crate::shared::block_on;
use crate::terminal::{Terminal, Unit};
use crate::trust;
use crate::usage::bail_usage;
use anyhow::{Result, bail};
use cipherfn_client::training::{KeptModel, RowsEncryption};
use cipherfn_client_http::{
    Existing, FetchedProgram, KeptTraining, KeyRing, RowsName, SameTraining, Service, ServiceError,
    Uploaded, UploadedRows,
};
use cipherfn_protocol::api::ModelName;
use cipherfn_protocol::api::job::{JobDeclaration, JobId};
use cipherfn_protocol::hash::Hash;
use cipherfn_scheme::SecretKey;
use cipherfn_scheme::parameters::{KeyPart, ParameterSet};
use cipherfn_serving::training::{SET, required_parts};
use cipherfn_training::descent::KeptWeights;
use cipherfn_training::{TrainingError, TrainingProgram};
use indicatif::ProgressBar;
use std::sync::Arc;
use std::time::Instant;

impl Train {
    /// Has the service at `url` train, or ends what it has begun.
    pub(super) fn elsewhere(&self, url: &str, terminal: Terminal) -> Result<()> {
        let unfinished = Unfinished::beside(&self.output)?;
        if self.cancel {
            return block_on(self.cancel(url, &unfinished, terminal));
        }
        let (Some(keys), Some(input)) = (&self.keys, &self.input) else {
            bail_usage!(
                "a service trains on encrypted rows, whose key must stay: give --keys DIRECTORY and --input FILE"
            );
        };
        let name = self.name()?;
        self.output.outside(keys)?;
        let output = self
            .output
            .create(Content::Binary, self.force.force, &[input])?;
        block_on(async {
            let service = self.connection.open(url).await?;
            let ring = KeyRing::at(keys);
            let accept = self.trust.accept();
            let fetched = service.any_program(&name, &ring, &accept).await?;
            let whose = whose(&fetched, fetched.training.hash());
            let training = match fetched.training {
                TrainingProgram::Descent(training) => *training,
                TrainingProgram::Statistics(_) | TrainingProgram::Frame(_) => {
                    return Err(TrainingError::OfSums.into());
                }
                TrainingProgram::Leaves(training) => {
                    let place = (&service, &ring, &name);
                    let told = (output, Some(whose));
                    let leaves = self.leaves_elsewhere(place, &training, input, told, terminal);
                    return Box::pin(leaves).await;
                }
            };
            let target = self.target.as_deref();
            let rows = read_rows(&training, target, &self.format, input, terminal)?;
            let (start, going_on) = match self.go_on {
                Some(job) => {
                    let begun = (job, unfinished.read()?);
                    let (start, own) = kept::start(&service, &ring, &training, begun).await?;
                    (start, Some(own))
                }
                None => (self.start_of(&training)?, None),
            };
            let simulated = simulated((&training, &start), &rows, input)?;
            let kept = self.keep_encrypted.then(|| {
                let begun = (&start, rows.rows.len());
                KeptWeights::of(&training, begun, &simulated)
            });
            let kept = kept.transpose()?;
            let parts = required_parts(ParameterSet::by_name(SET)?)?;
            let secret = keys_at(&service, &ring, &parts, terminal).await?;
            if let Some(weights) = &kept {
                // Whether predictions will have room, before anything goes up.
                let model = KeptModel {
                    training: &training,
                    weights,
                    owners: &[rows.rows.len()],
                };
                model.most_rows(&secret)?;
            }
            let same = SameTraining {
                service: service.url(),
                program: &name,
                version: training.hash(),
                key: secret.id(),
                rows: RowsName::of(&rows.rows, self.is_started().then_some(&start)),
            };
            let mut uploaded = if let Some(uploaded) = unfinished.read_same(&same)? {
                uploaded
            } else {
                let encryption = self.encryption(&secret, (&training, &start), &rows)?;
                let mut uploaded = upload(&service, &same, encryption, terminal).await?;
                uploaded.going_on = going_on;
                unfinished.write(&uploaded)?;
                uploaded
            };
            let began = Instant::now();
            let steps = training.schedule_after(start.before, uploaded.rows)?.len();
            let own = (&uploaded, &uploaded.declaration);
            let (job, result) = train(&service, own, (&unfinished, steps), terminal).await?;
            unfinished.take(&mut uploaded, (0, &result))?;
            let given = Given {
                training: &training,
                start: &start,
                rows: &rows,
                simulated: &simulated,
                secret: &secret,
            };
            let trained = Trained {
                rows_hash: uploaded.rows_hash,
                result: &result,
                upload_bytes: uploaded.declaration.chunks.iter().map(|it| it.bytes).sum(),
                seconds: began.elapsed().as_secs_f64(),
            };
            if let Some(weights) = kept {
                let place = (service.url(), job);
                let program = (&name, training.canonical());
                let named = (uploaded.rows, uploaded.rows_hash);
                let whole = (secret.id(), Hash::of(&result));
                let kept = KeptTraining::new(place, program, named, whole, weights);
                let told = (output, whose);
                self.keep((&given, &kept), &trained, (&ring, told), terminal)?;
            } else {
                self.write(&given, &trained, (output, Some(whose)), terminal)?;
                service.delete_job(job).await?;
            }
            unfinished.remove()
        })
    }

    /// Ends what an earlier run has begun.
    async fn cancel(&self, url: &str, unfinished: &Unfinished, terminal: Terminal) -> Result<()> {
        let path = unfinished.path().display();
        let Some(uploaded) = unfinished.read()? else {
            bail!("there is no {path}: nothing was begun for this output, or it has ended");
        };
        let service = self.connection.open(url).await?;
        if uploaded.service != service.url() {
            bail!(
                "{path} is of the service at {}; give that",
                uploaded.service
            );
        }
        let ended = match service.cancel_training(&uploaded).await {
            Ok(()) => "the training is ended, and its rows are deleted at the service",
            // Rows without a job cannot be deleted by hand.
            Err(error) if error.is_of_gone_training() => {
                "the service has no such training; what is left of its rows runs out there by itself"
            }
            Err(error) => return Err(error.into()),
        };
        if let Some(id) = self.joint {
            match service.delete_training(id).await {
                Err(error) if !error.is_of_gone_training() => return Err(error.into()),
                _ => {}
            }
        }
        unfinished.remove()?;
        let value = serde_json::json!({ "cancelled": true });
        terminal.report(&value, || ended.to_owned())
    }

    pub(super) fn name(&self) -> Result<ModelName> {
        let text = self.program.name();
        match text.parse() {
            Ok(name) => Ok(name),
            Err(error) => bail_usage!(
                "--program {text}: with --service it is the name of a published program: {error}"
            ),
        }
    }
}

/// The secret key; of the parts of its evaluation key that a training takes those that the service lacks are made
/// and registered.
pub(super) async fn keys_at(
    service: &Service,
    ring: &KeyRing,
    parts: &[&'static KeyPart],
    terminal: Terminal,
) -> Result<Arc<SecretKey>> {
    let set = ParameterSet::by_name(SET)?;
    ring.fill_parts(set, parts, Existing::Keep)?;
    let progress = terminal.progress(Some(1), Unit::Bytes, "registering");
    let registered = service.supply_parts(ring, set, parts, |uploaded: Uploaded| {
        progress.set_length(uploaded.of);
        progress.set_position(uploaded.bytes);
    });
    let registered = registered.await;
    progress.finish_and_clear();
    registered?;
    Ok(Arc::new(ring.secret_key(set)?))
}

async fn upload(
    service: &Service,
    same: &SameTraining<'_>,
    encryption: RowsEncryption,
    terminal: Terminal,
) -> Result<UploadedRows> {
    uploading(terminal, encryption.bytes(), async |progress| {
        let uploaded = service.upload_rows(same.program, encryption, same.rows, |sent| {
            progress.set_position(sent.bytes);
        });
        Ok(uploaded.await?)
    })
    .await
}

/// Shows how much of so many bytes is sent.
pub(super) async fn uploading<T>(
    terminal: Terminal,
    bytes: u64,
    send: impl AsyncFnOnce(&ProgressBar) -> Result<T>,
) -> Result<T> {
    let progress = terminal.progress(Some(bytes), Unit::Bytes, "uploading");
    let sent = send(&progress).await;
    progress.finish_and_clear();
    sent
}

/// Waits for the result of a job on what was uploaded. What is over for good is forgotten, so that the next run
/// begins anew.
pub(super) async fn train(
    service: &Service,
    (uploaded, job): (&UploadedRows, &JobDeclaration),
    (unfinished, steps): (&Unfinished, usize),
    terminal: Terminal,
) -> Result<(JobId, Vec<u8>)> {
    let progress = terminal.progress(Some(steps as u64), Unit::Steps, "training");
    let trained = service.train_by(job, |steps| progress.set_position(steps));
    let trained = trained.await;
    progress.finish_and_clear();
    let error = match trained {
        Ok((job, result)) => return Ok((job, result.to_vec())),
        Err(error) => error,
    };
    if matches!(error, ServiceError::TrainingFailed { .. }) {
        // With a job go its rows, which are not this caller's alone where owners have added some.
        if uploaded.owners.is_empty() {
            service.cancel_training(uploaded).await?;
        }
        unfinished.remove()?;
    } else if error.is_of_gone_training() {
        if uploaded.level(1).is_some() {
            // Jobs of other levels may be left.
            service.cancel_training(uploaded).await?;
        }
        unfinished.remove()?;
    } else {
        return Err(anyhow::Error::from(error).context(unfinished.not_over()));
    }
    Err(error.into())
}

/// Whose program was taken and why, in a line.
pub(super) fn whose<T>(fetched: &FetchedProgram<T>, version: Hash) -> String {
    trust::words(
        version,
        (fetched.developer, fetched.signed),
        fetched.verdict,
    )
}
