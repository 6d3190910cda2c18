//! Gradient descent on encrypted rows: programs, and what is trained on this machine.

use super::asked::Asked;
use super::fitted::Fitted;
use super::rows::Columns;
use crate::error::{Failure, Result};
use crate::service::{Service, parse_name};
use crate::table::{Batches, Table};
use crate::wait::{Stop, Waiting, Watch};
use cipherfn_client::training::{RowsEncryption, decrypt_weights};
use cipherfn_client_http::{Existing, KeyRing};
use cipherfn_protocol::api::ModelName;
use cipherfn_protocol::hash::Hash;
use cipherfn_scheme::parameters::ParameterSet;
use cipherfn_scheme::{EvaluationKey, ExpandedEvaluationKey, SecretKey};
use cipherfn_serving::training::{Descent as Run, SET, noise, required_parts};
use cipherfn_training::descent::{
    DescentStep, RowEncoder, Simulation, Training, TrainingRows, accuracy, mean_square,
    simulate,
};
use pyo3::prelude::*;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// A program of gradient descent.
#[pyclass(frozen)]
pub(crate) struct Descent(Arc<Training>);

/// What came of a training.
#[derive(IntoPyObject)]
pub(super) struct Outcome {
    model: Fitted,
    rows: usize,
    steps: usize,
    accuracy: f64,
    simulated_accuracy: f64,
    /// Standard deviation that noise gives a weight.
    deviation: f64,
    clipped: BTreeMap<String, u64>,
}

/// Rows of a table, and the training of them that was simulated.
pub(super) struct Given {
    pub(super) training: Arc<Training>,
    pub(super) rows: TrainingRows,
    pub(super) simulated: Simulation,
    pub(super) schedule: Vec<DescentStep>,
}

impl Given {
    /// Reads a table, whose classes are a column of texts, and simulates.
    pub(super) fn read(training: Arc<Training>, table: Batches, watch: &Watch) -> Result<Self> {
        let columns = Columns {
            numbers: training
                .numbers()
                .iter()
                .map(|own| own.name.as_str())
                .collect(),
            texts: vec![&training.target().name],
        };
        let mut encoder = RowEncoder::new(&training);
        columns.each_row(table, watch, |numbers, texts| {
            Ok(encoder.add(numbers, texts.first().copied().unwrap_or_default())?)
        })?;
        let rows = encoder.finish()?;
        let mean = mean_square(&training, &rows.rows);
        let noise = noise(&training, ParameterSet::by_name(SET)?, mean)?;
        let simulated = simulate(&training, &rows.rows, &noise)?;
        let schedule = training.schedule(rows.rows.len())?;
        Ok(Self {
            training,
            rows,
            simulated,
            schedule,
        })
    }

    /// The rows on their way to whoever runs the steps.
    pub(super) fn encryption(&self, secret: &Arc<SecretKey>) -> Result<RowsEncryption> {
        let plain = self.rows.rows.as_slice().into();
        Ok(RowsEncryption::new(
            Arc::clone(secret),
            &self.training,
            plain,
            None,
        )?)
    }

    /// The weights of a state, if it is that after the last step on these rows.
    pub(super) fn decrypt(
        &self,
        secret: &SecretKey,
        rows_hash: Hash,
        state: &[u8],
    ) -> Result<Vec<Vec<f64>>> {
        let Self {
            training, schedule, ..
        } = self;
        let deviation = self.simulated.deviation / training.weight_deviation(schedule, 1.0);
        let named = (self.rows.rows.len(), rows_hash);
        let weights = decrypt_weights(secret, training, named, state)?;
        let sets = weights.iter();
        let sets = sets.map(|fractions| training.weights(schedule, fractions, deviation));
        Ok(sets.collect())
    }

    /// What came of it, as these sets of weights.
    pub(super) fn outcome(self, sets: &[Vec<f64>]) -> Outcome {
        Outcome {
            rows: self.rows.rows.len(),
            steps: self.schedule.len(),
            accuracy: accuracy(&self.training, sets, &self.rows.rows),
            simulated_accuracy: self.simulated.accuracy,
            deviation: self.simulated.deviation,
            model: Fitted(self.training.fitted(sets)),
            clipped: self.rows.clipped,
        }
    }
}

