//! A compiled model in memory: its predictions on this machine, on encrypted rows and in the clear.

use crate::client::ModelClient;
use crate::error::{Failure, Result, read_bundle};
use crate::keys::Keys;
use crate::noise::Noise;
use crate::predictions::{Collected, Predictions};
use crate::table::{Rows, Table};
use crate::wait::{Stop, Waiting, Watch};
use cipherfn_circuit::Bundle as Compiled;
use cipherfn_client::{Answer, Asked, Client, InputRow};
use cipherfn_compiler::Report;
use cipherfn_engine::ClearCircuit;
use cipherfn_protocol::message::{Chunks, QueryChunk, write_chunk};
use cipherfn_report::{Demands, page};
use cipherfn_scheme::SecretKey;
use cipherfn_serving::{Key, Model};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::sync::{Arc, OnceLock};

/// Rows that are evaluated together in the clear.
const CLEAR_ROWS: usize = 64;

/// A compiled model.
#[pyclass(frozen)]
pub(crate) struct Bundle {
    pub(crate) compiled: Arc<Compiled>,
    client: Arc<Client>,
    /// The circuit as the server has it, from the first encrypted row on.
    model: Arc<OnceLock<Model>>,
    /// The last raw score of calibration rows, the model's and the compiled model's.
    pub(crate) scores: Vec<[f64; 2]>,
}

impl Bundle {
    pub(crate) fn new(compiled: Compiled, scores: Vec<[f64; 2]>) -> Result<Self> {
        Ok(Self {
            client: Arc::new(Client::from_specs(&compiled.specs)?),
            compiled: Arc::new(compiled),
            model: Arc::default(),
            scores,
        })
    }

    fn read_report(&self) -> Result<Report> {
        serde_json::from_slice(&self.compiled.report).map_err(|error| {
            Failure::Other(format!(
                "the bundle's report is of another release: {error}"
            ))
        })
    }
}

#[pymethods]
impl Bundle {
    /// From the bytes of a file.
    #[staticmethod]
    fn from_bytes(bytes: &[u8]) -> PyResult<Self> {
        Ok(Self::new(read_bundle(bytes)?, Vec::new())?)
    }

