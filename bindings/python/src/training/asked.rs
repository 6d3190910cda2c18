//! Gradient descent by a service: rows are uploaded encrypted, its workers run the steps.

use super::descent::{Given, Outcome, Start};
use super::kept::Kept;
use super::resumed::Resumed;
use crate::error::{Failure, Result};
use crate::service::Service;
use crate::table::Batches;
use crate::wait::{Waiting, Watch};
use cipherfn_client::training::KeptModel;
use cipherfn_client_http::{
    GoingOn, KeptTraining, KeyRing, RowsName, SameTraining, ServiceError, UploadedRows,
};
use cipherfn_protocol::api::ModelName;
use cipherfn_protocol::hash::Hash;
use cipherfn_scheme::SecretKey;
use cipherfn_scheme::parameters::ParameterSet;
use cipherfn_serving::training::{SET, required_parts};
use cipherfn_training::descent::{KeptWeights, Training};
use pyo3::prelude::*;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// What was begun at a service and has to be ended there if nobody waits for it.
type Begun = Arc<Mutex<Option<UploadedRows>>>;

/// A training that a service is asked for.
pub(super) struct Asked<'a> {
    pub(super) service: &'a Service,
    /// Name of the program there.
    pub(super) program: ModelName,
    pub(super) training: Arc<Training>,
    /// What it starts from.
    pub(super) start: Start,
    /// Whether the weights stay at the service.
    pub(super) keep: bool,
    /// Where what was uploaded is remembered, if another process may go on.
    pub(super) resume: Option<PathBuf>,
}

impl Asked<'_> {
    /// The whole of it. Whatever ends it ends it at the service, unless another call may go on.
    pub(super) fn fit(self, table: Batches, waiting: Waiting<'_>) -> PyResult<Outcome> {
        let (connection, watch) = self.service.open();
        let (ring, begun) = (self.service.ring.clone(), Begun::default());
        let run = Run {
            connection: connection.clone(),
            ring,
            program: self.program,
            watch: watch.clone(),
            begun: Arc::clone(&begun),
            start: self.start,
            keep: self.keep,
            resumed: self.resume.map(Resumed),
        };
        let training = self.training;
        let outcome = waiting.request(&watch, move || run.fit(training, table));
        let left = begun.lock().unwrap_or_else(PoisonError::into_inner).take();
        let (Err(error), Some(left)) = (&outcome, left) else {
            return outcome;
        };
        let py = waiting.py;
        let again = Waiting {
            py,
            tell: None,
            stop: None,
        };
        let ended = again.request(&Watch::default(), move || async move {
            Ok(connection.cancel_training(&left).await?)
        });
        if let Err(failed) = ended {
            let note = format!(
                "the training was not ended at the service, which forgets it by itself: {failed}"
            );
            error.value(py).call_method1("add_note", (note,)).ok();
        }
        outcome
    }
}

/// The requests of a training.
struct Run {
    connection: cipherfn_client_http::Service,
    ring: KeyRing,
    program: ModelName,
    watch: Watch,
    begun: Begun,
    start: Start,
    keep: bool,
    resumed: Option<Resumed>,
}

impl Given {
    /// What is known of weights that are about to be kept: that forms have room, and predictions a request,
    /// before anything goes up.
    fn kept(&self, secret: &SecretKey) -> Result<KeptWeights> {
        let begun = (&self.start, self.rows.rows.len());
        let weights = KeptWeights::of(&self.training, begun, &self.simulated)?;
        let model = KeptModel {
            training: &self.training,
            weights: &weights,
            owners: &[self.rows.rows.len()],
        };
        model.most_rows(secret)?;
        Ok(weights)
    }
}

