//! Gradient descent by a service: rows are uploaded encrypted, its workers run the steps.

use super::descent::{Given, Outcome};
use crate::error::{Failure, Result};
use crate::service::Service;
use crate::table::Batches;
use crate::wait::{Waiting, Watch};
use cipherfn_client_http::{KeyRing, RowsName, ServiceError, UploadedRows};
use cipherfn_protocol::api::ModelName;
use cipherfn_protocol::hash::Hash;
use cipherfn_scheme::parameters::ParameterSet;
use cipherfn_serving::training::{SET, required_parts};
use cipherfn_training::descent::Training;
use pyo3::prelude::*;
use std::sync::{Arc, Mutex, PoisonError};

/// What was begun at a service and has to be ended there if nobody waits for it.
type Begun = Arc<Mutex<Option<UploadedRows>>>;

/// A training that a service is asked for.
pub(super) struct Asked<'a> {
    pub(super) service: &'a Service,
    /// Name of the program there.
    pub(super) program: ModelName,
    pub(super) training: Arc<Training>,
}

impl Asked<'_> {
    /// The whole of it. Whatever ends it ends it at the service.
    pub(super) fn fit(self, table: Batches, waiting: Waiting<'_>) -> PyResult<Outcome> {
        let (connection, watch) = self.service.open();
        let (ring, begun) = (self.service.ring.clone(), Begun::default());
        let run = Run {
            connection: connection.clone(),
            ring,
            program: self.program,
            watch: watch.clone(),
            begun: Arc::clone(&begun),
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
}

impl Run {
    async fn fit(self, training: Arc<Training>, table: Batches) -> Result<Outcome> {
        let watch = self.watch.clone();
        let given = blocking(move || Given::read(training, table, &watch)).await?;
        let set = ParameterSet::by_name(SET)?;
        let parts = required_parts(set)?;
        let service = &self.connection;
        service
            .supply_parts(&self.ring, set, &parts, |_| ())
            .await?;
        let secret = Arc::new(self.ring.secret_key(set)?);
        // Nobody goes on with what another run has begun, so the table needs no name.
        let unnamed = RowsName {
            table: Hash::of(&[]),
            start: None,
        };
        let rows = given.encryption(&secret)?;
        let uploaded = service.upload_rows(&self.program, rows, unnamed, |_| ());
        let uploaded = uploaded.await?;
        self.begin(Some(uploaded.clone()));
        let steps = given.schedule.len() as u64;
        self.watch.set(0, steps);
        let done = |done| self.watch.set(done, steps);
        let (job, state) = service.train(&uploaded, done).await?;
        let sets = given.decrypt(&secret, uploaded.rows_hash, &state)?;
        service.delete_job(job).await?;
        self.begin(None);
        Ok(given.outcome(&sets))
    }

    fn begin(&self, rows: Option<UploadedRows>) {
        *self.begun.lock().unwrap_or_else(PoisonError::into_inner) = rows;
    }
}

/// Work that computes, beside the requests.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| Failure::from(ServiceError::Cancelled))?
}