    /// The file.
    fn to_bytes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let bytes = cipherfn_engine::bundle::write(&self.compiled).map_err(Failure::from)?;
        Ok(PyBytes::new(py, &bytes))
    }

    /// The client specs' document.
    #[getter]
    fn specs<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.compiled.specs)
    }

    /// The report as JSON.
    #[getter]
    fn report<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.compiled.report)
    }

    /// The report as text.
    fn report_text(&self) -> PyResult<String> {
        Ok(self.read_report()?.to_string())
    }

    /// The report as a page.
    fn report_page(&self) -> PyResult<String> {
        let demands =
            Demands::of(&self.compiled).map_err(|error| Failure::Other(error.to_string()))?;
        Ok(page(&self.read_report()?, &demands, &self.scores))
    }

    /// What a client knows of it.
    #[getter]
    fn client(&self) -> ModelClient {
        ModelClient {
            client: Arc::clone(&self.client),
            trust: None,
        }
    }

    /// Encrypts rows, evaluates and decrypts them.
    #[pyo3(signature = (table, keys, tell=None, stop=None))]
    fn encrypted(
        &self,
        py: Python<'_>,
        table: &Table,
        keys: &Keys,
        tell: Option<Bound<'_, PyAny>>,
        stop: Option<Bound<'_, Stop>>,
    ) -> PyResult<Predictions> {
        let rows = table.rows(&self.client)?;
        let (compiled, client) = (Arc::clone(&self.compiled), Arc::clone(&self.client));
        let model = Arc::clone(&self.model);
        let (secret, key) = (Arc::clone(&keys.secret), Arc::clone(&keys.evaluation));
        let waiting = Waiting { py, tell, stop };
        waiting.compute(move |watch| {
            if model.get().is_none() {
                // Another thread may have been faster, which is as good.
                let _ = model.set(Model::new(&compiled)?);
            }
            let model = model
                .get()
                .ok_or_else(|| Failure::Other("no model".into()))?;
            let server = Server {
                model,
                key: key.as_ref().as_ref(),
            };
            batches(
                &client,
                rows,
                client.rows_a_chunk(),
                watch,
                |first, rows| server.answers(&client, &secret, first, rows),
            )
        })
    }

    /// Evaluates rows in the clear: what encrypted ones give, but for the noise, or with normal noise of this standard deviation, a
    /// fraction of the torus.
    #[pyo3(signature = (table, noise=0.0, seed=0, tell=None, stop=None))]
    fn clear(
        &self,
        py: Python<'_>,
        table: &Table,
        noise: f64,
        seed: u64,
        tell: Option<Bound<'_, PyAny>>,
        stop: Option<Bound<'_, Stop>>,
    ) -> PyResult<Predictions> {
        let rows = table.rows(&self.client)?;
        let (compiled, client) = (Arc::clone(&self.compiled), Arc::clone(&self.client));
        let waiting = Waiting { py, tell, stop };
        waiting.compute(move |watch| {
            let circuit = ClearCircuit::new(compiled.circuit.clone())?;
            let mut noise = Noise::new(noise, seed);
            batches(&client, rows, CLEAR_ROWS, watch, |_, rows| {
                let encoded = client.encode(rows);
                let results = circuit.evaluate_rows(&encoded.rows);
                let results = results.map_err(|error| Failure::Other(error.to_string()))?;
                let answers = results.iter().zip(encoded.marks).map(|(result, mark)| {
                    let phases = result.iter().map(|phase| noise.on(*phase));
                    let answer = match client.predict(&phases.collect::<Vec<_>>()) {
                        Ok(prediction) => client.answer_of(prediction),
                        Err(error) => Answer {
                            prediction: None,
                            remark: Some(error.to_string()),
                        },
                    };
                    answer.marked(mark)
                });
                Ok(answers.collect())
            })
        })
    }
}

/// Answers a table some rows at a time.
fn batches(
    client: &Client,
    mut rows: Rows,
    size: usize,
    watch: &Watch,
    mut answer: impl FnMut(u64, &[InputRow]) -> Result<Vec<Answer>>,
) -> Result<Predictions> {
    let mut collected = Collected::new(client);
    let mut first = 0;
    loop {
        watch.check()?;
        let batch = rows.by_ref().take(size).collect::<Result<Vec<_>>>()?;
        if batch.is_empty() {
            return Ok(collected.into());
        }
        collected.take(client, &answer(first, &batch)?);
        first += batch.len() as u64;
        watch.add(batch.len() as u64);
    }
}

/// The server's side, on this machine.
struct Server<'a> {
    model: &'a Model,
    key: Option<&'a Key>,
}

impl Server<'_> {
    fn answers(
        &self,
        client: &Client,
        secret: &SecretKey,
        first: u64,
        rows: &[InputRow],
    ) -> Result<Vec<Answer>> {
        let encoded = client.encode(rows);
        let nonce = client.nonce()?;
        let query = client.query(secret, nonce, &encoded.rows)?;
        let key = self.key.filter(|_| self.model.needs_key());
        let other = |error: &dyn std::error::Error| Failure::Other(error.to_string());
        let mut reply = Vec::new();
        for chunk in Chunks::<_, QueryChunk>::new(query.as_slice()) {
            let (tag, chunk) = chunk.map_err(|error| other(&error))?;
            self.model
                .check(tag, &chunk, key)
                .map_err(|error| other(&error))?;
            let answer = self.model.answer(key, &chunk);
            write_chunk(&mut reply, tag, &answer).map_err(|error| other(&error))?;
        }
        let asked = Asked {
            nonce,
            rows: rows.len() as u64,
        };
        let answers = client.open(secret, asked, first, &reply)?;
        let marked = answers.into_iter().zip(encoded.marks);
        Ok(marked.map(|(answer, mark)| answer.marked(mark)).collect())
    }
}
