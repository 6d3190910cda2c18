//! A model compiled, rows encrypted, evaluated and decrypted in one process: columns in, columns
//! out, and no files but the model and its training rows.
//!
//! `cargo run --package cipherfn-examples --example in-memory`

use cipherfn_client::{Asked, Batch, Client, Values};
use cipherfn_compiler::{Calibration, Options, compile};
use cipherfn_protocol::message::{Chunks, QueryChunk, write_chunk};
use cipherfn_scheme::{EvaluationKey, SecretKey};
use cipherfn_serving::{Key, Model};
use std::error::Error;

const MODEL: &[u8] = include_bytes!("xgb_bc/model.onnx");
const TRAINING_ROWS: &[u8] = include_bytes!("xgb_bc/train.csv");
const TEST_ROWS: &str = include_str!("xgb_bc/test.csv");
/// Rows that are predicted.
const ROWS: usize = 3;

fn main() -> Result<(), Box<dyn Error>> {
    // The developer compiles the model. The training rows name its columns and tell its ranges.
    let calibration = Calibration::new("train.csv", TRAINING_ROWS).with_target("target");
    let compiled = compile(MODEL, calibration, &Options::new("breast cancer"))?;

    // The client has the specs and makes keys for them.
    let client = Client::from_specs(&compiled.bundle.specs)?;
    let secret = SecretKey::generate(client.parameter_set())?;
    let evaluation = EvaluationKey::generate(&secret)?;

    // It encrypts columns, as a data frame has them.
    let rows = client.rows(&columns(TEST_ROWS)?)?;
    let encoded = client.encode(&rows);
    let nonce = client.nonce()?;
    let query = client.query(&secret, nonce, &encoded.rows)?;

    // The server has the bundle and the evaluation key, and sees nothing but the query.
    let model = Model::new(&compiled.bundle)?;
    let key = Key::new(&evaluation)?;
    let mut reply = Vec::new();
    for chunk in Chunks::<_, QueryChunk>::new(query.as_slice()) {
        let (tag, chunk) = chunk?;
        model.check(tag, &chunk, Some(&key))?;
        write_chunk(&mut reply, tag, &model.answer(Some(&key), &chunk))?;
    }

    // The client decrypts.
    let asked = Asked {
        nonce,
        rows: encoded.rows.len() as u64,
    };
    let answers = client.open(&secret, asked, 0, &reply)?;
    for (name, column) in client.predictions(&answers).columns() {
        println!("{name}: {:?}", column.values());
    }
    Ok(())
}

/// The first test rows by column. A data frame has columns already; CSV text has not.
fn columns(csv: &str) -> Result<Batch, Box<dyn Error>> {
    let mut lines = csv.lines();
    let names = lines.next().ok_or("no header")?.split(',');
    let rows: Vec<Vec<&str>> = lines
        .take(ROWS)
        .map(|line| line.split(',').collect())
        .collect();
    names
        .enumerate()
        .try_fold(Batch::new(), |batch, (index, name)| {
            let values = rows
                .iter()
                .map(|row| Ok(row.get(index).ok_or("a short row")?.parse()?));
            let values = values.collect::<Result<_, Box<dyn Error>>>()?;
            Ok(batch.with(name, Values::F64(values)))
        })
}

#[test]
fn runs() {
    main().unwrap();
}
