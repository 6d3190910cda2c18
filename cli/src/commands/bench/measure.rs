//! Timing one bundle.

use super::batch::Batch;
use super::reference;
use anyhow::{Context, Result};
use cipherfn_circuit::Bundle;
use cipherfn_circuit::circuit::SelectorId;
use cipherfn_client::Client;
use cipherfn_engine::{PreparedCircuit, Workspace};
use cipherfn_protocol::specs::Transport;
use cipherfn_scheme::parameters::ParameterSet;
use cipherfn_scheme::query::{self, InputShape, InputValues, SelectorQueryShape};
use cipherfn_scheme::selectors::FourierSelectors;
use cipherfn_scheme::{EvaluationKey, ExpandedEvaluationKey, SecretKey, reply};
use cipherfn_serving::Key;
use serde::Serialize;
use std::time::Instant;

/// A bundle with keys and encrypted rows.
pub(super) struct Subject {
    circuit: PreparedCircuit,
    /// The selector of each CMUX, in the circuit's order.
    cmuxes: Vec<SelectorId>,
    secret: SecretKey,
    /// Files of the parts of the evaluation key.
    key_parts: Vec<Vec<u8>>,
    pub(super) queries: Vec<Vec<u8>>,
    batch: Batch,
    /// Bytes.
    pub(super) sizes: Sizes,
    /// Times of the client.
    pub(super) client: ClientTimes,
}

/// Sizes in bytes.
pub(super) struct Sizes {
    pub(super) secret_key: u64,
    /// 0 where none is needed.
    pub(super) evaluation_key: u64,
    pub(super) query_row: u64,
    pub(super) reply_row: u64,
    /// A row's part of a query of all rows.
    pub(super) batch_query_row: f64,
}

/// Seconds on the client; a row's are medians, on all threads.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct ClientTimes {
    #[serde(rename = "make_keys_seconds")]
    pub(super) make_keys: f64,
    #[serde(rename = "encrypt_seconds")]
    pub(super) encrypt: f64,
    #[serde(rename = "decrypt_seconds")]
    pub(super) decrypt: f64,
}

/// Seconds on the server with one number of threads; a row's are medians.
pub(super) struct Measured {
    pub(super) threads: usize,
    /// File to Fourier form; none where no key is needed.
    pub(super) key_load: Option<f64>,
    pub(super) expand: f64,
    pub(super) evaluate: f64,
    pub(super) compress: f64,
    pub(super) rows_a_second: f64,
    /// A row of all rows in one request, from query to reply.
    pub(super) batch_row: f64,
    /// Bytes of its part of the reply.
    pub(super) batch_reply_row: f64,
    /// The same CMUXes one by one, on one thread; none for linear models.
    pub(super) reference: Option<f64>,
}

impl Measured {
    /// One row, from query to reply.
    pub(super) fn server(&self) -> f64 {
        self.expand + self.evaluate + self.compress
    }

    /// Evaluation to reference, where both ran on one thread.
    pub(super) fn ratio(&self) -> Option<f64> {
        self.reference.map(|reference| self.evaluate / reference)
    }

    pub(super) fn json(&self, subject: &Subject) -> serde_json::Value {
        serde_json::json!({
            "threads": self.threads,
            "key_load_seconds": self.key_load,
            "expand_seconds": self.expand,
            "expand_seconds_a_slot": subject.slots().map(|slots| self.expand / slots as f64),
            "expand_seconds_a_selector": subject.selectors().map(|selectors| self.expand / selectors as f64),
            "evaluate_seconds": self.evaluate,
            "compress_seconds": self.compress,
            "server_seconds": self.server(),
            "rows_a_second": self.rows_a_second,
            "batch_seconds_a_row": self.batch_row,
            "batch_reply_row_bytes": self.batch_reply_row,
            "tfhe_cmuxes_one_by_one_seconds": self.reference,
            "evaluate_to_tfhe_ratio": self.ratio(),
        })
    }
}

