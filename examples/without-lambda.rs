//! A server that is a loop over a socket, with two clients' evaluation keys in memory: what the
//! functions on AWS do, without AWS. Whoever builds on it adds TLS, an identity for every caller,
//! and limits.
//!
//! `cargo run --package cipherfn-examples --example without-lambda`

use cipherfn_circuit::Bundle;
use cipherfn_client::{Asked, Client};
use cipherfn_compiler::{Calibration, Options, Profile, compile};
use cipherfn_program::Tensor;
use cipherfn_protocol::message::{Chunks, KeyId, QueryChunk, write_chunk};
use cipherfn_scheme::{EvaluationKey, SecretKey};
use cipherfn_serving::{Key, Model};
use std::collections::HashMap;
use std::error::Error;
use std::io::{BufReader, BufWriter, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;

const MODEL: &[u8] = include_bytes!("../tests/libraries/dt_bc/model.onnx");
const TRAINING_ROWS: &[u8] = include_bytes!("../tests/libraries/dt_bc/train.csv");
const CLIENTS: usize = 2;

fn main() -> Result<(), Box<dyn Error>> {
    let calibration = Calibration::new("train.csv", TRAINING_ROWS).with_target("target");
    let mut options = Options::new("breast cancer");
    options.profile = Profile::Compact;
    let bundle = compile(MODEL, calibration, &options)?.bundle;

    let client = Client::from_specs(&bundle.specs)?;
    let secrets = (0..CLIENTS).map(|_| SecretKey::generate(client.parameter_set()));
    let secrets = secrets.collect::<Result<Vec<_>, _>>()?;
    let evaluation = secrets.iter().map(EvaluationKey::generate);
    let evaluation = evaluation.collect::<Result<Vec<_>, _>>()?;

    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let server = thread::spawn(move || {
        serve(&listener, &bundle, &evaluation).map_err(|error| error.to_string())
    });
    for secret in &secrets {
        println!("{:?}", ask(&client, secret, address)?);
    }
    server
        .join()
        .map_err(|_| "the server stopped unexpectedly")??;
    Ok(())
}

/// Answers one query a connection.
fn serve(
    listener: &TcpListener,
    bundle: &Bundle,
    evaluation: &[EvaluationKey],
) -> Result<(), Box<dyn Error>> {
    let model = Model::new(bundle)?;
    let mut keys: HashMap<KeyId, Key> = HashMap::new();
    for key in evaluation {
        keys.insert(key.id(), Key::new(key)?);
    }
    for connection in listener.incoming().take(CLIENTS) {
        let connection = connection?;
        let mut reply = BufWriter::new(&connection);
        // A query comes in chunks, so rows are answered while others are still on their way.
        for chunk in Chunks::<_, QueryChunk>::new(BufReader::new(&connection)) {
            let (tag, chunk) = chunk?;
            let key = keys.get(&chunk.head.key);
            model.check(tag, &chunk, key)?;
            write_chunk(&mut reply, tag, &model.answer(key, &chunk))?;
        }
        reply.flush()?;
    }
    Ok(())
}

/// The label of one row.
fn ask(
    client: &Client,
    secret: &SecretKey,
    server: SocketAddr,
) -> Result<Vec<Tensor>, Box<dyn Error>> {
    let width = client.specs().specs().columns.len();
    let row = Ok(vec![Tensor::F32(vec![0.5; width])]);
    let encoded = client.encode(&[row]);
    let mut connection = TcpStream::connect(server)?;
    let nonce = client.nonce()?;
    connection.write_all(&client.query(secret, nonce, &encoded.rows)?)?;
    connection.shutdown(Shutdown::Write)?;
    let mut reply = Vec::new();
    connection.read_to_end(&mut reply)?;
    let asked = Asked {
        nonce,
        rows: encoded.rows.len() as u64,
    };
    let answers = client.open(secret, asked, 0, &reply)?;
    let predictions = answers.into_iter().filter_map(|answer| answer.prediction);
    Ok(predictions
        .flat_map(|prediction| prediction.outputs)
        .collect())
}

#[test]
fn runs() {
    main().unwrap();
}