#[pymethods]
impl Descent {
    /// From a program as JSON.
    #[new]
    fn new(json: &str) -> PyResult<Self> {
        let training = Training::from_json(json.as_bytes());
        Ok(Self(Arc::new(training.map_err(Failure::from)?)))
    }

    /// The program that a service has by this name.
    #[staticmethod]
    #[pyo3(signature = (service, name, tell=None, stop=None))]
    fn fetch(
        py: Python<'_>,
        service: &Service,
        #[pyo3(from_py_with = parse_name)] name: ModelName,
        tell: Option<Bound<'_, PyAny>>,
        stop: Option<Bound<'_, Stop>>,
    ) -> PyResult<Self> {
        let (connection, watch) = service.open();
        let (ring, accept) = (service.ring.clone(), service.accept.clone());
        let waiting = Waiting { py, tell, stop };
        waiting.request(&watch, move || async move {
            let fetched = connection.program(&name, &ring, &accept).await?;
            Ok(Self(Arc::new(fetched.training)))
        })
    }

    /// The program as JSON.
    #[getter]
    fn program(&self) -> String {
        String::from_utf8_lossy(self.0.canonical()).into_owned()
    }

    /// Simulates the training of a table's rows, whose classes are a column of texts, and, unless that is all
    /// that is asked for, runs it on ciphertexts.
    #[pyo3(signature = (table, encrypted, keys=None, tell=None, stop=None))]
    fn fit(
        &self,
        py: Python<'_>,
        table: &Table,
        encrypted: bool,
        keys: Option<PathBuf>,
        tell: Option<Bound<'_, PyAny>>,
        stop: Option<Bound<'_, Stop>>,
    ) -> PyResult<Outcome> {
        let (training, batches) = (Arc::clone(&self.0), table.batches()?);
        let waiting = Waiting { py, tell, stop };
        waiting.compute(move |watch| {
            let given = Given::read(training, batches, watch)?;
            if !encrypted {
                let sets = given.simulated.sets.clone();
                return Ok(given.outcome(&sets));
            }
            let (secret, key) = make(ParameterSet::by_name(SET)?, keys)?;
            let secret = Arc::new(secret);
            let encryption = given.encryption(&secret)?;
            let (upload, hash) = encryption.upload()?;
            let mut run = Run::new(&given.training, &key, upload)?;
            loop {
                watch.check()?;
                let (done, of) = run.progress();
                watch.set(done as u64, of as u64);
                if !run.step(&key)? {
                    break;
                }
            }
            let sets = given.decrypt(&secret, hash, &run.finish()?)?;
            Ok(given.outcome(&sets))
        })
    }

    /// Has a service run the steps on a table's rows. `name` is the program's there. A call that is ended, or
    /// fails, ends the training at the service, too.
    #[pyo3(signature = (service, name, table, tell=None, stop=None))]
    fn ask(
        &self,
        py: Python<'_>,
        service: &Service,
        #[pyo3(from_py_with = parse_name)] name: ModelName,
        table: &Table,
        tell: Option<Bound<'_, PyAny>>,
        stop: Option<Bound<'_, Stop>>,
    ) -> PyResult<Outcome> {
        let (training, batches) = (Arc::clone(&self.0), table.batches()?);
        let asked = Asked {
            service,
            program: name,
            training,
        };
        asked.fit(batches, Waiting { py, tell, stop })
    }
}

/// A secret key, and what a server has of it: of a key ring, or made and forgotten.
fn make(
    set: &'static ParameterSet,
    ring: Option<PathBuf>,
) -> Result<(SecretKey, ExpandedEvaluationKey)> {
    let parts = required_parts(set)?;
    let (secret, made) = if let Some(path) = ring {
        let ring = KeyRing::at(path);
        ring.fill_parts(set, &parts, Existing::Keep)?;
        let made = parts.iter().map(|part| Ok(ring.key_part(set, part)?));
        (ring.secret_key(set)?, made.collect::<Result<Vec<_>>>()?)
    } else {
        let secret = SecretKey::generate(set)?;
        let made = parts.iter();
        let made = made.map(|part| Ok(EvaluationKey::generate_part(&secret, part.name)?));
        let made = made.collect::<Result<Vec<_>>>()?;
        (secret, made)
    };
    let (expansion, others) = made
        .split_first()
        .ok_or_else(|| Failure::Other("no parts of a key".into()))?;
    let mut key = expansion.expand()?;
    for part in others {
        key.add(part)?;
    }
    Ok((secret, key))
}
