//! Weights that a service keeps encrypted.

use super::asked::blocking;
use super::rows::Columns;
use crate::error::{Failure, Result};
use crate::service::Service;
use crate::table::{Batches, Table};
use crate::wait::{Stop, Waiting, Watch};
use cipherfn_client::Prediction;
use cipherfn_client::training::KeptModel;
use cipherfn_client_http::{GoingOn, KeptTraining, KeyRing};
use cipherfn_program::Tensor;
use cipherfn_protocol::api::job::JobId;
use cipherfn_scheme::SecretKey;
use cipherfn_scheme::parameters::ParameterSet;
use cipherfn_serving::training::SET;
use cipherfn_training::descent::{DescentStart, Training};
use pyo3::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A training whose weights a service keeps, as the key ring knows it.
#[pyclass(frozen)]
#[derive(Clone)]
pub(crate) struct Kept {
    kept: Arc<KeptTraining>,
    training: Arc<Training>,
}

/// What encrypted weights say of rows.
#[derive(IntoPyObject)]
pub(super) struct Said {
    /// Of each row its class.
    labels: Vec<String>,
    /// Of each row a score for each set of weights.
    scores: Vec<Vec<f64>>,
    /// Of each row a probability or a score for each class, and what it may be off by.
    numbers: Vec<Vec<f64>>,
    margins: Vec<Vec<f64>>,
    clipped: BTreeMap<String, u64>,
}

/// Rows as they are asked.
#[derive(Default)]
struct Rows {
    features: Vec<Vec<i32>>,
    clipped: BTreeMap<String, u64>,
    /// What is wrong with the first row that cannot be asked.
    wrong: Option<String>,
}

impl Kept {
    pub(super) fn new(kept: KeptTraining, training: Arc<Training>) -> Self {
        Self {
            kept: Arc::new(kept),
            training,
        }
    }

    /// What training goes on from: of this program, at this service; and the encrypted weights, which a call that
    /// was ended has `remembered`, as the service may no longer keep them.
    pub(super) async fn start(
        &self,
        service: &cipherfn_client_http::Service,
        ring: &KeyRing,
        training: &Training,
        remembered: Option<GoingOn>,
    ) -> Result<(DescentStart, GoingOn)> {
        self.require(service)?;
        if self.training.hash() != training.hash() {
            return Err(Failure::Argument(format!(
                "training {} is by version {} of program {}, and {} is taken now; have that one published again, or train anew",
                self.kept.job,
                self.training.hash(),
                self.kept.name,
                training.hash()
            )));
        }
        let secret = self.secret(ring)?;
        let own = service.going_on(&self.kept, remembered).await?;
        Ok((self.kept.start(&secret, training, &own.result)?, own))
    }

    /// The secret key that the weights are encrypted under.
    fn secret(&self, ring: &KeyRing) -> Result<SecretKey> {
        let secret = ring.secret_key(ParameterSet::by_name(SET)?)?;
        if secret.id() == self.kept.key {
            return Ok(secret);
        }
        Err(Failure::Argument(format!(
            "the weights of training {} are under key {}, and the key ring has {}; train again under it",
            self.kept.job,
            self.kept.key,
            secret.id()
        )))
    }

    fn require(&self, service: &cipherfn_client_http::Service) -> Result<()> {
        if self.kept.service == service.url() {
            return Ok(());
        }
        Err(Failure::Argument(format!(
            "training {} is kept by the service at {}; give a client of that",
            self.kept.job, self.kept.service
        )))
    }

    /// Rows as they are asked: what cannot be is asked as zeros, as what is sent must not depend on what rows
    /// hold.
    fn rows(&self, table: Batches, watch: &Watch) -> Result<Rows> {
        let columns = self.training.numbers();
        let named = Columns {
            numbers: columns.iter().map(|own| own.name.as_str()).collect(),
            texts: Vec::new(),
        };
        let mut rows = Rows::default();
        named.each_numbers(table, watch, |numbers| {
            let number = rows.features.len() as u64 + 1;
            match self.training.encode(number, numbers) {
                Ok((features, beyond)) => {
                    for column in beyond {
                        *rows
                            .clipped
                            .entry(columns[column].name.clone())
                            .or_default() += 1;
                    }
                    rows.features.push(features);
                }
                Err(error) => {
                    rows.wrong.get_or_insert(error.to_string());
                    rows.features.push(vec![0; self.training.features()]);
                }
            }
        })?;
        Ok(rows)
    }
}

