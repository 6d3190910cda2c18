//! A service over HTTP.

use crate::client::ModelClient;
use crate::credentials::FromPython;
use crate::error::{Failure, Result};
use crate::predictions::{Collected, Predictions};
use crate::table::Table;
use crate::wait::{Notes, Stop, Waiting, Watch};
use aws_credential_types::provider::SharedCredentialsProvider;
use cipherfn_client::Accept;
use cipherfn_client_http::{
    Authentication, Bulk, BulkPass, BulkProgress, Existing, KeyRing, RetryListener, ServiceError,
    ServiceOptions, Timeouts, Token, Uploaded,
};
use cipherfn_protocol::api::ModelName;
use cipherfn_protocol::message::KeyId;
use cipherfn_protocol::statement::PublicKey;
use pyo3::prelude::*;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// One endpoint, and a key ring.
#[pyclass(frozen)]
pub(crate) struct Service {
    service: cipherfn_client_http::Service,
    notes: Notes,
    pub(crate) ring: KeyRing,
    pub(crate) accept: Accept,
}

/// How to talk to it.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct Settings {
    token: Option<String>,
    credentials: Option<Py<PyAny>>,
    region: Option<String>,
    trust: Option<String>,
    attempts: u32,
    timeout: f64,
    in_flight: usize,
    rows_a_request: Option<usize>,
    cache: Option<PathBuf>,
}

impl Settings {
    fn read(self) -> Result<(ServiceOptions, Accept)> {
        let some = |name: &str, number: usize| {
            NonZeroUsize::new(number)
                .ok_or_else(|| Failure::Argument(format!("{name} is at least 1")))
        };
        let mut options = ServiceOptions {
            in_flight: some("in_flight", self.in_flight)?,
            rows_a_request: self
                .rows_a_request
                .map(|rows| some("rows_a_request", rows))
                .transpose()?,
            specs_cache: self.cache,
            ..ServiceOptions::default()
        };
        options.retry.attempts = NonZeroU32::new(self.attempts)
            .ok_or_else(|| Failure::Argument("attempts is at least 1".into()))?;
        options.timeouts = Timeouts {
            request: Duration::try_from_secs_f64(self.timeout)
                .map_err(|error| Failure::Argument(format!("timeout={}: {error}", self.timeout)))?,
            ..options.timeouts
        };
        options.authentication = match (self.token, self.credentials) {
            (Some(token), _) => Authentication::Bearer(
                Token::new(token).map_err(|error| Failure::Argument(error.to_string()))?,
            ),
            (None, Some(function)) => Authentication::SigV4 {
                credentials: SharedCredentialsProvider::new(FromPython::new(function)),
                region: self.region,
            },
            (None, None) => Authentication::None,
        };
        let accept = match self.trust.as_deref() {
            None => Accept::Pinned,
            Some("offered") => Accept::Offered,
            Some(text) => {
                let key: std::result::Result<PublicKey, _> = text.parse();
                match (key, text.parse()) {
                    (Ok(key), _) => Accept::Developer(key),
                    (Err(_), Ok(hash)) => Accept::Specs(hash),
                    (Err(error), Err(_)) => {
                        let text = format!(
                            "trust={text:?} is neither a developer's public key ({error}), nor a hash of specs, nor \"offered\""
                        );
                        return Err(Failure::Argument(text));
                    }
                }
            }
        };
        Ok((options, accept))
    }
}

#[pymethods]
impl Service {
    #[new]
    fn new(url: &str, keys: PathBuf, settings: Settings) -> PyResult<Self> {
        let (mut options, accept) = settings.read()?;
        let notes = Notes::default();
        let told = notes.clone();
        options.on_retry = Some(RetryListener::new(move |retrying| {
            told.add(format!(
                "{}: {}; attempt {} of {} in {:.1} s",
                retrying.route,
                retrying.cause,
                retrying.attempts + 1,
                retrying.most,
                retrying.wait.as_secs_f64()
            ));
        }));
        let service = cipherfn_client_http::Service::new(url, options).map_err(Failure::from)?;
        Ok(Self {
            service,
            notes,
            ring: KeyRing::at(keys),
            accept,
        })
    }

