//! Gradient descent on encrypted rows: programs, and what is trained on this machine.

use super::asked::Asked;
use super::fitted::Fitted;
use super::kept::Kept;
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
    DescentStart, DescentStep, RowEncoder, Simulation, StepNoise, Training, TrainingRows,
    accuracy, mean_square, simulate_from,
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
    /// Unless the weights stay encrypted.
    model: Option<Fitted>,
    kept: Option<Kept>,
    rows: usize,
    /// Those before included.
    steps: u64,
    accuracy: Option<f64>,
    /// Of what it started from, where that was given.
    start_accuracy: Option<f64>,
    simulated_accuracy: f64,
    /// Standard deviation that noise gives a weight.
    deviation: f64,
    clipped: BTreeMap<String, u64>,
}

/// Rows of a table, and the training of them that was simulated.
pub(super) struct Given {
    pub(super) training: Arc<Training>,
    /// What weights it starts from, and whether they were given.
    pub(super) start: DescentStart,
    pub(super) is_started: bool,
    pub(super) rows: TrainingRows,
    /// What a step adds on them.
    noise: StepNoise,
    pub(super) simulated: Simulation,
    pub(super) schedule: Vec<DescentStep>,
}

impl Given {
    /// Reads a table, whose classes are a column of texts, and simulates, from given weights or from zero.
    pub(super) fn read(
        training: Arc<Training>,
        (table, start): (Batches, Option<DescentStart>),
        watch: &Watch,
    ) -> Result<Self> {
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
        let is_started = start.is_some();
        let start = start.unwrap_or_else(|| DescentStart::zero(&training));
        let simulated = simulate_from(&training, &rows.rows, &noise, &start)?;
        let schedule = training.schedule_after(start.before, rows.rows.len())?;
        Ok(Self {
            training,
            start,
            is_started,
            rows,
            noise,
            simulated,
            schedule,
        })
    }

    /// The rows on their way to whoever runs the steps.
    pub(super) fn encryption(&self, secret: &Arc<SecretKey>) -> Result<RowsEncryption> {
        let plain = self.rows.rows.as_slice().into();
        let rows = RowsEncryption::new(Arc::clone(secret), &self.training, plain, None)?;
        if self.is_started {
            return Ok(rows.starting_from(&self.start)?);
        }
        Ok(rows)
    }

    /// The weights of a state as fractions of the torus, if it is that after the last step on these rows, and they
    /// are those of these rows.
    pub(super) fn fractions(
        &self,
        secret: &SecretKey,
        rows_hash: Hash,
        state: &[u8],
    ) -> Result<Vec<Vec<f64>>> {
        let (training, rows) = (&self.training, &self.rows.rows);
        let named = (rows.len(), rows_hash);
        let weights = decrypt_weights(secret, training, named, state)?;
        training.require_weights_of(rows, &self.noise, &self.start, &weights)?;
        Ok(weights)
    }

    /// The same as weights of the units of features.
    pub(super) fn decrypt(
        &self,
        secret: &SecretKey,
        rows_hash: Hash,
        state: &[u8],
    ) -> Result<Vec<Vec<f64>>> {
        let Self {
            training, schedule, ..
        } = self;
        let error = self.simulated.error / training.weight_deviation(schedule, 1.0);
        let weights = self.fractions(secret, rows_hash, state)?;
        let sets = weights.iter();
        let sets = sets.map(|fractions| training.weights(schedule, fractions, error));
        Ok(sets.collect())
    }

    /// What came of it, as these sets of weights.
    pub(super) fn outcome(self, sets: &[Vec<f64>]) -> Outcome {
        let right = accuracy(&self.training, sets, &self.rows.rows);
        let model = Fitted(self.training.fitted(sets));
        Outcome {
            model: Some(model),
            accuracy: Some(right),
            ..self.without_weights()
        }
    }

    /// What came of it, where the weights stay encrypted.
    pub(super) fn outcome_kept(self, kept: Kept) -> Outcome {
        Outcome {
            kept: Some(kept),
            ..self.without_weights()
        }
    }

    fn without_weights(self) -> Outcome {
        let right =
            |start: &DescentStart| accuracy(&self.training, &start.fractions, &self.rows.rows);
        Outcome {
            model: None,
            kept: None,
            rows: self.rows.rows.len(),
            steps: self.start.before + self.schedule.len() as u64,
            accuracy: None,
            start_accuracy: self.is_started.then(|| right(&self.start)),
            simulated_accuracy: self.simulated.accuracy,
            deviation: self.simulated.deviation,
            clipped: self.rows.clipped,
        }
    }
}

/// What a training starts from.
pub(super) enum Start {
    Zero,
    /// Weights of the units of columns, the constant last, a row a set; and the steps that have led to them.
    Weights(Vec<Vec<f64>>, u64),
    /// Weights that a service keeps.
    Kept(Kept),
}

impl Start {
    fn new(weights: Option<(Vec<Vec<f64>>, u64)>, kept: Option<Kept>) -> Self {
        match (weights, kept) {
            (_, Some(kept)) => Self::Kept(kept),
            (Some((sets, before)), None) => Self::Weights(sets, before),
            (None, None) => Self::Zero,
        }
    }

    /// Those that are not at a service.
    pub(super) fn of(&self, training: &Training) -> Result<Option<DescentStart>> {
        let Self::Weights(sets, before) = self else {
            return Ok(None);
        };
        Ok(Some(DescentStart {
            before: *before,
            ..training.start(sets)?
        }))
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
    /// that is asked for, runs it on ciphertexts. `start` are weights of the units of columns, and the steps that
    /// have led to them.
    #[pyo3(signature = (table, encrypted, keys=None, start=None, tell=None, stop=None))]
    fn fit(
        &self,
        py: Python<'_>,
        table: &Table,
        encrypted: bool,
        keys: Option<PathBuf>,
        start: Option<(Vec<Vec<f64>>, u64)>,
        tell: Option<Bound<'_, PyAny>>,
        stop: Option<Bound<'_, Stop>>,
    ) -> PyResult<Outcome> {
        let (training, batches) = (Arc::clone(&self.0), table.batches()?);
        let waiting = Waiting { py, tell, stop };
        waiting.compute(move |watch| {
            let start = Start::new(start, None).of(&training)?;
            let given = Given::read(training, (batches, start), watch)?;
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
    /// fails, ends the training at the service, too. `start` is as in `fit`, or `kept` are weights that the service
    /// keeps; with `keep` it keeps those of this training. With `resume`, a file, the
    /// same call goes on after this one was ended.
    #[pyo3(signature = (service, name, table, start=None, kept=None, keep=false, resume=None, tell=None, stop=None))]
    #[expect(clippy::too_many_arguments, reason = "Python's, by name")]
    fn ask(
        &self,
        py: Python<'_>,
        service: &Service,
        #[pyo3(from_py_with = parse_name)] name: ModelName,
        table: &Table,
        start: Option<(Vec<Vec<f64>>, u64)>,
        kept: Option<Bound<'_, Kept>>,
        keep: bool,
        resume: Option<PathBuf>,
        tell: Option<Bound<'_, PyAny>>,
        stop: Option<Bound<'_, Stop>>,
    ) -> PyResult<Outcome> {
        let (training, batches) = (Arc::clone(&self.0), table.batches()?);
        let kept = kept.map(|kept| kept.get().clone());
        let asked = Asked {
            service,
            program: name,
            training,
            start: Start::new(start, kept),
            keep,
            resume,
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