#[pymethods]
impl Kept {
    /// The training of this job, as the key ring of a service's client knows it.
    #[staticmethod]
    fn known(service: &Service, job: &str) -> PyResult<Self> {
        let id: JobId = job
            .parse()
            .map_err(|error| Failure::Argument(format!("training {job:?}: {error}")))?;
        let kept = service.ring.training(id).map_err(Failure::from)?;
        let kept = kept.ok_or_else(|| {
            Failure::Argument(format!(
                "the key ring knows no training {id}; fit_encrypted(..., keep_encrypted=True) under this key ring leaves one"
            ))
        })?;
        let training = Training::from_json(kept.program.as_bytes());
        let training = training.map_err(Failure::from)?;
        Ok(Self::new(kept, Arc::new(training)))
    }

    /// Its job.
    #[getter]
    fn job(&self) -> String {
        self.kept.job.to_string()
    }

    /// Name of its program at the service.
    #[getter]
    fn name(&self) -> String {
        self.kept.name.to_string()
    }

    /// Its program as JSON.
    #[getter]
    fn program(&self) -> String {
        String::from_utf8_lossy(self.training.canonical()).into_owned()
    }

    /// Steps that have led to the weights.
    #[getter]
    fn steps(&self) -> u64 {
        self.kept.weights.steps
    }

    /// Standard deviation of a weight's error.
    #[getter]
    fn deviation(&self) -> f64 {
        self.kept.weights.deviation
    }

    /// Predicts a table's rows: neither they nor the weights are seen by the service.
    #[pyo3(signature = (service, table, tell=None, stop=None))]
    fn predict(
        &self,
        py: Python<'_>,
        service: &Service,
        table: &Table,
        tell: Option<Bound<'_, PyAny>>,
        stop: Option<Bound<'_, Stop>>,
    ) -> PyResult<Said> {
        let (connection, watch) = service.open();
        let (ring, batches, own) = (service.ring.clone(), table.batches()?, self.clone());
        let waiting = Waiting { py, tell, stop };
        let seen = watch.clone();
        waiting.request(&watch, move || async move {
            own.require(&connection)?;
            let secret = Arc::new(own.secret(&ring)?);
            let read = (own.clone(), seen.clone());
            let rows = blocking(move || read.0.rows(batches, &read.1)).await?;
            let model = KeptModel {
                training: &own.training,
                weights: &own.kept.weights,
                owners: own.kept.owners(),
            };
            let (most, all) = (model.most_rows(&secret)?, rows.features.len() as u64);
            let mut found = Vec::new();
            for rows in rows.features.chunks(most) {
                let owner = (&own.training, &secret);
                let asked = connection.predict_trained(&own.kept, owner, rows.to_vec());
                found.extend(asked.await?);
                seen.set(found.len() as u64, all);
            }
            // Only now: whoever asks must not tell by not asking.
            match rows.wrong {
                Some(wrong) => Err(Failure::Table(wrong)),
                None => Ok(said(found, rows.clipped)),
            }
        })
    }

    /// Deletes the weights at the service, and forgets them in the key ring.
    #[pyo3(signature = (service, tell=None, stop=None))]
    fn delete(
        &self,
        py: Python<'_>,
        service: &Service,
        tell: Option<Bound<'_, PyAny>>,
        stop: Option<Bound<'_, Stop>>,
    ) -> PyResult<()> {
        let (connection, watch) = service.open();
        let (ring, own) = (service.ring.clone(), self.clone());
        let waiting = Waiting { py, tell, stop };
        waiting.request(&watch, move || async move {
            own.require(&connection)?;
            match connection.delete_job(own.kept.job).await {
                Err(error) if !error.is_of_gone_training() => Err(error.into()),
                _ => Ok(ring.forget_training(own.kept.job)?),
            }
        })
    }
}

fn said(found: Vec<Prediction>, clipped: BTreeMap<String, u64>) -> Said {
    let mut said = Said {
        labels: Vec::new(),
        scores: Vec::new(),
        numbers: Vec::new(),
        margins: Vec::new(),
        clipped,
    };
    for prediction in found {
        said.scores.push(prediction.scores);
        for output in prediction.outputs {
            match output {
                Tensor::Text(labels) => said.labels.extend(labels),
                Tensor::F64(numbers) => said.numbers.push(numbers),
                _ => {}
            }
        }
        said.margins.extend(prediction.margins.into_iter().nth(1));
    }
    said
}