impl Run {
    async fn fit(self, training: Arc<Training>, table: Batches) -> Result<Outcome> {
        let (start, going_on) = match &self.start {
            Start::Kept(kept) => {
                let begun = self.resumed.as_ref().map(Resumed::read).transpose()?;
                let remembered = begun.flatten().and_then(|uploaded| uploaded.going_on);
                let begin = kept.start(&self.connection, &self.ring, &training, remembered);
                let (start, own) = begin.await?;
                (Some(start), Some(own))
            }
            start => (start.of(&training)?, None),
        };
        let (watch, set) = (self.watch.clone(), ParameterSet::by_name(SET)?);
        let given = blocking(move || Given::read(training, (table, start), &watch)).await?;
        let parts = required_parts(set)?;
        let service = &self.connection;
        service
            .supply_parts(&self.ring, set, &parts, |_| ())
            .await?;
        let secret = Arc::new(self.ring.secret_key(set)?);
        let kept = self.keep.then(|| given.kept(&secret)).transpose()?;
        let mut uploaded = self.uploaded(&given, &secret, going_on).await?;
        let steps = given.schedule.len() as u64;
        self.watch.set(0, steps);
        let done = |done| self.watch.set(done, steps);
        let trained = service.train(&uploaded, done).await;
        if let (Err(error), Some(resumed)) = (&trained, &self.resumed)
            && (is_failed(error) || error.is_of_gone_training())
        {
            // Of a training that has failed the job is still there.
            if is_failed(error) {
                service.cancel_training(&uploaded).await?;
            }
            resumed.remove()?;
        }
        let (job, state) = trained?;
        if uploaded.take_result(0, &state)?
            && let Some(resumed) = &self.resumed
        {
            resumed.write(&uploaded)?;
        }
        let Some(weights) = kept else {
            let sets = given.decrypt(&secret, uploaded.rows_hash, &state)?;
            service.delete_job(job).await?;
            self.end()?;
            return Ok(given.outcome(&sets));
        };
        // Whoever goes on from them, or has rows predicted by them, takes no others than these.
        given.fractions(&secret, uploaded.rows_hash, &state)?;
        let named = (uploaded.rows, uploaded.rows_hash);
        let program = (&self.program, given.training.canonical());
        // Going on from another result than this one is refused.
        let whole = (secret.id(), Hash::of(&state));
        let kept = KeptTraining::new((service.url(), job), program, named, whole, weights);
        self.ring.keep_training(&kept)?;
        self.end()?;
        let kept = Kept::new(kept, Arc::clone(&given.training));
        Ok(given.outcome_kept(kept))
    }

    /// The rows as they are at the service: those that an earlier call has uploaded, or these now.
    async fn uploaded(
        &self,
        given: &Given,
        secret: &Arc<SecretKey>,
        going_on: Option<GoingOn>,
    ) -> Result<UploadedRows> {
        let service = &self.connection;
        let start = given.is_started.then_some(&given.start);
        let name = RowsName::of(&given.rows.rows, start);
        if let Some(resumed) = &self.resumed {
            let same = SameTraining {
                service: service.url(),
                program: &self.program,
                version: given.training.hash(),
                key: secret.id(),
                rows: name,
            };
            if let Some(uploaded) = resumed.read_same(&same)? {
                return Ok(uploaded);
            }
        }
        let rows = given.encryption(secret)?;
        let uploaded = service.upload_rows(&self.program, rows, name, |_| ());
        let mut uploaded = uploaded.await?;
        uploaded.going_on = going_on;
        match &self.resumed {
            Some(resumed) => resumed.write(&uploaded)?,
            None => self.begin(Some(uploaded.clone())),
        }
        Ok(uploaded)
    }

    /// Nothing is left to be ended, or to go on with.
    fn end(&self) -> Result<()> {
        self.begin(None);
        self.resumed.as_ref().map_or(Ok(()), Resumed::remove)
    }

    fn begin(&self, rows: Option<UploadedRows>) {
        *self.begun.lock().unwrap_or_else(PoisonError::into_inner) = rows;
    }
}

/// Work that computes, beside the requests.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| Failure::from(ServiceError::Cancelled))?
}

const fn is_failed(error: &ServiceError) -> bool {
    matches!(error, ServiceError::TrainingFailed { .. })
}