    /// The service's models as JSON.
    #[pyo3(signature = (tell=None, stop=None))]
    fn models(
        &self,
        py: Python<'_>,
        tell: Option<Bound<'_, PyAny>>,
        stop: Option<Bound<'_, Stop>>,
    ) -> PyResult<String> {
        let (service, watch) = self.open();
        let waiting = Waiting { py, tell, stop };
        waiting.request(
            &watch,
            move || async move { json(&service.models().await?) },
        )
    }

    /// The caller's registered evaluation keys as JSON.
    #[pyo3(signature = (tell=None, stop=None))]
    fn keys(
        &self,
        py: Python<'_>,
        tell: Option<Bound<'_, PyAny>>,
        stop: Option<Bound<'_, Stop>>,
    ) -> PyResult<String> {
        let (service, watch) = self.open();
        let waiting = Waiting { py, tell, stop };
        waiting.request(&watch, move || async move { json(&service.keys().await?) })
    }

    /// Deletes an evaluation key from the service.
    #[pyo3(signature = (key, tell=None, stop=None))]
    fn delete_key(
        &self,
        py: Python<'_>,
        key: &str,
        tell: Option<Bound<'_, PyAny>>,
        stop: Option<Bound<'_, Stop>>,
    ) -> PyResult<()> {
        let key: KeyId = key
            .parse()
            .map_err(|error| Failure::Argument(format!("key {key:?}: {error}")))?;
        let (service, watch) = self.open();
        let waiting = Waiting { py, tell, stop };
        waiting.request(
            &watch,
            move || async move { Ok(service.delete_key(key).await?) },
        )
    }

    /// A model's client, from specs that are held to their developer.
    #[pyo3(signature = (model, again=false, tell=None, stop=None))]
    fn fetch(
        &self,
        py: Python<'_>,
        model: &str,
        again: bool,
        tell: Option<Bound<'_, PyAny>>,
        stop: Option<Bound<'_, Stop>>,
    ) -> PyResult<ModelClient> {
        let model = name(model)?;
        let (service, watch) = self.open();
        let ring = self.ring.clone();
        // Who accepts what a service has does not accept what it has afterwards.
        let accept = match &self.accept {
            Accept::Offered if again => Accept::Pinned,
            accept => accept.clone(),
        };
        let waiting = Waiting { py, tell, stop };
        waiting.request(&watch, move || async move {
            let fetched = service.client(&model, &ring, &accept).await?;
            let developer = fetched
                .developer
                .map_or_else(|| "not signed".into(), |key| format!("signed by {key}"));
            Ok(ModelClient {
                client: fetched.client,
                trust: Some(format!("{developer}: {}", fetched.verdict)),
            })
        })
    }

    /// Makes the keys that are missing and registers what the service lacks of them.
    #[pyo3(signature = (model, tell=None, stop=None))]
    fn register(
        &self,
        py: Python<'_>,
        model: &ModelClient,
        tell: Option<Bound<'_, PyAny>>,
        stop: Option<Bound<'_, Stop>>,
    ) -> PyResult<()> {
        let (service, watch) = self.open();
        let (ring, client) = (self.ring.clone(), Arc::clone(&model.client));
        let waiting = Waiting { py, tell, stop };
        let told = watch.clone();
        waiting.request(&watch, move || async move {
            let (own, making) = (ring.clone(), Arc::clone(&client));
            let made = tokio::task::spawn_blocking(move || own.fill(&making, Existing::Keep));
            made.await.map_err(|_| ServiceError::Cancelled)??;
            let uploaded = move |uploaded: Uploaded| told.set(uploaded.bytes, uploaded.of);
            service.register(&ring, &client, uploaded).await?;
            Ok(())
        })
    }

