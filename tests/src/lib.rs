//! End to end, golden and hostile-input tests of the whole workspace, and the small harness they
//! share: a model on the server's side, a client with keys, and nothing between them but bytes.

use cipherfn_client::Client;
use cipherfn_compiler::{Calibration, Compiled, Options};
use cipherfn_protocol::message::{Chunks, QueryChunk, write_chunk};
use cipherfn_scheme::{EvaluationKey, SecretKey};
use cipherfn_serving::{Key, Model};
use cipherfn_table::Table;
use std::error::Error;
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

/// Encrypts `rows` (CSV text), has them answered, and gives the predictions (CSV text).
pub fn predict(
    client: &Client,
    secret: &SecretKey,
    server: &Server,
    rows: &[u8],
) -> Result<String> {
    let mut query = Vec::new();
    client.encrypt(
        secret,
        client.rows(Table::open("rows.csv", rows)?)?,
        &mut query,
        |_| (),
    )?;
    decrypt(client, secret, &server.answer(&query)?)
}

/// Decrypts a reply of which every row must have an answer.
pub fn decrypt(client: &Client, secret: &SecretKey, reply: &[u8]) -> Result<String> {
    let mut predictions = Vec::new();
    let decrypted = client.decrypt(secret, reply, &mut predictions, |_| ())?;
    if decrypted.failed > 0 {
        return Err(format!("{} rows failed: {:?}", decrypted.failed, decrypted.failures).into());
    }
    Ok(String::from_utf8(predictions)?)
}
