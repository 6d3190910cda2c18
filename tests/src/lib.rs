//! End to end, golden and hostile-input tests of the whole workspace, and the small harness they
//! share: a model on the server's side, a client with keys, and nothing between them but bytes.

mod evaluator;
pub mod fuzz;

pub use evaluator::{Clear, Encrypted, EncryptedElsewhere, Evaluator};

use cipherfn_client::{Answer, Client, InputRow};
use cipherfn_compiler::{Calibration, Compiled, Options};
use cipherfn_program::Tensor;
use cipherfn_protocol::message::{Chunks, QueryChunk, write_chunk};
use cipherfn_scheme::{EvaluationKey, SecretKey};
use cipherfn_serving::{Key, Model};
use cipherfn_table::{PredictionWriter, Table, TableError};
use std::error::Error;
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};

/// Any error: tests only show it.
pub type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The folder of models that come with the outputs of the library that trained them.
pub fn library_models() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("libraries")
}

/// The folder of the small models that come with the repository, made by `tests/models/make.py`.
pub fn own_models() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("models")
}

/// The folder of files of format version 1.
pub fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/v1")
}

/// Compiles the model of a folder with its own calibration rows; a column `target` is no input.
pub fn compile(folder: &Path, change: impl FnOnce(&mut Options)) -> Result<Compiled> {
    let calibration = folder.join("train.csv");
    let target = std::fs::read_to_string(&calibration)?
        .lines()
        .next()
        .unwrap_or_default()
        .split(',')
        .any(|name| name == "target");
    let mut options = Options::new("model");
    change(&mut options);
    let rows = std::fs::File::open(&calibration)?;
    let mut calibration = Calibration::new(calibration.display().to_string(), rows);
    if target {
        calibration = calibration.with_target("target");
    }
    Ok(cipherfn_compiler::compile(
        &std::fs::read(folder.join("model.onnx"))?,
        calibration,
        &options,
    )?)
}

/// What a server holds: a model and one client's evaluation key.
pub struct Server {
    model: Model,
    key: Option<Key>,
}

impl Server {
    /// From stored bytes.
    pub fn new(bundle: &[u8], evaluation_key: Option<&[u8]>) -> Result<Self> {
        let key = evaluation_key
            .map(EvaluationKey::from_file_bytes)
            .transpose()?;
        Ok(Self {
            model: Model::new(&cipherfn_engine::bundle::read(bundle)?)?,
            key: key.as_ref().map(Key::new).transpose()?,
        })
    }

    /// With further parts of the key, from their stored bytes.
    pub fn with_parts(mut self, parts: &[Vec<u8>]) -> Result<Self> {
        if let Some(key) = &mut self.key {
            for part in parts {
                key.add(&EvaluationKey::from_file_bytes(part)?)?;
            }
        }
        Ok(self)
    }

    /// Query bytes in, reply bytes out. Nothing is checked: rows that do not fit get an outcome
    /// that says so.
    pub fn answer(&self, query: &[u8]) -> Result<Vec<u8>> {
        let mut reply = Vec::new();
        for chunk in Chunks::<_, QueryChunk>::new(query) {
            let (tag, chunk) = chunk?;
            write_chunk(
                &mut reply,
                tag,
                &self.model.answer(self.key.as_ref(), &chunk),
            )?;
        }
        Ok(reply)
    }
}

/// Has `rows` (CSV text) answered, and gives the predictions (CSV text).
pub fn predict(evaluator: &dyn Evaluator, rows: &[u8]) -> Result<String> {
    let (client, secret) = evaluator.client();
    let rows = input_rows::<Box<dyn Error>, _>(client, rows)?;
    let reply = evaluator.reply(rows.collect::<Result<_>>()?)?;
    decrypt(client, secret, &reply)
}

/// The rows of a CSV text as the client takes them; a bad one is an error.
pub fn input_rows<E: From<TableError>, R: Read>(
    client: &Client,
    csv: R,
) -> std::result::Result<impl Iterator<Item = std::result::Result<InputRow, E>> + use<E, R>, E> {
    let specs = client.specs().specs();
    let rows = Table::open("rows.csv", csv)?.select(&specs.columns, specs.preprocess.inputs())?;
    Ok(rows.map(|row| Ok(Ok(row?))))
}

/// Decrypts a reply of which every row must have an answer.
pub fn decrypt(client: &Client, secret: &SecretKey, reply: &[u8]) -> Result<String> {
    let mut answers = Vec::new();
    client.decrypt(secret, None, reply, |more| {
        answers.extend(more);
        Ok::<_, Box<dyn Error>>(())
    })?;
    predictions(client, &answers)
}

/// Answers as CSV text, to the last digit; every row must have one.
pub fn predictions(client: &Client, answers: &[Answer]) -> Result<String> {
    let spool = Cursor::new(Vec::new());
    let mut writer = PredictionWriter::new(client.prediction_columns(), spool);
    for answer in answers {
        let failed = || format!("a row failed: {:?}", answer.remark);
        let prediction = answer.prediction.as_ref().ok_or_else(failed)?;
        let cells = prediction.outputs.iter().flat_map(|tensor| match tensor {
            Tensor::F32(values) => values.iter().map(|value| format!("{value:?}")).collect(),
            Tensor::F64(values) => values.iter().map(|value| format!("{value:?}")).collect(),
            Tensor::I64(_) | Tensor::Text(_) => tensor.to_texts(),
        });
        writer.write(cells, None, answer.remark.as_deref())?;
    }
    let mut csv = Vec::new();
    writer.finish(&mut csv)?;
    Ok(String::from_utf8(csv)?)
}