    /// Sends rows encrypted; gives `None` where the model was published anew meanwhile.
    #[pyo3(signature = (name, model, table, tell=None, stop=None))]
    fn predict(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = parse_name)] name: ModelName,
        model: &ModelClient,
        table: &Table,
        tell: Option<Bound<'_, PyAny>>,
        stop: Option<Bound<'_, Stop>>,
    ) -> PyResult<Option<Predictions>> {
        let (service, watch) = self.open();
        let client = Arc::clone(&model.client);
        let rows = table.rows(&client)?;
        let ring = self.ring.clone();
        let waiting = Waiting { py, tell, stop };
        let told = watch.clone();
        waiting.request(&watch, move || async move {
            let mut collected = Collected::new(&client);
            let own = Arc::clone(&client);
            let take = |answers: Vec<_>| {
                collected.take(&own, &answers);
                told.add(answers.len() as u64);
                Ok::<_, Failure>(())
            };
            match service.predict(&name, &client, &ring, rows, take).await {
                Err(Failure::Service(error))
                    if matches!(*error, ServiceError::StaleSpecs { .. }) =>
                {
                    Ok(None)
                }
                done => done.map(|_| Some(collected.into())),
            }
        })
    }

    /// Scores a table as jobs. `tables` gives it anew for each of two passes; `table` names it.
    #[pyo3(signature = (name, model, tables, manifest, table, rows_a_chunk=None, tell=None, stop=None))]
    #[allow(clippy::too_many_arguments, reason = "as in Python, by name")]
    fn bulk(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = parse_name)] name: ModelName,
        model: &ModelClient,
        tables: Py<PyAny>,
        manifest: PathBuf,
        table: String,
        rows_a_chunk: Option<usize>,
        tell: Option<Bound<'_, PyAny>>,
        stop: Option<Bound<'_, Stop>>,
    ) -> PyResult<Predictions> {
        let (service, watch) = self.open();
        let (ring, client) = (self.ring.clone(), Arc::clone(&model.client));
        let waiting = Waiting { py, tell, stop };
        let (told, notes) = (watch.clone(), self.notes.clone());
        waiting.request(&watch, move || async move {
            let cost = service.row_cost(&name, client.specs().hash()).await?;
            let bulk = Bulk {
                model: name,
                manifest,
                table,
                rows_a_chunk: rows_a_chunk.and_then(NonZeroUsize::new),
                parts: None,
                cost,
            };
            let collected = Mutex::new(Collected::new(&client));
            let rows = |_: BulkPass| {
                Python::attach(|py| {
                    let table = tables.call0(py)?;
                    let table = table.bind(py).cast::<Table>().map_err(PyErr::from)?;
                    table.get().rows(&client)
                })
            };
            let progress = |done| {
                if let BulkProgress::Answered(rows) = done {
                    told.set(rows, 0);
                }
            };
            let take = |answers: Vec<_>| {
                let mut collected = collected.lock().unwrap_or_else(PoisonError::into_inner);
                collected.take(&client, &answers);
                Ok::<_, Failure>(())
            };
            let done = service
                .predict_bulk(&client, &ring, &bulk, rows, progress, take)
                .await?;
            // The predictions are here: what is left at the service is only what it costs to keep.
            if let Err(error) = done.forget().await {
                notes.add(format!(
                    "the jobs were not deleted and run out by themselves: {error}"
                ));
            }
            let collected = collected
                .into_inner()
                .unwrap_or_else(PoisonError::into_inner);
            Ok(collected.into())
        })
    }
}

impl Service {
    /// Its connections, which all calls share, and what hears of a call's progress.
    pub(crate) fn open(&self) -> (cipherfn_client_http::Service, Watch) {
        (self.service.clone(), Watch::with(&self.notes))
    }
}

fn name(text: &str) -> Result<ModelName> {
    text.parse()
        .map_err(|error| Failure::Argument(format!("model {text:?}: {error}")))
}

pub(crate) fn parse_name(text: &Bound<'_, PyAny>) -> PyResult<ModelName> {
    Ok(name(text.extract()?)?)
}

pub(crate) fn json(document: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(document).map_err(|error| Failure::Other(error.to_string()))
}