impl Subject {
    /// Makes keys and encrypts `rows` rows.
    pub(super) fn new(bundle: &Bundle, rows: usize) -> Result<Self> {
        let circuit = PreparedCircuit::new(&bundle.circuit)?;
        let set = circuit.parameter_set();
        let start = Instant::now();
        let secret = SecretKey::generate(set)?;
        let needs_key = bundle.circuit.needs_evaluation_key() || circuit.packed().is_some();
        let expansion = needs_key.then(|| EvaluationKey::generate(&secret));
        let bootstrap = circuit.bootstrap_part();
        let bootstrap = bootstrap.map(|part| EvaluationKey::generate_part(&secret, part));
        let key_parts = expansion.into_iter().chain(bootstrap);
        let key_parts = key_parts.map(|part| Ok(part?.to_file_bytes()));
        let key_parts = key_parts.collect::<Result<Vec<_>>>()?;
        let make_keys = start.elapsed().as_secs_f64();
        let values = |row| {
            let inputs = circuit.inputs().iter();
            inputs.map(|shape| some_values(shape, row)).collect()
        };
        let values: Vec<Vec<InputValues>> = (0..rows).map(values).collect();
        let encrypt =
            |row: &Vec<InputValues>| Ok(query::encrypt_row(&secret, circuit.inputs(), row)?);
        let queries = values.iter().map(encrypt).collect::<Result<Vec<_>>>()?;
        let batch = Batch::new(bundle, &circuit, &secret, &values)?;
        let cmuxes = bundle.circuit.selects().map(|select| select.selector);
        let cmuxes = cmuxes.collect();
        let sizes = Sizes {
            secret_key: secret.to_file_bytes().len() as u64,
            evaluation_key: key_parts.iter().map(Vec::len).sum::<usize>() as u64,
            query_row: queries.first().map_or(0, Vec::len) as u64,
            reply_row: circuit.reply_row_bytes() as u64,
            batch_query_row: batch.query_row(),
        };
        let client = ClientTimes {
            make_keys,
            encrypt: encrypting(bundle, &secret, rows)?,
            decrypt: 0.0,
        };
        let mut subject = Self {
            circuit,
            cmuxes,
            secret,
            key_parts,
            queries,
            batch,
            sizes,
            client,
        };
        subject.client.decrypt = subject.decrypt()?;
        Ok(subject)
    }

