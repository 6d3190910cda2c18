//! Training by a service: rows are uploaded encrypted, workers run the steps.

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
use cipherfn_protocol::api::job::JobId;
use cipherfn_protocol::hash::Hash;
use cipherfn_scheme::SecretKey;
use cipherfn_scheme::parameters::ParameterSet;
use cipherfn_serving::training::{SET, required_parts};
use cipherfn_training::descent::KeptWeights;
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
            let fetched = service.program(&name, &ring, &self.trust.accept()).await?;
            let training = fetched.training.clone();
            let target = self.target.as_deref();
            let rows = read_rows(&training, target, &self.format, input, terminal)?;
            let start = match self.go_on {
                Some(job) => kept::start(&service, &ring, &training, job).await?,
                None => self.start_of(&training)?,
            };
            let simulated = simulated((&training, &start), &rows, input)?;
            let kept = self.keep_encrypted.then(|| {
                let begun = (&start, rows.rows.len());
                KeptWeights::of(&training, begun, &simulated)
            });
            let kept = kept.transpose()?;
            let secret = self.keys_at(&service, &ring, terminal).await?;
            if let Some(weights) = &kept {
                // Whether predictions will have room, before anything goes up.
                let training = &training;
                KeptModel { training, weights }.most_rows(&secret)?;
            }
            let same = SameTraining {
                service: service.url(),
                program: &name,
                version: training.hash(),
                key: secret.id(),
                rows: RowsName::of(&rows.rows, self.is_started().then_some(&start)),
            };
            let uploaded = if let Some(uploaded) = unfinished.read_same(&same)? {
                uploaded
            } else {
                let encryption = self.encryption(&secret, (&training, &start), &rows)?;
                let uploaded = upload(&service, &same, encryption, terminal).await?;
                unfinished.write(&uploaded)?;
                uploaded
            };
            let began = Instant::now();
            let steps = training.schedule_after(start.before, uploaded.rows)?.len();
            let (job, result) = train(&service, &uploaded, (&unfinished, steps), terminal).await?;
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
            let whose = whose(&fetched);
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

    /// The secret key; what the service lacks of its evaluation key is made and registered.
    pub(super) async fn keys_at(
        &self,
        service: &Service,
        ring: &KeyRing,
        terminal: Terminal,
    ) -> Result<Arc<SecretKey>> {
        let set = ParameterSet::by_name(SET)?;
        let parts = required_parts(set)?;
        ring.fill_parts(set, &parts, Existing::Keep)?;
        let progress = terminal.progress(Some(1), Unit::Bytes, "registering");
        let registered = service.supply_parts(ring, set, &parts, |uploaded: Uploaded| {
            progress.set_length(uploaded.of);
            progress.set_position(uploaded.bytes);
        });
        let registered = registered.await;
        progress.finish_and_clear();
        registered?;
        Ok(Arc::new(ring.secret_key(set)?))
    }
}

async fn upload(
    service: &Service,
    same: &SameTraining<'_>,
    encryption: RowsEncryption,
    terminal: Terminal,
) -> Result<UploadedRows> {
    let progress = terminal.progress(Some(encryption.bytes()), Unit::Bytes, "uploading");
    let uploaded = service.upload_rows(same.program, encryption, same.rows, |sent| {
        progress.set_position(sent.bytes);
    });
    let uploaded = uploaded.await;
    progress.finish_and_clear();
    Ok(uploaded?)
}

/// Waits for the result. What is over for good is forgotten, so that the next run begins anew.
pub(super) async fn train(
    service: &Service,
    uploaded: &UploadedRows,
    (unfinished, steps): (&Unfinished, usize),
    terminal: Terminal,
) -> Result<(JobId, Vec<u8>)> {
    let progress = terminal.progress(Some(steps as u64), Unit::Steps, "training");
    let trained = service.train(uploaded, |steps| progress.set_position(steps));
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
        unfinished.remove()?;
    } else {
        let path = unfinished.path().display();
        return Err(anyhow::Error::from(error).context(format!(
            "the training is not over; what was uploaded is remembered in {path}: run it again, it goes on"
        )));
    }
    Err(error.into())
}

/// Whose program was taken and why, in a line.
pub(super) fn whose(fetched: &FetchedProgram) -> String {
    let version = fetched.training.hash();
    trust::words(
        version,
        (fetched.developer, fetched.signed),
        fetched.verdict,
    )
}
