//! Gradient descent on encrypted rows, on this machine.

use super::fitted::Fitted;
use super::rows::Columns;
use crate::error::{Failure, Result};
use crate::table::Table;
use crate::wait::{Stop, Waiting};
use cipherfn_client::training::{RowsEncryption, decrypt_weights};
use cipherfn_client_http::{Existing, KeyRing};
use cipherfn_scheme::parameters::ParameterSet;
use cipherfn_scheme::{EvaluationKey, ExpandedEvaluationKey, SecretKey};
use cipherfn_serving::training::{Descent as Run, SET, noise, required_parts};
use cipherfn_training::descent::{
    RowEncoder, Training, accuracy, mean_square, simulate,
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
struct Outcome {
    model: Fitted,
    rows: usize,
    steps: usize,
    accuracy: f64,
    simulated_accuracy: f64,
    /// Standard deviation that noise gives a weight.
    deviation: f64,
    clipped: BTreeMap<String, u64>,
}

#[pymethods]
impl Descent {
    /// From a program as JSON.
    #[new]
    fn new(json: &str) -> PyResult<Self> {
        let training = Training::from_json(json.as_bytes());
        Ok(Self(Arc::new(training.map_err(Failure::from)?)))
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
            let columns = Columns {
                numbers: training
                    .numbers()
                    .iter()
                    .map(|own| own.name.as_str())
                    .collect(),
                texts: vec![&training.target().name],
            };
            let mut encoder = RowEncoder::new(&training);
            columns.each_row(batches, watch, |numbers, texts| {
                Ok(encoder.add(numbers, texts.first().copied().unwrap_or_default())?)
            })?;
            let read = encoder.finish()?;
            let rows = &read.rows;
            let set = ParameterSet::by_name(SET)?;
            let noise = noise(&training, set, mean_square(&training, rows))?;
            let simulated = simulate(&training, rows, &noise)?;
            let schedule = training.schedule(rows.len())?;
            let sets = if encrypted {
                let (secret, key) = make(set, keys)?;
                let secret = Arc::new(secret);
                let plain = rows.as_slice().into();
                let encryption = RowsEncryption::new(Arc::clone(&secret), &training, plain, None)?;
                let (upload, hash) = encryption.upload()?;
                let mut run = Run::new(&training, &key, upload)?;
                loop {
                    watch.check()?;
                    let (done, of) = run.progress();
                    watch.set(done as u64, of as u64);
                    if !run.step(&key)? {
                        break;
                    }
                }
                let deviation = simulated.deviation / training.weight_deviation(&schedule, 1.0);
                let named = (rows.len(), hash);
                let weights = decrypt_weights(&secret, &training, named, &run.finish()?)?;
                let sets = weights.iter();
                sets.map(|fractions| training.weights(&schedule, fractions, deviation))
                    .collect()
            } else {
                simulated.sets
            };
            Ok(Outcome {
                rows: rows.len(),
                steps: schedule.len(),
                accuracy: accuracy(&training, &sets, rows),
                simulated_accuracy: simulated.accuracy,
                deviation: simulated.deviation,
                model: Fitted(training.fitted(&sets)),
                clipped: read.clipped,
            })
        })
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