    /// Parameter set of keys and ciphertexts.
    pub(super) fn set(&self) -> &'static ParameterSet {
        self.circuit.parameter_set()
    }

    /// Number of selectors; none for linear models.
    pub(super) fn selectors(&self) -> Option<usize> {
        let selectors = self.groups().map(|(_, shape)| shape.selectors);
        selectors.reduce(usize::saturating_add)
    }

    /// Slots that are expanded, one a selector and level; none where nothing is packed.
    pub(super) fn slots(&self) -> Option<usize> {
        let packed = self
            .groups()
            .filter(|(_, shape)| shape.transport == Transport::Packed);
        packed
            .map(|(_, shape)| shape.selectors * shape.gadget.levels.get() as usize)
            .reduce(usize::saturating_add)
    }

    /// Number of CMUXes; none for linear models.
    pub(super) fn cmuxes(&self) -> Option<usize> {
        self.selectors().map(|_| self.cmuxes.len())
    }

    /// Measures the server on the current rayon pool.
    pub(super) fn measure(&self, progress: impl Fn()) -> Result<Measured> {
        let start = Instant::now();
        let key = self.load_key()?;
        let key_load = key.is_some().then(|| start.elapsed().as_secs_f64());
        let (batch_key, key) = (key.as_ref(), key.as_ref().map(Key::expanded));
        let mut workspace = Workspace::default();
        // The first row pays for memory and plans.
        self.evaluate(key, 0, &mut workspace)?;
        let mut timings = Vec::new();
        for row in 0..self.queries.len() {
            timings.push(
                self.circuit
                    .evaluate_row_timed(key, &self.queries[row], &mut workspace)?
                    .1,
            );
            progress();
        }
        let rows = self.queries.iter().map(|row| self.circuit.alone(row));
        let rows: Vec<_> = rows.collect();
        let start = Instant::now();
        self.circuit
            .evaluate_rows(key, &rows)
            .into_iter()
            .collect::<Result<Vec<_>, _>>()?;
        let rows_a_second = rows.len() as f64 / start.elapsed().as_secs_f64();
        let (batch_row, batch_reply_row) = self.batch.answer(batch_key);
        Ok(Measured {
            threads: rayon::current_num_threads(),
            key_load,
            expand: median(timings.iter().map(|timing| timing.expand.as_secs_f64())),
            evaluate: median(timings.iter().map(|timing| timing.evaluate.as_secs_f64())),
            compress: median(timings.iter().map(|timing| timing.compress.as_secs_f64())),
            rows_a_second,
            batch_row,
            batch_reply_row,
            reference: self.reference(key)?,
        })
    }

    /// The groups of selectors, each with its input's number.
    fn groups(&self) -> impl Iterator<Item = (usize, &SelectorQueryShape)> {
        let inputs = self.circuit.inputs().iter().enumerate();
        inputs.filter_map(|(index, shape)| match shape {
            InputShape::Selectors(shape) => Some((index, shape)),
            _ => None,
        })
    }

    pub(super) fn load_key(&self) -> Result<Option<Key>> {
        let parts = self.key_parts.iter();
        let parts = parts.map(|bytes| EvaluationKey::from_file_bytes(bytes));
        Ok(Key::of_parts(&parts.collect::<Result<Vec<_>, _>>()?)?)
    }

    fn evaluate(
        &self,
        key: Option<&ExpandedEvaluationKey>,
        row: usize,
        workspace: &mut Workspace,
    ) -> Result<Vec<u8>> {
        Ok(self
            .circuit
            .evaluate_row(key, self.queries.get(row).context("no rows")?, workspace)?)
    }

    fn decrypt(&self) -> Result<f64> {
        const REPEATS: usize = 5;
        let key = self.load_key()?;
        let key = key.as_ref().map(Key::expanded);
        let answer = self.evaluate(key, 0, &mut Workspace::default())?;
        let mut times = Vec::new();
        for _ in 0..REPEATS {
            let start = Instant::now();
            reply::decrypt_row(&self.secret, self.circuit.outputs(), &answer)?;
            times.push(start.elapsed().as_secs_f64());
        }
        Ok(median(times))
    }

    /// Time of the circuit's CMUXes done one by one by `tfhe`, on one thread, over the selectors of
    /// each row.
    fn reference(&self, key: Option<&ExpandedEvaluationKey>) -> Result<Option<f64>> {
        if self.cmuxes.is_empty() {
            return Ok(None);
        }
        let mut times = vec![0.0; self.queries.len()];
        for (input, shape) in self.groups() {
            let before: usize = self.circuit.inputs()[..input]
                .iter()
                .map(InputShape::row_bytes)
                .sum();
            let cmuxes = self.cmuxes.iter().filter(|id| id.input.index() == input);
            let cmuxes: Vec<u32> = cmuxes.map(|id| id.index).collect();
            let mut selectors = FourierSelectors::zeroed(shape.ggsw(), shape.selectors);
            for (row, time) in self.queries.iter().zip(&mut times) {
                let part = &row[before..][..shape.row_bytes()];
                query::expand_selectors(key, shape, part, &mut selectors)?;
                *time += reference::one_by_one(&selectors, &cmuxes).as_secs_f64();
            }
        }
        Ok(Some(median(times)))
    }
}

/// Time of a client's query of one row: encryption, nonce, ids and checksum.
fn encrypting(bundle: &Bundle, secret: &SecretKey, rows: usize) -> Result<f64> {
    let client = Client::from_specs(&bundle.specs)?;
    // Sent as zeros; what it takes does not depend on the row.
    let encoded = client.encode(&[Err("no row".to_owned())]);
    let mut times = Vec::new();
    for _ in 0..rows {
        let start = Instant::now();
        client.query(secret, client.nonce()?, &encoded.rows)?;
        times.push(start.elapsed().as_secs_f64());
    }
    Ok(median(times))
}

/// Values of an input that differ from row to row.
fn some_values(shape: &InputShape, row: usize) -> InputValues {
    match shape {
        InputShape::Selectors(shape) => InputValues::Bits(
            (0..shape.selectors)
                .map(|bit| (bit + row).is_multiple_of(3))
                .collect(),
        ),
        InputShape::Features(shape) => {
            InputValues::Features(vec![(row as u64) << 40; shape.features])
        }
        InputShape::Values(shape) => InputValues::Values(vec![(row as u64) << 40; shape.values]),
        InputShape::Tables(count) => InputValues::Tables(vec![Vec::new(); *count].into()),
    }
}

pub(super) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}
