//! The client core over a transport of one's own: here a channel to a thread, elsewhere a message
//! queue or a call of a browser. Rows come one by one; one of them cannot be encoded.
//!
//! `cargo run --package cipherfn-examples --example custom-client`

use cipherfn_circuit::Bundle;
use cipherfn_client::{Answer, Asked, Client, InputRow};
use cipherfn_compiler::{Calibration, Options, compile};
use cipherfn_program::Tensor;
use cipherfn_protocol::message::{Chunks, QueryChunk, write_chunk};
use cipherfn_scheme::SecretKey;
use cipherfn_serving::Model;
use std::error::Error;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

const MODEL: &[u8] = include_bytes!("../tests/libraries/ridge_diabetes/model.onnx");
const TRAINING_ROWS: &[u8] = include_bytes!("../tests/libraries/ridge_diabetes/train.csv");

/// A query and where its reply goes.
type Request = (Vec<u8>, Sender<Vec<u8>>);

fn main() -> Result<(), Box<dyn Error>> {
    let calibration = Calibration::new("train.csv", TRAINING_ROWS).with_target("target");
    let bundle = compile(MODEL, calibration, &Options::new("diabetes"))?.bundle;
    let specs = bundle.specs.clone();
    let (requests, inbox) = mpsc::channel();
    let server = thread::spawn(move || serve(&bundle, &inbox).map_err(|error| error.to_string()));

    // Everything that the client knows is in the specs. This model is linear: it needs no
    // evaluation key.
    let client = Client::from_specs(&specs)?;
    let secret = SecretKey::generate(client.parameter_set())?;
    let width = client.specs().specs().columns.len();
    let row = |value: f32| -> InputRow { Ok(vec![Tensor::F32(vec![value; width])]) };
    for row in [row(0.01), row(f32::NAN), row(-0.02)] {
        let answer = ask(&client, &secret, row, &requests)?;
        match (answer.prediction, answer.remark) {
            (Some(prediction), _) => println!("{:?}", prediction.cells().collect::<Vec<_>>()),
            (None, remark) => println!("no prediction: {}", remark.unwrap_or_default()),
        }
    }
    drop(requests);
    server
        .join()
        .map_err(|_| "the server stopped unexpectedly")??;
    Ok(())
}

/// Sends a row and waits for its answer. A row that cannot be encoded is sent all the same, as
/// zeros: the server does not learn that it is a bad one.
fn ask(
    client: &Client,
    secret: &SecretKey,
    row: InputRow,
    requests: &Sender<Request>,
) -> Result<Answer, Box<dyn Error>> {
    let mut encoded = client.encode(&[row]);
    let (to, reply) = mpsc::channel();
    let nonce = client.nonce()?;
    requests.send((client.query(secret, nonce, &encoded.rows)?, to))?;
    // The reply to another query is an error.
    let asked = Asked { nonce, rows: 1 };
    let mut answers = client.open(secret, asked, 0, &reply.recv()?)?;
    let answer = answers.pop().ok_or("a reply without rows")?;
    let mark = encoded.marks.pop().ok_or("a mark a row")?;
    Ok(answer.marked(mark))
}

/// The other end of the channel.
fn serve(bundle: &Bundle, inbox: &Receiver<Request>) -> Result<(), Box<dyn Error>> {
    let model = Model::new(bundle)?;
    for (query, to) in inbox {
        let mut reply = Vec::new();
        for chunk in Chunks::<_, QueryChunk>::new(query.as_slice()) {
            let (tag, chunk) = chunk?;
            model.check(tag, &chunk, None)?;
            write_chunk(&mut reply, tag, &model.answer(None, &chunk))?;
        }
        to.send(reply)?;
    }
    Ok(())
}

#[test]
fn runs() {
    main().unwrap();
}
